"""Errors that a person can act on: where, what was found, what was wanted, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "InputError",
    "InterruptedRunError",
    "NumericsError",
    "ResumeError",
    "SkysiftError",
    "nearest",
]


class SkysiftError(Exception):
    """Base of every error that skysift raises on purpose; ``exit_code`` is what the command returns."""

    exit_code = 1


class InputError(SkysiftError):
    """Bad input, found before any work.

    Parameters
    ----------
    place : file (or configuration) that holds the fault
    field : dataset, column, header card or dotted configuration key
    found : the value found
    wanted : what would have been right, with its unit
    remedy : what to do about it

    Examples
    --------
    >>> print(InputError("a.fits", "EXPOSURE", "-1", "values >= 0, cm2 s", "mask the pixel"))
    input error in a.fits
      field   EXPOSURE
      found   -1
      wanted  values >= 0, cm2 s
      do      mask the pixel
    """

    exit_code = 2

    def __init__(self, place: object, field: str, found: object, wanted: str, remedy: str) -> None:
        self.place, self.field, self.found = str(place), field, str(found)
        self.wanted, self.remedy = wanted, remedy
        super().__init__(
            f"input error in {self.place}\n  field   {field}\n  found   {self.found}\n"
            f"  wanted  {wanted}\n  do      {remedy}"
        )


class ResumeError(InputError):
    """A checkpoint that belongs to other data, another configuration or other code."""


class NumericsError(SkysiftError):
    """The computation itself failed: non-finite values, a matrix that is not positive definite."""


class InterruptedRunError(SkysiftError):
    """Stopped from outside; the same command goes on."""

    exit_code = 75


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``did you mean 'x'?`` for the known name closest to ``name``, or the sorted list of known names.

    Examples
    --------
    >>> nearest("bubles", ["bubbles", "gce"])
    "did you mean 'bubbles'?"
    >>> nearest("zzz", ["b", "a"])
    'known names: a, b'
    """
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return f"did you mean '{close[0]}'?" if close else "known names: " + ", ".join(names)

"""Numbers and names as a configuration may write them, and never a silent string."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, StringConstraints

from skysift.config.faults import fault

__all__ = [
    "NAME_PATTERN",
    "ComponentName",
    "Integer",
    "Name",
    "PositiveInteger",
    "PositiveReal",
    "Real",
    "ResolutionParameter",
    "read_number",
    "spells_number",
]

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"
_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)
_LEADING_ZERO = re.compile(r"\s*[+-]?0[0-9]+\s*")


def spells_number(value: object) -> bool:
    """Return whether a value is a number, or text that spells one."""
    if isinstance(value, str):
        return bool(_NUMBER.fullmatch(value))
    return isinstance(value, int | float) and not isinstance(value, bool)


def read_number(value: object, *, wanted: str = "a finite number", example: str = "0.5 or 1e-3") -> float | int:
    """Return the finite number that ``value`` is or spells.

    Values from the command line arrive as text, so text that spells a number is one; ``012`` is eight or twelve
    depending on who reads it, and yes and no are not numbers.

    Examples
    --------
    >>> read_number("1e3")
    1000.0
    """
    if isinstance(value, bool):
        raise fault(wanted, "write a number; yes, no, on, off, true and false are not numbers")
    if isinstance(value, str) and _LEADING_ZERO.fullmatch(value):
        raise fault(wanted, f"leave the leading zero out ({value.strip().lstrip('+-').lstrip('0') or '0'})")
    number: float | int
    if isinstance(value, str) and _NUMBER.fullmatch(value) and len(value) < 100:
        number = float(value)
    elif isinstance(value, int | float):
        number = value
    else:
        number = math.nan
    if not math.isfinite(number):
        raise fault(wanted, f"write a plain number such as {example}")
    return number


def _read_integer(value: Any) -> int:  # noqa: ANN401 - whatever the file holds
    number = read_number(value, wanted="a whole number", example="1 or 20")
    if number != int(number):
        raise fault("a whole number", f"write {math.floor(number)} or {math.ceil(number)}")
    return int(number)


def _read_resolution(value: Any) -> int:  # noqa: ANN401 - whatever the file holds
    nside = _read_integer(value)
    if nside < 1 or nside > 4096 or nside & (nside - 1):
        raise fault("a HEALPix resolution: a power of two from 1 to 4096", "write for example 64 or 128")
    return nside


Real = Annotated[float, BeforeValidator(read_number)]
PositiveReal = Annotated[float, BeforeValidator(read_number), Field(gt=0)]
Integer = Annotated[int, BeforeValidator(_read_integer), Field(ge=-(2**63), lt=2**63)]
PositiveInteger = Annotated[int, BeforeValidator(_read_integer), Field(ge=1, le=10**9)]
ResolutionParameter = Annotated[int, BeforeValidator(_read_resolution)]
Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
DataPattern = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.*?\[\]!-]{1,64}$")]
ComponentName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]

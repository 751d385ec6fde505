"""Contradictions between the fits of a run and what is to be calibrated."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from skysift.config.problems import Problem
from skysift.config.run import Run
from skysift.errors import nearest

__all__ = ["check_calibration"]


def check_calibration(analysis: Run, fits: dict[str, Any]) -> Iterator[Problem]:
    """Yield fits that are nobody's, and fits whose own model cannot say how data come about.

    Parameters
    ----------
    analysis : of any kind, with ``model_of(fit).components``
    fits : its fits by name
    """
    if analysis.calibrate is None:
        return
    for name in analysis.calibrate.fewer:
        if name not in fits:
            yield Problem(("calibrate", "fewer"), repr(name), "a name in fits", nearest(name, fits))
    place = ("calibrate", "fits")
    for name in analysis.calibrate.fits or []:
        if name not in fits:
            yield Problem(place, repr(name), "a name in fits", nearest(name, fits))
        elif getattr(fits[name], "recipe", None) is not None:
            yield Problem(place, f"{name!r}, whose recipe gives no posterior", "fits with a sequence", "leave it out")
    for name in analysis.calibrated_fits():
        components = analysis.model_of(name).components  # type: ignore[attr-defined]  # every kind of run has it
        for component, part in components.items():
            if getattr(getattr(part, "norm", None), "is_rigid_fit", False):
                yield Problem(
                    place,
                    f"{name!r}, whose {component} has norm: {{fixed: rigid_fit}}",
                    "fits whose truths can be drawn from a prior, without a look at the data",
                    f"give {component} a prior in this fit, or list other fits in calibrate.fits",
                )

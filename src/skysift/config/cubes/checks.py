"""Contradictions between parts of the configuration of counts cubes."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator
from typing import TYPE_CHECKING

from skysift.config.problems import Problem
from skysift.errors import nearest

if TYPE_CHECKING:
    from skysift.config.cubes.analysis import CubeAnalysis

__all__ = ["find_cube_contradictions"]


def find_cube_contradictions(analysis: CubeAnalysis) -> list[Problem]:
    """Return what is wrong between the parts of an analysis of counts cubes."""
    return [*_check_data(analysis), *_check_limits(analysis)]


def _check_data(analysis: CubeAnalysis) -> Iterator[Problem]:
    if analysis.simulate is None and not analysis.observation.datasets:
        found, remedy = (
            "nothing, and no observation.datasets",
            "name the cubes in observation.datasets, or add simulate",
        )
        yield Problem(("simulate",), found, "counts to fit: observed or simulated ones", remedy)
    for name, fit in analysis.fits.items():
        for number, chosen in enumerate(fit.data or []):
            if chosen not in analysis.set_names() and not fnmatch.filter(analysis.all_data(), chosen):
                wanted = "a set of simulate.sets, or a pattern of data sets; `observed` without simulate"
                remedy = nearest(chosen, analysis.set_names())
                yield Problem(("fits", name, "data", number), repr(chosen), wanted, remedy)


def _check_limits(analysis: CubeAnalysis) -> Iterator[Problem]:
    if analysis.calibrate is not None:
        yield Problem(("calibrate",), "a calibration", "none: it does not know counts cubes", "leave it out")
    if analysis.device == "cuda":
        yield Problem(("device",), "cuda", "cpu or auto: cubes are predicted on the CPU", "write 'device: cpu'")

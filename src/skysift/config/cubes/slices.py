"""What each step of an analysis of counts cubes reads of its configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from skysift.config.cubes.model import CubeModel
from skysift.config.cubes.observation import CubeObservation
from skysift.config.cubes.simulate import CubeSet
from skysift.config.engines import EngineStep
from skysift.config.events.slices import EventReportSlice
from skysift.config.scalars import Integer, Name, PositiveInteger
from skysift.config.section import REQUIRED, Section, key

if TYPE_CHECKING:
    from skysift.config.cubes.analysis import CubeAnalysis

__all__ = [
    "CUBE_SLICES", "CubeFitSlice", "CubeObservationSlice", "CubeReportSlice", "CubeSimulateSlice", "make_slices",
]  # fmt: skip


class CubeSlice(Section):
    """What every slice of an analysis of cubes holds.

    Attributes
    ----------
    kind : ``cubes``
    run, seed : of the analysis
    """

    kind: Literal["cubes"] = key("cubes", "kind of analysis", example="cubes")
    run: Name = key(REQUIRED, "name of the run", example="ten-sources")
    seed: Integer = key(REQUIRED, "seed of the run", example=1)


class CubeObservationSlice(CubeSlice):
    """What `prepare` and `observe` read.

    Attributes
    ----------
    run, seed : of the analysis
    observation : `CubeObservation`
    """

    observation: CubeObservation = key(REQUIRED, "what was observed", example={})


class CubeSimulateSlice(CubeSlice):
    """What `simulate` reads for one set.

    Attributes
    ----------
    run, seed : of the analysis
    name : of the set
    truth : `CubeSet`
    model : `CubeModel`
    """

    name: Name = key(REQUIRED, "name of the set", example="simulated")
    truth: CubeSet = key(REQUIRED, "what is drawn", example={})
    model: CubeModel = key(REQUIRED, "what it is drawn from", example={})


class CubeFitSlice(CubeSlice):
    """What `fit` (and `diagnose`) reads for one fit.

    Attributes
    ----------
    run, seed, device, threads : of the analysis
    name : of the fit
    model : `CubeModel`, with what the fit changes in it
    sequence : list of engine steps, each with ``name`` and ``settings``
    """

    device: Literal["auto", "cpu", "cuda"] = key(REQUIRED, "where tensors live", example="cpu")
    threads: PositiveInteger = key(REQUIRED, "threads of the fit", example=1)
    name: Name = key(REQUIRED, "name of the fit", example="best")
    model: CubeModel = key(REQUIRED, "what is fitted", example={})
    sequence: list[EngineStep] = key(REQUIRED, "engines in a row", example=["map", "laplace"])


class CubeReportSlice(EventReportSlice):
    """What the gathering steps read: that of events, without a word on components, which stand in the model file.

    Attributes
    ----------
    run, seed : of the analysis
    data : names of all data sets
    fits : name of each fit to its data sets
    models : name of each fit to nothing
    calibrated : name of each fit that is calibrated to the number of its batches
    """

    kind: Literal["cubes"] = key("cubes", "kind of analysis", example="cubes")  # type: ignore[assignment]  # its own


CUBE_SLICES: dict[str, type[Section]] = {
    "observation": CubeObservationSlice,
    "simulate": CubeSimulateSlice,
    "fit": CubeFitSlice,
    "report": CubeReportSlice,
}


def make_slices(analysis: CubeAnalysis) -> dict[str, Section]:
    """Return the slices: ``observation``, ``simulate-<set>``, ``fit-<fit>``, ``report``."""
    common: dict[str, Any] = {"kind": "cubes", "run": analysis.run, "seed": analysis.seed}
    observation = CubeObservationSlice.model_construct(**common, observation=analysis.observation)
    slices: dict[str, Section] = {"observation": observation}
    for name, chosen in (analysis.simulate.sets if analysis.simulate else {}).items():
        slices[f"simulate-{name}"] = CubeSimulateSlice.model_construct(
            **common, name=name, truth=chosen, model=analysis.model
        )
    for name, fit in analysis.fits.items():
        slices[f"fit-{name}"] = CubeFitSlice.model_construct(
            **common,
            device=analysis.device,
            threads=analysis.threads,
            name=name,
            model=analysis.model_of(name),
            sequence=fit.sequence,
        )
    slices["report"] = CubeReportSlice.model_construct(
        **common, data=analysis.all_data(), fits=analysis.fit_data(), models={name: {} for name in analysis.fits}
    )
    return slices

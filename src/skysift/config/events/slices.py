"""What each step of an event analysis reads of its configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from skysift.config.calibration import Calibration
from skysift.config.engines import EngineStep
from skysift.config.events.components import EventComponent
from skysift.config.events.model import EventModel, Fractions
from skysift.config.events.observation import EventObservation
from skysift.config.events.simulate import EventSet
from skysift.config.scalars import ComponentName, Integer, Name, PositiveInteger, Real
from skysift.config.section import REQUIRED, Section, key

if TYPE_CHECKING:
    from skysift.config.events.analysis import EventAnalysis

__all__ = [
    "EVENT_SLICES", "EventCalibrateSlice", "EventFitSlice", "EventObservationSlice", "EventReportSlice",
    "EventSimulateSlice", "MarginaliseSlice", "make_slices",
]  # fmt: skip

Sources = dict[str, EventComponent]
#: Of an observed list, whose number of events only its file knows.
TYPICAL_EVENTS = 5000


class EventSlice(Section):
    """What every slice of an event analysis holds.

    Attributes
    ----------
    kind : ``events``
    run, seed : of the analysis
    """

    kind: Literal["events"] = key("events", "kind of analysis", example="events")
    run: Name = key(REQUIRED, "name of the run", example="gc-quickstart")
    seed: Integer = key(REQUIRED, "seed of the run", example=1)


class EventObservationSlice(EventSlice):
    """What `prepare` and `response` read.

    Attributes
    ----------
    run, seed : of the analysis
    observation : `EventObservation`
    sources : every source that the run needs
    """

    observation: EventObservation = key(REQUIRED, "what was observed", example={})
    sources: Sources = key(REQUIRED, "sources that the run needs", example={})


class EventSimulateSlice(EventSlice):
    """What `simulate` reads for one set.

    Attributes
    ----------
    run, seed : of the analysis
    name : of the set
    events : `EventSet`
    components : component to source
    """

    name: Name = key(REQUIRED, "name of the set", example="simulated")
    events: EventSet = key(REQUIRED, "what is drawn", example={})
    components: dict[ComponentName, EventComponent] = key(REQUIRED, "the components", example={})


class MarginaliseSlice(EventSlice):
    """What `marginalise` reads.

    Attributes
    ----------
    run, seed : of the analysis
    binned : whether events are counted in bins
    sources : every source that the run fits
    """

    binned: bool = key(REQUIRED, "count events in bins first", example=True)
    sources: Sources = key(REQUIRED, "sources that the run fits", example={})


class EventFitSlice(EventSlice):
    """What `fit` (and `diagnose`) reads for one fit.

    Attributes
    ----------
    run, seed, device, threads : of the analysis
    name : of the fit
    model : `EventModel`, with what the fit changes in it
    sources : component to its source in the marginals
    sequence : list of engine steps, each with ``name`` and ``settings``
    """

    device: Literal["auto", "cpu", "cuda"] = key(REQUIRED, "where tensors live", example="cpu")
    threads: PositiveInteger = key(REQUIRED, "threads of the fit", example=1)
    name: Name = key(REQUIRED, "name of the fit", example="quick")
    model: EventModel = key(REQUIRED, "what is fitted", example={})
    sources: dict[ComponentName, str] = key(REQUIRED, "component to source", example={"diffuse": "diffuse"})
    sequence: list[EngineStep] = key(REQUIRED, "engines in a row", example=["laplace"])


class EventCalibrateSlice(EventFitSlice):
    """What `calibrate` reads for one fit: the fit, and on how much it is tried.

    Attributes
    ----------
    run, seed, device, threads, name, model, sources, sequence : as in `EventFitSlice`
    calibrate : `Calibration`
    events : mean number of events where the model knows fractions alone
    """

    calibrate: Calibration = key(REQUIRED, "how many truths", example={"simulations": 200})
    events: PositiveInteger = key(REQUIRED, "mean number of events", example=4500)


class TrueNumber(Section):
    """One component of a simulated event list.

    Attributes
    ----------
    norm : its true number of events, fraction or norm
    """

    norm: Real = key(REQUIRED, "events, fraction or norm", example=750)


class EventReportSlice(EventSlice):
    """What the gathering steps read; the names are those of the slice of counts maps.

    Attributes
    ----------
    run, seed : of the analysis
    data : names of all data sets
    fits : name of each fit to its data sets
    models : name of each fit to its components: name to `EventComponent`
    fractions : name of each fit of fractions to their prior
    truth : set to component to what was drawn; empty when observed events are fitted
    calibrated : name of each fit that is calibrated to the number of its batches
    """

    data: list[Name] = key(REQUIRED, "all data sets", example=["observed"])
    fits: dict[Name, list[Name]] = key(REQUIRED, "data sets of each fit", example={"quick": ["observed"]})
    models: dict[Name, dict[ComponentName, EventComponent]] = key(REQUIRED, "components of each fit", example={})
    fractions: dict[Name, Fractions] = key(
        None, "prior of the fractions of each fit", example={"quick": {"dirichlet": 1}}, default_factory=dict
    )
    truth: dict[Name, dict[Name, TrueNumber]] = key(None, "what was drawn", example={}, default_factory=dict)
    calibrated: dict[Name, PositiveInteger] = key(
        None, "batches of each fit that is calibrated", example={"quick": 10}, default_factory=dict
    )

    # An event analysis has no tempered recipes, no sidebands, and no component that stands above the others.
    tempered: ClassVar[tuple[str, ...]] = ()
    sideband_fits: ClassVar[tuple[str, ...]] = ()
    sideband_regions: ClassVar[tuple[str, ...]] = ()
    signal: ClassVar[None] = None


EVENT_SLICES: dict[str, type[Section]] = {
    "observation": EventObservationSlice,
    "simulate": EventSimulateSlice,
    "marginalise": MarginaliseSlice,
    "fit": EventFitSlice,
    "calibrate": EventCalibrateSlice,
    "report": EventReportSlice,
}


def make_slices(analysis: EventAnalysis) -> dict[str, Section]:
    """Return the slices: ``observation``, ``simulate-<set>``, ``marginalise``, ``fit-<fit>``, ``report``."""
    common: dict[str, Any] = {"kind": "events", "run": analysis.run, "seed": analysis.seed}
    sources = analysis.sources()
    slices: dict[str, Section] = {
        "observation": EventObservationSlice.model_construct(
            **common, observation=analysis.observation, sources=sources
        ),
        "marginalise": MarginaliseSlice.model_construct(**common, binned=analysis.model.binned, sources=sources),
    }
    sets = analysis.simulate.sets if analysis.simulate else {}
    for name, chosen in sets.items():
        slices[f"simulate-{name}"] = EventSimulateSlice.model_construct(
            **common, name=name, events=chosen, components=analysis.model.components
        )
    for name, fit in analysis.fits.items():
        model = analysis.model_of(name)
        slices[f"fit-{name}"] = EventFitSlice.model_construct(
            **common,
            device=analysis.device,
            threads=analysis.threads,
            name=name,
            model=model,
            sources={component: analysis.source_of(name, component) for component in model.components},
            sequence=fit.sequence,
        )
    for name in analysis.calibrated_fits() if analysis.calibrate else []:
        slices[f"calibrate-{name}"] = EventCalibrateSlice.model_construct(
            **dict(slices[f"fit-{name}"]),
            calibrate=analysis.calibrate.of(name),  # type: ignore[union-attr]  # there is one
            events=_typical_events(analysis, name),
        )
    models = {name: analysis.model_of(name) for name in analysis.fits}
    slices["report"] = EventReportSlice.model_construct(
        **common,
        data=analysis.all_data(),
        fits=analysis.fit_data(),
        models={name: model.components for name, model in models.items()},
        fractions={name: model.fractions for name, model in models.items() if model.likelihood == "mixture"},
        truth={name: _truth(chosen, analysis) for name, chosen in sets.items()},
        calibrated=analysis.calibration_batches(),
    )
    return slices


def _typical_events(analysis: EventAnalysis, fit: str) -> int:
    """Return how many events the data of a fit have, as far as the configuration knows."""
    return max((analysis.expected_events(data, TYPICAL_EVENTS) for data in analysis.fit_data()[fit]), default=1)


def _truth(chosen: EventSet, analysis: EventAnalysis) -> dict[str, TrueNumber]:
    if isinstance(chosen.events, dict):
        numbers = chosen.events
    elif chosen.events == "physical":
        numbers = chosen.norms_of(analysis.model.components)
    else:
        numbers = chosen.truth
    return {name: TrueNumber(norm=number) for name, number in numbers.items()}

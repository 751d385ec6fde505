"""An analysis of event lists: everything that one configuration says."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from pydantic import model_validator

from skysift.config.events.components import EventComponent
from skysift.config.events.expected import estimate_events
from skysift.config.events.model import EventModel, EventModelOverride
from skysift.config.events.observation import EventObservation
from skysift.config.events.simulate import EventSimulation
from skysift.config.faults import fault
from skysift.config.run import BaseFit, Run
from skysift.config.scalars import Name, PositiveInteger
from skysift.config.section import REQUIRED, Section, key, without_nulls

__all__ = ["EventAnalysis", "EventFit"]

EVENTS_PER_CHUNK = 1_000_000


class EventFit(BaseFit):
    """One fit of an event analysis.

    Attributes
    ----------
    sequence : list of engine steps, each with ``name`` and ``settings``
    data : simulated sets (or ``observed``), or patterns of data sets such as ``simulated-00?``; None for all
    model : `EventModelOverride` or None
    """

    shorthands: ClassVar[tuple[dict[str, Any], ...]] = ({"$ref": "#/$defs/EventFit/anyOf/0/properties/sequence"},)

    model: EventModelOverride | None = key(
        None, "what this fit changes in the model", example={"components": {"catalogue": None}}
    )

    @model_validator(mode="before")
    @classmethod
    def _expand(cls, data: Any) -> Any:  # noqa: ANN401 - whatever the file holds
        if isinstance(data, list):
            return {"sequence": data}
        return {"sequence": [data]} if isinstance(data, str) else without_nulls(data)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.sequence:
            raise fault("a sequence of engines", "write for example [laplace] or [{nested: {}}]", "none")
        return self


class EventAnalysis(Run):
    """One run on event lists: an observation, a model and its fits.

    Attributes
    ----------
    run, seed, device, threads : as in every run
    observation : `EventObservation`
    simulate : `EventSimulation`, or None when observed events are fitted
    model : `EventModel`
    fits : name to `EventFit`
    chunks : event chunks that are marginalised by one job each, None for one per million events
    """

    kind: ClassVar[str] = "events"

    observation: EventObservation = key(REQUIRED, "what was observed", example={"instrument": "ctao"})
    simulate: EventSimulation | None = key(
        None,
        "simulated events in place of observed ones",
        example={"events": {"background": 2250, "diffuse": 750}},
        says="observed events are fitted",
    )
    model: EventModel = key(REQUIRED, "what is fitted", example={"components": {"diffuse": {"sky": "fermi_diffuse"}}})
    fits: dict[Name, EventFit] = key(
        REQUIRED, "the fits, by name", example={"quick": ["laplace"], "reference": ["nested"]}, min_length=1
    )
    chunks: PositiveInteger | None = key(
        None, "event chunks, marginalised by one job each", example=8, le=10000, says="one per million events"
    )

    def _simulation(self) -> EventSimulation | None:
        return self.simulate

    def _fits(self) -> dict[str, EventFit]:
        return self.fits

    def model_of(self, fit: str) -> EventModel:
        """Return the model of one fit, with what the fit changes in it."""
        return self.model.merged(self.fits[fit].model)

    def sources(self) -> dict[str, EventComponent]:
        """Return every source that the run needs: components, and ``<component>.<fit>`` where a fit changed one."""
        found = dict(self.model.components)
        for fit in self.fits:
            for name, component in self.model_of(fit).components.items():
                found.setdefault(self.source_of(fit, name), component)
        return found

    def source_of(self, fit: str, name: str) -> str:
        """Return the name in `sources` of a component of a fit."""
        component, common = self.model_of(fit).components[name], self.model.components.get(name)
        return name if common is not None and common.source == component.source else f"{name}.{fit}"

    def chunk_count(self, data: str, observed: int = 1) -> int:
        """Return into how many chunks the events of a data set are cut; binned events are one.

        Parameters
        ----------
        data : name of the data set
        observed : number of observed events, which their lists know
        """
        if self.model.binned or self.chunks is None:
            return 1 if self.model.binned else max(1, -(-self.expected_events(data, observed) // EVENTS_PER_CHUNK))
        return self.chunks

    def expected_events(self, data: str, observed: int = 1) -> int:
        """Return about how many events a data set has."""
        if self.simulate is None:
            return observed
        drawn = self.simulate.sets[data.rpartition("-")[0]]
        if isinstance(drawn.events, dict):
            return int(sum(drawn.events.values()))
        if isinstance(drawn.events, float | int):
            return int(drawn.events)
        return estimate_events(self.observation, self.model.components, drawn)

    def named_files(self) -> dict[str, str]:
        """Return every file that the analysis names, by its key; those of a store have no key of their own."""
        observation = self.observation
        found = {f"observation.pointings[{k}].irf": part.irf for k, part in enumerate(observation.pointings)}
        if isinstance(observation.irf, list):
            found |= {f"observation.irf[{k}].file": part.file for k, part in enumerate(observation.irf)}
        else:
            found["observation.irf"] = observation.irf
        found |= {f"observation.events[{k}]": file for k, file in enumerate(observation.events.files)}
        places = {"model": self.model.components} | {
            f"fits.{name}.model": self.model_of(name).components for name, fit in self.fits.items() if fit.model
        }
        for place, components in places.items():
            for name, part in components.items():
                if place == "model" or part is not self.model.components.get(name):
                    found[f"{place}.components.{name}.file"] = part.file
                    found[f"{place}.components.{name}.spectrum.file"] = part.spectrum.file if part.spectrum else None
        return {key: name for key, name in found.items() if name is not None and name != "analytic"}

    def make_slices(self) -> dict[str, Section]:
        """Return what each step reads, by slice name; see `skysift.config.events.slices`."""
        from skysift.config.events.slices import make_slices

        return make_slices(self)

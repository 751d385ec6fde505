"""Simulated event lists with known truth."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import model_validator

from skysift.config.faults import fault
from skysift.config.forms import MAPPING, NUMBER, TEXT, by_form
from skysift.config.scalars import Name, PositiveInteger, PositiveReal, Real
from skysift.config.section import REQUIRED, Section, key, without_nulls
from skysift.config.simulate import DEFAULT_SET

__all__ = ["EventSet", "EventSimulation"]


class EventSet(Section):
    """Replicates of one truth.

    Attributes
    ----------
    replicates : how many data sets
    events : component to detected events, or their total, or ``physical``
    truth : component to fraction (of a total), norm (``physical``) or nothing
    parameters : true values of free parameters, by their full name
    modulate : whether Gaussian processes of the model are drawn
    poisson : whether numbers are Poisson means
    """

    replicates: PositiveInteger = key(1, "number of data sets drawn", example=20, le=1000)
    events: Annotated[
        Annotated[dict[Name, PositiveReal], MAPPING]
        | Annotated[PositiveReal, NUMBER]
        | Annotated[Literal["physical"], TEXT],
        by_form("events of each component, their total, or physical", "write for example {background: 2250}"),
    ] = key(
        REQUIRED,
        "detected events of each component, or of all together, or `physical`: as many as flux and live time give",
        example={"background": 2250, "diffuse": 750, "catalogue": 1500},
    )
    truth: dict[Name, Real] = key(
        None,
        "true fractions beside a total, or true norms beside `physical`",
        example={"background": 0.5, "diffuse": 0.5},
        default_factory=dict,
    )
    parameters: dict[str, Real] = key(
        None,
        "true values of the free parameters of sources, `<component>_<name>`, in TeV or kpc",
        example={"dark_matter_mass": 2.0},
        default_factory=dict,
        says="the middle of each prior",
    )
    modulate: bool = key(False, "draw the Gaussian processes of the model", example=True)
    poisson: bool = key(False, "numbers are the means of Poisson draws, rather than exact", example=True)

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, data: Any) -> Any:  # noqa: ANN401 - whatever the file holds
        data = without_nulls(data)
        return {name: without_nulls(value) for name, value in data.items()} if isinstance(data, dict) else data

    @model_validator(mode="after")
    def _check(self) -> Self:
        if isinstance(self.events, dict):
            if not self.events:
                raise fault("events of one component or more", "write for example 'events: {background: 2250}'", "none")
            if self.truth:
                raise fault("events per component, or a total with truth", "leave one of them out", "both")
            if not self.poisson and any(number != int(number) for number in self.events.values()):
                raise fault("whole numbers of events", "round them, or write 'poisson: true'")
        elif isinstance(self.events, float | int):
            total = sum(self.truth.values())
            if abs(total - 1) > 1e-6 or min(self.truth.values(), default=-1) < 0:
                raise fault("truth: fractions >= 0 that sum to 1", "correct the fractions", f"a sum of {total:g}")
            if not self.poisson and self.events != int(self.events):
                raise fault("a whole number of events", "round it, or write 'poisson: true'")
        elif any(norm < 0 for norm in self.truth.values()):
            raise fault("true norms >= 0", "a sky cannot emit less than nothing")
        return self

    @property
    def names(self) -> list[str]:
        """Components that the set names."""
        return list(self.events if isinstance(self.events, dict) else self.truth)


class EventSimulation(Section):
    """Simulated event lists, by name.

    Attributes
    ----------
    sets : name to `EventSet`; one set alone is named ``simulated``
    """

    shorthands: ClassVar[tuple[dict[str, Any], ...]] = ({"$ref": "#/$defs/EventSet"},)

    sets: dict[Name, EventSet] = key(
        REQUIRED,
        "sets of replicates; the keys of one set may stand directly under `simulate`, it is then named `simulated`",
        example={"low": {"replicates": 20, "events": {"background": 2250, "diffuse": 750}}},
        min_length=1,
    )

    @model_validator(mode="before")
    @classmethod
    def _expand(cls, data: Any) -> Any:  # noqa: ANN401 - whatever the file holds
        if not isinstance(data, dict):
            return data
        if "sets" not in data:
            return {"sets": {DEFAULT_SET: data}}
        return {**data, "sets": without_nulls(data["sets"])}

    def data_of(self, name: str) -> list[str]:
        """Return the names of the data sets of one set."""
        return [f"{name}-{number:03d}" for number in range(self.sets[name].replicates)]

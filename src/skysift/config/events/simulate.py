"""Simulated event lists with known truth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import model_validator

from skysift.config.faults import fault
from skysift.config.forms import LIST, MAPPING, NUMBER, TEXT, by_form
from skysift.config.scalars import Name, PositiveReal, Real
from skysift.config.section import REQUIRED, key
from skysift.config.sets import BaseSet, BaseSimulation

if TYPE_CHECKING:
    from skysift.config.events.components import EventComponent

__all__ = ["EventSet", "EventSimulation"]


class EventSet(BaseSet):
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
        "true fractions beside a total, or true norms beside `physical` (by default a fixed norm of the model, or 1)",
        example={"background": 0.5, "diffuse": 0.5},
        default_factory=dict,
    )
    parameters: dict[
        str,
        Annotated[
            Annotated[Real, NUMBER] | Annotated[list[Real], LIST],
            by_form("a number, or the shares of channels", "write for example dark_matter_mass: 2"),
        ],
    ] = key(
        None,
        "true values of the free parameters of sources, `<component>_<name>`, in TeV, kpc or GeV cm-3; shares of "
        "channels are a list",
        example={"dark_matter_mass": 2.0},
        default_factory=dict,
        says="the middle of each prior",
    )
    modulate: bool = key(False, "draw the Gaussian processes of the model", example=True)
    poisson: bool = key(False, "numbers are the means of Poisson draws, rather than exact", example=True)

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

    def norms_of(self, components: Mapping[str, EventComponent]) -> dict[str, float]:
        """Return true norms of physical numbers: those that are stated, else a component's fixed norm, else 1."""
        fixed = {name: part.norm.value for name, part in components.items() if part.norm and part.norm.is_fixed}
        known = {name: float(value) for name, value in (fixed | self.truth).items() if value is not None}
        return {name: known.get(name, 1.0) for name in components}

    @property
    def names(self) -> list[str]:
        """Components that the set names."""
        return list(self.events if isinstance(self.events, dict) else self.truth)


class EventSimulation(BaseSimulation):
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

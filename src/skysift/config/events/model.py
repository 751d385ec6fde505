"""What is fitted to events: components, and the prior of their fractions."""

from __future__ import annotations

from typing import Any, Literal

from skysift.config.component_model import ComponentModel
from skysift.config.events.components import EventComponent
from skysift.config.scalars import ComponentName, Name, PositiveReal
from skysift.config.section import REQUIRED, Section, key

__all__ = ["EventModel", "EventModelOverride", "Fractions"]

Tree = dict[Name, Any]


class Fractions(Section):
    """Prior of the fractions of detected events.

    Attributes
    ----------
    dirichlet : concentration of every component
    tree : nested mapping of names, whose leaves are lists of components; None for one Dirichlet
    """

    dirichlet: PositiveReal = key(1.0, "concentration of every component; 1 is flat", example=1)
    tree: Tree | None = key(
        None,
        "a tree of mixtures: names to lists of components, or to further names",
        example={"noise": ["background"], "sky": ["diffuse", "catalogue"]},
        says="one Dirichlet",
    )


class EventModel(ComponentModel):
    """What is fitted to events.

    Attributes
    ----------
    likelihood : ``mixture`` (fractions of a given number) or ``extended`` (absolute norms)
    binned : whether events are counted in the bins first
    fractions : `Fractions`
    components : name to `EventComponent`, in the order of the file
    """

    likelihood: Literal["mixture", "extended"] = key(
        "mixture", "fractions of the events, or absolute norms with an extended likelihood", example="extended"
    )
    binned: bool = key(False, "count events in the reconstructed bins first", example=True)
    fractions: Fractions = key(None, "prior of the fractions", example={"dirichlet": 1}, default_factory=Fractions)
    components: dict[ComponentName, EventComponent] = key(
        REQUIRED,
        "the components, by name",
        example={"diffuse": {"sky": "fermi_diffuse"}, "background": {"instrument": "background"}},
        min_length=1,
    )


class EventModelOverride(Section):
    """What one fit changes in the model.

    Attributes
    ----------
    likelihood, fractions : as in `EventModel`, None where they stay
    components : name to `EventComponent`, which replaces that component whole, or None, which removes it
    """

    likelihood: Literal["mixture", "extended"] | None = key(
        None, "kind of likelihood", example="extended", says="as in model"
    )
    fractions: Fractions | None = key(None, "prior of the fractions", example={"dirichlet": 1}, says="as in model")
    components: dict[ComponentName, EventComponent | None] = key(
        None,
        "components that this fit replaces whole or adds; null removes one",
        example={"diffuse": None},
        default_factory=dict,
    )

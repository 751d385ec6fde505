"""Fits: a sequence of engines, or a recipe, on some of the data sets."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

from pydantic import model_validator

from skysift.config.components import ModelOverride
from skysift.config.engines import Guide
from skysift.config.faults import fault
from skysift.config.run import BaseFit
from skysift.config.scalars import PositiveInteger, PositiveReal
from skysift.config.section import REQUIRED, Section, key, without_nulls

__all__ = ["Fit", "Recipe"]


class Recipe(Section):
    """A published procedure, kept to reproduce its figure: a tempered posterior, not a posterior.

    Attributes
    ----------
    name : ``legacy``
    guide : ``mvn``, ``iaf`` or ``conditional_iaf``
    steps, batch, lr, inducing, draws : as published
    """

    name: Literal["legacy"] = key(REQUIRED, "the procedure", example="legacy")
    guide: Literal["mvn", "iaf", "conditional_iaf"] = key("mvn", "guide in its published form", example="iaf")
    steps: PositiveInteger = key(50000, "gradient steps", example=50000)
    batch: PositiveInteger = key(1500, "pixels per step; the likelihood is not scaled to the whole", example=1500)
    lr: PositiveReal = key(1e-3, "learning rate", example=1e-3)
    inducing: PositiveInteger = key(200, "inducing points wanted on the whole region", example=200)
    draws: PositiveInteger = key(1000, "posterior draws stored", example=1000)


_RECIPE_SETTINGS = tuple(name for name in Recipe.model_fields if name != "name")


class Fit(BaseFit):
    """One fit.

    Attributes
    ----------
    sequence : list of engine steps, each with ``name`` and ``settings``; empty for a recipe
    recipe : `Recipe` or None
    model : `ModelOverride` or None
    data : simulated sets (or ``observed``), or patterns of data sets such as ``model_o-00?``; None for all
    """

    shorthands: ClassVar[tuple[dict[str, Any], ...]] = (
        {"$ref": "#/$defs/Fit/anyOf/0/properties/sequence"},
        {
            "type": "object",
            "properties": {name: {"$ref": f"#/$defs/Recipe/properties/{name}"} for name in _RECIPE_SETTINGS}
            | {name: {"$ref": f"#/$defs/Fit/anyOf/0/properties/{name}"} for name in ("model", "data")}
            | {"recipe": {"enum": ["legacy"]}},
            "required": ["recipe"],
            "additionalProperties": False,
        },
    )

    recipe: Recipe | None = key(
        None,
        "a published procedure in place of a sequence; its settings may stand beside it",
        example="legacy",
    )
    model: ModelOverride | None = key(
        None,
        "what this fit changes in the model",
        example={"components": {"diffuse": {"template": "model_o_gas", "norm": {"uniform": [0, 30]}}}},
    )

    @model_validator(mode="before")
    @classmethod
    def _expand(cls, data: Any) -> Any:  # noqa: ANN401 - whatever the file holds
        if isinstance(data, list):
            return {"sequence": data}
        if isinstance(data, str):
            return {"sequence": [data]}
        data = without_nulls(data)
        if isinstance(data, dict) and isinstance(data.get("recipe"), str):
            settings = {name: data[name] for name in data if name in _RECIPE_SETTINGS}
            rest = {name: data[name] for name in data if name not in settings and name != "recipe"}
            return {**rest, "recipe": {**settings, "name": data["recipe"]}}
        return data

    @model_validator(mode="after")
    def _check(self) -> Self:
        if bool(self.sequence) == (self.recipe is not None):
            raise fault(
                "a sequence of engines, or a recipe",
                "write for example [map, {svi: {guide: mvn}}]",
                "both sequence and recipe" if self.sequence else "neither",
            )
        return self

    @property
    def guides(self) -> list[Guide]:
        """Guides that this fit trains."""
        trained: list[Guide] = [step.settings.guide for step in self.sequence if step.engine == "svi"]
        return trained if self.recipe is None else [self.recipe.guide]

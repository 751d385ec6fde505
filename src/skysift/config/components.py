"""Components of the sky and the model that they make up."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import model_validator

from skysift.config.component_model import ComponentModel
from skysift.config.faults import fault
from skysift.config.modulation import Modulations
from skysift.config.populations import ExposureVariation, Population
from skysift.config.priors import Prior
from skysift.config.scalars import ComponentName, Name
from skysift.config.section import REQUIRED, Section, key, without_nulls

__all__ = ["Component", "Model", "ModelOverride"]


class Component(Section):
    """One component: a template, the prior of its norm, and the Gaussian processes on it.

    Attributes
    ----------
    template : name of a template of the data set, or of ``observation.templates``
    norm : `Prior`
    energy : ``tied`` (one norm) or ``free`` (one per energy bin)
    modulate : list of `Modulation`, empty for a rigid template
    population : `Population` of sources in place of smooth emission, or None
    """

    template: Name = key(REQUIRED, "template of the data set, or of `observation.templates`", example="p6v11")
    norm: Prior = key(REQUIRED, "prior of the norm; a bare number is a fixed norm", example={"lognormal": [12.3, 0.5]})
    energy: Literal["tied", "free"] = key("tied", "one norm for all energy bins, or one for each", example="free")
    modulate: Modulations = key(
        None,
        "Gaussian process on the template, or a list of them that are added",
        example={"kernel": "matern52", "lengthscale": "0.2 rad", "variance": 0.5},
        default_factory=list,
        says="rigid",
    )
    population: Population | None = key(
        None,
        "unresolved sources in place of smooth emission; the template says where they are",
        example={"slopes": [{"uniform": [2.05, 30]}, {"uniform": [-2, 1.95]}], "breaks": [{"uniform": [0.05, 40]}]},
        says="smooth emission",
    )

    @property
    def free(self) -> dict[str, Prior]:
        """Priors of a population's own numbers that are fitted, by the end of the parameter's name."""
        return {} if self.population is None else self.population.free

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, data: Any) -> Any:  # noqa: ANN401 - whatever the file holds
        return without_nulls(data)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(self.modulate) > 1 and any(gp.shared is not None for gp in self.modulate):
            raise fault(
                "shared as the only entry of modulate",
                "a shared field holds all kernels of its owner: leave the others out",
                f"shared beside {len(self.modulate) - 1} more",
            )
        means = [gp for gp in self.modulate if gp.mean is not None]
        if means and not self.norm.is_fixed:
            raise fault(
                "a prior on norm or on modulate.mean, not on both: they are one parameter",
                "choose one: 'norm: {fixed: 1.0}' with modulate.mean, or the prior on norm without modulate.mean",
                f"norm: {self.norm.kind} and modulate.mean: normal",
            )
        if self.population is not None:
            self._check_population()
        if len(means) > 1:
            raise fault("modulate.mean in one kernel only", "the means add up: keep one of them", f"{len(means)} means")
        return self

    def _check_population(self) -> None:
        wrong = "modulate" if self.modulate else "energy: free" if self.energy == "free" else None
        if wrong is not None:
            raise fault(
                "a population without modulate and with one norm",
                "modulate the smooth components, and leave the population as it is",
                f"population and {wrong}",
            )
        low = self.norm.value if self.norm.value is not None else self.norm.support[0]
        if self.norm.is_rigid_fit or low < 0:
            raise fault(
                "a norm of at least 0 for a population",
                "write for example {loguniform: [1e-6, 10]}",
                "rigid_fit" if self.norm.is_rigid_fit else f"norms down to {low:g}",
            )


class Model(ComponentModel):
    """What is fitted.

    Attributes
    ----------
    likelihood : ``poisson`` or ``non_poissonian``
    components : name to `Component`, in the order of the file
    exposure : `ExposureVariation`, None for three nodes
    """

    likelihood: Literal["poisson", "non_poissonian"] = key(
        "poisson", "how data are compared: `non_poissonian` where a component has a population", example="poisson"
    )
    components: dict[ComponentName, Component] = key(
        REQUIRED,
        "the components, by name",
        example={"gce": {"template": "nfw_squared", "norm": {"uniform": [0, 1.5]}}},
        min_length=1,
    )
    exposure: ExposureVariation | None = key(
        None,
        "how the variation of the exposure over the region enters the statistics of populations",
        example={"nodes": 3},
        says="{nodes: 3}",
    )


class ModelOverride(Section):
    """What one fit changes in the model.

    Attributes
    ----------
    likelihood : as in `Model`, None where it stays
    components : name to `Component`, which replaces that component whole, or None, which removes it
    exposure : as in `Model`, None where it stays
    """

    likelihood: Literal["poisson", "non_poissonian"] | None = key(
        None, "how data are compared", example="poisson", says="as in model"
    )
    components: dict[ComponentName, Component | None] = key(
        None,
        "components that this fit replaces whole or adds; null removes one",
        example={"gce": None},
        default_factory=dict,
    )
    exposure: ExposureVariation | None = key(
        None, "how the variation of the exposure enters", example={"nodes": 5}, says="as in model"
    )

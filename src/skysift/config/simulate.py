"""Simulated data sets with known truth."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from pydantic import model_validator

from skysift.config.faults import fault
from skysift.config.modulation import Modulations
from skysift.config.populations import TruePopulation
from skysift.config.scalars import ComponentName, Name, Real
from skysift.config.section import REQUIRED, key
from skysift.config.sets import BaseSet, BaseSimulation

__all__ = ["SimulateSet", "Simulation"]


class SimulateSet(BaseSet):
    """Replicates of one truth.

    Attributes
    ----------
    replicates : how many data sets
    truth : component or template name to norm
    modulate : component or template name to list of `Modulation` with fixed hyper-parameters
    populations : component name to `TruePopulation`
    """

    truth: dict[Name, Real] = key(
        REQUIRED,
        "true norms, by component (its template is drawn) or by template",
        example={"gce": 0.9, "model_o_gas": 8},
        min_length=1,
    )
    modulate: dict[Name, Modulations] = key(
        None,
        "Gaussian processes drawn on some of these, with numbers for all hyper-parameters",
        example={"model_o_gas": {"lengthscale": "0.2 rad", "variance": 0.01}},
        default_factory=dict,
    )
    populations: dict[ComponentName, TruePopulation] = key(
        None,
        "populations of sources, drawn one by one beside what `truth` says, by component or under a name of their own",
        example={"gce_sources": {"template": "nfw_squared", "norm": 0.01, "slopes": [3.5, 0.5], "breaks": [12]}},
        default_factory=dict,
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name, norm in self.truth.items():
            if norm < 0:
                raise fault("true norms >= 0", "a sky cannot emit less than nothing", f"truth.{name}: {norm:g}")
        if not any(self.truth.values()):
            raise fault("at least one true norm above 0", "an empty sky has no counts", "norms all 0")
        twice = next((name for name in self.populations if name in self.truth), None)
        if twice is not None:
            raise fault("each name in truth or in populations", f"take {twice} out of one of them", f"{twice} in both")
        for name, kernels in self.modulate.items():
            if name not in self.truth:
                raise fault(
                    f"a true norm for {name} in truth", f"add truth.{name}, or leave modulate.{name} out",
                    f"modulate.{name} without truth.{name}",
                )  # fmt: skip
            if any(kernel.hyper != "fixed" or kernel.mean is not None for kernel in kernels):
                raise fault(
                    "numbers for all hyper-parameters of a field that is drawn, and no prior on its mean",
                    "write for example {lengthscale: 0.2 rad, variance: 0.01}",
                    f"a prior in modulate.{name}",
                )
        return self


class Simulation(BaseSimulation):
    """Simulated data sets, by name.

    Attributes
    ----------
    sets : name to `SimulateSet`; one set alone is named ``simulated``
    """

    shorthands: ClassVar[tuple[dict[str, Any], ...]] = ({"$ref": "#/$defs/SimulateSet"},)

    sets: dict[Name, SimulateSet] = key(
        REQUIRED,
        "sets of replicates; the keys of one set may stand directly under `simulate`, it is then named `simulated`",
        example={"model_o": {"replicates": 20, "truth": {"gce": 0.9, "model_o_gas": 8}}},
        min_length=1,
    )

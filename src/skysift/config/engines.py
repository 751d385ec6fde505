"""Inference engines and their settings."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BeforeValidator, Field, model_validator

from skysift.config.faults import fault
from skysift.config.presets import PRESETS, expand_sequence
from skysift.config.scalars import Integer, Name, PositiveInteger, PositiveReal, Real
from skysift.config.section import REQUIRED, Section, key
from skysift.errors import nearest

__all__ = [
    "ENGINES",
    "EngineSequence",
    "EngineStep",
    "GridSettings",
    "GridStep",
    "Guide",
    "HmcSettings",
    "HmcStep",
    "LaplaceSettings",
    "LaplaceStep",
    "MapSettings",
    "MapStep",
    "NestedSettings",
    "NestedStep",
    "NutsSettings",
    "NutsStep",
    "OptimiseSettings",
    "OptimiseStep",
    "SviSettings",
    "SviStep",
]

Guide = Literal["mvn", "iaf", "conditional_iaf", "flow"]


class MapSettings(Section):
    """Settings of the search for the posterior's maximum.

    Attributes
    ----------
    starts : number of starts
    steps : gradient steps, None for the engine's own choice
    lr, lr_end : learning rate at the beginning and at the end, None for a tenth
    polish : most Newton steps afterwards, 0 for gradient steps alone
    """

    starts: PositiveInteger = key(32, "starting points", example=32)
    steps: PositiveInteger | None = key(
        None, "gradient steps from every start", example=250, says="none with a curvature in closed form, else 250"
    )
    lr: PositiveReal = key(0.03, "learning rate at the beginning", example=0.03)
    lr_end: PositiveReal | None = key(None, "learning rate at the end", example=0.003, says="a tenth of lr")
    polish: Integer = key(
        30,
        "most Newton steps in the Fisher metric from the best point; 0 for gradient steps alone, from no matter how "
        "far",
        example=30,
        ge=0,
        le=10**4,
    )


class OptimiseSettings(Section):
    """Settings of the maximum of likelihood times prior in physical values.

    Attributes
    ----------
    method : ``scoring``, ``minuit`` or ``scipy``
    steps : most steps
    draws : of the Gaussian there
    """

    method: Literal["scoring", "minuit", "scipy"] = key(
        "scoring",
        "Fisher scoring; `minuit` (MIGRAD) and `scipy` (BFGS) in whitened coordinates with gradients, polished by it",
        example="minuit",
    )
    steps: PositiveInteger = key(100, "most steps", example=100)
    draws: PositiveInteger = key(2000, "draws of the Gaussian at the maximum", example=2000)


class LaplaceSettings(Section):
    """Settings of the Gaussian approximation at the maximum.

    Attributes
    ----------
    draws, importance, observed : draws stored, importance draws (0 for none), observed or expected information
    """

    draws: PositiveInteger = key(4000, "posterior draws stored", example=4000)
    importance: Integer = key(
        2000, "Student-t importance draws that correct the evidence; 0 for none", example=2000, ge=0, le=10**9
    )
    observed: bool = key(True, "observed information at the maximum; false for the expected one", example=True)


class GridSettings(Section):
    """Settings of the grid over one norm, the independent check of the other engines.

    Attributes
    ----------
    parameter : parameter on the grid, such as ``gce_norm``
    values : number of grid values
    low, high : ends of the grid, None for five standard deviations around the maximum
    importance, draws : importance draws at each value (0 for none), draws stored
    profiled : share of the hyper-parameters' weight whose nodes get a grid of their own
    """

    parameter: Name = key(REQUIRED, "the norm on the grid", example="gce_norm")
    values: Integer = key(16, "number of grid values", example=16, ge=4, le=1000)
    low: Real | None = key(None, "lowest value", example=0.0, says="5 sd below the maximum")
    high: Real | None = key(None, "highest value", example=1.5, says="5 sd above the maximum")
    importance: Integer = key(
        2000, "Student-t importance draws at each value; 0 for none", example=2000, ge=0, le=10**9
    )
    draws: PositiveInteger = key(4000, "posterior draws stored", example=4000)
    profiled: PositiveReal = key(
        0.25,
        "share of the weight of marginalised hyper-parameters whose nodes get a grid of their own; the other nodes "
        "take the shape of the heaviest one, moved to their own peak and width",
        example=1.0,
        le=1,
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.low is not None and self.high is not None and not self.low < self.high:
            raise fault("low < high", "swap or widen the limits", f"low {self.low:g} and high {self.high:g}")
        return self


class SviSettings(Section):
    """Settings of stochastic variational inference.

    Attributes
    ----------
    guide : ``mvn``, ``iaf``, ``conditional_iaf`` or ``flow``
    particles : None for the guide's own number
    steps : None for the guide's own cap
    lr, restarts, draws : learning rate, number of restarts, draws stored
    batch : pixels per step, None for all
    published : whether the guide has its published form, independent of the Gaussian process
    """

    guide: Guide = key("flow", "family of the approximate posterior", example="mvn")
    particles: PositiveInteger | None = key(
        None, "draws per gradient step", example=16, says="16 for mvn, 128 for the others"
    )
    steps: PositiveInteger | None = key(
        None, "most gradient steps; a plateau ends it earlier", example=500, says="500 for mvn, 1500 for the others"
    )
    lr: PositiveReal = key(0.01, "learning rate", example=0.01)
    restarts: PositiveInteger = key(4, "independent fits, whose spread is reported", example=4)
    draws: PositiveInteger = key(4000, "posterior draws stored", example=4000)
    batch: PositiveInteger | None = key(
        None, "pixels per step; the likelihood is scaled to the whole", example=1500, says="all pixels"
    )
    published: bool = key(
        False, "the published form of the guide, with norms independent of the Gaussian process", example=True
    )


class HmcSettings(Section):
    """Settings of Hamiltonian Monte Carlo.

    Attributes
    ----------
    chains, warmup, draws : chains in one batch, warm-up steps, draws per chain and block
    step : None when adapted
    path : trajectory length in whitened units
    max_leapfrog, target_accept, max_draws : limits
    """

    chains: PositiveInteger = key(32, "chains, advanced together", example=32)
    warmup: PositiveInteger = key(200, "warm-up steps", example=200)
    draws: Integer = key(
        100, "draws per chain in one block; blocks are added until the chains agree", example=100, ge=4, le=10**9
    )
    step: PositiveReal | None = key(None, "step size in whitened units", example=0.5, says="adapted")
    path: PositiveReal = key(1.5707963267948966, "length of a trajectory in whitened units", example=1.57)
    max_leapfrog: PositiveInteger = key(64, "most leapfrog steps in a trajectory", example=64)
    target_accept: PositiveReal = key(0.8, "acceptance that the step size is adapted to", example=0.8, lt=1)
    max_draws: Integer = key(2000, "most draws per chain", example=2000, ge=4, le=10**9)


class NutsSettings(Section):
    """Settings of Pyro's No-U-Turn sampler, a slow check of ``hmc``.

    Attributes
    ----------
    chains, warmup, draws : chains, one after the other; warm-up steps and draws of each
    max_depth : of the tree of a trajectory
    target_accept : wanted acceptance
    """

    chains: PositiveInteger = key(4, "chains, one after the other", example=4)
    warmup: PositiveInteger = key(300, "warm-up steps of each chain", example=300)
    draws: Integer = key(1000, "draws of each chain", example=1000, ge=4, le=10**9)
    max_depth: PositiveInteger = key(
        10, "deepest tree of a trajectory: up to 2^depth leapfrog steps", example=10, le=20
    )
    target_accept: PositiveReal = key(0.8, "acceptance that the step size is adapted to", example=0.8, lt=1)


class NestedSettings(Section):
    """Settings of nested sampling.

    Attributes
    ----------
    library : ``dynesty`` or ``nautilus``
    live : live points, None for the library's own number
    sample : proposals of dynesty, None to choose by dimension
    dlogz : evidence left at the end
    effective : effective draws, None for one pass of dynesty
    runs : independent runs that are merged
    discard : whether nautilus forgets what it drew while it built its bounds
    """

    library: Literal["dynesty", "nautilus"] = key("dynesty", "the sampler behind it", example="nautilus")
    live: Integer | None = key(
        None,
        "live points",
        example=500,
        says="the larger one of 500 and 50 per dimension; 2000 for nautilus",
        ge=10,
        le=10**9,
    )
    sample: Literal["unif", "rslice", "slice", "rwalk"] | None = key(
        None, "how dynesty proposes points", example="rslice", says="unif up to five dimensions, rslice beyond"
    )
    dlogz: PositiveReal = key(0.01, "evidence left when dynesty stops, in nats", example=0.01)
    effective: PositiveInteger | None = key(
        None,
        "effective draws: dynesty adds batches until there are so many",
        example=10000,
        says="one pass of dynesty; 10000 for nautilus",
    )
    runs: PositiveInteger = key(
        1, "independent runs that are merged; a published evidence needs four", example=4, le=100
    )
    discard: bool = key(
        True, "forget what nautilus drew while it built its bounds, which is not independent of them", example=True
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        other = {"dynesty": ("discard",), "nautilus": ("sample", "dlogz")}[self.library]
        # slices write defaults out
        idle = [name for name in other if getattr(self, name) != type(self).model_fields[name].get_default()]
        if idle:
            raise fault(f"settings of {self.library}", "leave it out, or take the other library", ", ".join(idle))
        return self


class _Step(Section):
    engine: str

    @property
    def name(self) -> str:
        """Name of the engine."""
        return self.engine


class MapStep(_Step):
    """Maximum of the posterior from many starts."""

    engine: Literal["map"] = key(REQUIRED, "name of the engine", example="map")
    settings: MapSettings = key(None, "its settings", example={"starts": 32}, default_factory=MapSettings)


class OptimiseStep(_Step):
    """Maximum of likelihood times prior in physical values, and the Gaussian there: best fit and errors."""

    engine: Literal["optimise"] = key(REQUIRED, "name of the engine", example="optimise")
    settings: OptimiseSettings = key(
        None, "its settings", example={"method": "minuit"}, default_factory=OptimiseSettings
    )


class LaplaceStep(_Step):
    """Gaussian at the maximum, corrected by importance sampling."""

    engine: Literal["laplace"] = key(REQUIRED, "name of the engine", example="laplace")
    settings: LaplaceSettings = key(None, "its settings", example={"draws": 4000}, default_factory=LaplaceSettings)


class GridStep(_Step):
    """Grid over one norm, everything else by Laplace and importance sampling."""

    engine: Literal["grid"] = key(REQUIRED, "name of the engine", example="grid")
    settings: GridSettings = key(REQUIRED, "its settings", example={"parameter": "gce_norm"})


class SviStep(_Step):
    """Stochastic variational inference."""

    engine: Literal["svi"] = key(REQUIRED, "name of the engine", example="svi")
    settings: SviSettings = key(None, "its settings", example={"guide": "mvn"}, default_factory=SviSettings)


class HmcStep(_Step):
    """Hamiltonian Monte Carlo."""

    engine: Literal["hmc"] = key(REQUIRED, "name of the engine", example="hmc")
    settings: HmcSettings = key(None, "its settings", example={"chains": 32}, default_factory=HmcSettings)


class NutsStep(_Step):
    """Pyro's No-U-Turn sampler: a slow check of hmc, once per kind of model."""

    engine: Literal["nuts"] = key(REQUIRED, "name of the engine", example="nuts")
    settings: NutsSettings = key(None, "its settings", example={"chains": 4}, default_factory=NutsSettings)


class NestedStep(_Step):
    """Nested sampling through the unit cube: evidence and posterior, independent of every start."""

    engine: Literal["nested"] = key(REQUIRED, "name of the engine", example="nested")
    settings: NestedSettings = key(None, "its settings", example={"runs": 4}, default_factory=NestedSettings)


_EngineName = Literal["map", "optimise", "laplace", "grid", "svi", "hmc", "nuts", "nested"]
ENGINES: tuple[str, ...] = get_args(_EngineName)


def _expand_step(data: Any) -> Any:  # noqa: ANN401 - whatever the file holds
    """Read ``map`` and ``{map: settings}`` as ``{engine: map, settings: settings}``."""
    if isinstance(data, dict) and "engine" in data:
        name, expanded = data["engine"], data
    elif isinstance(data, dict) and len(data) == 1:
        name, settings = next(iter(data.items()))
        expanded = {"engine": name, "settings": {} if settings is None else settings}
    else:
        name, expanded = data, {"engine": data, "settings": {}}
    if name not in ENGINES:
        raise fault(
            f"an engine: one of {', '.join(ENGINES)}, or a row of them: {', '.join(PRESETS)}",
            f"{nearest(str(name), (*ENGINES, *PRESETS))}; write 'map' or '{{svi: {{guide: mvn}}}}'",
            name,
        )
    return expanded


_Steps = MapStep | OptimiseStep | LaplaceStep | GridStep | SviStep | HmcStep | NutsStep | NestedStep
_Settings = (
    MapSettings
    | OptimiseSettings
    | LaplaceSettings
    | GridSettings
    | SviSettings
    | HmcSettings
    | NutsSettings
    | NestedSettings
)
EngineStep = Annotated[
    Annotated[_Steps, Field(discriminator="engine")],
    BeforeValidator(_expand_step, json_schema_input_type=_EngineName | dict[_EngineName, _Settings | None] | _Steps),
]
_PresetName = Literal["ladder", "gigalens"]
EngineSequence = Annotated[
    list[EngineStep],
    BeforeValidator(expand_sequence, json_schema_input_type=list[EngineStep | _PresetName] | _EngineName | _PresetName),
]

"""The engine ``optimise``: the maximum of likelihood times prior in physical values, and the Gaussian around it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch

from skysift.errors import InputError
from skysift.inference.checkpoint import NOWHERE, Checkpoint
from skysift.inference.engine import Check, Result
from skysift.inference.laplace import find_start
from skysift.inference.newton import Optimum, climb, expand
from skysift.inference.target import Target
from skysift.inference.verdict import grade
from skysift.parameters import Parameter, Parameters
from skysift.parameters.priors.base import Prior, ScalarPrior

if TYPE_CHECKING:
    from torch import Tensor

    from skysift.contract import Model
    from skysift.inference.engine import Start, Stream

__all__ = ["Settings", "run"]


@dataclass(frozen=True)
class Settings:
    """``method``: ``scoring`` (Fisher, then observed information), or ``minuit`` and ``scipy`` in whitened coordinates.

    ``steps`` at most, ``tolerance`` of the estimated distance to the maximum in nats, ``draws`` of the Gaussian there.
    ``scoring`` polishes what the others find, and says where they ended.
    """

    method: Literal["scoring", "minuit", "scipy"] = "scoring"
    steps: int = 100
    tolerance: float = 1e-6
    draws: int = 2000


class _Bare(Prior):
    """A prior whose density is that of the physical value, without the stretch of its coordinate."""

    def __init__(self, prior: Prior) -> None:
        self.prior = prior

    @property
    def value_size(self) -> int:
        return self.prior.value_size

    @property
    def z_size(self) -> int:
        return self.prior.z_size

    def from_z(self, z: Tensor) -> Tensor:
        return self.prior.from_z(z)

    def to_z(self, x: Tensor) -> Tensor:
        return self.prior.to_z(x)

    def log_jacobian(self, z: Tensor) -> Tensor:
        return torch.zeros_like(self.prior.log_jacobian(z))

    def log_density(self, x: Tensor) -> Tensor:
        return self.prior.log_density(x)

    def from_cube(self, u: Tensor) -> Tensor:
        return self.prior.from_cube(u)


class _BareScalar(_Bare, ScalarPrior):
    """The same of single numbers."""


class _BareModel:
    """A model whose posterior density in z is that of physical values."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self.parameters = Parameters(
            Parameter(one.name, (_BareScalar if one.prior.scalar else _Bare)(one.prior), one.shape, block=one.block)
            for one in model.parameters
        )

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - any method of a model
        return getattr(self._model, name)


def run(model: Model, settings: Settings, start: Start, stream: Stream, checkpoint: Checkpoint = NOWHERE) -> Result:
    """Maximise the density of physical values: with flat priors that is the likelihood.

    ``log_z`` is left out. ``draws`` are of the Gaussian in z whose covariance is the inverse of the exact Hessian at
    the maximum. ``traces``: ``ended`` (), the log density where the method itself ended.

    Raises
    ------
    InputError : no starting point, as neither the model nor a prior has one
    """
    target = Target(_BareModel(model), device=stream.device)
    z = find_start(model, start, stream)
    ended, ended_well = z, True
    if settings.method != "scoring":
        ended, ended_well = _minimise(target, z, settings)
    before = float(target.log_density(ended[None])[0])
    optimum = climb(target, ended, settings.steps, settings.tolerance, checkpoint=checkpoint.child("climb"))
    noise = torch.randn(
        settings.draws, len(z), generator=stream.generator("draws"), dtype=torch.float64, device=stream.device
    )
    return Result(
        "optimise",
        (optimum.z + noise @ optimum.covariance_factor.T)[None],
        mode=optimum.z,
        covariance_factor=optimum.covariance_factor,
        checks=_check(target, optimum, before, ended_well, settings),
        traces={"ended": torch.tensor(before, dtype=torch.float64)},
        cost=target.cost() | {"newton_steps": float(optimum.steps)},
        started_from=start.describe(),
    )


def _check(target: Target, optimum: Optimum, before: float, ended_well: bool, settings: Settings) -> list[Check]:
    """Return how good an end it is: distance still to go, gradient in sd, the Hessian, and where a method stopped."""
    _, gradient = target.log_density_and_gradient(optimum.z[None])
    slope = float((gradient[0] @ optimum.covariance_factor).abs().max())
    advice = "raise optimise.steps, or begin elsewhere"
    checks = [
        grade("distance to the maximum", 0.5 * optimum.decrement, 1e-3, 0.1, advice=advice),
        grade("largest gradient in sd", slope, 1e-2, 0.3, advice=advice),
        grade(
            "information positive definite", float(optimum.is_definite), 1.0, above=True,
            advice="a saddle, a limit, or a parameter that is not identified: freeze it, or give it a prior",
        ),
    ]  # fmt: skip
    if settings.method != "scoring":
        left = optimum.log_density - before
        checks.append(grade(f"left by {settings.method}", left, 1e-2, torch.inf, advice="polished by scoring"))
        if not ended_well:
            checks.append(Check(f"{settings.method} says it converged", 0.0, "1", "amber", "polished by scoring"))
    return checks


def _minimise(target: Target, z: Tensor, settings: Settings) -> tuple[Tensor, bool]:
    """Return where a method of others ends, and whether it thinks that it converged; coordinates are whitened."""
    import numpy as np

    factor = torch.linalg.inv(torch.linalg.cholesky(expand(target, z).information)).T

    def place(y: Any) -> Tensor:  # noqa: ANN401 - an array
        moved: Tensor = z + factor @ torch.as_tensor(np.asarray(y, dtype=np.float64)).to(z)
        return moved

    def value(y: Any) -> float:  # noqa: ANN401 - an array
        return -2.0 * float(target.log_density(place(y)[None])[0])

    def slope(y: Any) -> Any:  # noqa: ANN401 - an array
        _, gradient = target.log_density_and_gradient(place(y)[None])
        return (-2.0 * gradient[0] @ factor).cpu().numpy()

    start = np.zeros(len(z))
    if settings.method == "minuit":
        try:
            from iminuit import Minuit
        except ImportError as error:
            found, wanted = str(error), "the package iminuit"
            raise InputError("optimise", "method", found, wanted, "pip install iminuit, or take scoring") from error
        engine = Minuit(value, start, grad=slope)
        engine.errordef, engine.errors = 1.0, np.full(len(z), 1.0)
        engine.migrad(ncall=settings.steps * len(z))
        return place(np.asarray(engine.values)), bool(engine.valid)
    from scipy.optimize import minimize

    found = minimize(value, start, jac=slope, method="BFGS", options={"maxiter": settings.steps, "gtol": 1e-3})
    return place(found.x), bool(found.success)

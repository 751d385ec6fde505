"""Newton steps in z: the local quadratic form of a target, and the climb to the nearest optimum."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import torch

from skysift.contract import hook
from skysift.inference.checkpoint import NOWHERE, Checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from skysift.inference.target import Target
    from skysift.parameters import Parameters

__all__ = ["Optimum", "Quadratic", "climb", "expand", "factorise_information"]

LEAST_EIGENVALUE = 1e-3


class Quadratic(NamedTuple):
    """Log density at one point with its gradient (d,) and information (d, d): minus the Hessian, or its mean."""

    value: Tensor
    gradient: Tensor
    information: Tensor


@dataclass(frozen=True)
class Optimum:
    """Where a climb ended: point, log density, covariance factor there, and how good an end it is."""

    z: Tensor
    log_density: float
    covariance_factor: Tensor
    is_definite: bool
    gain: float
    last_gain: float
    decrement: float
    steps: int


def expand(target: Target, z: Tensor, observed: bool = False) -> Quadratic:
    """Return the quadratic expansion of the log density at one point.

    The model's ``curvature`` hook gives it in closed form; else ``information`` weights W and the
    derivatives J of the expected data give the Fisher metric JᵀWJ, all d columns as one batch; else (or where the
    observed information is asked for) autograd gives the Hessian.

    Parameters
    ----------
    target : the target
    z : (d,)
    observed : minus the Hessian itself, instead of its mean over data (the Fisher metric)
    """
    if hook(target.model, "curvature") is not None:
        return _closed_form(target, z, observed)
    if hook(target.model, "information") is not None and not observed:
        return _fisher(target, z)
    return _hessian(target, z)


def factorise_information(information: Tensor) -> tuple[Tensor, bool]:
    """Return the lower factor L of the covariance, L Lᵀ = information⁻¹, and whether it was positive definite.

    Where it was not, eigenvalues are replaced by their absolute values, floored.
    """
    factor, fault = torch.linalg.cholesky_ex(information)
    is_definite = int(fault) == 0 and bool(torch.isfinite(factor).all())
    if not is_definite:
        values, vectors = torch.linalg.eigh(torch.nan_to_num(information))
        floor = max(LEAST_EIGENVALUE, 1e-12 * float(values.abs().max()))
        covariance = (vectors / values.abs().clamp_min(floor)) @ vectors.T
    else:
        covariance = torch.cholesky_inverse(factor)
    covariance = 0.5 * (covariance + covariance.T)
    return torch.linalg.cholesky(covariance), is_definite


def climb(
    target: Target,
    z: Tensor,
    steps: int = 30,
    tolerance: float = 1e-6,
    *,
    near: bool = False,
    checkpoint: Checkpoint = NOWHERE,
) -> Optimum:
    """Climb from one point by Newton steps to the nearest optimum.

    The first steps use the Fisher metric, which is positive definite wherever they begin; once the decrement is below
    one, or the gain is not what the metric predicted, the observed information where that is positive definite, which
    converges quadratically. A full step that gains too little is replaced by the best of shorter and damped ones.
    Stops when the Newton decrement (twice the gain still to be had) is below ``tolerance``.

    Parameters
    ----------
    target : the target
    z : (d,) start
    steps : at most so many; with none, the gain is that which a step would be expected to bring
    tolerance : nats
    near : begin with the observed information, for a start close to the optimum
    checkpoint : where the climb is kept, to go on from
    """
    at = checkpoint.load()
    if at is None:
        z = z.detach().to(torch.float64)
        value = float(target.log_density(z[None])[0])
        at = {"step": 0, "z": z, "first": value, "value": value, "gain": math.inf, "decrement": math.inf}
        at["observed"] = near
    z, value, first, gain, decrement = (at[name] for name in ("z", "value", "first", "gain", "decrement"))
    observed, count = at["observed"], at["step"]
    local: Quadratic | None = None
    while count < steps:
        count += 1
        local = expand(target, z, observed)
        metric, observed = _metric(target, z, local, observed)
        decrement = float(local.gradient @ torch.cholesky_solve(local.gradient[:, None], metric[1])[:, 0])
        if decrement < tolerance:
            gain = 0.5 * decrement
            break
        step, gain = _search(target, z, value, local.gradient, metric)
        z, value = z + step, value + gain
        observed = observed or decrement < 1.0 or not 0.35 < gain / decrement < 0.7
        if gain == 0.0:
            break
        local = None
        at = at | {"step": count, "z": z, "value": value, "gain": gain, "decrement": decrement, "observed": observed}
        checkpoint.save(partial(dict, at))
    # where the last step was small enough, the information there is known already
    last = local if local is not None and observed else expand(target, z, True)
    factor, is_definite = factorise_information(last.information)
    if count == 0:
        # no step was asked for: what is still to be had is all there is to say
        decrement = float((last.gradient @ factor).square().sum())
        gain = 0.5 * decrement
    if not is_definite and hook(target.model, "information") is not None:
        factor, _ = factorise_information(expand(target, z, False).information)
    return Optimum(z, value, factor, is_definite, value - first, gain, decrement, count)


def _metric(target: Target, z: Tensor, local: Quadratic, observed: bool) -> tuple[tuple[Tensor, Tensor], bool]:
    """Return a positive definite matrix with its Cholesky factor, and whether it is the observed information."""
    matrix = local.information
    factor, fault = torch.linalg.cholesky_ex(matrix)
    if int(fault) == 0:
        return (matrix, factor), observed
    if observed and (hook(target.model, "curvature") or hook(target.model, "information")):
        matrix = expand(target, z, False).information
        factor, fault = torch.linalg.cholesky_ex(matrix)
        if int(fault) == 0:
            return (matrix, factor), False
    values, vectors = torch.linalg.eigh(torch.nan_to_num(matrix))
    floored = values.abs().clamp_min(max(LEAST_EIGENVALUE, 1e-12 * float(values.abs().max())))
    matrix = (vectors * floored) @ vectors.T
    return (matrix, torch.linalg.cholesky(matrix)), observed


def _search(
    target: Target, z: Tensor, value: float, gradient: Tensor, metric: tuple[Tensor, Tensor]
) -> tuple[Tensor, float]:
    """Return a step that climbs, and its gain: the full one, or the best of shorter and of damped ones."""
    matrix, factor = metric
    full = torch.cholesky_solve(gradient[:, None], factor)[:, 0]
    gain = float(target.log_density((z + full)[None])[0]) - value
    if gain > 0.25 * float(gradient @ full):
        return full, gain
    ladder = [full] + [share * full for share in (0.5, 0.25, 0.1, 0.03, 1e-3, 1e-5)]
    for damping in (1e-4, 1e-3, 0.01, 0.1, 1.0, 10.0):
        damped, _ = torch.linalg.cholesky_ex(matrix + damping * torch.diag(matrix.diagonal()))
        ladder.append(torch.cholesky_solve(gradient[:, None], damped)[:, 0])
    trials = torch.stack(ladder)
    gains = target.log_density(z + trials) - value
    best = int(gains.argmax())
    return (trials[best], float(gains[best])) if float(gains[best]) > 0.0 else (torch.zeros_like(z), 0.0)


def _closed_form(target: Target, z: Tensor, observed: bool) -> Quadratic:
    parameters = target.parameters
    with torch.no_grad():
        curvature = hook(target.model, "curvature")(parameters.values(z[None]), observed)
        value = curvature.value + parameters.log_density(z)
    if parameters.is_elementwise:
        first, second, slope, bend = parameters.derivatives(z)
        information = first[:, None] * curvature.information * first + torch.diag(bend)
        if observed:
            information -= torch.diag(curvature.gradient * second)
        return Quadratic(value, first * curvature.gradient + slope, information)
    jacobian = _differentiate_values(parameters, z)
    pull = curvature.gradient if observed else None
    slope, hessian = _differentiate_twice(lambda points: _prior_and_pull(target, points, pull), z)
    gradient = curvature.gradient @ jacobian + (slope if pull is None else slope - pull @ jacobian)
    return Quadratic(value, gradient, jacobian.T @ curvature.information @ jacobian - hessian)


def _differentiate_values(parameters: Parameters, z: Tensor) -> Tensor:
    """Return the derivatives of the packed values in z, (D, d): row k of the batch gives those of value k.

    (torch's own Jacobian does the same, but takes a second to import.)
    """
    with torch.enable_grad():
        points = z.detach().expand(parameters.packed_size, len(z)).clone().requires_grad_()
        values = parameters.pack(parameters.values(points))
        return torch.autograd.grad(values.diagonal().sum(), points)[0]


def _prior_and_pull(target: Target, points: Tensor, pull: Tensor | None) -> Tensor:
    """Log prior, plus the values weighted by the likelihood's pull on them: its curvature is that of the map."""
    density = target.parameters.log_density(points)
    return density if pull is None else density + target.parameters.pack(target.parameters.values(points)) @ pull


def _fisher(target: Target, z: Tensor) -> Quadratic:
    parameters, model = target.parameters, target.model
    value, gradient = target.log_density_and_gradient(z[None])
    with torch.no_grad():
        weights = hook(model, "information")(parameters.values(z[None]))[0].reshape(-1)
    slopes = _push_forward(lambda moved: model.expected(parameters.values(moved)).flatten(1), z)
    if parameters.is_elementwise:
        bend = torch.diag(parameters.derivatives(z).curvature)
    else:
        bend = -_differentiate_twice(parameters.log_density, z)[1]
    return Quadratic(value[0], gradient[0], (slopes * weights) @ slopes.T + bend)


def _push_forward(function: Callable[[Tensor], Tensor], z: Tensor) -> Tensor:
    """Return the derivative of data along each axis, (d, data): row k of the batch is z, moved along axis k.

    The pull-back is linear in what it pulls; its own derivative pushes forward. (torch's forward mode does the same,
    but takes a second to import.)
    """
    size, rows = z.shape[0], []
    for axes in torch.split(torch.eye(size, dtype=z.dtype, device=z.device), 64):
        with torch.enable_grad():
            points = z.detach().expand(axes.shape[0], size).clone().requires_grad_()
            data = function(points)
            dummy = torch.zeros_like(data, requires_grad=True)
            (pulled,) = torch.autograd.grad(data, points, dummy, create_graph=True)
            rows.append(torch.autograd.grad((pulled * axes).sum(), dummy)[0])
    return torch.cat(rows)


def _hessian(target: Target, z: Tensor) -> Quadratic:
    parameters = target.parameters

    def density(points: Tensor) -> Tensor:
        return target.model.log_likelihood(parameters.values(points)) + parameters.log_density(points)

    value = target.log_density(z[None])[0]
    gradient, hessian = _differentiate_twice(density, z)
    return Quadratic(value, gradient, -hessian)


def _differentiate_twice(function: Callable[[Tensor], Tensor], z: Tensor) -> tuple[Tensor, Tensor]:
    """Return gradient and Hessian at z: copies of the point in one batch, row k differentiated along axis k."""
    size, rows, gradient = z.shape[0], [], torch.zeros_like(z)
    for axes in torch.split(torch.eye(size, dtype=z.dtype, device=z.device), 64):
        with torch.enable_grad():
            points = z.detach().expand(axes.shape[0], size).clone().requires_grad_()
            (slope,) = torch.autograd.grad(function(points).sum(), points, create_graph=True)
            gradient = slope[0].detach()
            rows.append(torch.autograd.grad((slope * axes).sum(), points)[0])
    hessian = torch.cat(rows)
    return gradient, 0.5 * (hessian + hessian.T)

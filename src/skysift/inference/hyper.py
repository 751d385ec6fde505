"""Hyper-parameters integrated out by evidence: the mode of the evidence, and a quadrature around it."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from skysift.contract import Model, hook
from skysift.inference.newton import Optimum, climb
from skysift.inference.progress import follow
from skysift.inference.target import Target

if TYPE_CHECKING:
    from torch import Tensor

    from skysift.parameters import Parameters

__all__ = ["Node", "Quadrature", "integrate", "laplace_log_z"]

STEP = 0.4
LONGEST = 1.5
TOLERANCE = 1e-3
SETTLED = 0.2


@dataclass(frozen=True)
class Node:
    """One setting: its values, the model with them fixed, the optimum there, and its log weight (normalised)."""

    theta: Tensor
    values: dict[str, Tensor]
    model: Model
    optimum: Optimum
    log_z: float
    log_weight: float


@dataclass(frozen=True)
class Quadrature:
    """All nodes, the integrated log Z, and how it was reached."""

    nodes: list[Node]
    log_z: float
    evaluations: int
    gradient_norm: float


def laplace_log_z(optimum: Optimum) -> float:
    r"""Return Laplace's :math:`\ln Z = \ln\pi(\hat z) + \tfrac d2 \ln 2\pi + \ln|L|`."""
    factor = optimum.covariance_factor
    return float(optimum.log_density + 0.5 * len(factor) * math.log(2 * math.pi) + factor.diagonal().log().sum())


class _Evidence:
    """Laplace evidence as a function of theta: standardised hyper-parameters, each climb warm from the nearest."""

    def __init__(self, model: Model, start: Tensor, device: str) -> None:
        self.model, self.device = model, device
        hyper = hook(model, "hyper")
        self.hyper: Parameters = hyper
        self.known: list[tuple[np.ndarray, float, Optimum]] = []
        self.start = start

    def at(self, theta: np.ndarray) -> tuple[dict[str, Tensor], Model, Optimum]:
        """Return values, model and optimum at theta."""
        values = self.hyper.values(torch.as_tensor(theta, dtype=torch.float64))
        model = hook(self.model, "at")(values)
        near = min(self.known, key=lambda item: float(((item[0] - theta) ** 2).sum()), default=None)
        start = self.start if near is None else near[2].z
        return (
            values,
            model,
            climb(Target(model, device=self.device), start, tolerance=TOLERANCE, near=near is not None),
        )

    def __call__(self, theta: np.ndarray) -> float:
        """Return log evidence plus log hyper-prior, both in theta."""
        for known, value, _ in self.known:
            if np.allclose(known, theta, atol=1e-12):
                return value
        _, _, optimum = self.at(theta)
        prior = float(self.hyper.log_density(torch.as_tensor(theta, dtype=torch.float64)[None])[0])
        value = laplace_log_z(optimum) + prior
        self.known.append((np.array(theta), value, optimum))
        return value


def _expand(evidence: _Evidence, theta: np.ndarray, step: float) -> tuple[float, np.ndarray, np.ndarray]:
    """Return value, gradient and Hessian at theta by central differences."""
    size = len(theta)
    centre = evidence(theta)
    axes = step * np.eye(size)
    ahead = np.array([evidence(theta + axis) for axis in axes])
    behind = np.array([evidence(theta - axis) for axis in axes])
    gradient = (ahead - behind) / (2 * step)
    hessian = np.diag((ahead - 2 * centre + behind) / step**2)
    for i, j in itertools.combinations(range(size), 2):
        corner = evidence(theta + axes[i] + axes[j])
        bend = (corner - ahead[i] - ahead[j] + centre) / step**2
        # a one-sided mixed difference carries third-order terms; average with the opposite corner
        opposite = (evidence(theta - axes[i] - axes[j]) - behind[i] - behind[j] + centre) / step**2
        hessian[i, j] = hessian[j, i] = 0.5 * (bend + opposite)
    return centre, gradient, hessian


def _ascend(evidence: _Evidence, theta: np.ndarray, most: int = 8) -> tuple[np.ndarray, np.ndarray, float]:
    """Climb to the mode of the evidence; return it, a scale matrix S with S Sᵀ = -Hessian⁻¹, and the gradient there."""
    step, scale, norm = STEP, np.eye(len(theta)), math.inf
    for _ in range(most):
        value, gradient, hessian = _expand(evidence, theta, step)
        lengths, axes = np.linalg.eigh(-hessian)
        lengths = np.maximum(lengths, 0.3)
        scale = axes / np.sqrt(lengths)
        norm = float(np.linalg.norm(scale.T @ gradient))
        if norm < SETTLED:
            break
        move = scale @ (scale.T @ gradient)
        move *= min(1.0, LONGEST / float(np.abs(move).max()))
        while evidence(theta + move) < value and float(np.abs(move).max()) > 0.02:
            move /= 2.0
        theta = theta + move
        step = float(np.clip(np.abs(move).max(), 0.1, STEP))
    return theta, scale, norm


def integrate(model: Model, start: Tensor, count: int, device: str = "cpu") -> Quadrature:
    r"""Integrate a model over its ``hyper`` parameters by Gauss-Hermite quadrature around the mode of the evidence.

    .. math:: Z = \int e^{E(\theta)} d\theta \approx |S| \sum_k w_k e^{E(\theta_k) + x_k^2/2} (2\pi)^{n/2},
        \qquad \theta_k = \hat\theta + S x_k

    Parameters
    ----------
    model : with hooks ``hyper`` and ``at``
    start : (d,), where to climb from in z
    count : nodes per hyper-parameter; 1 takes the mode alone (maximised evidence)

    References
    ----------
    Rue, Martino & Chopin (2009), section 3 (integration over hyper-parameters)
    """
    evidence = _Evidence(model, start, device)
    size = evidence.hyper.size
    theta, scale, norm = _ascend(evidence, np.zeros(size))
    points, weights = np.polynomial.hermite_e.hermegauss(count)
    log_weights = np.log(weights / weights.sum())
    nodes, terms = [], []
    with follow("hyper-parameters", count**size) as update:
        for index in itertools.product(range(count), repeat=size):
            x = points[list(index)]
            place = theta + scale @ x
            values, fixed, optimum = evidence.at(place)
            log_z = laplace_log_z(optimum)
            prior = float(evidence.hyper.log_density(torch.as_tensor(place)[None])[0])
            spread = 0.5 * float(x @ x) + 0.5 * size * math.log(2 * math.pi) + float(np.linalg.slogdet(scale)[1])
            terms.append(log_z + prior + sum(log_weights[list(index)]) + spread)
            nodes.append(Node(torch.as_tensor(place), values, fixed, optimum, log_z, 0.0))
            evidence.known.append((place, log_z + prior, optimum))
            update(len(nodes), log_z=log_z)
    total = float(np.logaddexp.reduce(terms))
    weighted = [
        Node(node.theta, node.values, node.model, node.optimum, node.log_z, term - total)
        for node, term in zip(nodes, terms, strict=True)
    ]
    return Quadrature(weighted, total, len(evidence.known), norm)

"""Hyper-parameters integrated out by evidence: the mode of the evidence, and a quadrature around it."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from skysift.contract import Model, hook
from skysift.inference.checkpoint import NOWHERE, Checkpoint
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
ROUGH = 5e-3
SETTLED, CENTRED = 0.3, 0.15  # scaled gradient at the mode: where it alone is used, and as centre of a quadrature
GUESSED = 4


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
    """Laplace evidence as a function of theta: standardised hyper-parameters, each climb from where it should end."""

    def __init__(self, model: Model, start: Tensor, device: str, checkpoint: Checkpoint) -> None:
        self.model, self.device, self.checkpoint = model, device, checkpoint
        hyper = hook(model, "hyper")
        self.hyper: Parameters = hyper
        self.known: list[tuple[np.ndarray, float, Tensor]] = []
        self.start = start
        self.drift = torch.zeros(hyper.size, len(start), dtype=torch.float64)

    def climb(self, theta: np.ndarray, model: Model, checkpoint: Checkpoint, tolerance: float = TOLERANCE) -> Optimum:
        """Return the optimum at theta."""
        near = min(self.known, key=lambda item: float(((item[0] - theta) ** 2).sum()), default=None)
        target = Target(model, device=self.device)
        start = self.start if near is None else self._where(theta, near, target)
        return climb(target, start, tolerance=tolerance, near=near is not None, checkpoint=checkpoint)

    def _where(self, theta: np.ndarray, near: tuple[np.ndarray, float, Tensor], target: Target) -> Tensor:
        """Return where the optimum should be: that of the nearest place, moved as optima drift unless that is worse."""
        moved = near[2] + torch.as_tensor(theta - near[0]) @ self.drift
        places = torch.stack([near[2], moved])
        return places[int(torch.nan_to_num(target.log_density(places), nan=-math.inf).argmax())]

    def fix(self, theta: np.ndarray) -> tuple[dict[str, Tensor], Model]:
        """Return the values at theta, and the model with them."""
        values = self.hyper.values(torch.as_tensor(theta, dtype=torch.float64))
        return values, hook(self.model, "at")(values)

    def __call__(self, theta: np.ndarray) -> float:
        """Return log evidence plus log hyper-prior, both in theta, as exactly as a climb to the mode needs it."""
        for known, value, _ in self.known:
            if np.allclose(known, theta, atol=1e-12):
                return value
        log_z, z = self._place().once(partial(self._evaluate, theta))
        value = self._log_density(theta, log_z)
        self.known.append((np.array(theta), value, z))
        return value

    def _evaluate(self, theta: np.ndarray, checkpoint: Checkpoint) -> tuple[float, Tensor]:
        optimum = self.climb(theta, self.fix(theta)[1], checkpoint, ROUGH)
        return laplace_log_z(optimum) + 0.5 * min(optimum.decrement, ROUGH), optimum.z

    def _place(self) -> Checkpoint:
        # the climb from place to place is cheap and always the same: what it asked for is kept in the order of asking
        return self.checkpoint.child(f"evidence-{len(self.known)}")

    def _log_density(self, theta: np.ndarray, log_z: float) -> float:
        return log_z + float(self.hyper.log_density(torch.as_tensor(theta, dtype=torch.float64)[None])[0])

    def node(self, theta: np.ndarray) -> tuple[Node, float]:
        """Return the node at theta, and its log evidence plus log hyper-prior."""
        values, fixed = self.fix(theta)
        optimum = self._place().once_as(Optimum, lambda here: self.climb(theta, fixed, here))
        log_z = laplace_log_z(optimum)
        value = self._log_density(theta, log_z)
        self.known.append((theta, value, optimum.z))
        return Node(torch.as_tensor(theta), values, fixed, optimum, log_z, 0.0), value

    def slope(self, theta: np.ndarray, step: float) -> tuple[float, np.ndarray, np.ndarray]:
        """Return value, gradient and second derivatives along each axis, by central differences.

        How the optimum drifts with theta is seen here too: later climbs start from where it should be.
        """
        axes = step * np.eye(len(theta))
        centre = self(theta)
        ahead = np.array([self(theta + axis) for axis in axes])
        behind = np.array([self(theta - axis) for axis in axes])
        for row, axis in enumerate(axes):
            self.drift[row] = (self._optimum(theta + axis) - self._optimum(theta - axis)) / (2 * step)
        return centre, (ahead - behind) / (2 * step), (ahead - 2 * centre + behind) / step**2

    def _optimum(self, theta: np.ndarray) -> Tensor:
        return next(z for known, _, z in self.known if np.allclose(known, theta, atol=1e-12))

    def mixed(self, theta: np.ndarray, step: float) -> np.ndarray:
        """Return the mixed second derivatives, zero on the diagonal; only after ``slope`` of the same arguments."""
        axes = step * np.eye(len(theta))
        hessian = np.zeros((len(theta), len(theta)))
        centre = self(theta)
        for i, j in itertools.combinations(range(len(theta)), 2):
            # a one-sided mixed difference carries third-order terms; average with the opposite corner
            corners = self(theta + axes[i] + axes[j]) + self(theta - axes[i] - axes[j])
            edges = sum(self(theta + sign * axes[k]) for sign in (1, -1) for k in (i, j))
            hessian[i, j] = hessian[j, i] = 0.5 * (corners - edges + 2 * centre) / step**2
        return hessian


def _update(mixed: np.ndarray, diagonal: np.ndarray, move: np.ndarray, change: np.ndarray) -> np.ndarray:
    """Return mixed second derivatives that explain a change of gradient along a move (symmetric rank one)."""
    hessian = mixed + np.diag(diagonal)
    lack = change - hessian @ move
    size = float(lack @ move)
    if abs(size) > 1e-3 * float(np.linalg.norm(lack) * np.linalg.norm(move)):
        hessian = hessian + np.outer(lack, lack) / size
    return hessian - np.diag(hessian.diagonal())


def _ascend(
    evidence: _Evidence, theta: np.ndarray, settled: float, most: int = 10
) -> tuple[np.ndarray, np.ndarray, float, float]:
    """Climb to the mode of the evidence; return it, a scale S with S Sᵀ = -Hessian⁻¹, the scaled gradient, the step.

    Each step takes gradient and diagonal by differences; the mixed derivatives follow from changes of the gradient at
    first, and are taken by differences too where that does not lead to the mode soon.
    """
    step, norm, scale = STEP, math.inf, np.eye(len(theta))
    mixed = np.zeros((len(theta), len(theta)))
    past: tuple[np.ndarray, np.ndarray] | None = None
    for count in range(most):
        value, gradient, diagonal = evidence.slope(theta, step)
        if count >= GUESSED:
            mixed = evidence.mixed(theta, step)
        elif past is not None:
            mixed = _update(mixed, diagonal, theta - past[0], gradient - past[1])
        scale = _scale(mixed + np.diag(diagonal))
        norm = float(np.linalg.norm(scale.T @ gradient))
        if norm < settled:
            break
        past = theta, gradient
        move = scale @ (scale.T @ gradient)
        move *= min(1.0, LONGEST / float(np.abs(move).max()))
        while evidence(theta + move) < value and float(np.abs(move).max()) > 0.02:
            move /= 2.0
        theta = theta + move
        step = float(np.clip(np.abs(move).max(), 0.3, STEP))
    return theta, scale, norm, step


def _scale(hessian: np.ndarray) -> np.ndarray:
    """Return S with S Sᵀ = -Hessian⁻¹, its flat directions no wider than the hyper-prior nearly allows."""
    lengths, axes = np.linalg.eigh(-hessian)
    return np.asarray(axes / np.sqrt(np.maximum(lengths, 0.3)))


def integrate(
    model: Model, start: Tensor, count: int, device: str = "cpu", checkpoint: Checkpoint = NOWHERE
) -> Quadrature:
    r"""Integrate a model over its ``hyper`` parameters by Gauss-Hermite quadrature around the mode of the evidence.

    .. math:: Z = \int e^{E(\theta)} d\theta \approx |S| \sum_k w_k e^{E(\theta_k) + x_k^2/2} (2\pi)^{n/2},
        \qquad \theta_k = \hat\theta + S x_k

    Parameters
    ----------
    model : with hooks ``hyper`` and ``at``
    start : (d,), where to climb from in z
    count : nodes per hyper-parameter; 1 takes the mode alone (maximised evidence)
    device : where to compute
    checkpoint : keeps every optimum found on the way

    References
    ----------
    Rue, Martino & Chopin (2009), section 3 (integration over hyper-parameters)
    """
    evidence = _Evidence(model, start, device, checkpoint)
    size = evidence.hyper.size
    theta, scale, norm, step = _ascend(evidence, np.zeros(size), SETTLED if count == 1 else CENTRED)
    if count > 1:  # the quadrature needs the mixed derivatives themselves
        scale = _scale(evidence.mixed(theta, step) + np.diag(evidence.slope(theta, step)[2]))
    points, weights = np.polynomial.hermite_e.hermegauss(count)
    log_weights = np.log(weights / weights.sum())
    nodes, terms = [], []
    with follow("hyper-parameters", count**size) as update:
        for index in itertools.product(range(count), repeat=size):
            x = points[list(index)]
            node, value = evidence.node(theta + scale @ x)
            spread = 0.5 * float(x @ x) + 0.5 * size * math.log(2 * math.pi) + float(np.linalg.slogdet(scale)[1])
            terms.append(value + sum(log_weights[list(index)]) + spread)
            nodes.append(node)
            update(len(nodes), log_z=node.log_z)
    total = float(np.logaddexp.reduce(terms))
    weighted = [
        Node(node.theta, node.values, node.model, node.optimum, node.log_z, term - total)
        for node, term in zip(nodes, terms, strict=True)
    ]
    return Quadrature(weighted, total, len(evidence.known), norm)

"""Gaussian processes on the sphere as linear maps of whitened vectors: f = scale * Phi v, v ~ N(0, I)."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from skysift.errors import InputError
from skysift.geometry.pixels import nest_to_ring, nest_vectors, ring_vectors
from skysift.sky.kernels import correlate, separation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scipy.spatial import cKDTree

__all__ = ["Projection", "inducing_points", "learn_points"]

JITTER = 1e-8
LARGEST_SPACING = 0.6
DEFAULT_SPACING = 0.35
MARGIN = 0.35
LARGEST_LOSS = 2e-2
# their kernel matrix takes 3.2 GB
LARGEST_COUNT = 20_000
# finer grids are made near the pixels alone
WHOLE_NSIDE = 64
LARGEST_NSIDE = 2**24
LARGEST_RADIUS = 1.2  # above that of the largest cell, times nside
CACHE_BYTES = 2**30
# what is streamed fits into a cache: five times faster than pieces of 256 MB
STREAM_BYTES = 2**24


def inducing_points(
    pixel_vectors: np.ndarray, lengthscale_rad: float, spacing: float = DEFAULT_SPACING, nside: int | None = None
) -> np.ndarray:
    r"""Return a HEALPix grid of unit vectors that covers the pixels and a margin of 0.35 correlation lengths.

    The grid is geometry: it ignores masks as far as the margin reaches and does not look at data. Its spacing is
    :math:`\sqrt{\pi/3}/n_\mathrm{side}`.

    Parameters
    ----------
    pixel_vectors : (P, 3), centres of the used pixels
    lengthscale_rad : shortest correlation length, radian
    spacing : largest grid spacing in correlation lengths, at most 0.6
    nside : resolution of the grid, a power of two; chosen from `spacing` when None

    Returns
    -------
    (M, 3)

    Raises
    ------
    InputError : the spacing exceeds 0.6 correlation lengths, or more than 20 000 points would be needed
    """
    from scipy.spatial import cKDTree

    if not 0 < spacing <= LARGEST_SPACING:
        wanted = "0 < spacing <= 0.6 correlation lengths"
        raise InputError("model", "modulate.inducing.spacing", spacing, wanted, "choose 0.35")
    step = math.sqrt(math.pi / 3.0)
    if nside is None:
        nside = 2 ** max(0, math.ceil(math.log2(step / (spacing * lengthscale_rad))))
    elif step / nside > LARGEST_SPACING * lengthscale_rad:
        raise InputError(
            "model",
            "modulate.inducing.nside",
            f"{nside} (spacing {step / nside / lengthscale_rad:.2f} correlation lengths)",
            "a spacing of at most 0.6 correlation lengths",
            "choose a larger nside, a larger lengthscale, or leave nside out",
        )
    margin = max(MARGIN * lengthscale_rad, 0.5 * step / nside)
    tree = cKDTree(pixel_vectors)
    grid = ring_vectors(nside, _find_candidates(tree, nside, margin))
    chosen: np.ndarray = grid[_are_near(tree, grid, margin)]
    if len(chosen) > LARGEST_COUNT:
        raise _refuse_count(len(chosen), nside)
    return chosen


def _are_near(tree: cKDTree, vectors: np.ndarray, angle_rad: float) -> np.ndarray:
    """Tell which directions lie within an angle of a pixel."""
    near, _ = tree.query(vectors, distance_upper_bound=2.0 * math.sin(0.5 * min(angle_rad, math.pi)))
    found: np.ndarray = np.isfinite(near)
    return found


def _find_candidates(tree: cKDTree, nside: int, margin_rad: float) -> np.ndarray:
    """Return RING numbers, rising, of pixels that include all within a margin: fine grids are never made whole."""
    if nside <= WHOLE_NSIDE:
        return np.arange(12 * nside * nside)
    if nside > LARGEST_NSIDE:
        raise InputError(
            "model", "modulate.inducing", f"a grid of nside {nside:g}", f"at most {LARGEST_NSIDE}",
            "use a longer modulate.lengthscale, or a larger modulate.inducing.spacing",
        )  # fmt: skip
    coarse, cells = WHOLE_NSIDE, np.arange(12 * WHOLE_NSIDE**2)
    while True:
        # a cell holds the centres of its children: one further away than its radius and the margin holds none near
        kept = cells[_are_near(tree, nest_vectors(coarse, cells), margin_rad + LARGEST_RADIUS / coarse)]
        if coarse == nside:
            return np.sort(nest_to_ring(nside, kept))
        # a pixel keeps up to five cells, and one at least becomes a point
        if len(kept) > 8 * LARGEST_COUNT:
            raise _refuse_count(len(kept) // 8, nside)
        coarse, cells = 2 * coarse, (4 * kept[:, None] + np.arange(4)).ravel()


def _refuse_count(count: int, nside: int) -> InputError:
    return InputError(
        "model", "modulate.inducing", f"{count} inducing points or more, a grid of nside {nside}",
        f"at most {LARGEST_COUNT} inducing points",
        "use a longer modulate.lengthscale, or a larger modulate.inducing.spacing",
    )  # fmt: skip


@dataclass(frozen=True)
class Projection:
    r"""Unit-variance map Phi = K_xz L^{-T}, with L L^T = K_zz + jitter, from whitened numbers to pixels.

    Parameters
    ----------
    pixels : (P, 3), unit vectors of pixel centres
    points : (M, 3), inducing points
    kernel, distance : see `skysift.sky.kernels`
    lengthscale_rad : correlation length, radian

    The whole matrix is kept only while it is smaller than `CACHE_BYTES`; otherwise ``rows`` computes what is asked for,
    and asking for ``block`` rows at a time takes about `STREAM_BYTES`.

    References
    ----------
    Titsias (2009), variational learning of inducing variables, eq. 2 (the projection K_xz K_zz^-1)
    """

    pixels: Tensor
    points: Tensor
    kernel: str
    lengthscale_rad: float
    distance: str = "chord"
    factor: Tensor = field(init=False, repr=False)
    cached: Tensor | None = field(init=False, repr=False, default=None)

    def __post_init__(self) -> None:
        """Factorise K_zz once; refuse a kernel that is not positive definite here.

        Raises
        ------
        InputError : K_zz has an eigenvalue below minus the jitter, which great-circle distances allow
        """
        gram = correlate(self.kernel, separation(self.points, self.points, self.distance), self.lengthscale_rad)
        gram.diagonal().add_(JITTER)
        factor, fault = torch.linalg.cholesky_ex(gram)
        if int(fault) > 0:
            lowest = float(torch.linalg.eigvalsh(gram)[0]) - JITTER
            raise InputError(
                "model",
                "modulate.distance",
                f"{self.distance}, lowest eigenvalue of K_zz {lowest:.2e}",
                "a positive definite kernel matrix",
                "use distance: chord, a shorter lengthscale, or matern12"
                if self.distance == "geodesic"
                else "use fewer inducing points (a larger modulate.inducing.spacing) or a rougher kernel",
            )
        object.__setattr__(self, "factor", factor)
        if self.size * len(self.pixels) * 8 <= CACHE_BYTES:
            kept = self.factor.new_empty(len(self.pixels), self.size)
            for start in range(0, len(kept), self._stream):
                kept[start : start + self._stream] = self._block(start, start + self._stream)
            object.__setattr__(self, "cached", kept)

    @property
    def size(self) -> int:
        """Number of whitened numbers, M."""
        return len(self.points)

    @property
    def block(self) -> int:
        """Number of rows to ask for at a time."""
        return len(self.pixels) if self.cached is not None else self._stream

    @property
    def _stream(self) -> int:
        # the kernel leaves about six matrices of this size on its way
        return max(1, STREAM_BYTES // (6 * 8 * self.size))

    def _cross(self, start: int, stop: int) -> Tensor:
        """Return K_zx, (M, stop - start)."""
        apart = separation(self.points, self.pixels[start:stop], self.distance)
        return correlate(self.kernel, apart, self.lengthscale_rad)

    def _block(self, start: int, stop: int) -> Tensor:
        solved: Tensor = torch.linalg.solve_triangular(self.factor, self._cross(start, stop), upper=False)
        return solved.T.contiguous()

    def rows(self, start: int, stop: int) -> Tensor:
        """Return rows start to stop of Phi, (stop - start, M)."""
        return self._block(start, stop) if self.cached is None else self.cached[start:stop]

    def push(self, vector: Tensor, start: int, stop: int) -> Tensor:
        """Return Phi v at pixels start to stop, (..., M) to (..., stop - start)."""
        if self.cached is not None:
            return vector @ self.cached[start:stop].T
        # a matrix that is not kept is not made either: the triangle is solved for few vectors, not for many pixels
        flat = vector.reshape(-1, self.size).T
        solved: Tensor = torch.linalg.solve_triangular(self.factor.T, flat, upper=True).T
        return (solved @ self._cross(start, stop)).reshape(*vector.shape[:-1], -1)

    def pull(self, slope: Tensor, start: int, stop: int) -> Tensor:
        """Return the transpose of `push`, (..., stop - start) to (..., M)."""
        if self.cached is not None:
            return slope @ self.cached[start:stop]
        flat = self._cross(start, stop) @ slope.reshape(-1, slope.shape[-1]).T
        solved: Tensor = torch.linalg.solve_triangular(self.factor, flat, upper=False).T
        return solved.reshape(*slope.shape[:-1], self.size)

    def blocks(self) -> Iterator[Tensor]:
        """Yield Phi, some rows at a time."""
        for start in range(0, len(self.pixels), self.block):
            yield self.rows(start, min(start + self.block, len(self.pixels)))

    def loss(self) -> Tensor:
        """Return the share of prior variance that the inducing points leave out, per pixel, (P,)."""
        # written into place: small results kept between large temporaries would fragment the heap
        lost, start = self.factor.new_empty(len(self.pixels)), 0
        for rows in self.blocks():
            lost[start : start + len(rows)] = 1.0 - rows.square().sum(1)
            start += len(rows)
        return lost

    def check(self) -> str | None:
        """Raise when the mean loss exceeds 2e-2; return a warning when it exceeds 1e-3."""
        mean = float(self.loss().mean())
        if mean > LARGEST_LOSS:
            raise InputError(
                "model",
                "modulate.inducing",
                f"mean share of prior variance left out {mean:.3g}",
                f"at most {LARGEST_LOSS:g}",
                "use a smaller spacing (modulate.inducing.spacing) or a larger nside",
            )
        return f"inducing points leave out {mean:.2e} of the prior variance (1e-3 wanted)" if mean > 1e-3 else None

    def take(self, index: Tensor) -> Projection:
        """Return the same process at some of its pixels, without computing Phi anew where it is kept."""
        part = copy.copy(self)
        object.__setattr__(part, "pixels", self.pixels[index])
        if self.cached is not None:
            object.__setattr__(part, "cached", self.cached[index])
        return part

    def at(self, pixels: Tensor) -> Projection:
        """Return the same process at other pixels (P', 3)."""
        return replace(self, pixels=pixels)

    def to(self, device: str | torch.device) -> Projection:
        """Return the projection on another device."""
        return replace(self, pixels=self.pixels.to(device), points=self.points.to(device))


def learn_points(projection: Projection, weights: Tensor, steps: int = 100, rate: float = 0.02) -> Projection:
    r"""Move the inducing points on the sphere to capture more of the prior variance where counts are expected.

    Minimises :math:`\sum_p w_p (1 - \sum_q \Phi_{pq}^2) / \sum_p w_p`, the trace term of the variational bound, which
    depends on geometry and expected counts but not on the data.

    Parameters
    ----------
    projection : start
    weights : (P,), expected counts per pixel
    steps, rate : Adam iterations and step in units of the lengthscale

    References
    ----------
    Titsias (2009), eq. 9 (trace term)
    """
    step_rad = rate * projection.lengthscale_rad
    points = projection.points.clone().requires_grad_(True)
    optimiser = torch.optim.Adam([points], lr=step_rad)
    share = weights / weights.sum()
    for _ in range(steps):
        unit = torch.nn.functional.normalize(points, dim=1)
        kernel, length = projection.kernel, projection.lengthscale_rad
        gram = correlate(kernel, separation(unit, unit, projection.distance), length)
        factor = torch.linalg.cholesky(gram + JITTER * torch.eye(len(unit), dtype=gram.dtype, device=gram.device))
        cross = correlate(kernel, separation(unit, projection.pixels, projection.distance), length)
        captured = torch.linalg.solve_triangular(factor, cross, upper=False).square().sum(0)
        optimiser.zero_grad()
        (share @ (1.0 - captured)).backward()
        optimiser.step()
    learned = replace(projection, points=torch.nn.functional.normalize(points.detach(), dim=1))
    return learned if float(share @ learned.loss()) < float(share @ projection.loss()) else projection

"""The published recipe of semi-parametric template fits, kept to reproduce its figure: not a posterior."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from skysift.geometry.pixels import find_pixels, ring_vectors
from skysift.models.fields import Field, Term
from skysift.models.template import TemplateModel
from skysift.parameters import Parameter, Parameters
from skysift.parameters.priors import StandardNormal
from skysift.sky.gaussian_process import Projection

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "LABEL",
    "LegacyResult",
    "LegacySettings",
    "LegacySky",
    "make_projection",
    "model_on_lattice",
    "run_legacy",
    "snap_lattice",
]

LABEL = "tempered, mean field: not a posterior"
LEAST = 1e-10
TRANSFORMS = 4


@dataclass(frozen=True)
class LegacySettings:
    """As published: ``guide`` mvn, iaf or conditional_iaf; pixels per step; inducing points wanted in the region.

    ``scaled`` multiplies the minibatch's log likelihood by N / B, which the published recipe does not.
    """

    guide: str = "mvn"
    steps: int = 50000
    batch: int = 1500
    lr: float = 1e-3
    inducing: int = 200
    draws: int = 1000
    lengthscale_rad: float = 0.2
    variance: float = 0.5
    scaled: bool = False


@dataclass(frozen=True)
class LegacySky:
    """What is fitted: counts (P,), rigid templates (n, P) of the norms, diffuse template at its fixed norm (P,).

    ``pixels`` (P, 3) unit vectors; ``nside`` of the map; ``parameters``: the norms, one number each, untruncated.
    """

    counts: Tensor
    templates: Tensor
    diffuse: Tensor
    pixels: Tensor
    nside: int
    parameters: Parameters


@dataclass(frozen=True)
class LegacyResult:
    """Draws of the norms (draws, n), draws of the field's vector (draws, M), and the loss per hundred steps."""

    norms: Tensor
    field: Tensor
    loss: Tensor
    label: str = LABEL


def snap_lattice(wanted: int, pixels: NDArray[np.float64], nside: int) -> NDArray[np.float64]:
    """Return pixel centres of the region nearest to an all-sky Fibonacci lattice of matching density, (M, 3).

    Several lattice points may snap to one pixel, and some to pixels outside the region: fewer than wanted remain.
    """
    count = round(wanted * 12 * nside * nside / len(pixels))
    number = np.arange(count) + 0.5
    z = 1.0 - 2.0 * number / count
    azimuth = np.pi * (1.0 + math.sqrt(5.0)) * number
    planar = np.sqrt(1.0 - z * z)
    lattice = np.stack((planar * np.cos(azimuth), planar * np.sin(azimuth), z), axis=-1)
    return ring_vectors(nside, np.intersect1d(find_pixels(nside, lattice), find_pixels(nside, pixels)))


def make_projection(pixels: Tensor, nside: int, wanted: int, lengthscale_rad: float) -> Projection:
    """Return the recipe's projection: Matern 5/2 on great-circle distance, from the snapped lattice."""
    points = torch.as_tensor(snap_lattice(wanted, pixels.numpy(), nside))
    return Projection(pixels, points, "matern52", lengthscale_rad, "geodesic")


def model_on_lattice(model: TemplateModel, glowing: str, projection: Projection, variance: float) -> TemplateModel:
    """Return a model whose field ``glowing`` lives on the recipe's points, to read maps from the recipe's draws."""
    vector = f"{glowing}_field"
    length = torch.tensor([projection.lengthscale_rad], dtype=torch.float64).log()
    field = Parameter(vector, StandardNormal(), (projection.size,), "", f"{glowing} whitened field", "field")
    others = [item for item in model.parameters if item.block != "field"]
    fields = {glowing: Field((Term(vector, (projection,), length, variance),))}
    return replace(model, parameters=Parameters([*others, field]), fields=fields, open_fields={})


class _Guide(nn.Module):
    """q(z) of the norms: a Gaussian, or inverse autoregressive transforms of one; ``forward`` draws z and ln q."""

    def __init__(self, kind: str, size: int, context: int, start: Tensor) -> None:
        super().__init__()
        from pyro.distributions.transforms import affine_autoregressive, conditional_affine_autoregressive

        self.start = start
        self.loc = nn.Parameter(torch.zeros(size))
        self.factor = nn.Parameter(0.1 * torch.eye(size))
        self.kind = kind
        hidden = [10 * size + 1] * 2
        made: list[nn.Module] = []
        for _ in range(TRANSFORMS if kind != "mvn" else 0):
            if kind == "conditional_iaf":
                made.append(conditional_affine_autoregressive(size, context, hidden))  # type: ignore[no-untyped-call]
            else:
                made.append(affine_autoregressive(size, hidden))  # type: ignore[no-untyped-call]  # Pyro is untyped
        self.flows = nn.ModuleList(made)

    def forward(self, context: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Return z (n,) and ln q(z) for standard normal noise (n,)."""
        log_q = -0.5 * noise @ noise - 0.5 * len(noise) * math.log(2 * math.pi)
        if self.kind == "mvn":
            lower = torch.tril(self.factor)
            return self.start + self.loc + lower @ noise, log_q - lower.diagonal().abs().log().sum()
        value = noise
        flows: list[Any] = list(self.flows)
        for flow in flows:
            step = flow.condition(context) if self.kind == "conditional_iaf" else flow
            moved = step(value)
            log_q = log_q - step.log_abs_det_jacobian(value, moved).sum()
            value = moved.flip(-1)
        return self.start + self.loc + 0.1 * value, log_q - len(noise) * math.log(0.1)


def run_legacy(
    sky: LegacySky, settings: LegacySettings, seed: int, watch: Callable[..., None] | None = None
) -> LegacyResult:
    """Train the published recipe and draw from its guide.

    Deviations from a posterior, all as published: the sum over a minibatch is not scaled to the whole map, f is drawn
    from per-pixel marginals, norms are independent of the field, expected counts are clipped at zero. Here q(v) is
    diagonal.

    Parameters
    ----------
    sky : counts and templates
    settings : as published by default
    seed : of every random number
    watch : called with (step, loss) now and then
    """
    projection = make_projection(sky.pixels, sky.nside, settings.inducing, settings.lengthscale_rad)
    design = math.sqrt(settings.variance) * projection.rows(0, len(sky.pixels))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        previous = torch.get_default_dtype()
        torch.set_default_dtype(torch.float64)
        try:
            return _train(sky, settings, design, watch)
        finally:
            torch.set_default_dtype(previous)


def _train(
    sky: LegacySky,
    settings: LegacySettings,
    design: Tensor,
    watch: Callable[..., None] | None,
) -> LegacyResult:
    parameters, count = sky.parameters, len(sky.counts)
    middle = parameters.unconstrain(parameters.from_cube(torch.full((parameters.cube_size,), 0.5)))
    guide = _Guide(settings.guide, parameters.size, parameters.size + 2, middle)
    loc = nn.Parameter(torch.zeros(design.shape[1]))
    log_sd = nn.Parameter(torch.full((design.shape[1],), -1.0))
    optimiser = torch.optim.Adam([*guide.parameters(), loc, log_sd], lr=settings.lr, fused=True)
    # one row per pixel, gathered once per step; single precision, as published
    loose = (settings.variance - design.square().sum(1)).clamp_min(0.0)
    basis = torch.cat([design, design.square()], 1).float()
    rows = torch.cat([sky.templates, torch.stack([sky.diffuse, sky.counts, loose])]).T.contiguous()
    gain = count / settings.batch if settings.scaled else 1.0
    constant, losses, running = float(torch.lgamma(sky.counts + 1.0).mean()), [], 0.0
    size, many = min(settings.batch, count), design.shape[1]
    for step in range(settings.steps):
        index = torch.randint(count, (size,)) if size < count else torch.arange(count)
        phi, row = basis[index], rows[index]
        templates, (diffuse, counts, rest) = row[:, :-3], row[:, -3:].T
        spread = (phi[:, many:] @ torch.exp(2.0 * log_sd).float()).double() + rest
        f = (phi[:, :many] @ loc.float()).double() + spread.sqrt() * torch.randn(size)
        glow = torch.exp(f)
        z, log_q = guide(_summarise(templates.T, glow), torch.randn(parameters.size))
        norms = parameters.pack(parameters.values(z[None]))[0]
        mu = (templates @ norms + diffuse * glow).clamp_min(LEAST)
        likelihood = counts @ mu.log() - mu.sum() - size * constant
        divergence = 0.5 * (torch.exp(2.0 * log_sd) + loc.square() - 1.0 - 2.0 * log_sd).sum()
        loss = divergence + log_q - parameters.log_density(z[None])[0] - gain * likelihood
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        running += float(loss.detach())
        if (step + 1) % 100 == 0:
            losses.append(running / 100)
            running = 0.0
            if watch is not None:
                watch(step + 1, loss=losses[-1])
    return LegacyResult(*_draw(sky, settings, guide, design, (loc, log_sd)), torch.tensor(losses))


def _summarise(templates: Tensor, glow: Tensor) -> Tensor:
    """Return the context as published: template-weighted sums over the batch, mean and sd of exp(f)."""
    sums = (templates @ glow) / templates.sum(1).clamp_min(LEAST)
    return torch.cat([sums, glow.mean()[None], glow.std()[None]])


def _draw(
    sky: LegacySky, settings: LegacySettings, guide: _Guide, design: Tensor, field: Sequence[Tensor]
) -> tuple[Tensor, Tensor]:
    loc, log_sd = field
    norms, vectors = [], []
    with torch.no_grad():
        for _ in range(settings.draws):
            vector = loc + log_sd.exp() * torch.randn(len(loc))
            glow = torch.exp(design @ vector)
            z, _ = guide(_summarise(sky.templates, glow), torch.randn(sky.parameters.size))
            norms.append(sky.parameters.pack(sky.parameters.values(z[None]))[0])
            vectors.append(vector)
    return torch.stack(norms), torch.stack(vectors)

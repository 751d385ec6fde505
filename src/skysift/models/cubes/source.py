"""One source on one cube: its light through the response, with everything that does not move computed once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from skysift.models.cubes.quadrature import integrate_spectrum

if TYPE_CHECKING:
    from skysift.config.models import PartDeclaration
    from skysift.models.cubes.images import Image
    from skysift.models.cubes.window import Window

__all__ = ["CubeSource", "Folding", "Traced"]

Values = Mapping[str, Tensor]


@dataclass(frozen=True, eq=False)
class Folding:
    """From images to counts in a window.

    Parameters
    ----------
    exposure : (true energy, rows, columns), cm2 s; ones where it is not applied
    shares : (true energy, energy), how true energies are reconstructed
    kernel : (true energy, k, k), or None where light is not spread
    """

    exposure: Tensor
    shares: Tensor
    kernel: Tensor | None

    @cached_property
    def _size(self) -> tuple[int, int]:
        assert self.kernel is not None  # noqa: S101 - asked for only where there is one
        extra = self.kernel.shape[-1] - 1
        return _fast_length(self.exposure.shape[1] + extra), _fast_length(self.exposure.shape[2] + extra)

    @cached_property
    def _transform(self) -> Tensor:
        assert self.kernel is not None  # noqa: S101 - asked for only where there is one
        transform: Tensor = torch.fft.rfft2(self.kernel, s=self._size)
        return transform

    def spread(self, image: Tensor) -> Tensor:
        """Return an image (batch, rows, columns) as it is seen at each true energy, (batch, true energy, pixel)."""
        rows, columns = image.shape[-2:]
        if self.kernel is None:
            return image[:, None].expand(-1, len(self.exposure), -1, -1).flatten(2)
        seen: Tensor = torch.fft.irfft2(torch.fft.rfft2(image, s=self._size)[:, None] * self._transform, s=self._size)
        start = (self.kernel.shape[-1] - 1) // 2
        return seen[..., start : start + rows, start : start + columns].flatten(2)

    def gather(self, worth: Tensor) -> Tensor:
        """Return what light at each place of an image is worth, (batch, rows, columns): the transpose of all of it.

        Parameters
        ----------
        worth : of one count per true energy and pixel, (batch, true energy, pixel), after the exposure
        """
        rows, columns = self.exposure.shape[1:]
        exposed = worth.reshape(-1, *self.exposure.shape) * self.exposure
        if self.kernel is None:
            return exposed.sum(1)
        start = (self.kernel.shape[-1] - 1) // 2
        placed = exposed.new_zeros(*exposed.shape[:2], *self._size)
        placed[..., start : start + rows, start : start + columns] = exposed
        pulled = torch.einsum("beij,eij->bij", torch.fft.rfft2(placed), self._transform.conj())
        worths: Tensor = torch.fft.irfft2(pulled, s=self._size)
        return worths[..., :rows, :columns]

    def expose(self, seen: Tensor) -> Tensor:
        """Multiply by the exposure, (batch, true energy, pixel)."""
        return seen * self.exposure.flatten(1)

    def count(self, flux: Tensor, light: Tensor) -> Tensor:
        """Return counts (batch, energy, pixel) of fluxes (batch, true energy) and exposed light (batch or 1, ...)."""
        return (flux[:, :, None] * self.shares).transpose(1, 2) @ light


def _fast_length(least: int) -> int:
    """Return the next length that a transform is fast at: no prime factor above five."""
    while True:
        rest = least
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return least
        least += 1


@dataclass(frozen=True, eq=False)
class CubeSource:
    """A source on a cube.

    Parameters
    ----------
    name : of the source
    spectral : declaration of its spectrum, in natural units
    image : makes its image
    folding : its response
    window : where it shines
    true_edges_tev : (true energy + 1,)
    moving : roles ``spectral`` and ``spatial`` to the parameters that may move
    quadrature : ``exact`` or ``gammapy``
    """

    name: str
    spectral: PartDeclaration
    image: Image
    folding: Folding
    window: Window
    true_edges_tev: Tensor
    moving: Mapping[str, tuple[str, ...]]
    quadrature: str = "exact"
    still: Values = field(default_factory=dict)

    @cached_property
    def _light(self) -> Tensor:
        """Exposed light where the shape does not move, (1, true energy, pixel)."""
        return self._make_light(self.still)

    def _make_light(self, spatial: Values) -> Tensor:
        return self.folding.expose(self.folding.spread(self.image(spatial)))

    def light(self, spatial: Values) -> Tensor:
        """Return exposed light per unit flux, (batch or 1, true energy, pixel), cm2 s."""
        return self._make_light(spatial) if self.moving["spatial"] else self._light

    def flux(self, spectral: Values) -> Tensor:
        """Return the flux in bins of true energy, (batch, true energy), cm-2 s-1."""
        found = integrate_spectrum(self.spectral, spectral, self.true_edges_tev, self.quadrature)
        return found if found.ndim == 2 else found[None]

    def counts(self, spectral: Values, spatial: Values) -> Tensor:
        """Return expected counts in its window, (batch, energy, rows, columns)."""
        counts = self.folding.count(self.flux(spectral), self.light(spatial))
        return counts.reshape(*counts.shape[:2], self.window.rows, self.window.columns)

    def trace(self, spectral: Values, spatial: Values) -> Traced:
        """Return its counts, and what remembers how they came about; gradients go back through few numbers alone."""
        flux, image = self.flux(spectral), self.image(spatial) if self.moving["spatial"] else None
        with torch.no_grad():
            light = self._light if image is None else self.folding.expose(self.folding.spread(image))
            counts = self.folding.count(flux, light)
        return Traced(self.folding, flux, image, light, counts.reshape(*counts.shape[:2], self.window.rows, -1))


@dataclass(frozen=True, eq=False)
class Traced:
    """Counts of a source (batch, energy, rows, columns), and the flux, image and exposed light that made them."""

    folding: Folding
    flux: Tensor
    image: Tensor | None
    light: Tensor
    counts: Tensor

    def pull(self, residual: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return what moves, and the derivative in it of the counts weighted by a residual of their shape."""
        with torch.no_grad():
            worth = self.folding.shares @ residual.flatten(2)
            pairs = []
            if self.flux.requires_grad:
                pairs.append((self.flux, _fit_batch((worth * self.light).sum(-1), self.flux)))
            if self.image is not None and self.image.requires_grad:
                image = self.folding.gather(self.flux[..., None] * worth)
                pairs.append((self.image, _fit_batch(image, self.image)))
        return pairs


def _fit_batch(pulled: Tensor, like: Tensor) -> Tensor:
    """Return the sum over a batch that something has not."""
    return pulled.sum(0, keepdim=True) if len(like) < len(pulled) else pulled.expand_as(like)

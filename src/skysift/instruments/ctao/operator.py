"""The fold of true bins onto reconstructed ones: a sparse operator in space and a band in energy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import csc_array

    from skysift.instruments.ctao.migration import Band

__all__ = ["FoldOperator"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class FoldOperator:
    r"""Response of all true energies, applied to all sources at once.

    .. math:: n_s(k, :) = \sum_e P_e \left[ D(k | e, o)\, \mu_s(e, :) \right]

    Parameters
    ----------
    spreads : for each true energy, (reconstructed pixel, true pixel), sparse by columns
    bands : for each true energy, the first reconstructed energy that it reaches and the shares (true pixel, energy)
    shape : numbers of reconstructed energies and pixels
    """

    spreads: tuple[csc_array, ...]
    bands: tuple[Band, ...]
    shape: tuple[int, int]

    def fold(self, expected: Array) -> Array:
        """Return reconstructed counts (energy, pixel, source) of true ones (energy, pixel, source)."""
        folded = np.zeros((self.shape[1], expected.shape[-1], self.shape[0]))
        for energy, part in self._parts(expected):
            first, shares = self.bands[energy]
            folded[:, :, first : first + shares.shape[1]] += part
        return np.ascontiguousarray(folded.transpose(2, 0, 1))

    def fold_each(self, expected: Array) -> Array:
        """Return what each true energy contributes, (true energy, energy, pixel, source), for true counts."""
        folded = np.zeros((len(self.bands), *self.shape, expected.shape[-1]))
        for energy, part in self._parts(expected):
            first, shares = self.bands[energy]
            folded[energy, first : first + shares.shape[1]] = part.transpose(2, 0, 1)
        return folded

    def _parts(self, expected: Array) -> Iterator[tuple[int, Array]]:
        """Yield each true energy and its counts (reconstructed pixel, source, energy of the band)."""
        for energy, (_, shares) in enumerate(self.bands):
            if not shares.shape[1] or not expected[energy].any():
                continue
            spread = (expected[energy][:, :, None] * shares[:, None, :]).reshape(len(shares), -1)
            yield energy, (self.spreads[energy] @ spread).reshape(self.shape[1], expected.shape[-1], -1)

    def adjoint(self, weights: Array) -> Array:
        """Return the transpose of `fold` applied to (energy, pixel, source): (true energy, true pixel, source)."""
        sources = weights.shape[-1]
        turned = np.ascontiguousarray(weights.transpose(1, 0, 2))
        pixels = self.spreads[0].shape[1]
        gathered = np.zeros((len(self.bands), pixels, sources))
        for energy, (first, shares) in enumerate(self.bands):
            if shares.shape[1]:
                band = turned[:, first : first + shares.shape[1]].reshape(self.shape[1], -1)
                back = (self.spreads[energy].T @ band).reshape(pixels, -1, sources)
                gathered[energy] = np.einsum("jk,jks->js", shares, back)
        return gathered

"""Photons per annihilation: tables given by the user, an analytic continuum, and a line."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from torch import Tensor

from skysift.errors import InputError, nearest
from skysift.sky.spectra import integrate_log

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["Bergstrom", "Channel", "Line", "TableChannel", "interpret_channels"]

Value = float | Tensor

_GEV_PER_TEV = 1000.0


class Channel(Protocol):
    """What every channel offers; masses are numbers or (batch,)."""

    def density(self, energy_tev: ArrayLike | Tensor, mass_tev: Value) -> Tensor:
        """Return dN/dE, TeV-1, at energies (K,): (K,) or (batch, K)."""

    def integrals(self, edges_tev: ArrayLike | Tensor, mass_tev: Value) -> Tensor:
        """Return photons in bins of edges (K + 1,): (K,) or (batch, K)."""


@dataclass(frozen=True)
class Bergstrom:
    r"""Continuum photons of a heavy neutralino, cut at its mass.

    .. math:: \frac{dN}{dx} = 0.73\, x^{-1.5} e^{-7.8 x}, \quad x = E / m < 1

    References
    ----------
    Bergstrom, Ullio, Buckley (1998), Astropart. Phys. 9, 137
    """

    def density(self, energy_tev: ArrayLike | Tensor, mass_tev: Value) -> Tensor:
        """Return dN/dE, TeV-1, at energies (K,): (K,) or (batch, K)."""
        mass = _column(mass_tev)
        x = _doubles(energy_tev) / mass
        return torch.where(x <= 1, self._photons(x) / mass, 0.0)

    def integrals(self, edges_tev: ArrayLike | Tensor, mass_tev: Value) -> Tensor:
        """Return photons in bins of edges (K + 1,): (K,) or (batch, K)."""
        edges = _doubles(edges_tev) / _column(mass_tev)
        x = torch.minimum(edges, torch.ones_like(edges))
        low, high = x[..., :-1], x[..., 1:]
        photons = integrate_log(self._photons, low.reshape(-1), high.reshape(-1))
        return photons.reshape(low.shape)

    def _photons(self, x: Tensor) -> Tensor:
        return 0.73 * x**-1.5 * (-7.8 * x).exp()


@dataclass(frozen=True)
class Line:
    r"""Two photons of the particle's mass: :math:`dN/dE = 2\, \delta(E - m)`."""

    def density(self, energy_tev: ArrayLike | Tensor, mass_tev: Value) -> Tensor:
        """Return infinity at the mass and zero elsewhere: (K,) or (batch, K)."""
        return torch.where(_doubles(energy_tev) == _column(mass_tev), math.inf, 0.0)

    def integrals(self, edges_tev: ArrayLike | Tensor, mass_tev: Value) -> Tensor:
        """Return photons in bins of edges (K + 1,): (K,) or (batch, K).

        The two bins whose middles, in ln E, enclose the mass share them: what an instrument makes of one bin then turns
        into that of the next, where all in the bin of the mass would jump, and have no slope.
        """
        edges, mass = _doubles(edges_tev), _column(mass_tev)
        middles = 0.5 * (edges[1:] * edges[:-1]).log()
        passed = ((mass.log() - middles[:-1]) / middles.diff()).clamp(0.0, 1.0)
        # of all photons, those that are passed on to each bin from the one below, and from it to the one above
        passed = torch.nn.functional.pad(torch.nn.functional.pad(passed, (1, 0), value=1.0), (0, 1))
        share = passed[..., :-1] - passed[..., 1:]
        return 2.0 * share * ((edges[0] <= mass) & (mass < edges[-1]))


@dataclass(frozen=True, eq=False)
class TableChannel:
    r"""A tabulated spectrum, bilinear in (ln m, log10 x), zero below its lowest x and above x = 1.

    .. math:: \frac{dN}{dE} = \frac{1}{E \ln 10} \frac{dN}{d\log_{10} x}, \quad x = E / m

    Parameters
    ----------
    mass_tev : (M,) rising, TeV
    log10_x : (N,) rising
    values : (M, N) dN/dlog10 x
    place : file, for messages

    Raises
    ------
    InputError : axes that do not rise or fit, values below zero or not finite
    """

    mass_tev: Tensor
    log10_x: Tensor
    values: Tensor
    place: str = "table of channels"

    def __post_init__(self) -> None:
        """Refuse what cannot be interpolated."""
        for name, axis, count in (("mass", self.mass_tev, 0), ("log10 x", self.log10_x, 1)):
            if len(axis) < 2 or len(axis) != self.values.shape[count] or not bool((axis[1:] > axis[:-1]).all()):
                raise InputError(self.place, name, f"{len(axis)} values", "two or more, rising", "sort the table")
        if not bool((self.values.isfinite() & (self.values >= 0)).all()):
            raise InputError(self.place, "dN/dlog10 x", "a negative or missing value", "numbers >= 0", "mend the table")

    def density(self, energy_tev: ArrayLike | Tensor, mass_tev: Value) -> Tensor:
        """Return dN/dE, TeV-1, at energies (K,): (K,) or (batch, K).

        Raises
        ------
        InputError : a mass outside the table
        """
        energy = _doubles(energy_tev)
        place = (energy / _column(mass_tev)).log10()
        row = self._row(mass_tev)
        index = (torch.searchsorted(self.log10_x, place.detach().contiguous(), right=True) - 1).clamp(
            0, len(self.log10_x) - 2
        )
        low, high = self.log10_x[index], self.log10_x[index + 1]
        share = (place - low) / (high - low)
        values = row.expand(*place.shape[:-1], -1)
        photons = values.gather(-1, index) * (1 - share) + values.gather(-1, index + 1) * share
        inside = (place >= self.log10_x[0]) & (place <= min(float(self.log10_x[-1]), 0.0))
        return torch.where(inside, photons, 0.0) / (energy * math.log(10.0))

    def integrals(self, edges_tev: ArrayLike | Tensor, mass_tev: Value) -> Tensor:
        """Return photons in bins of edges (K + 1,), exact for the interpolated table: (K,) or (batch, K).

        Raises
        ------
        InputError : a mass outside the table
        """
        place = (_doubles(edges_tev) / _column(mass_tev)).log10().clamp(max=0.0)[..., None]
        start, stop = self.log10_x[:-1], self.log10_x[1:]
        row = self._row(mass_tev)[..., None, :]
        first, slope = row[..., :-1], (row[..., 1:] - row[..., :-1]) / (stop - start)
        edges = torch.minimum(torch.maximum(place, start), stop) - start
        low, high = edges[..., :-1, :], edges[..., 1:, :]
        return ((high - low) * (first + 0.5 * slope * (high + low))).sum(-1)

    def _row(self, mass_tev: Value) -> Tensor:
        """Return the table (..., N) at masses (...), linear in ln m."""
        mass = _doubles(mass_tev)
        low, high = float(self.mass_tev[0]), float(self.mass_tev[-1])
        found = mass.detach()
        if bool(((found < low * (1 - 1e-9)) | (found > high * (1 + 1e-9))).any()):
            wanted = f"within {low:g} and {high:g} TeV"
            raise InputError(
                self.place, "mass", f"{float(found.min()):g} .. {float(found.max()):g} TeV", wanted,
                "narrow the prior of the mass, or give a larger table (decay of mass m needs m / 2)",
            )  # fmt: skip
        logs = self.mass_tev.log()
        index = (torch.searchsorted(logs, found.log().contiguous(), right=True) - 1).clamp(0, len(logs) - 2)
        share = ((mass.log() - logs[index]) / (logs[index + 1] - logs[index]))[..., None]
        return self.values[index] * (1 - share) + self.values[index + 1] * share


def interpret_channels(
    names: Sequence[str], rows: NDArray[np.float64], wanted: Sequence[str], place: str
) -> dict[str, TableChannel]:
    """Return channels of a table in the layout of PPPC4DMID: mass in GeV, log10 x, then one column per channel.

    Parameters
    ----------
    names : of all columns
    rows : (R, columns), every mass with the same log10 x
    wanted : names of channels
    place : file, for messages

    Raises
    ------
    InputError : no such channel, names that are not those of the columns, rows that make no grid of mass and log10 x

    References
    ----------
    Cirelli et al. (2011), JCAP 03, 051; Arina et al. (2024), JHEP 01, 153
    """
    if rows.shape[1] != len(names) or len(names) < 3:
        found = f"{len(names)} names, {rows.shape[1]} columns"
        raise InputError(place, "header", found, "a name for each column, 3 or more", "mend the first line or the rows")
    if not np.isfinite(rows).all():
        row = int(np.flatnonzero(~np.isfinite(rows).all(1))[0])
        raise InputError(place, "rows", f"row {row + 1}: {rows[row]}", "finite numbers", "correct the row")
    known = list(names[2:])
    for name in wanted:
        if name not in known:
            raise InputError(place, "channel", name, "a column of the table", nearest(name, known))
    rows = rows[np.lexsort((rows[:, 1], rows[:, 0]))]
    masses, counts = np.unique(rows[:, 0], return_counts=True)
    width = int(counts[0])
    if len(set(counts.tolist())) > 1 or np.any(rows[:, 1].reshape(len(masses), width) != rows[:width, 1]):
        found = f"{len(masses)} masses with {counts.min()} to {counts.max()} rows"
        raise InputError(place, "rows", found, "the same log10 x for every mass", "complete the table")
    if len(masses) < 2:
        found = f"one, {masses[0] / _GEV_PER_TEV:g} TeV"
        raise InputError(place, "masses", found, "two or more, between which spectra are taken", "give a larger table")
    grid = torch.as_tensor(rows.reshape(len(masses), width, -1), dtype=torch.float64)
    mass, log10_x = torch.as_tensor(masses / _GEV_PER_TEV), grid[0, :, 1].contiguous()
    return {name: TableChannel(mass, log10_x, grid[:, :, 2 + known.index(name)], place) for name in wanted}


def _doubles(values: ArrayLike | Tensor) -> Tensor:
    return torch.as_tensor(values, dtype=torch.float64)


def _column(value: Value) -> Tensor:
    """Return a mass as (batch, 1), or () for a number, to meet energies (K,)."""
    tensor = _doubles(value)
    return tensor[..., None] if tensor.ndim else tensor

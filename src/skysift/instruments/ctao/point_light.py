"""Point sources at events: at their exact place, within the reach of the PSF."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from skysift.instruments.ctao.kernels import reach_of_cut

if TYPE_CHECKING:
    from skysift.instruments.ctao.event_kernel import EventKernel
    from skysift.instruments.ctao.response import Response

__all__ = ["PointLight", "look_up_point", "sum_point"]

Array = NDArray[np.float64]
Numbers = NDArray[np.int64]
Added = Iterator[tuple[int, Numbers, Array]]


@dataclass(frozen=True, eq=False)
class PointLight:
    """The PSF of a point source at events.

    Parameters
    ----------
    offset_deg : of the source from the pointing, (1,)
    rows : (n,), events that light of any true energy may reach
    square_deg2 : (n,), their distances from the source, squared
    solid : (n,), what turns a density on the flat map around the source into one per solid angle
    weights, sigmas_deg : (true energy, term), Gaussians of the PSF
    reach_deg : (true energy,), how far light is followed
    """

    offset_deg: Array
    rows: Numbers
    square_deg2: Array
    solid: Array
    weights: Array
    sigmas_deg: Array
    reach_deg: Array

    @classmethod
    def of(cls, response: Response, source_deg: tuple[float, float], lon_deg: Array, lat_deg: Array) -> PointLight:
        """Return the light of a source at longitude and latitude, around events (event,)."""
        lon, lat = source_deg
        offset = response.pointing.offset_deg([lon], [lat])
        energy = response.true.energy.centres_tev[:, None]
        weights, sigmas = (part[:, 0] for part in response.irf.psf_components(energy, offset))
        reach = reach_of_cut(response.cut / 2) * np.max(sigmas, axis=1, initial=0.0, where=weights > 0)
        cosine = np.cos(np.radians(lat))
        turned = lon + 360.0 * np.round((lon_deg - lon) / 360.0)
        # As in `fold_point`: flat around the source.
        square = ((lon_deg - turned) * cosine) ** 2 + (lat_deg - lat) ** 2
        rows = np.flatnonzero(square < np.max(reach) ** 2)
        return cls(offset, rows, square[rows], cosine / np.cos(np.radians(lat_deg[rows])), weights, sigmas, reach)

    def spread(self, number: int, own: Numbers) -> tuple[Numbers, Array]:
        """Return which of some events (numbers within ``rows``) a true energy reaches, and the PSF there, deg-2."""
        own = own[self.square_deg2[own] < self.reach_deg[number] ** 2]
        square, spread = self.square_deg2[own], np.zeros(len(own))
        for weight, sigma in zip(self.weights[number], self.sigmas_deg[number], strict=True):
            spread += weight / (2 * np.pi * sigma**2) * np.exp(-0.5 * square / sigma**2)
        return own, spread * self.solid[own]


def sum_point(
    kernel: EventKernel, events: tuple[Array, Array, Array], source_deg: tuple[float, float], expected: Array
) -> Added:
    """Yield what each true energy of a point source sends to events, exactly as the response says.

    Parameters
    ----------
    kernel : of the pointing
    events : reconstructed energy, longitude and latitude, (event,)
    source_deg : longitude and latitude of the source
    expected : (true energy, source), events before migration

    Yields
    ------
    number of a true energy, rows of events (n,), densities (n, source), TeV-1 deg-2
    """
    light = PointLight.of(kernel.response, source_deg, *events[1:])
    energy = events[0][light.rows]
    migration = kernel.response.factors.migration
    at, upper = migration.locate(light.offset_deg)
    nodes = slice(int(at[0]), int(at[0]) + 2)
    for number, near in kernel.visits(energy):
        if not expected[number].any():
            continue
        own, spread = light.spread(number, near)
        density = np.zeros(len(own))
        tables = kernel.columns.at_nodes(number, energy[own], nodes)
        for scale, node in zip(migration.scales(number, at, upper)[:, 0], tables, strict=True):
            density += scale * (node[:, 0] * (1 - upper[0]) + node[:, 1] * upper[0])
        yield number, light.rows[own], (density * spread)[:, None] * expected[number]


def look_up_point(
    kernel: EventKernel, events: tuple[Array, Array, Array], source_deg: tuple[float, float], expected: Array
) -> Added:
    """Yield the same from the tables of the energy dispersion."""
    light = PointLight.of(kernel.response, source_deg, *events[1:])
    order = np.argsort(events[0][light.rows], kind="stable")
    log_energy = np.log(events[0][light.rows][order])
    places = kernel.tables.locate(log_energy, np.full(len(order), light.offset_deg[0]))
    for number, ends in enumerate(kernel.tables.log_reach):
        first, end = np.searchsorted(log_energy, ends)
        if end <= first or not expected[number].any():
            continue
        nothing = torch.zeros((1, int(end - first)))
        density = kernel.tables.evaluate(number, places.take(slice(int(first), int(end))), nothing, nothing)
        whole = np.zeros(len(order))
        whole[order[first:end]] = density.numpy()[0]
        own, spread = light.spread(number, order[first:end])
        yield number, light.rows[own], (whole[own] * spread)[:, None] * expected[number]

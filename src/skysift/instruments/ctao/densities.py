"""Densities of sources at events by the direct sum over true bins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from skysift.instruments.ctao.point_light import look_up_point, sum_point

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from skysift.instruments.ctao.event_kernel import EventKernel

__all__ = ["PointSource", "add_points", "each_energy", "energy_densities", "make_event_rows", "sum_densities"]

Array = NDArray[np.float64]
#: Longitude and latitude in deg, and events before migration (true energy, source).
PointSource = tuple[float, float, Array]


def sum_densities(kernel: EventKernel, expected: Array, energy_tev: Array, lon_deg: Array, lat_deg: Array) -> Array:
    r"""Return densities at events, exactly as the response says.

    .. math:: n_s(E_i, l_i, b_i) = \sum_{e, j} K_{i, ej}\, \mu_s(e, j)

    Parameters
    ----------
    kernel : of the pointing that the events belong to
    expected : (true energy, true pixel, source), events before migration
    energy_tev, lon_deg, lat_deg : (event,), reconstructed

    Returns
    -------
    (event, source), events per TeV and deg2; divide by `Response.detected` for a probability density
    """
    densities = np.zeros((len(energy_tev), expected.shape[-1]))
    for number, rows in kernel.visits(energy_tev):
        if expected[number].any():
            densities[rows] += energy_densities(
                kernel, number, expected[number], (energy_tev[rows], lon_deg[rows], lat_deg[rows])
            )
    return densities


def energy_densities(kernel: EventKernel, number: int, expected: Array, events: tuple[Array, Array, Array]) -> Array:
    """Return what one true energy sends to events, (event, source), for counts (true pixel, source)."""
    densities = np.zeros((len(events[0]), expected.shape[1]))
    for rows, pixels, share in kernel.shares(number, *events):
        # One sum along the last axis per row: its order depends on nothing else.
        sums = [(share * expected[pixels, source]).sum(axis=1) for source in range(expected.shape[1])]
        densities[rows] = np.stack(sums, axis=1)
    return densities


def each_energy(kernel: EventKernel, expected: Array, energy_tev: Array, lon_deg: Array, lat_deg: Array) -> Array:
    """Return what each true energy of one source (true energy, true pixel) sends to events, (event, true energy)."""
    densities = np.zeros((len(energy_tev), len(expected)))
    for number, rows in kernel.visits(energy_tev):
        if expected[number].any():
            events = (energy_tev[rows], lon_deg[rows], lat_deg[rows])
            densities[rows, number] = energy_densities(kernel, number, expected[number][:, None], events)[:, 0]
    return densities


def add_points(
    kernel: EventKernel,
    densities: Array,
    events: tuple[Array, Array, Array],
    points: Sequence[PointSource],
    *,
    by_energy: bool = False,
    is_exact: bool = True,
) -> None:
    """Add point sources at their exact places.

    Parameters
    ----------
    kernel : of the pointing that the events belong to
    densities : (event, source), changed; or (event, true energy) of one source
    events : reconstructed energy, longitude and latitude, (event,)
    points : with the sources of ``densities``
    by_energy : whether ``densities`` are those of each true energy
    is_exact : whether the energy dispersion is that of the response, or comes from tables
    """
    evaluate = sum_point if is_exact else look_up_point
    for lon, lat, expected in points:
        for number, rows, added in evaluate(kernel, events, (lon, lat), expected):
            if by_energy:
                densities[rows, number] += added[:, 0]
            else:
                densities[rows] += added


def make_event_rows(kernel: EventKernel, energy_tev: Array, lon_deg: Array, lat_deg: Array) -> csr_array:
    """Return the kernel as a sparse matrix (event, true energy x true pixel), TeV-1 deg-2: densities are W mu."""
    from scipy.sparse import coo_array

    size = kernel.response.true.grid.size
    parts: list[tuple[NDArray[Any], ...]] = []
    for number, rows in kernel.visits(energy_tev):
        for group, pixels, share in kernel.shares(number, energy_tev[rows], lon_deg[rows], lat_deg[rows]):
            at = np.broadcast_to(rows[group][:, None], pixels.shape)
            keep = share > 0
            parts.append((share[keep], at[keep], number * size + pixels[keep]))
    joined = [np.concatenate(part) for part in zip(*parts, strict=True)] if parts else [np.zeros(0, dtype=np.int64)] * 3
    shape = (len(energy_tev), len(kernel.response.true.energy.centres_tev) * size)
    return coo_array((joined[0], (joined[1], joined[2])), shape=shape).tocsr()

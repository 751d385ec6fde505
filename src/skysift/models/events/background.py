"""Events that are no photons from a source: residual background of the instrument, and outliers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from skysift.instruments.ctao.background_counts import integrate_background
from skysift.models.events.rows import Column

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from skysift.instruments.ctao.discrete import AnyResponse
    from skysift.instruments.ctao.event_observation import EventObservation
    from skysift.instruments.ctao.irf import Irf
    from skysift.instruments.ctao.pointing import Axes, Pointing
    from skysift.models.events.rows import Rows

    Array = NDArray[np.float64]

__all__ = ["background_column", "outlier_column", "outlier_density", "smeared_counts"]


def smeared_counts(response: AnyResponse) -> Array:
    """Return true counts per second whose fold stands for the background, (energy, pixel).

    The rate on the cut at y = 0, x >= 0 as a function of offset, taken for a flux in true coordinates that needs no
    effective area.

    Parameters
    ----------
    response : gives the table and the true bins; discrete ones take the rate at their centres
    """
    axes = response.true
    if not axes.is_discrete:
        radial: Any = _Radial(response.irf)
        return integrate_background(radial, axes, response.pointing)
    offsets = response.pointing.offsets_deg(axes.grid)
    counts: Array = response.irf.background_radial(axes.energy.centres_tev[:, None], offsets) * axes.volumes_tev_deg2
    return counts


class _Radial:
    """Background as a function of offset."""

    def __init__(self, irf: Irf) -> None:
        self.irf = irf

    def background_at(self, energy_tev: ArrayLike, lon_deg: Array, lat_deg: Array, pointing: Pointing) -> Array:
        """Return the rate at Galactic coordinates, s-1 TeV-1 deg-2."""
        return self.irf.background_radial(energy_tev, pointing.offset_deg(lon_deg, lat_deg))


def outlier_density(observation: EventObservation, energy_tev: Array | None = None) -> Array:
    r"""Return the density of events that nothing explains: flat in the region and in ln E, TeV-1 deg-2.

    .. math:: p = \frac{1}{E \ln(E_{\rm high} / E_{\rm low})\, \Omega}

    Its sum over bins times their measure is one.

    Parameters
    ----------
    observation : its reconstructed axes
    energy_tev : (n,), of events; None for the mean over each bin of energy

    Returns
    -------
    (n,), or (energy,); shared between pointings by their live times
    """
    axes = observation.reconstructed
    per_log = _log_widths(axes)
    area = float(axes.areas_deg2.sum())
    if energy_tev is None:
        mean: Array = per_log / axes.widths_tev / (per_log.sum() * area)
        return mean
    density: Array = 1.0 / (energy_tev * per_log.sum() * area)
    return density


def _log_widths(axes: Axes) -> Array:
    """Return the integral of 1 / E over bins, in the measure of the axes."""
    edges = axes.energy.edges_tev
    widths: Array = axes.widths_tev / axes.energy.centres_tev if axes.is_discrete else np.log(edges[1:] / edges[:-1])
    return widths


def background_column(
    rows: Rows, observation: EventObservation, responses: Sequence[AnyResponse], background: Mapping[int, Array]
) -> Column:
    """Return the column of the background as the response files give it.

    Parameters
    ----------
    rows : where densities are wanted
    observation : axes and pointings
    responses : of each pointing
    background : expected background of each pointing, (K, J_r) counts
    """
    density = np.zeros(len(rows.counts))
    volumes = observation.reconstructed.volumes_tev_deg2
    for number, response in enumerate(responses):
        own = rows.pointing == number
        pointing = observation.pointings[number]
        if rows.energy is None:
            density[own] = (background[number] / volumes).ravel()[rows.bins[own]]
        else:
            at = (rows.energy[own], rows.lon[own], rows.lat[own])  # type: ignore[index]  # all three or none
            density[own] = response.irf.background_at(*at, pointing) * pointing.live_time_s
    return Column("fixed", density, np.asarray(sum(part.sum() for part in background.values())))


def outlier_column(rows: Rows, observation: EventObservation) -> Column:
    """Return the column of events that nothing explains, one event in all.

    Parameters
    ----------
    rows : where densities are wanted
    observation : axes and pointings, which share the outliers by their live times
    """
    times = np.array([pointing.live_time_s for pointing in observation.pointings])
    if rows.energy is None:
        density = outlier_density(observation)[rows.bins // observation.reconstructed.grid.size]
    else:
        density = outlier_density(observation, rows.energy)
    return Column("fixed", density * (times / times.sum())[rows.pointing], np.asarray(1.0))

"""What a source looks like at events: one column of densities, or a linear map from what is free about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from skysift.models.events.dark_matter import make_map
from skysift.models.events.nodes import find_nodes, list_nodes
from skysift.sky.light import Light

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from skysift.config.events import EventComponent
    from skysift.instruments.ctao.event_list import EventList
    from skysift.instruments.ctao.event_observation import EventObservation
    from skysift.instruments.ctao.response import Response

__all__ = ["Column", "Rows", "kind_of", "marginalise"]

Array = NDArray[np.float64]
Kind = Literal["fixed", "spectrum", "nodes", "map", "field"]


@dataclass(frozen=True, eq=False)
class Rows:
    """Events, or occupied bins of reconstructed coordinates, in which densities are wanted.

    Parameters
    ----------
    counts : (n,), events in each row
    pointing : (n,)
    bins : (n,), flat number of the reconstructed bin
    energy, lon, lat : (n,), of each event; None where rows are bins
    whole : number of rows of the whole list that these belong to
    """

    counts: Array
    pointing: NDArray[np.int64]
    bins: NDArray[np.int64]
    energy: Array | None = None
    lon: Array | None = None
    lat: Array | None = None
    whole: int = 0

    @classmethod
    def of(cls, events: EventList, observation: EventObservation, *, binned: bool) -> Rows:
        """Return the rows of an event list."""
        bins = observation.reconstructed.find(events.energy, events.lon, events.lat)
        if not binned:
            at = (events.energy, events.lon, events.lat)
            return cls(np.ones(len(events)), events.pointing, bins, *at, len(events))
        size = int(np.prod(observation.reconstructed.shape))
        both, counts = np.unique(events.pointing * size + bins, return_counts=True)
        return cls(counts.astype(np.float64), both // size, both % size, whole=len(both))

    def take(self, start: int, stop: int) -> Rows:
        """Return some of the rows."""
        cut = slice(start, stop)
        energy, lon, lat = (None if part is None else part[cut] for part in (self.energy, self.lon, self.lat))
        return Rows(self.counts[cut], self.pointing[cut], self.bins[cut], energy, lon, lat, self.whole)


@dataclass(frozen=True, eq=False)
class Column:
    """Density of one source at rows, in events per TeV deg2, and how many events it sends in all.

    Parameters
    ----------
    kind : what ``density`` is multiplied by: nothing (``fixed``), the flux in each true energy bin (``spectrum``),
        that at each of G nodes (``nodes``), in each true bin (``map``), or exp(f) in each true pixel (``field``)
    density : (n,) for fixed, (n, E) for spectrum, (n, G E) for nodes, sparse (n, E J) for map, sparse (n, J) for field
    totals : events within the axes, (), (E,), (G E,), (E J,) or (J,) likewise
    """

    kind: Kind
    density: Array | csr_array
    totals: Array


def kind_of(component: EventComponent) -> Kind:
    """Return which kind of column a component needs."""
    if component.modulate:
        return "field"
    if component.moves:
        return "nodes" if find_nodes(component) else "map"
    return "spectrum" if component.free or component.share else "fixed"


def marginalise(
    component: EventComponent,
    light: Light | None,
    rows: Rows,
    observation: EventObservation,
    responses: Sequence[Response],
    background: Mapping[int, Array],
) -> Column:
    """Return the column of one source.

    Parameters
    ----------
    component : its settings
    light : its light on the true grid; None for the background and for sources that move
    rows : where densities are wanted
    observation : axes and pointings
    responses : of each pointing
    background : expected background of each pointing, (K, J_r) counts
    """
    kind = kind_of(component)
    if component.sky is None:
        return _background_column(rows, observation, responses, background)
    makers: dict[Kind, Callable[..., Part]] = {
        "fixed": _fixed, "spectrum": _spectrum, "nodes": _nodes, "map": _map, "field": _field,
    }  # fmt: skip
    given: Any = light
    if kind == "nodes":
        # shares of the map's total: they change little from node to node, the total by orders of magnitude
        maps = [
            make_map(component, observation.true.grid, place).numpy() for place in list_nodes(find_nodes(component))
        ]
        given = [Light((image / image.sum())[None]) for image in maps]
    parts = [
        makers[kind](given, rows, number, observation, response, pointing.live_time_s)
        for number, (response, pointing) in enumerate(zip(responses, observation.pointings, strict=True))
    ]
    return _join(kind, rows, parts)


Part = tuple[NDArray[np.int64], "Array | csr_array", Array]


def _join(kind: Kind, rows: Rows, parts: list[Part]) -> Column:
    """Put rows of all pointings back in order, and add up what the pointings expect."""
    order = np.argsort(np.concatenate([part[0] for part in parts]), kind="stable")
    if kind in ("map", "field"):
        from scipy.sparse import csr_array, vstack

        density: Array | csr_array = csr_array(vstack([part[1] for part in parts]).tocsr()[order])
    else:
        density = np.concatenate([np.asarray(part[1]) for part in parts])[order]
    return Column(kind, density, np.asarray(sum(part[2] for part in parts)))


def _background_column(
    rows: Rows, observation: EventObservation, responses: Sequence[Response], background: Mapping[int, Array]
) -> Column:
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


def _expected(light: Light, response: Response, live_time_s: float) -> Array:
    """Return expected true events (E, J, 1)."""
    return (light.cube * response.area_cm2 * live_time_s)[:, :, None]


def _point_counts(light: Light, response: Response, live_time_s: float) -> list[tuple[float, float, Array]]:
    """Return direction and expected true events (E, 1) of each point source."""
    return [
        (float(lon), float(lat), (flux * response.area_at(lon, lat) * live_time_s)[:, None])
        for (lon, lat), flux in zip(light.points_deg, light.point_flux, strict=True)
    ]


def _fixed(
    light: Light, rows: Rows, number: int, observation: EventObservation, response: Response, time: float
) -> Part:
    own = np.flatnonzero(rows.pointing == number)
    expected, points = _expected(light, response, time), _point_counts(light, response, time)
    cube = response.fold(expected)[..., 0]
    for lon, lat, counts in points:
        cube = cube + response.fold_point(lon, lat, counts)[..., 0]
    if rows.energy is None:
        density = (cube / observation.reconstructed.volumes_tev_deg2).ravel()[rows.bins[own]]
    else:
        at = (rows.energy[own], rows.lon[own], rows.lat[own])  # type: ignore[index]  # all three or none
        density = response.densities_at(*at, expected, points, total=rows.whole)[:, 0]
    return own, density, np.asarray(cube.sum())


def _spectrum(
    light: Light, rows: Rows, number: int, observation: EventObservation, response: Response, time: float
) -> Part:
    """As `_fixed`, one column for each true energy bin; the flux in it multiplies later."""
    own = np.flatnonzero(rows.pointing == number)
    energies = observation.true.energy.size
    whole = type(light)(np.repeat(light.cube, energies, 0), light.points_deg, np.repeat(light.point_flux, energies, 1))
    expected, points = _expected(whole, response, time), _point_counts(whole, response, time)
    cube = response.operator.fold_each(expected)[..., 0]
    for lon, lat, counts in points:
        cube = cube + response.fold_point(lon, lat, np.diag(counts[:, 0])).transpose(2, 0, 1)
    if rows.energy is None:
        flat = cube.reshape(energies, -1)[:, rows.bins[own]]
        density = (flat / observation.reconstructed.volumes_tev_deg2.ravel()[rows.bins[own]]).T
    else:
        at = (rows.energy[own], rows.lon[own], rows.lat[own])  # type: ignore[index]  # all three or none
        density = response.densities_each(*at, expected, points)
    return own, density, cube.sum((1, 2))


def _nodes(
    lights: Sequence[Light], rows: Rows, number: int, observation: EventObservation, response: Response, time: float
) -> Part:
    """As `_spectrum`, one after the other for the lights of all nodes."""
    parts = [_spectrum(light, rows, number, observation, response, time) for light in lights]
    return parts[0][0], np.concatenate([part[1] for part in parts], 1), np.concatenate([part[2] for part in parts])


def _sparse(
    rows: Rows, number: int, observation: EventObservation, response: Response
) -> tuple[NDArray[np.int64], csr_array]:
    from scipy.sparse import csr_array, diags_array

    own = np.flatnonzero(rows.pointing == number)
    if rows.energy is None:
        weights = response.rows(rows.bins[own])
        volumes = observation.reconstructed.volumes_tev_deg2.ravel()[rows.bins[own]]
        return own, csr_array(diags_array(1.0 / volumes) @ weights)
    at = (rows.energy[own], rows.lon[own], rows.lat[own])  # type: ignore[index]  # all three or none
    return own, csr_array(response.rows_at(*at))


def _map(
    light: Light | None, rows: Rows, number: int, observation: EventObservation, response: Response, time: float
) -> Part:
    from scipy.sparse import csr_array, diags_array

    own, weights = _sparse(rows, number, observation, response)
    exposure = (response.area_cm2 * time).ravel()
    totals = response.efficiency.ravel() * exposure
    return own, csr_array(weights @ diags_array(exposure)), totals


def _field(
    light: Light, rows: Rows, number: int, observation: EventObservation, response: Response, time: float
) -> Part:
    from scipy.sparse import coo_array, csr_array, diags_array

    own, weights = _sparse(rows, number, observation, response)
    energies, pixels = observation.true.shape
    expected = _expected(light, response, time)[..., 0]
    gather = coo_array(
        (np.ones(energies * pixels), (np.arange(energies * pixels), np.tile(np.arange(pixels), energies))),
        shape=(energies * pixels, pixels),
    )
    density = csr_array(weights @ diags_array(expected.ravel()) @ gather.tocsr())
    return own, density, (response.efficiency * expected).sum(0)

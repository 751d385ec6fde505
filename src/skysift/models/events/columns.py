"""What a source looks like at events: one column of densities, or a linear map from what is free about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from skysift.instruments.ctao.response import Response
from skysift.models.events.background import background_column, outlier_column, smeared_counts
from skysift.models.events.dark_matter import make_map
from skysift.models.events.nodes import find_nodes, list_nodes
from skysift.models.events.rows import Column, Kind, Rows
from skysift.sky.light import Light

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from skysift.config.events import EventComponent
    from skysift.instruments.ctao.densities import PointSource
    from skysift.instruments.ctao.discrete import AnyResponse
    from skysift.instruments.ctao.event_observation import EventObservation

__all__ = ["Column", "Rows", "fold_all", "fold_light", "kind_of", "marginalise", "marginalise_together"]

Array = NDArray[np.float64]
#: Sources whose maps are kept in memory at once.
TOGETHER = 4


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
    responses: Sequence[AnyResponse],
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
    if component.instrument == "outlier":
        return outlier_column(rows, observation)
    if component.instrument == "background" and observation.is_smeared:
        pairs = zip(responses, observation.pointings, strict=True)
        parts = [
            _known(smeared_counts(part) * pointing.live_time_s, [], rows, number, observation, part)
            for number, (part, pointing) in enumerate(pairs)
        ]
        return _join(kind, rows, parts)
    if component.sky is None:
        return background_column(rows, observation, responses, background)
    makers: dict[Kind, Callable[..., Part]] = {
        "fixed": _fixed, "spectrum": _spectrum, "nodes": _nodes, "map": _map, "field": _field,
    }  # fmt: skip
    given: Any = light
    if kind == "nodes":
        # shares of the map's total: they change little from node to node, the total by orders of magnitude
        maps = [make_map(component, observation.true, place).numpy() for place in list_nodes(find_nodes(component))]
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


def _expected(light: Light, response: AnyResponse, live_time_s: float) -> Array:
    """Return expected true events (E, J)."""
    counts: Array = light.cube * response.area_cm2 * live_time_s
    return counts


def fold_all(expected: Array, points: Sequence[PointSource], response: AnyResponse) -> Array:
    """Return expected events in reconstructed bins (K, J_r) of true ones (E, J) and of point sources.

    Parameters
    ----------
    expected : events before migration, also (E, J, S) of several sources
    points : longitude, latitude and events before migration (E, 1) or (E, S) of each
    response : of the pointing
    """
    sources = expected if expected.ndim > 2 else expected[:, :, None]
    cube = response.fold(sources)
    if isinstance(response, Response):
        for lon, lat, counts in points:
            cube = cube + response.fold_point(lon, lat, counts)
    return cube if expected.ndim > 2 else cube[..., 0]


def _point_counts(light: Light, response: AnyResponse, live_time_s: float) -> list[PointSource]:
    """Return direction and expected true events (E, 1) of each point source."""
    if not isinstance(response, Response):
        return []
    return [
        (float(lon), float(lat), (flux * response.area_at(lon, lat) * live_time_s)[:, None])
        for (lon, lat), flux in zip(light.points_deg, light.point_flux, strict=True)
    ]


def _fixed(
    light: Light, rows: Rows, number: int, observation: EventObservation, response: AnyResponse, time: float
) -> Part:
    points = _point_counts(light, response, time)
    return _known(_expected(light, response, time), points, rows, number, observation, response)


def marginalise_together(
    lights: Mapping[str, Light], rows: Rows, observation: EventObservation, responses: Sequence[AnyResponse]
) -> dict[str, Column]:
    """Return the columns of sources without parameters, which see the same response: quicker than one by one.

    Parameters
    ----------
    lights : source to its light on the true grid
    rows, observation, responses : as in `marginalise`
    """
    names, found = list(lights), {}
    for start in range(0, len(names), TOGETHER):
        some = names[start : start + TOGETHER]
        parts = [
            _known_together([lights[name] for name in some], rows, number, observation, response)
            for number, response in enumerate(responses)
        ]
        for place, name in enumerate(some):
            own = [(row, np.asarray(density)[:, place], totals[place]) for row, density, totals in parts]
            found[name] = _join("fixed", rows, own)
    return found


def _known_together(
    lights: Sequence[Light], rows: Rows, number: int, observation: EventObservation, response: AnyResponse
) -> Part:
    """Return rows, densities (n, S) and totals (S,) of several sources."""
    time = observation.pointings[number].live_time_s
    points = [
        (lon, lat, counts * np.eye(len(lights))[place])
        for place, light in enumerate(lights)
        for lon, lat, counts in _point_counts(light, response, time)
    ]
    expected = np.stack([_expected(light, response, time) for light in lights], axis=-1)
    return _known(expected, points, rows, number, observation, response)


def fold_light(light: Light, response: AnyResponse, live_time_s: float) -> Array:
    """Return expected events (K, J_r) of a light in reconstructed bins.

    Parameters
    ----------
    light : flux in true bins
    response : of the pointing
    live_time_s : of the pointing
    """
    points = _point_counts(light, response, live_time_s)
    return fold_all(_expected(light, response, live_time_s), points, response)


def _known(
    expected: Array,
    points: Sequence[PointSource],
    rows: Rows,
    number: int,
    observation: EventObservation,
    response: AnyResponse,
) -> Part:
    """Return the column of known true events (E, J) and point sources, or columns of (E, J, S)."""
    own = np.flatnonzero(rows.pointing == number)
    cube = fold_all(expected, points, response)
    if rows.energy is None:
        flat = cube.reshape(-1, *cube.shape[2:])[rows.bins[own]]
        density = (flat.T / observation.reconstructed.volumes_tev_deg2.ravel()[rows.bins[own]]).T
    else:
        at = (rows.energy[own], rows.lon[own], rows.lat[own])  # type: ignore[index]  # all three or none
        sources = expected if expected.ndim > 2 else expected[:, :, None]
        density = response.densities_at(*at, sources, points, total=rows.whole).reshape(-1, *expected.shape[2:])
    # the discrete normalisation is one over true bins, whether or not their events are seen
    return own, density, np.asarray((expected if response.true.is_discrete else cube).sum(axis=(0, 1)))


def _spectrum(
    light: Light, rows: Rows, number: int, observation: EventObservation, response: AnyResponse, time: float
) -> Part:
    """As `_fixed`, one column for each true energy bin; the flux in it multiplies later."""
    own = np.flatnonzero(rows.pointing == number)
    energies = observation.true.energy.size
    whole = type(light)(np.repeat(light.cube, energies, 0), light.points_deg, np.repeat(light.point_flux, energies, 1))
    expected, points = _expected(whole, response, time), _point_counts(whole, response, time)
    cube = response.operator.fold_each(expected[:, :, None])[..., 0]
    if isinstance(response, Response):
        for lon, lat, counts in points:
            cube = cube + response.fold_point(lon, lat, np.diag(counts[:, 0])).transpose(2, 0, 1)
    if rows.energy is None:
        flat = cube.reshape(energies, -1)[:, rows.bins[own]]
        density = (flat / observation.reconstructed.volumes_tev_deg2.ravel()[rows.bins[own]]).T
    else:
        at = (rows.energy[own], rows.lon[own], rows.lat[own])  # type: ignore[index]  # all three or none
        density = response.densities_each(*at, expected[:, :, None], points, total=rows.whole)
    return own, density, expected.sum(1) if response.true.is_discrete else cube.sum((1, 2))


def _nodes(
    lights: Sequence[Light], rows: Rows, number: int, observation: EventObservation, response: AnyResponse, time: float
) -> Part:
    """As `_spectrum`, one after the other for the lights of all nodes."""
    parts = [_spectrum(light, rows, number, observation, response, time) for light in lights]
    return parts[0][0], np.concatenate([part[1] for part in parts], 1), np.concatenate([part[2] for part in parts])


def _sparse(
    rows: Rows, number: int, observation: EventObservation, response: AnyResponse
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
    light: Light | None, rows: Rows, number: int, observation: EventObservation, response: AnyResponse, time: float
) -> Part:
    from scipy.sparse import csr_array, diags_array

    own, weights = _sparse(rows, number, observation, response)
    exposure = (response.area_cm2 * time).ravel()
    totals = response.efficiency.ravel() * exposure
    return own, csr_array(weights @ diags_array(exposure)), totals


def _field(
    light: Light, rows: Rows, number: int, observation: EventObservation, response: AnyResponse, time: float
) -> Part:
    from scipy.sparse import coo_array, csr_array, diags_array

    own, weights = _sparse(rows, number, observation, response)
    energies, pixels = observation.true.shape
    expected = _expected(light, response, time)
    gather = coo_array(
        (np.ones(energies * pixels), (np.arange(energies * pixels), np.tile(np.arange(pixels), energies))),
        shape=(energies * pixels, pixels),
    )
    density = csr_array(weights @ diags_array(expected.ravel()) @ gather.tocsr())
    return own, density, (response.efficiency * expected).sum(0)

"""Integrals of shapes over the pixels of a longitude-latitude grid, exact however small or large the shape is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from skysift.geometry.sphere import lonlat_deg, rotation

if TYPE_CHECKING:
    from skysift.geometry.grids import LonLatGrid

__all__ = ["integrate_inside", "integrate_outline", "place_around"]

Array = NDArray[np.float64]

_TURN = 2 * np.pi
_PIECES = 5
_NOTHING = 1e-12
_WIDE = 0.2
_RULES = (np.polynomial.legendre.leggauss(6), np.polynomial.legendre.leggauss(14))
"""For short pieces, and for pieces that span much of a chord."""
_SQUARE_DEG = np.degrees(1.0) ** 2


def place_around(lon_deg: float, lat_deg: float, distance_deg: Array, angle_deg: Array) -> tuple[Array, Array]:
    """Return longitudes and latitudes at a distance and position angle from a centre.

    Parameters
    ----------
    lon_deg, lat_deg : the centre, deg
    distance_deg, angle_deg : (...), deg; the angle from north towards rising longitudes

    Returns
    -------
    (...) longitude within 180 deg of the centre's, (...) latitude, deg
    """
    distance, angle = np.radians(distance_deg), np.radians(angle_deg)
    outward, east, north = np.cos(distance), np.sin(distance) * np.sin(angle), np.sin(distance) * np.cos(angle)
    vectors = np.stack((outward, east, north), axis=-1) @ rotation((0.0, 0.0), (0.0, lat_deg)).T
    longitude, latitude = lonlat_deg(vectors)
    return longitude + lon_deg, latitude


def integrate_inside(
    density: Callable[[Array, Array], Array],
    circle_deg: tuple[float, float, float],
    grid: LonLatGrid,
    feature_deg: float,
    has_edge: bool = False,
) -> Array:
    r"""Return the integral of a density over each pixel, within a circle outside of which it vanishes.

    With b = b_0 + R sin t and l = l_0 + h(b) sin s, where h(b) is half the circle's chord, a density that falls to
    its edge like a square root is smooth in (t, s). Latitudes are divided where pixels begin and where meridians of
    pixels cross the circle, so that Gauss-Legendre rules never meet a kink.

    Parameters
    ----------
    density : maps longitudes and latitudes (n,), deg, to values per deg2
    circle_deg : longitude, latitude and radius, deg
    grid : pixels
    feature_deg : no feature of the density is narrower, deg (2 sigma of a Gaussian)
    has_edge : whether the density has a kink at the circle

    Returns
    -------
    (J,) share per pixel, latitude rows first
    """
    lon_deg, lat_deg, radius_deg = circle_deg
    nodes, weights, rows = _latitudes(circle_deg, grid, feature_deg, has_edge)
    chord = _half_chords(nodes, np.radians(lat_deg), np.radians(min(radius_deg, 180.0)))
    shares = np.zeros(grid.size)
    for edges, columns in _columns(chord, lon_deg, grid, np.radians(feature_deg)):
        scaled = np.arcsin(np.clip(edges / np.maximum(chord, 1e-300)[:, None], -1.0, 1.0))
        half = 0.5 * np.diff(scaled)
        node, piece = np.nonzero(half > 0)
        start, half = scaled[node, piece], half[node, piece]
        along, across = chord[node, None], nodes[node, None]
        middle = _at(density, lon_deg, along * np.sin(start + half)[:, None], across)[:, 0]
        seen = middle > _NOTHING * middle.max(initial=0.0)
        for is_wide, (points, parts) in enumerate(_RULES):
            taken = seen & ((half > _WIDE) == bool(is_wide))
            angle = start[taken, None] + half[taken, None] * (1 + points)
            values = _at(density, lon_deg, along[taken] * np.sin(angle), across[taken])
            lines = (values * np.cos(angle)) @ parts * half[taken] * (chord * weights)[node[taken]]
            pixel = rows[node[taken]] * grid.shape[1] + columns[piece[taken]]
            shares += np.bincount(pixel, lines, minlength=grid.size)
    integrals: Array = shares * _SQUARE_DEG
    return integrals


def _at(density: Callable[[Array, Array], Array], lon_deg: float, offset: Array, latitude: Array) -> Array:
    """Return the density (n, points) at offsets in longitude and at latitudes (n, 1), both rad."""
    places = np.broadcast_arrays(lon_deg + np.degrees(offset), np.degrees(latitude))
    values: Array = density(places[0].reshape(-1), places[1].reshape(-1)).reshape(offset.shape)
    return values


def _columns(
    chord: Array, lon_deg: float, grid: LonLatGrid, feature: float
) -> Iterator[tuple[Array, NDArray[np.int64]]]:
    """Yield offsets (C + 1,), rad, that divide pixels into pieces no wider than a feature, and the pixels' columns.

    Once for each full turn by which the grid's longitudes meet the circle.
    """
    borders = np.radians(grid.lon_edges_deg - lon_deg)
    reach = chord.max(initial=0.0)
    first, last = np.floor((-reach - borders[-1]) / _TURN), np.ceil((reach - borders[0]) / _TURN)
    for turn in _TURN * np.arange(first, last + 1):
        low, high = max(borders[0] + turn, -reach), min(borders[-1] + turn, reach)
        if low < high:
            even = np.linspace(low, high, int(np.ceil((high - low) / feature)) + 1)
            inside = borders[(borders + turn > low) & (borders + turn < high)] + turn
            edges = np.unique(np.concatenate((even, inside)))
            middle = 0.5 * (edges[1:] + edges[:-1])
            yield edges, np.clip(np.searchsorted(borders + turn, middle) - 1, 0, grid.shape[1] - 1)


def _latitudes(
    circle_deg: tuple[float, float, float], grid: LonLatGrid, feature_deg: float, has_edge: bool
) -> tuple[Array, Array, NDArray[np.int64]]:
    """Return nodes (N,) in rad, weights including cos b, and the pixel rows that they lie in."""
    lon_deg, centre, radius = circle_deg[0], np.radians(circle_deg[1]), np.radians(min(circle_deg[2], 180.0))
    edges = np.radians(grid.lat_edges_deg)
    low, high = max(edges[0], centre - radius, -np.pi / 2), min(edges[-1], centre + radius, np.pi / 2)
    if low >= high:
        return np.zeros(0), np.zeros(0), np.zeros(0, dtype=np.int64)
    breaks = [np.array([low, high]), edges]
    if has_edge:
        # A circle around a pole holds whole parallels from its last latitudes on.
        whole = np.array([np.pi - centre - radius, radius - centre - np.pi])
        breaks += [_crossings(lon_deg, centre, radius, grid), whole]
    joined = np.concatenate(breaks)
    angles = np.arcsin(np.clip((joined[(joined >= low) & (joined <= high)] - centre) / radius, -1.0, 1.0))
    pieces = int(np.ceil(_PIECES * min(circle_deg[2], 180.0) / feature_deg))
    even = np.linspace(-np.pi / 2, np.pi / 2, pieces + 1)
    bounds = np.unique(np.concatenate((angles, even[(even > angles.min()) & (even < angles.max())])))
    points, parts = _RULES[0]
    half = 0.5 * np.diff(bounds)[:, None]
    angle = (bounds[:-1, None] + half * (1 + points)).reshape(-1)
    nodes = centre + radius * np.sin(angle)
    weights = (half * parts).reshape(-1) * radius * np.cos(angle) * np.cos(nodes)
    rows = np.clip(np.searchsorted(edges, nodes, side="right") - 1, 0, len(edges) - 2)
    return nodes, weights, rows


def _crossings(lon_deg: float, centre: float, radius: float, grid: LonLatGrid) -> Array:
    """Return the latitudes, rad, at which meridians between pixels cross the circle."""
    along, across = np.sin(centre), np.cos(centre) * np.cos(np.radians(grid.lon_edges_deg - lon_deg))
    length = np.hypot(along, across)
    reached = length > abs(np.cos(radius))
    middle = np.arctan2(along, across[reached])
    reach = np.arccos(np.cos(radius) / length[reached])
    return np.concatenate((middle - reach, middle + reach))


def _half_chords(nodes: Array, centre: float, radius: float) -> Array:
    """Return half the length in longitude, rad, of parallels inside the circle."""
    square = np.sin(radius / 2) ** 2 - np.sin((nodes - centre) / 2) ** 2
    ratio = square / np.maximum(np.cos(nodes) * np.cos(centre), 1e-300)
    chords: Array = 2 * np.arcsin(np.sqrt(np.clip(ratio, 0.0, 1.0)))
    return chords


def integrate_outline(lon_deg: Array, lat_deg: Array, grid: LonLatGrid) -> tuple[Array, float]:
    r"""Return the solid angle of a region within each pixel, and of the whole region, from its outline.

    In the plane of l and sin b areas are true and pixels are rectangles. The outline is cut at every border of
    pixels; each piece then adds the trapezium between itself and the nearer pole to the pixels of its column.

    Parameters
    ----------
    lon_deg, lat_deg : (N,) corners in order, deg, without repeating the first; neighbours close together
    grid : pixels

    Returns
    -------
    (J,) deg2, and the total, deg2
    """
    is_south = float(np.mean(lat_deg)) < 0
    rows = np.sin(np.radians(grid.lat_edges_deg))
    height = np.sin(np.radians(lat_deg))
    if is_south:
        rows, height = -rows[::-1], -height
    columns = np.radians(grid.lon_edges_deg)
    across = np.unwrap(np.radians(np.append(lon_deg, lon_deg[0])))
    along, up = _cut(across, np.append(height, height[0]), columns, rows)
    width, middle = np.diff(along), 0.5 * (up[1:] + up[:-1])
    total = float(np.sum(width * (1 - middle)))
    centre = (0.5 * (along[1:] + along[:-1]) - columns[0]) % _TURN + columns[0]
    column = np.searchsorted(columns, centre, side="right") - 1
    row = np.searchsorted(rows, middle, side="right") - 1
    held = column < len(columns) - 1
    tall, broad = len(rows) - 1, len(columns) - 1
    # Rows above a piece are covered whole; pieces below the grid go to the row before the first.
    below = np.bincount((row + 1)[held] * broad + column[held], width[held], minlength=(tall + 2) * broad)
    whole = np.cumsum(below.reshape(tall + 2, broad), axis=0)[:tall] * np.diff(rows)[:, None]
    held &= (row >= 0) & (row < tall)
    own = width[held] * (rows[row[held] + 1] - middle[held])
    areas = whole + np.bincount(row[held] * broad + column[held], own, minlength=tall * broad).reshape(tall, broad)
    areas = areas[::-1] if is_south else areas
    return np.maximum(areas * np.sign(total), 0.0).reshape(-1) * _SQUARE_DEG, abs(total) * _SQUARE_DEG


def _cut(across: Array, height: Array, columns: Array, rows: Array) -> tuple[Array, Array]:
    """Return the outline (N + 1,) with further corners wherever it crosses a border."""
    turns = np.arange(np.floor((across.min() - columns[-1]) / _TURN), np.ceil((across.max() - columns[0]) / _TURN) + 1)
    borders = (columns + _TURN * turns[:, None]).reshape(-1)
    places = [np.arange(len(across), dtype=np.float64)]
    for values, lines in ((across, borders), (height, rows)):
        near = lines[(lines > values.min()) & (lines < values.max())]
        line, step = np.nonzero((values[:-1] < near[:, None]) != (values[1:] < near[:, None]))
        places.append(step + (near[line] - values[step]) / (values[step + 1] - values[step]))
    place = np.unique(np.concatenate(places))
    corners = np.arange(len(across))
    return np.interp(place, corners, across), np.interp(place, corners, height)

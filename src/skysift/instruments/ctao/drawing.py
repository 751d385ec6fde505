"""Events drawn through a response: true ones from the light of a source, reconstructed ones, and background."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skysift.geometry.sphere import angular_separation_deg, unit_vectors
from skysift.instruments.ctao.factors import MeanArea, average_area
from skysift.instruments.ctao.migration import make_energy_nodes
from skysift.sky.shapes import place_on_sphere

if TYPE_CHECKING:
    from skysift.geometry import EnergyAxis, LonLatGrid
    from skysift.instruments.ctao.irf import Irf
    from skysift.instruments.ctao.pointing import Axes, Pointing
    from skysift.sky.light import Light
    from skysift.sky.shapes import Shape

__all__ = ["SHARES", "Draw", "Source", "draw_background", "draw_shares", "draw_source", "find_cells"]

#: Uniform numbers that one event of a source takes.
SHARES = 10
SLOPE = 2.5
MOST_ROUNDS = 10_000
MARGIN_OF_BOUND = 1.2
Array = NDArray[np.float64]


class Draw(NamedTuple):
    """Events of one component and pointing, inside the axes or not: true and reconstructed coordinates, (n,) each."""

    energy: Array
    lon: Array
    lat: Array
    true_energy: Array
    true_lon: Array
    true_lat: Array

    def inside(self, axes: Axes) -> NDArray[np.bool_]:
        """Which events lie within reconstructed axes, (n,)."""
        return (axes.energy.find(self.energy) >= 0) & (axes.grid.find(self.lon, self.lat) >= 0)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.int64] | slice) -> Draw:
        """Return some of the events."""
        return Draw(*(part[rows] for part in self))

    @staticmethod
    def join(parts: list[Draw]) -> Draw:
        """Return the events of several draws."""
        return Draw(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def draw_shares(generator: np.random.Generator, start: int, count: int, columns: int) -> Array:
    """Return the uniform numbers of events ``start`` and following of a fresh stream, (columns, count).

    Each event has its own, in whichever blocks they are drawn.
    """
    generator.bit_generator.advance(start * columns)  # type: ignore[attr-defined]  # the streams' own kind can
    return np.ascontiguousarray(generator.random((count, columns)).T)


class Source(NamedTuple):
    """Where true events of one component can come from: bins of its cube and points, or the shapes it is made of.

    ``running`` (cells,): rates of true bins and then of points, or of shapes, in each energy, summed up to each, s-1.
    Those of shapes are as if the largest area of each energy were everywhere.
    """

    running: Array
    light: Light
    axes: Axes
    pointing: Pointing
    area: MeanArea
    gaps_deg: Array

    @classmethod
    def of(cls, light: Light, irf: Irf, axes: Axes, pointing: Pointing) -> Source:
        """Return the source behind a light: its rate is flux times effective area, before any cut."""
        nodes = make_energy_nodes(axes.energy)
        offsets = pointing.offsets_deg(axes.grid)
        area = MeanArea.of(irf, nodes, float(offsets.max()) + _half_diagonal_deg(axes.grid))
        gaps = _find_gaps_deg([shape for shape, _ in light.shapes], axes.grid)
        if light.shapes:
            rates = [
                flux * shape.share_beyond(gap) / shape.share_on_sphere * (gap <= shape.reach_deg)
                for (shape, flux), gap in zip(light.shapes, gaps, strict=True)
            ]
            running = np.cumsum(np.stack(rates) * area.largest_cm2)
        else:
            points = light.point_flux
            if len(points):
                away = pointing.offset_deg(*light.points_deg.T)
                points = points * average_area(irf, nodes, away).T
            cube = light.cube * area.at(offsets, slice(None))
            running = np.cumsum(np.concatenate([cube.ravel(), points.ravel()]))
        return cls(running, light, axes, pointing, area, gaps)

    @property
    def total(self) -> float:
        """Rate of everything that is drawn, s-1."""
        return float(self.running[-1])

    def draw(self, shares: Array) -> tuple[Array, Array, Array]:
        """Return true energies, longitudes and latitudes of events from uniform numbers (6, n), (n,) each.

        Events without energy are none: shapes are drawn too often, and beyond the axes.
        """
        place = find_cells(self.running, shares[0])
        size, pixels = self.axes.energy.size, self.axes.grid.size
        if self.light.shapes:
            return self._draw_shapes(place, shares)
        whole = size * pixels
        bins = np.where(place < whole, place // pixels, (place - whole) % size)
        lon, lat = _within_pixels(self.axes.grid, np.where(place < whole, place % pixels, 0), shares[2:4])
        is_point = place >= whole
        lon[is_point], lat[is_point] = self.light.points_deg[(place[is_point] - whole) // size].T
        return _within_bins(self.axes.energy, bins, shares[1]), lon, lat

    def _draw_shapes(self, place: NDArray[np.int64], shares: Array) -> tuple[Array, Array, Array]:
        number, bins = np.divmod(place, self.axes.energy.size)
        energy = _within_bins(self.axes.energy, bins, shares[1])
        lon, lat, likely = np.empty((3, len(place)))
        for own, rows in _group(number, len(self.light.shapes)):
            shape, _ = self.light.shapes[own]
            lon[rows], lat[rows], likely[rows] = place_on_sphere(shape, shares[2:5, rows], self.gaps_deg[own])
        lon = self.axes.grid.wrap(lon)
        likely *= self.area.at(self.pointing.offset_deg(lon, lat), bins) / self.area.largest_cm2[bins]
        energy[(self.axes.grid.find(lon, lat) < 0) | (shares[5] >= likely)] = np.nan
        return energy, lon, lat


def _find_gaps_deg(shapes: Sequence[Shape], grid: LonLatGrid) -> Array:
    """Return distances from centres of shapes (n,) within which no pixel lies, deg."""
    lon, lat = (np.array([getattr(shape, name) for shape in shapes]) for name in ("lon_deg", "lat_deg"))
    row, column = np.divmod(np.arange(grid.size), grid.shape[1])
    border = np.isin(row, (0, grid.shape[0] - 1)) | np.isin(column, (0, grid.shape[1] - 1))
    pixels = unit_vectors(grid.lon_deg[border], grid.lat_deg[border])
    apart = np.asarray(angular_separation_deg(unit_vectors(lon, lat)[:, None], pixels)).min(axis=1)
    return np.where(grid.find(lon, lat) >= 0, 0.0, np.maximum(apart - _half_diagonal_deg(grid), 0.0))


def _half_diagonal_deg(grid: LonLatGrid) -> float:
    """Return a distance from its centre within which all of any pixel lies, deg."""
    return float(0.5 * np.hypot(np.diff(grid.lon_edges_deg).max(), np.diff(grid.lat_edges_deg).max()))


def _group(numbers: NDArray[np.int64], count: int) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Yield each number from 0 to ``count`` that occurs, and the rows that hold it."""
    order = np.argsort(numbers, kind="stable")
    ends = np.searchsorted(numbers[order], np.arange(count + 1))
    for own in np.flatnonzero(np.diff(ends)):
        yield int(own), order[ends[own] : ends[own + 1]]


def find_cells(running: Array, share: Array) -> NDArray[np.int64]:
    """Return the cell of each share (n,) of what cells hold in all."""
    found = np.searchsorted(running, share * running[-1], side="right")
    cells: NDArray[np.int64] = np.minimum(found, len(running) - 1)
    return cells


def _within_bins(axis: EnergyAxis, bins: NDArray[np.int64], share: Array) -> Array:
    """Return energies inside bins, as a power law falls."""
    low, high = axis.edges_tev[bins], axis.edges_tev[bins + 1]
    power = 1.0 - SLOPE
    energy: Array = (low**power + share * (high**power - low**power)) ** (1.0 / power)
    return np.clip(energy, low, np.nextafter(high, 0))


def _within_pixels(grid: LonLatGrid, pixels: NDArray[np.int64], share: Array) -> tuple[Array, Array]:
    """Return directions uniform in solid angle inside pixels, from shares (2, n)."""
    row, column = np.divmod(pixels, grid.shape[1])
    lon_edges, sines = grid.lon_edges_deg, np.sin(np.radians(grid.lat_edges_deg))
    lon = lon_edges[column] + share[0] * (lon_edges[column + 1] - lon_edges[column])
    sine = sines[row] + share[1] * (sines[row + 1] - sines[row])
    return lon, np.degrees(np.arcsin(np.clip(sine, -1.0, 1.0)))


def draw_source(source: Source, irf: Irf, pointing: Pointing, shares: Array) -> Draw:
    """Return events, reconstructed by energy dispersion and point-spread function; some fall anywhere.

    Parameters
    ----------
    source : where true events come from
    irf, pointing : the response, and where it looked
    shares : (SHARES, n), uniform numbers of each event

    Returns
    -------
    the draw; events whose response is empty are NaN, and so never inside; those without true energy are none
    """
    true = np.stack(source.draw(shares[:6]))
    rows = np.flatnonzero(np.isfinite(true[0]))
    columns = np.full((len(Draw._fields), shares.shape[1]), np.nan)
    columns[3:, rows] = true_energy, true_lon, true_lat = true[:, rows]
    offset = pointing.offset_deg(true_lon, true_lat)
    columns[0, rows] = true_energy * irf.dispersion_draw(true_energy, offset, shares[6, rows])
    columns[1:3, rows] = _displace(irf, true_energy, offset, true_lon, true_lat, shares[7:, rows])
    return Draw(*columns)


def _displace(
    irf: Irf, energy_tev: Array, offset_deg: Array, lon_deg: Array, lat_deg: Array, shares: Array
) -> tuple[Array, Array]:
    """Return directions moved by a draw of the point-spread function and a uniform angle."""
    distance = np.radians(_draw_distance(irf, energy_tev, offset_deg, shares[0], shares[1]))
    angle = 2.0 * np.pi * shares[2]
    lat, lon = np.radians(lat_deg), np.radians(lon_deg)
    sine = np.sin(lat) * np.cos(distance) + np.cos(lat) * np.sin(distance) * np.cos(angle)
    moved = np.arcsin(np.clip(sine, -1.0, 1.0))
    turn = np.arctan2(np.sin(angle) * np.sin(distance) * np.cos(lat), np.cos(distance) - np.sin(lat) * np.sin(moved))
    return np.degrees(lon + turn), np.degrees(moved)


def _draw_distance(irf: Irf, energy_tev: Array, offset_deg: Array, kind: Array, share: Array) -> Array:
    """Return distances from the true direction, deg; NaN where the response holds no point-spread function."""
    if irf.psf_kind != "PSF_3GAUSS":
        return irf.psf_containment_deg(energy_tev, offset_deg, share)
    weights, sigmas = irf.psf_components(energy_tev, offset_deg)
    number = np.minimum((np.cumsum(weights, -1) < kind[:, None]).sum(-1), weights.shape[-1] - 1)
    sigma = sigmas[np.arange(len(number)), number]
    return np.where(weights.sum(-1) > 0, sigma * np.sqrt(-2.0 * np.log1p(-share)), np.nan)


def draw_background(
    irf: Irf, axes: Axes, pointing: Pointing, rates: Array, place: Array, again: Callable[[int], Array]
) -> Draw:
    """Return background events inside the axes; their true coordinates are NaN.

    Parameters
    ----------
    irf, pointing : the response, and where it looked
    axes : reconstructed
    rates : (K, J), expected background of each bin, s-1
    place : (n,), uniform numbers that choose the bins
    again : from the number of a round to uniform numbers (4, n): an event that is refused is drawn again in its bin,
        so that bins keep their rates
    """
    chosen = find_cells(np.cumsum(rates.ravel()), place)
    cells, own = np.unique(chosen, return_inverse=True)
    bounds = _bound_rates(irf, axes, pointing, cells)[own]
    bins, pixels = np.divmod(chosen, axes.grid.size)
    energy, lon, lat = np.full((3, len(place)), np.nan)
    rows = np.arange(len(place))
    for number in range(MOST_ROUNDS):
        shares = again(number)[:, rows]
        energy[rows] = _within_bins(axes.energy, bins[rows], shares[0])
        lon[rows], lat[rows] = _within_pixels(axes.grid, pixels[rows], shares[1:3])
        rate = irf.background_at(energy[rows], lon[rows], lat[rows], pointing) * energy[rows] ** SLOPE
        rows = rows[shares[3] * bounds[rows] >= rate]
        if not len(rows):
            break
    nothing = np.full(len(place), np.nan)
    return Draw(energy, lon, lat, nothing, nothing, nothing)


def _bound_rates(irf: Irf, axes: Axes, pointing: Pointing, cells: NDArray[np.int64]) -> Array:
    """Return a bound of the rate in bins (n,), relative to the slope that is drawn, from 27 points of each."""
    bins, pixels = np.divmod(cells, axes.grid.size)
    low, high = axes.energy.edges_tev[bins], axes.energy.edges_tev[bins + 1]
    row, column = np.divmod(pixels, axes.grid.shape[1])
    west, east = axes.grid.lon_edges_deg[column], axes.grid.lon_edges_deg[column + 1]
    south, north = axes.grid.lat_edges_deg[row], axes.grid.lat_edges_deg[row + 1]
    highest = np.full(len(cells), np.finfo(np.float64).tiny)
    # energies a hair inside the bin: tables are empty outside their edges
    for share, x, y in itertools.product((1e-9, 0.5, 1.0 - 1e-9), (0.0, 0.5, 1.0), (0.0, 0.5, 1.0)):
        at = low * (high / low) ** share
        rate = irf.background_at(at, west + x * (east - west), south + y * (north - south), pointing)
        highest = np.maximum(highest, rate * at**SLOPE)
    return MARGIN_OF_BOUND * highest

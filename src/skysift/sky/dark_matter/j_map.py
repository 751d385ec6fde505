"""J- and D-factors of the pixels of a grid: geometry once, then any profile with gradients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_array
from torch import Tensor

from skysift.geometry.sparse import SparseMatrix
from skysift.geometry.sphere import angular_separation_deg, lonlat_deg, unit_vectors
from skysift.sky.dark_matter.line_of_sight import DEPTH_KPC, Kind, integrate_sight
from skysift.sky.dark_matter.profiles import Profile, check_slope

if TYPE_CHECKING:
    from skysift.geometry.grids import LonLatGrid

__all__ = ["HaloGeometry", "j_map"]

Array = NDArray[np.float64]

_SMALLEST_DEG, _PER_DECADE = 1e-5, 32
_CUSP_PIXELS = 3.0
_FAR_PIXELS = 8.0
_STEEPEST = {"annihilation": 1.5, "decay": 3.0}


def j_map(
    profile: Profile, grid: LonLatGrid, kind: Kind = "annihilation", center_deg: tuple[float, float] = (0.0, 0.0)
) -> Tensor:
    """Return the J-factor (GeV2 cm-5) or D-factor (GeV cm-2) of each pixel, (J,) or (batch, J).

    Integrated over the pixel's solid angle, cusp included. See `HaloGeometry`, which to keep when the profile has
    free parameters.

    Raises
    ------
    InputError : a cusp too steep to integrate
    """
    return HaloGeometry.build(grid, center_deg).integrate(profile, kind)


@dataclass(frozen=True, eq=False)
class HaloGeometry:
    r"""Where the halo is looked at: J of a pixel as a weighted sum of dJ/dOmega at fixed angles.

    Within three pixels of the centre dJ/dOmega is split into a part that is smooth,

    .. math:: \frac{dJ}{d\Omega}(q), \quad q = \psi_1 \left(\tfrac38 + \tfrac34 y^2 - \tfrac18 y^4\right),
              \quad y = \psi / \psi_1 < 1

    (q meets psi at psi_1 with two derivatives), and the cusp above it. The smooth part is integrated by
    Gauss-Legendre rules in each pixel, the cusp by rings about the centre, whose arcs within each pixel are exact.

    Parameters
    ----------
    angles_deg : (N,) angles at which profiles are integrated
    terms : (K, N) from logarithms of dJ/dOmega there to those between them: four weights in each row
    areas_sr : (J, K) from dJ/dOmega to pixels: solid angles, negative where the smooth part is taken off
    """

    angles_deg: Tensor
    terms: SparseMatrix
    areas_sr: SparseMatrix

    @classmethod
    def build(cls, grid: LonLatGrid, center_deg: tuple[float, float] = (0.0, 0.0)) -> HaloGeometry:
        """Return the geometry of a grid about a centre (Galactic longitude and latitude, deg)."""
        widths = np.diff(grid.lon_edges_deg).max() * np.cos(np.radians(grid.lat_deg)).max()
        pixel_deg = float(max(widths, np.diff(grid.lat_edges_deg).max()))
        cusp_deg = min(_CUSP_PIXELS * pixel_deg, 60.0)
        smooth = _smooth_terms(grid, center_deg, pixel_deg, cusp_deg)
        rings = _cusp_terms(grid, center_deg, cusp_deg)
        angle, area, pixel = (np.concatenate(parts) for parts in zip(smooth, rings, strict=True))
        count = int(np.ceil(np.log10(180.0 / _SMALLEST_DEG) * _PER_DECADE)) + 1
        nodes = np.geomspace(_SMALLEST_DEG, 179.999, count)
        first, weights = _interpolate(np.log(nodes), np.log(np.clip(angle, 1e-300, 179.999)))
        number = np.arange(len(angle))
        columns = (first[:, None] + np.arange(4)).reshape(-1)
        terms = coo_array((weights.reshape(-1), (np.repeat(number, 4), columns)), shape=(len(angle), count))
        areas = coo_array((area, (pixel, number)), shape=(grid.size, len(angle)))
        return cls(torch.as_tensor(nodes), SparseMatrix(terms.tocsr()), SparseMatrix(areas.tocsr()))

    def integrate(self, profile: Profile, kind: Kind = "annihilation", depth_kpc: float = DEPTH_KPC) -> Tensor:
        """Return the J-factor (GeV2 cm-5) or D-factor (GeV cm-2) of each pixel, (J,) or (batch, J).

        Raises
        ------
        InputError : a cusp too steep to integrate
        """
        check_slope(profile, _STEEPEST[kind])
        logs = integrate_sight(profile, self.angles_deg, kind, depth_kpc).log()
        pixels = self.areas_sr.multiply(self.terms.multiply(logs.reshape(-1, logs.shape[-1])).exp())
        return pixels.reshape(*logs.shape[:-1], pixels.shape[-1])


def _smooth_terms(
    grid: LonLatGrid, center_deg: tuple[float, float], pixel_deg: float, cusp_deg: float
) -> tuple[Array, Array, NDArray[np.int64]]:
    """Return angles, solid angles and pixels of the smooth part: rules of 6 x 6 points near the centre, else 2 x 2."""
    columns = grid.shape[1]
    near = grid.separations_deg(*center_deg) < _FAR_PIXELS * pixel_deg
    terms = []
    for count, chosen in ((6, np.nonzero(near)[0]), (2, np.nonzero(~near)[0])):
        points, parts = np.polynomial.legendre.leggauss(count)
        nodes, weights = [], []
        for edges in (grid.lat_edges_deg, grid.lon_edges_deg):
            half = 0.5 * np.diff(edges)[:, None]
            nodes.append(edges[:-1, None] + half * (1 + points))
            weights.append(np.radians(half * parts))
        row, column = np.divmod(chosen, columns)
        lat, lon = nodes[0][row][:, :, None], nodes[1][column][:, None, :]
        area = (weights[0][row] * np.cos(np.radians(nodes[0][row])))[:, :, None] * weights[1][column][:, None, :]
        angle = angular_separation_deg(unit_vectors(lon, lat), unit_vectors(*center_deg))
        terms.append((_soften(angle, cusp_deg).reshape(-1), area.reshape(-1), np.repeat(chosen, count**2)))
    angles, areas, pixels = (np.concatenate(parts) for parts in zip(*terms, strict=True))
    return angles, areas, pixels


def _soften(angle_deg: Array, cusp_deg: float) -> Array:
    """Return q (see `HaloGeometry`)."""
    ratio = np.minimum(angle_deg / cusp_deg, 1.0)
    return np.where(angle_deg < cusp_deg, cusp_deg * (0.375 + 0.75 * ratio**2 - 0.125 * ratio**4), angle_deg)


def _cusp_terms(
    grid: LonLatGrid, center_deg: tuple[float, float], cusp_deg: float
) -> tuple[Array, Array, NDArray[np.int64]]:
    """Return angles, solid angles and pixels of the cusp: the halo on rings, and minus its smooth part there."""
    rings, widths = _rings(grid, center_deg, cusp_deg)
    turns, pixels = _arcs(grid, center_deg, rings)
    areas = (np.sin(np.radians(rings)) * np.radians(widths))[:, None] * turns
    ring, arc = np.nonzero((pixels >= 0) & (areas > 0))
    angle, area, pixel = rings[ring], areas[ring, arc], pixels[ring, arc]
    joined = np.concatenate((angle, _soften(angle, cusp_deg))), np.concatenate((area, -area)), np.tile(pixel, 2)
    return joined


def _rings(grid: LonLatGrid, center_deg: tuple[float, float], cusp_deg: float) -> tuple[Array, Array]:
    """Return radii and widths of rings, deg, divided where a circle begins to touch a border or a corner."""
    lon, lat = np.meshgrid(grid.lon_edges_deg, grid.lat_edges_deg)
    corners = angular_separation_deg(unit_vectors(lon.reshape(-1), lat.reshape(-1)), unit_vectors(*center_deg))
    apart = np.radians(grid.lon_edges_deg - center_deg[0])
    meridians = np.degrees(np.arcsin(np.abs(np.cos(np.radians(center_deg[1])) * np.sin(apart))))
    parallels = np.abs(grid.lat_edges_deg - center_deg[1])
    graded = cusp_deg * 4.0 ** -np.arange(13)
    bounds = np.unique(np.concatenate((corners, meridians, parallels, graded)).round(12))
    bounds = bounds[(bounds >= graded[-1]) & (bounds <= cusp_deg)]
    points, parts = (
        0.5 * (part + shift) for part, shift in zip(np.polynomial.legendre.leggauss(8), (1, 0), strict=True)
    )
    # Arcs grow like square roots where a circle begins to touch: this makes both ends of a piece smooth.
    place, slope = points**2 * (3 - 2 * points), 6 * points * (1 - points)
    width = np.diff(bounds)[:, None]
    # The innermost piece: a high power makes even the steepest cusp flat.
    inner, inner_parts = (
        0.5 * (part + shift) for part, shift in zip(np.polynomial.legendre.leggauss(24), (1, 0), strict=True)
    )
    radii = np.concatenate((bounds[0] * inner**12, (bounds[:-1, None] + width * place).reshape(-1)))
    widths = np.concatenate((bounds[0] * 12 * inner**11 * inner_parts, (width * slope * parts).reshape(-1)))
    return radii, widths


def _arcs(grid: LonLatGrid, center_deg: tuple[float, float], radii_deg: Array) -> tuple[Array, NDArray[np.int64]]:
    """Return arcs (R, A) of circles, rad of position angle, and the pixels that they lie in (-1 outside)."""
    outward = unit_vectors(*center_deg)
    longitude = np.radians(center_deg[0])
    east = np.array([-np.sin(longitude), np.cos(longitude), 0.0])
    north = np.cross(outward, east)
    edges = np.radians(grid.lon_edges_deg)
    normals = np.stack((-np.sin(edges), np.cos(edges), np.zeros_like(edges)), axis=-1)
    pole = np.broadcast_to([0.0, 0.0, 1.0], (len(grid.lat_edges_deg), 3))
    planes = np.concatenate((normals, pole))
    heights = np.concatenate((np.zeros(len(edges)), np.sin(np.radians(grid.lat_edges_deg))))
    radius = np.radians(radii_deg)[:, None]
    along, across = planes @ north, planes @ east
    length = np.sin(radius) * np.hypot(along, across)
    share = (heights - planes @ outward * np.cos(radius)) / np.where(length > 0, length, np.inf)
    middle, reach = np.arctan2(across, along), np.arccos(np.clip(share, -1.0, 1.0))
    ends = np.full((len(radii_deg), 1), 2 * np.pi)
    crossings = np.concatenate((middle - reach, middle + reach), axis=1) % (2 * np.pi)
    bounds = np.sort(np.concatenate((0 * ends, crossings, ends), axis=1), axis=1)
    angle = 0.5 * (bounds[:, 1:] + bounds[:, :-1])[..., None]
    directions = outward * np.cos(radius)[..., None] + np.sin(radius)[..., None] * (
        north * np.cos(angle) + east * np.sin(angle)
    )
    return np.diff(bounds, axis=1), grid.find(*lonlat_deg(directions))


def _interpolate(nodes: Array, values: Array) -> tuple[NDArray[np.int64], Array]:
    """Return first (K,) and weights (K, 4) of cubic interpolation on even nodes; linear below the first one."""
    step = (nodes[-1] - nodes[0]) / (len(nodes) - 1)
    place = (values - nodes[0]) / step
    first = np.clip(np.floor(place).astype(np.int64) - 1, 0, len(nodes) - 4)
    x = place - first
    cubic = np.stack(
        (
            -(x - 1) * (x - 2) * (x - 3) / 6, x * (x - 2) * (x - 3) / 2,
            -x * (x - 1) * (x - 3) / 2, x * (x - 1) * (x - 2) / 6,
        ),
        axis=-1,
    )  # fmt: skip
    linear = np.stack((1 - x, x, 0 * x, 0 * x), axis=-1)
    return first, np.where((place < 0)[:, None], linear, cubic)

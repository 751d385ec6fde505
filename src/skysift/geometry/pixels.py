r"""HEALPix pixel numbers and centres in plain arrays, for steps in which loading a whole library would take longest.

All of it goes through the plane on which HEALPix faces are squares: turn t, in quarters of a full turn of longitude,
and height u, with z = 4/3 u between the polar caps and 3 (1 - \|z\|) = 4 (1 - \|u\|)^2 on them. Ring r lies at
u = 1 - r / (2 nside). Each of the twelve faces is a diamond of half diagonal 1/2.

References
----------
Górski et al. (2005), ApJ 622, 759, section 4; Calabretta and Roukema (2007), MNRAS 381, 865
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from skysift.geometry.sphere import Vectors

__all__ = ["find_pixels", "nest_to_ring", "nest_vectors", "ring_to_nest", "ring_vectors"]

Numbers = NDArray[np.int64]
Plane = tuple[NDArray[np.float64], NDArray[np.float64]]


def ring_vectors(nside: int, pixels: Numbers) -> Vectors:
    """Return unit vectors of the centres of RING pixels, (P, 3)."""
    ring, place = _find_rings(nside, pixels)
    turn = (place + _first_turn(nside, ring)) / _quarter(nside, ring)
    # Distance to the nearer pole: 1 - |z| is exact there, and the sine of the colatitude has no cancellation.
    step = np.minimum(ring, 4 * nside - ring).astype(np.float64)
    polar = step < nside
    depth = np.where(polar, step**2 / (3.0 * nside**2), 1.0 - (2.0 * nside - step) * 2.0 / (3.0 * nside))
    height = np.where(ring > 2 * nside, -1.0, 1.0) * (1.0 - depth)
    sine = np.sqrt(depth * (2.0 - depth))
    azimuth = 0.5 * np.pi * turn
    return np.stack((sine * np.cos(azimuth), sine * np.sin(azimuth), height), axis=-1)


def nest_vectors(nside: int, pixels: Numbers) -> Vectors:
    """Return unit vectors of the centres of NESTED pixels, (P, 3)."""
    return ring_vectors(nside, nest_to_ring(nside, pixels))


def find_pixels(nside: int, vectors: Vectors) -> Numbers:
    """Return the RING pixels (P,) in which directions (P, 3) lie; vectors need not have length one."""
    x, y, z = np.moveaxis(np.asarray(vectors, dtype=np.float64), -1, 0)
    planar = np.hypot(x, y)
    length = np.hypot(planar, z)
    turn = np.mod(np.arctan2(y, x) * (2.0 / np.pi), 4.0)
    # 1 - |z| without cancellation near the poles.
    depth = planar**2 / (length * (length + np.abs(z)))
    width = np.minimum(np.sqrt(3.0 * depth), 1.0)
    height = np.where(width < 1.0, np.copysign(1.0 - 0.5 * width, z), 0.75 * z / length)
    middle = np.floor(turn) + 0.5
    return _number_rings(nside, *_find_cells(nside, (middle + (turn - middle) * width, height)))


def ring_to_nest(nside: int, pixels: Numbers) -> Numbers:
    """Return the NESTED numbers (P,) of RING pixels (P,)."""
    ring, place = _find_rings(nside, pixels)
    width = _quarter(nside, ring) / nside
    turn = (place + _first_turn(nside, ring)) / _quarter(nside, ring)
    middle = np.floor(turn) + 0.5
    face, east, west = _find_cells(nside, (middle + (turn - middle) * width, 1.0 - 0.5 * ring / nside))
    return face * nside**2 + _spread(east) + 2 * _spread(west)


def nest_to_ring(nside: int, pixels: Numbers) -> Numbers:
    """Return the RING numbers (P,) of NESTED pixels (P,)."""
    numbers = np.asarray(pixels, dtype=np.int64)
    face, cell = np.divmod(numbers, nside**2)
    return _number_rings(nside, face, _gather(cell), _gather(cell >> 1))


def _quarter(nside: int, ring: Numbers) -> Numbers:
    """Return how many pixels of a ring lie in a quarter turn."""
    return np.minimum(np.minimum(ring, 4 * nside - ring), nside)


def _first_turn(nside: int, ring: Numbers) -> NDArray[np.float64]:
    """Return where the first pixel of a ring is centred, in pixels: every second ring of the belt starts at zero."""
    in_belt = (ring >= nside) & (ring <= 3 * nside)
    return np.where(in_belt & ((ring + nside) % 2 == 1), 0.0, 0.5)


def _first_pixel(nside: int, ring: Numbers) -> Numbers:
    """Return the number of the first pixel of a ring, 1 to 4 nside - 1."""
    cap, whole = 2 * nside * (nside - 1), 12 * nside**2
    mirrored = 4 * nside - ring
    south = whole - 2 * mirrored * (mirrored + 1)
    belt = cap + (ring - nside) * 4 * nside
    return np.where(ring < nside, 2 * ring * (ring - 1), np.where(ring > 3 * nside, south, belt))


def _find_rings(nside: int, pixels: Numbers) -> tuple[Numbers, Numbers]:
    """Return the ring of each pixel, 1 to 4 nside - 1 from the north, and its place in it from 0."""
    numbers = np.asarray(pixels, dtype=np.int64)
    cap, whole = 2 * nside * (nside - 1), 12 * nside**2
    from_pole = np.minimum(numbers, whole - 1 - numbers)
    # Ring i begins at 2 i (i - 1): squares below 2^53 have exact roots.
    step = (1 + np.sqrt(1.0 + 2.0 * from_pole).astype(np.int64)) // 2
    belt = (numbers - cap) // (4 * nside) + nside
    ring = np.where(from_pole >= cap, belt, np.where(numbers < cap, step, 4 * nside - step))
    return ring, numbers - _first_pixel(nside, ring)


def _find_cells(nside: int, plane: Plane) -> tuple[Numbers, Numbers, Numbers]:
    """Return face, and north-eastward and north-westward cell on it, of points (t, u) of the plane."""
    rising, falling = plane[0] + plane[1] + 0.5, plane[0] - plane[1] + 0.5
    up, down = np.floor(rising).astype(np.int64), np.floor(falling).astype(np.int64)
    # Both poles are corners: rounding must not take them, and what lies on edges towards them, for a fourth row.
    row = np.clip(up - down, -1, 1)
    up, down = np.where(row > 0, down + 1, up), np.where(row < 0, up + 1, down)
    face = np.where(row == 0, 4 + up % 4, np.where(row > 0, down % 4, 8 + up % 4))
    east = np.minimum(((rising - up) * nside).astype(np.int64), nside - 1)
    west = np.maximum(nside - 1 - ((falling - down) * nside).astype(np.int64), 0)
    return face, east, west


def _number_rings(nside: int, face: Numbers, east: Numbers, west: Numbers) -> Numbers:
    """Return RING numbers of cells of faces."""
    row = 1 - face // 4
    ring = (2 - row) * nside - east - west + nside - 1
    quarter = _quarter(nside, ring)
    # Twice the longitude of the cell in pixels of the belt, from the middle of its face.
    across = east - west
    middle = np.where(row == 0, 2 * (face % 4), 2 * (face % 4) + 1)
    doubled = middle * quarter + across
    place = np.where(_first_turn(nside, ring) > 0, doubled - 1, doubled) // 2
    numbers: Numbers = _first_pixel(nside, ring) + np.mod(place, 4 * quarter)
    return numbers


def _spread(numbers: Numbers) -> Numbers:
    """Put a zero between the bits of numbers below 2^29."""
    found = np.asarray(numbers, dtype=np.int64)
    for shift, mask in ((16, 0x0000FFFF0000FFFF), (8, 0x00FF00FF00FF00FF), (4, 0x0F0F0F0F0F0F0F0F),
                        (2, 0x3333333333333333), (1, 0x5555555555555555)):  # fmt: skip
        found = (found | (found << shift)) & mask
    return found


def _gather(numbers: Numbers) -> Numbers:
    """Return every second bit of numbers, from the lowest."""
    found = np.asarray(numbers, dtype=np.int64) & 0x5555555555555555
    for shift, mask in ((1, 0x3333333333333333), (2, 0x0F0F0F0F0F0F0F0F), (4, 0x00FF00FF00FF00FF),
                        (8, 0x0000FFFF0000FFFF), (16, 0x00000000FFFFFFFF)):  # fmt: skip
        found = (found | (found >> shift)) & mask
    return found

"""Maps of users: what their headers and axes mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from skysift.errors import InputError
from skysift.geometry.healpix import reorder_to_ring
from skysift.sky.plate_maps import PlateMap
from skysift.sky.sky_maps import HealpixMap, ProjectedMap

if TYPE_CHECKING:
    from skysift.sky.sky_maps import SkyMap

__all__ = ["Image", "interpret_healpix", "interpret_image"]

Array = NDArray[np.float64]


class Image(Protocol):
    """An image as it was read."""

    @property
    def place(self) -> str:
        """File and HDU."""

    @property
    def array(self) -> np.ndarray:
        """Values, (lat, lon) or (energy, lat, lon)."""

    @property
    def cards(self) -> Mapping[str, Any]:
        """Header cards."""


def interpret_image(image: Image, extend_deg: float = 0.0) -> SkyMap:
    """Return the map of an image or cube, its projection understood.

    Parameters
    ----------
    image : with header cards of a celestial projection, Galactic or equatorial
    extend_deg : how far a Galactic longitude-latitude map continues with its border values, deg

    Raises
    ------
    InputError : no celestial projection, values that are not finite
    """
    values = np.asarray(image.array, dtype=np.float64)
    if not np.isfinite(values).all():
        raise InputError(image.place, "values", "NaN or infinity", "finite values", "fill the gaps of the map")
    plate = _plate_axes(image)
    if plate is not None:
        lon, lat = plate
        # Axes that fall are turned round with their values.
        values = values[..., :: 1 if lat[1] > lat[0] else -1, :: 1 if lon[1] > lon[0] else -1]
        return PlateMap(np.sort(lon), np.sort(lat), values, image.place, extend_deg)
    from astropy.io.fits import Header
    from astropy.wcs import WCS

    try:
        wcs = WCS(Header(list(image.cards.items()))).celestial
    except (ValueError, TypeError, KeyError, MemoryError) as error:
        raise InputError(image.place, "WCS", error, "a celestial projection", "mend the header") from error
    if wcs.naxis != 2 or not wcs.has_celestial:
        raise InputError(image.place, "CTYPE1", image.cards.get("CTYPE1", "none"), "a celestial projection", "mend it")
    return ProjectedMap(values, wcs, image.place)


def _plate_axes(image: Image) -> tuple[Array, Array] | None:
    """Return longitudes and latitudes of a Galactic plate carree whose reference lies on the equator."""
    cards = image.cards
    kinds = [str(cards.get(f"CTYPE{axis}", "")).upper().replace(" ", "") for axis in (1, 2)]
    turned = any(name.startswith(("PC", "CD1_", "CD2_", "CROTA")) and float(cards[name]) for name in cards)
    if kinds != ["GLON-CAR", "GLAT-CAR"] or turned or float(cards.get("CRVAL2", 0.0)) != 0:
        return None
    try:
        lon, lat = (
            float(cards[f"CRVAL{axis}"])
            + float(cards[f"CDELT{axis}"]) * (np.arange(image.array.shape[-axis]) + 1 - float(cards[f"CRPIX{axis}"]))
            for axis in (1, 2)
        )
    except (KeyError, ValueError) as error:
        raise InputError(
            image.place, "CRVAL, CDELT, CRPIX", error, "numbers on both axes", "mend the header"
        ) from error
    return np.asarray(lon, dtype=np.float64), np.asarray(lat, dtype=np.float64)


def interpret_healpix(values: Array, ordering: str, place: str) -> HealpixMap:
    """Return the map of whole-sky HEALPix values (..., 12 nside^2), Galactic, ordering "ring" or "nested".

    Raises
    ------
    InputError : not a whole sky
    """
    nside = int(np.sqrt(values.shape[-1] / 12))
    if 12 * nside**2 != values.shape[-1]:
        raise InputError(place, "pixels", values.shape[-1], "12 nside^2 pixels of the whole sky", "fill the map")
    ring = reorder_to_ring(values) if ordering == "nested" else values
    return HealpixMap(np.asarray(ring, dtype=np.float64), nside, place)

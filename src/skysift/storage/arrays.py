"""Sky maps from files of others: what to import for reading them."""

from __future__ import annotations

from skysift.storage.healpix import FitsMap, read_fits_map
from skysift.storage.npy import read_npy

__all__ = ["FitsMap", "read_fits_map", "read_npy"]

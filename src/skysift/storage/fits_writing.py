"""FITS files that appear whole or not at all, with checksums and without a clock time: equal content, equal bytes."""

from __future__ import annotations

import gzip
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from skysift.storage.atomic import replace_when_done

if TYPE_CHECKING:
    from astropy.io import fits

__all__ = ["write_fits"]


def write_fits(path: Path, tables: Sequence[fits.BinTableHDU], primary: fits.PrimaryHDU | None = None) -> None:
    """Write tables.

    Parameters
    ----------
    path : packed when it ends in ``.gz``
    tables : in their order
    primary : an empty one by default
    """
    from astropy.io import fits

    units = fits.HDUList([primary or fits.PrimaryHDU(), *tables])
    for unit in units:
        unit.add_checksum(when="of the whole unit")
    content = io.BytesIO()
    units.writeto(content)
    raw = content.getvalue()
    with replace_when_done(path, len(raw)) as part:
        part.write_bytes(gzip.compress(raw, mtime=0) if path.suffix == ".gz" else raw)

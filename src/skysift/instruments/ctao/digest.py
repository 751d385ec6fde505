"""What a folded response depends on, as one sha256."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from skysift.instruments.ctao.irf import READER_VERSION
from skysift.instruments.ctao.pointing import Axes

if TYPE_CHECKING:
    from skysift.instruments.ctao.event_observation import EventObservation
    from skysift.instruments.ctao.irf import Irf
    from skysift.instruments.ctao.pointing import Pointing
    from skysift.sky.light import Light

__all__ = ["FOLD_VERSION", "digest_light", "digest_observation", "digest_response"]

#: Rises with every change of what a fold means.
FOLD_VERSION = 1


def digest_response(irf: Irf, true: Axes, reconstructed: Axes, pointing: Pointing, settings: dict[str, Any]) -> str:
    """Return the sha256 of everything that a response is made from; the live time is not part of it.

    Parameters
    ----------
    irf : its file's bytes count, and how empty PSF nodes are read
    true, reconstructed : every edge counts, so margins and refinement do
    pointing : direction, and zenith where it is given
    settings : plain values: method, cut, window
    """
    content = {
        "fold": FOLD_VERSION,
        "reader": READER_VERSION,
        "irf": irf.sha256,
        "psf_empty": irf.psf_empty,
        "pointing": [float(pointing.lon_deg).hex(), float(pointing.lat_deg).hex(), repr(pointing.vertical_deg)],
        "axes": [_edges(true), _edges(reconstructed)],
        "settings": settings,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _edges(axes: Axes) -> list[str]:
    arrays = (axes.energy.edges_tev, axes.grid.lon_edges_deg, axes.grid.lat_edges_deg)
    return [array.astype("<f8").tobytes().hex() for array in arrays]


def digest_observation(observation: EventObservation) -> str:
    """Return the sha256 of what was looked at, and how: axes, pointings, live times, responses; not of any source."""
    content = {}
    for item in fields(observation):
        value = getattr(observation, item.name)
        if item.name != "warnings" and not isinstance(value, Mapping):
            content[item.name] = _edges(value) if isinstance(value, Axes) else repr(value)
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def digest_light(light: Light | None) -> str:
    """Return the sha256 of the light of a source, whose shape may come from a file; empty for none."""
    if light is None:
        return ""
    parts = (light.cube, light.points_deg, light.point_flux)
    return hashlib.sha256(b"".join(part.astype("<f8").tobytes() for part in parts)).hexdigest()

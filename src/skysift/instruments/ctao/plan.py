"""The name of a response before it is made: from what a configuration says and the bytes of its file."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

from skysift.errors import InputError, nearest
from skysift.storage import registry
from skysift.storage.provenance import digest_file

if TYPE_CHECKING:
    from skysift.config.events import EventObservation

__all__ = ["PLAN_VERSION", "plan_response"]

#: Rises with every change of what a response is made of.
PLAN_VERSION = 1


def plan_response(observation: EventObservation, number: int) -> str:
    """Return 16 hexadecimal digits that name the response of one pointing: equal digits, equal response.

    Parameters
    ----------
    observation : section of the configuration
    number : of the pointing

    Raises
    ------
    InputError : the file of the response is nowhere
    """
    pointing = observation.pointings[number]
    name = pointing.irf or observation.irf
    # margins are as wide as the widest point-spread function that any pointing has
    others = [[other.lon_deg, other.lat_deg, other.irf or observation.irf] for other in observation.pointings]
    content = {
        "version": PLAN_VERSION,
        "irf": name if name == "analytic" else digest_file(_locate(name)),
        "pointing": [pointing.lon_deg, pointing.lat_deg],
        "pointings": others,
        "axes": [observation.reconstructed.model_dump(mode="json"), observation.true.model_dump(mode="json")],
        "method": observation.psf_empty,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _locate(name: str) -> Path:
    path = Path(name)
    if path.is_file():
        return path
    known = [entry.file for entry in registry.entries("ctao")]
    if path.name not in known:
        wanted = "an existing file, a registered one, or analytic"
        raise InputError("configuration", "observation.irf", name, wanted, nearest(name, [*known, "analytic"]))
    return registry.locate(f"ctao/{path.name}")

"""``skysift response``: tables of the response at the bins of an observation, shared by all runs that need the same."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from skysift.config import load_slice
from skysift.errors import InputError
from skysift.instruments.ctao.discrete import DiscreteResponse
from skysift.instruments.ctao.discrete_file import write_discrete_response
from skysift.instruments.ctao.event_observation import read_event_observation
from skysift.instruments.ctao.response import Response
from skysift.instruments.ctao.response_file import write_response
from skysift.steps.events.sources import open_responses
from skysift.storage.hdf5 import check_writable, collect

if TYPE_CHECKING:
    from skysift.instruments.ctao.discrete import AnyResponse
    from skysift.instruments.ctao.event_observation import EventObservation
    from skysift.instruments.ctao.irf import Irf

__all__ = ["make_response", "run"]


def run(config: Path, observation: Path, pointing: int, out: Path) -> None:
    """Write the response of one pointing.

    Parameters
    ----------
    config : slice ``observation`` of the configuration
    observation : file of format ``event_observation``
    pointing : its number, from 0
    out : file of format ``response``, or ``discrete_response``

    Raises
    ------
    InputError : a pointing that does not exist, or a response file that changed
    """
    check_writable(out)
    settings = load_slice(config, "events/observation")
    looked_at = read_event_observation(observation)
    if not pointing < len(looked_at.pointings):
        wanted = f"0 to {len(looked_at.pointings) - 1}"
        raise InputError(config, "--pointing", pointing, wanted, "name a pointing of the observation")
    irf = open_responses(looked_at, observation)[pointing]
    response, provenance = make_response(irf, looked_at, pointing), collect("cache", settings.seed, b"", [])
    if isinstance(response, Response):
        write_response(out, response, provenance)
    else:
        write_discrete_response(out, response, provenance)


def make_response(irf: Irf, looked_at: EventObservation, pointing: int) -> AnyResponse:
    """Return the response of one pointing at the bins of an observation."""
    place = looked_at.pointings[pointing]
    if looked_at.window is None:
        return Response.build(irf, looked_at.true, looked_at.reconstructed, place)
    return DiscreteResponse.build(irf, looked_at.reconstructed, place, looked_at.window)

"""``skysift export``: event lists as other tools read them, a data store of GADF."""

from __future__ import annotations

from pathlib import Path

from skysift.instruments.ctao.event_list import read_events
from skysift.instruments.ctao.event_observation import read_event_observation
from skysift.instruments.ctao.gadf_store import check_store, name_list, write_gadf, write_index
from skysift.instruments.ctao.irf_writing import write_irf
from skysift.steps.events.sources import open_responses

__all__ = ["run"]


def run(observation: Path, data: Path, out_dir: Path) -> None:
    """Write a data store: ``<data>_000.fits`` and so on, one per pointing, their responses, and index files.

    Parameters
    ----------
    observation : file of format ``event_observation``
    data : file of format ``events``
    out_dir : folder of the store; one store holds one data set

    Raises
    ------
    InputError : a response that changed since the observation was prepared, or a folder with other lists
    """
    looked_at, events = read_event_observation(observation), read_events(data)
    check_store(out_dir, events.name, len(looked_at.pointings))
    irfs = open_responses(looked_at, observation)
    out_dir.mkdir(parents=True, exist_ok=True)
    written: dict[str, Path] = {}
    for response, irf in zip(looked_at.responses, irfs, strict=True):
        if response.name not in written:
            written[response.name] = out_dir / f"response_{len(written):03d}.fits"
            write_irf(written[response.name], irf)
    for number, (pointing, response) in enumerate(zip(looked_at.pointings, looked_at.responses, strict=True)):
        write_gadf(out_dir / name_list(events.name, number), events, number, pointing, response.name)
    write_index(out_dir, events, looked_at.pointings, [written[part.name] for part in looked_at.responses])

"""``skysift export``: event lists as other tools read them (GADF), one per pointing."""

from __future__ import annotations

from pathlib import Path

from skysift.instruments.ctao.event_list import read_events
from skysift.instruments.ctao.event_observation import read_event_observation
from skysift.instruments.ctao.gadf import write_gadf

__all__ = ["run"]


def run(observation: Path, data: Path, out_dir: Path) -> None:
    """Write ``<data>_000.fits`` and so on, one per pointing.

    Parameters
    ----------
    observation : file of format ``event_observation``
    data : file of format ``events``
    out_dir : folder for the lists
    """
    looked_at, events = read_event_observation(observation), read_events(data)
    out_dir.mkdir(parents=True, exist_ok=True)
    for number, pointing in enumerate(looked_at.pointings):
        write_gadf(out_dir / f"{events.name}_{number:03d}.fits", events, number, pointing)

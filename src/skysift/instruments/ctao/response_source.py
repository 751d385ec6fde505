"""Where the response of a pointing comes from: the embedded one, a file, an observation of a store, or a mixture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from skysift.instruments.ctao.analytic import analytic_irf
from skysift.instruments.ctao.irf import TABLES, read_irf, read_stored_irf
from skysift.instruments.ctao.store import read_store
from skysift.instruments.ctao.zenith import mix_responses

if TYPE_CHECKING:
    from skysift.instruments.ctao.files import Finder
    from skysift.instruments.ctao.irf import Irf
    from skysift.instruments.ctao.psf_reading import EmptyRule
    from skysift.instruments.ctao.store import StoredObservation

__all__ = ["ANALYTIC", "Parts", "find_response_files", "name_response", "name_stored", "open_response"]

ANALYTIC = "analytic"
#: Responses and their weights; a name is ``analytic``, that of a file, or ``<HDU index>#<OBS_ID>``.
Parts = Sequence[tuple[str, float]]


def name_stored(observation: StoredObservation) -> str:
    """Return the name of the response that a store has for an observation."""
    return f"{observation.index}#{observation.number}"


def name_response(parts: Parts) -> str:
    """Return the name of a response, or of a mixture of some."""
    used = [(name, weight) for name, weight in parts if weight > 0]
    return used[0][0] if len(used) == 1 else " + ".join(f"{weight:.6g} x {name}" for name, weight in used)


def _find_stored(name: str) -> StoredObservation | None:
    """Return the observation that a name stands for, None for the name of a file."""
    index, _, number = name.rpartition("#")
    is_stored = number.isdigit() and Path(index).is_file()
    return read_store(Path(index).parent, [int(number)])[0] if is_stored else None


def find_response_files(name: str, find: Finder) -> list[Path]:
    """Return the files that hold the tables of a response: none of the embedded one.

    Raises
    ------
    InputError : a file is nowhere
    """
    if name == ANALYTIC:
        return []
    stored = _find_stored(name)
    if stored is None:
        return [find(name, "irf")]
    return list(dict.fromkeys(find(str(stored.table(kind).place), "irf") for kind in TABLES))


def open_response(parts: Parts, psf_empty: str, find: Finder) -> Irf:
    """Return a response.

    Parameters
    ----------
    parts : its name, or several that are mixed
    psf_empty : ``nearest`` or ``one_degree``
    find : finds files

    Raises
    ------
    InputError : a file that is absent, damaged or unfit for use
    """
    used = [(name, weight) for name, weight in parts if weight > 0]
    irfs = [_open(name, psf_empty, find) for name, _ in used]
    return mix_responses(irfs, [weight for _, weight in used], name_response(parts))


def _open(name: str, psf_empty: str, find: Finder) -> Irf:
    rule: EmptyRule = "one_degree" if psf_empty == "one_degree" else "nearest"
    if name == ANALYTIC:
        return analytic_irf()
    stored = _find_stored(name)
    if stored is None:
        return read_irf(find(name, "irf"), rule)
    find_response_files(name, find)
    return read_stored_irf(stored, rule)

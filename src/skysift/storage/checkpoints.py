"""Checkpoints on disk: two generations, each whole or not there, bound to the inputs that they belong to."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from skysift.errors import InputError, ResumeError
from skysift.storage.provenance import Provenance
from skysift.storage.reader import read
from skysift.storage.schema import Dataset, File
from skysift.storage.seal import check_seal
from skysift.storage.writer import write

__all__ = ["Identity", "Recovered", "read_checkpoint", "remove_checkpoint", "write_checkpoint"]

FORMAT, VERSION = "checkpoint", 1
NEWEST, BEFORE, FRESH = "state.h5", "state.h5.bak", "state.new.h5"

#: By place: plain JSON values, and the arrays that ``{"#": 0}`` and so on in them stand for.
Content = Mapping[str, tuple[Any, Sequence[np.ndarray]]]


@dataclass(frozen=True)
class Identity:
    """What a checkpoint belongs to: sha256 of data, configuration and code, versions of libraries, and the device."""

    data: Mapping[str, str]
    configuration: str
    code: str
    libraries: Mapping[str, str]

    @classmethod
    def of(cls, provenance: Provenance, code: str, device: str = "cpu") -> Identity:
        """Return the identity of a result with this provenance, made by code of this digest on a kind of device."""
        libraries = {**provenance.libraries, "python": provenance.python, "device": device}
        return cls(dict(provenance.inputs), provenance.configuration, code, libraries)


@dataclass(frozen=True)
class Recovered:
    """What a checkpoint holds.

    ``content`` by place; where the run was (``place``, ``step``); what it had ``spent``; and ``warnings``.
    """

    content: dict[str, tuple[Any, list[np.ndarray]]] = field(default_factory=dict)
    place: str = ""
    step: int | None = None
    spent: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def write_checkpoint(
    folder: Path, identity: Identity, content: Content, where: tuple[str, int | None], spent: Mapping[str, float]
) -> None:
    """Write the newest generation; the one before stays as ``.bak``.

    Parameters
    ----------
    folder : made if need be
    identity : what the run reads and is
    content : all that is kept, by place
    where : place and step of the run
    spent : seconds so far, over all attempts

    Raises
    ------
    InputError : the folder cannot be written to
    SkysiftError, OSError : no room on the disk; older generations are untouched
    """
    fresh = folder / FRESH
    arrays, index = _join(content)
    datasets = {kind: Dataset(array, "", "all numbers of this type") for kind, array in arrays.items()}
    datasets["notes"] = Dataset(np.array([json.dumps(index)]), "", "plain values by place")
    attributes = {"place": where[0], "step": where[1], "spent": dict(spent), "identity": asdict(identity)}
    write(fresh, format=FORMAT, version=VERSION, datasets=datasets, attributes=attributes, scratch=True)
    check_seal(fresh, "what was just written", "check the disk")
    if (folder / NEWEST).exists():
        (folder / NEWEST).replace(folder / BEFORE)
    fresh.replace(folder / NEWEST)
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_checkpoint(folder: Path, identity: Identity, strict: bool = False) -> Recovered:
    """Return the newest generation that can be read, nothing where there is none.

    Damaged generations, and other versions of libraries or another device than those that made it, are told in
    ``warnings``.

    Raises
    ------
    ResumeError : the checkpoint belongs to other data, another configuration or other code; if ``strict``, also to
        other versions or another device
    """
    warnings: list[str] = []
    for path in (folder / NEWEST, folder / BEFORE):
        if not (path.exists() or path.is_symlink()):
            continue
        try:
            file = read(path, format=FORMAT, version=VERSION)
            found = Identity(**file.attributes["identity"])
            place, step, spent = (file.attributes[name] for name in ("place", "step", "spent"))
            recovered = Recovered(_split(file), place, step, spent, warnings)
        except (InputError, LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
            reason = f"{error.field}: {error.found}" if isinstance(error, InputError) else f"content: {error}"
            warnings.append(f"the checkpoint {path} cannot be used ({reason}): went on without it")
            continue
        _refuse_others(path, found, identity, strict)
        if found.libraries != identity.libraries:
            changed = _describe(found.libraries, identity.libraries)
            warnings.append(
                f"started afresh: the checkpoint {path} was made with other versions or devices ({changed})"
            )
            remove_checkpoint(folder)
            return Recovered(warnings=warnings)
        return recovered
    return Recovered(warnings=warnings)


def remove_checkpoint(folder: Path) -> None:
    """Remove all generations, and the folders above that are empty then, up to the one named ``checkpoints``."""
    if not folder.is_dir():
        return
    for path in [folder / name for name in (NEWEST, BEFORE, FRESH)] + list(folder.glob(f"{FRESH}.part-*")):
        path.unlink(missing_ok=True)
    for place in (folder, *folder.parents):
        if any(place.iterdir()):
            return
        place.rmdir()
        if place.name == "checkpoints" or place.name.endswith(".checkpoint"):
            return


def _refuse_others(path: Path, found: Identity, now: Identity, strict: bool) -> None:
    """Compare what a checkpoint belongs to with what is there now."""
    parts = {
        "data": (found.data, now.data) if sorted(found.data.values()) != sorted(now.data.values()) else None,
        "configuration": ({"sha256": found.configuration}, {"sha256": now.configuration}),
        "code": ({"digest": found.code}, {"digest": now.code}),
        "versions": (found.libraries, now.libraries) if strict else None,
    }
    differs = {name: pair for name, pair in parts.items() if pair is not None and pair[0] != pair[1]}
    if differs:
        raise ResumeError(
            path,
            ", ".join(differs),
            "; ".join(f"other {name}: {_describe(*pair)}" for name, pair in differs.items()),
            "what it was made with",
            f"restore them; or begin anew with --restart, or by removing {path.parent}",
        )


def _describe(found: Mapping[str, str], now: Mapping[str, str]) -> str:
    names = [name for name in sorted({*found, *now}) if found.get(name) != now.get(name)]
    return ", ".join(f"{name} {_short(found, name)} in the checkpoint, {_short(now, name)} now" for name in names)


def _short(values: Mapping[str, str], name: str) -> str:
    return values.get(name, "none")[:16]


def _join(content: Content) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return one array per type, and by place the plain values with where each of their arrays is."""
    parts: dict[str, list[np.ndarray]] = {}
    ends: dict[str, int] = {}
    index: dict[str, Any] = {}
    for place, (tree, arrays) in content.items():
        where = []
        for array in arrays:
            kind = array.dtype.name
            where.append([kind, ends.get(kind, 0), list(array.shape)])
            ends[kind] = ends.get(kind, 0) + array.size
            parts.setdefault(kind, []).append(array.reshape(-1))
        index[place] = {"tree": tree, "arrays": where}
    return {kind: np.concatenate(pieces) for kind, pieces in parts.items()}, index


def _split(file: File) -> dict[str, tuple[Any, list[np.ndarray]]]:
    """Undo `_join`."""
    index = json.loads(str(file["notes"][0]))
    return {place: (entry["tree"], list(_cut(file, entry["arrays"]))) for place, entry in index.items()}


def _cut(file: File, where: Sequence[Any]) -> Iterator[np.ndarray]:
    for kind, begin, shape in where:
        yield file[kind][begin : begin + int(np.prod(shape, dtype=np.int64))].reshape(shape)

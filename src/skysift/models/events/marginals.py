"""Marginalised densities of all sources at the events of one data set, and the file that keeps them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from skysift.errors import InputError
from skysift.models.events.rows import Column
from skysift.storage.hdf5 import Dataset, Field, read, write

if TYPE_CHECKING:
    from skysift.storage.hdf5 import File, Provenance

__all__ = ["Marginals", "gather_marginals", "read_marginals", "write_marginals"]

Array = NDArray[np.float64]
SPARSE = ("map", "field")
FLUX_UNIT = "cm2 s TeV-1 deg-2"
UNITS = {"fixed": "TeV-1 deg-2", "spectrum": FLUX_UNIT, "nodes": FLUX_UNIT, "map": FLUX_UNIT, "field": "TeV-1 deg-2"}


@dataclass(frozen=True, eq=False)
class Marginals:
    """Columns of all sources at rows of events.

    Parameters
    ----------
    data : name of the data set
    counts, pointing : (n,), events in each row, and their pointing
    columns : source to its `Column`
    seen : (K, J_r), events in the reconstructed bins
    chunk : number of this chunk and of all chunks
    digests : SHA-256 of the event file, of the responses, and of each source's settings
    truth : what the events were drawn from
    components, component : names, and number of the component of each row (-1 unknown)
    warnings : what a reader of the results must know
    """

    data: str
    counts: Array
    pointing: NDArray[np.int64]
    columns: Mapping[str, Column]
    seen: Array
    chunk: tuple[int, int] = (0, 1)
    digests: Mapping[str, Any] = field(default_factory=dict)
    truth: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def write_marginals(path: Path, marginals: Marginals, provenance: Provenance) -> None:
    """Write marginals as a file of format ``marginals``."""
    datasets = {
        "counts": Dataset(marginals.counts, "", "events in each row", ("row",)),
        "pointing": Dataset(marginals.pointing, "", "number of the pointing", ("row",)),
        "seen": Dataset(marginals.seen, "", "events in reconstructed bins", ("energy", "pixel")),
    }
    for name, column in marginals.columns.items():
        head, unit = f"columns/{name}", UNITS[column.kind]
        if column.kind in SPARSE:
            matrix: Any = column.density
            datasets[f"{head}/values"] = Dataset(matrix.data, unit, "density per flux, by rows (CSR)")
            datasets[f"{head}/indices"] = Dataset(matrix.indices.astype(np.int64))
            datasets[f"{head}/indptr"] = Dataset(matrix.indptr.astype(np.int64))
        else:
            datasets[f"{head}/density"] = Dataset(np.asarray(column.density), unit, "density at each row")
        datasets[f"{head}/totals"] = Dataset(np.atleast_1d(column.totals), "", "events within the axes")
    attributes = {
        "data": marginals.data,
        "columns": {name: column.kind for name, column in marginals.columns.items()},
        "chunk": list(marginals.chunk),
        "digests": dict(marginals.digests),
        "truth": {name: dict(part) for name, part in marginals.truth.items()},
        "warnings": list(marginals.warnings),
    }
    write(path, format="marginals", datasets=datasets, attributes=attributes, provenance=provenance)


def read_marginals(path: Path) -> Marginals:
    """Read a file of format ``marginals``.

    Raises
    ------
    InputError : not such a file, or damaged
    """
    file = read(path, format="marginals", wanted={"counts": Field("", "f", 1), "seen": Field("", "f", 2)})
    own = file.attributes
    return Marginals(
        data=str(own["data"]),
        counts=file["counts"],
        pointing=file["pointing"],
        columns={name: _read_column(file, name, kind) for name, kind in own["columns"].items()},
        seen=file["seen"],
        chunk=(int(own["chunk"][0]), int(own["chunk"][1])),
        digests=own["digests"],
        truth=own["truth"],
        warnings=tuple(own["warnings"]),
    )


def _read_column(file: File, name: str, kind: Any) -> Column:  # noqa: ANN401 - as stored
    part = file.group(f"columns/{name}")
    totals = part["totals"]
    if kind not in SPARSE:
        return Column(kind, part["density"], totals[0] if kind == "fixed" else totals)
    from scipy.sparse import csr_array

    shape = (len(part["indptr"]) - 1, len(totals))
    density = csr_array((part["values"], part["indices"], part["indptr"]), shape=shape)
    return Column(kind, density, totals)


def gather_marginals(chunks: Sequence[Marginals], places: Sequence[Path]) -> Marginals:
    """Return all chunks of one data set as one.

    Parameters
    ----------
    chunks : in any order
    places : their files, for messages

    Raises
    ------
    InputError : a chunk that is missing or there twice, or chunks of different events, responses or sources
    """
    first, count = chunks[0], chunks[0].chunk[1]
    for chunk, place in zip(chunks, places, strict=True):
        for name, wanted in first.digests.items():
            found = chunk.digests.get(name)
            if found != wanted:
                raise InputError(
                    place, name, str(found), str(wanted), "marginalise all chunks again with the same inputs"
                )
        if chunk.data != first.data or chunk.chunk[1] != count:
            found = f"chunk {chunk.chunk[0]} of {chunk.chunk[1]} of {chunk.data}"
            raise InputError(place, "chunk", found, f"one of {count} chunks of {first.data}", "gather one data set")
    numbers = [chunk.chunk[0] for chunk in chunks]
    for number in range(count):
        if numbers.count(number) != 1:
            found = "missing" if number not in numbers else "there twice"
            raise InputError(
                places[0].parent, f"chunk {number}", found, "each once", "run the missing `skysift marginalise`"
            )
    ordered = sorted(chunks, key=lambda chunk: chunk.chunk[0])
    return Marginals(
        first.data,
        np.concatenate([chunk.counts for chunk in ordered]),
        np.concatenate([chunk.pointing for chunk in ordered]),
        {name: _stack([chunk.columns[name] for chunk in ordered]) for name in first.columns},
        np.sum([chunk.seen for chunk in ordered], axis=0),
        (0, 1),
        first.digests,
        first.truth,
        first.warnings,
    )


def _stack(columns: list[Column]) -> Column:
    first = columns[0]
    if first.kind in SPARSE:
        from scipy.sparse import csr_array, vstack

        density: Any = csr_array(vstack([column.density for column in columns]))
    else:
        density = np.concatenate([np.asarray(column.density) for column in columns])
    return Column(first.kind, density, first.totals)

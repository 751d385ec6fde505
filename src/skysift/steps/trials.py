"""Trials of a fit on data drawn from its own model: truths, draws, and the file that holds a batch of them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skysift.errors import InputError, NumericsError
from skysift.storage.hdf5 import Dataset, Field, File, Provenance, read, write

__all__ = ["LOG_DENSITY", "Batch", "Trial", "parse_batch", "pick_draws", "read_trials", "run_trials", "write_trials"]

#: The joint log density of data and parameters: ranked like a parameter.
LOG_DENSITY = "log_density"
FORMAT = "trials"
FAILED, UNKNOWN = -1, 2


@dataclass(frozen=True)
class Trial:
    """One truth and the posterior it led to: quantity to its truth, and to equally weighted draws (n,)."""

    truth: Mapping[str, float]
    draws: Mapping[str, NDArray[np.float64]]
    converged: bool | None
    cpu_s: float


@dataclass(frozen=True)
class Batch:
    """Trials as arrays: ``names`` (q,), ``numbers`` (n,), ``truths`` (n, q), ``draws`` (n, draws, q), NaN where failed.

    ``converged`` (n,): 1, 0, -1 for a fit that failed, 2 for one that says nothing; ``cpu_s`` (n,); ``unranked``:
    parameters that are no quantity, each as ``name: reason``.
    """

    names: tuple[str, ...]
    numbers: NDArray[np.int64]
    truths: NDArray[np.float64]
    draws: NDArray[np.float64]
    converged: NDArray[np.int64]
    cpu_s: NDArray[np.float64]
    unranked: tuple[str, ...] = ()

    @property
    def is_failed(self) -> NDArray[np.bool_]:
        """Which fits gave no posterior, (n,)."""
        return np.asarray(self.converged == FAILED)

    @property
    def is_flagged(self) -> NDArray[np.bool_]:
        """Which fits called themselves not converged, (n,)."""
        return np.asarray(self.converged == 0)


def parse_batch(text: str, batches: int) -> int:
    """Return the number of a batch given as ``3/10``.

    Raises
    ------
    InputError : anything else, or another number of batches than the configuration's
    """
    head, _, tail = text.partition("/")
    if not (head.isdigit() and tail.isdigit() and int(tail) == batches and int(head) < batches):
        raise InputError("command line", "--batch", text, f"0/{batches} to {batches - 1}/{batches}", "correct it")
    return int(head)


def pick_draws(values: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Return ``count`` draws spread evenly over all draws of all chains, (chain, draw) to (count,)."""
    flat = np.asarray(values, dtype=np.float64).ravel()
    return np.asarray(flat[np.floor((np.arange(count) + 0.5) * flat.size / count).astype(int)])


def run_trials(numbers: Iterable[int], attempt: Callable[[int], Trial], truth_of: Callable[[int], Any]) -> Batch:
    """Run each trial; a fit that fails is kept as failed, with its truth, and told.

    Parameters
    ----------
    numbers : of the truths
    attempt : simulates and fits one
    truth_of : the truth alone, quantity to number, for a fit that failed
    """
    kept: list[tuple[int, Trial | None, Mapping[str, float]]] = []
    for number in numbers:
        try:
            trial = attempt(number)
        except NumericsError as error:
            print(f"warning: simulation {number}: {str(error).splitlines()[0]}", file=sys.stderr)
            kept.append((number, None, truth_of(number)))
        else:
            kept.append((number, trial, trial.truth))
    return _stack(kept)


def _stack(kept: Sequence[tuple[int, Trial | None, Mapping[str, float]]]) -> Batch:
    whole = next((trial for _, trial, _ in kept if trial is not None), None)
    names = tuple(kept[0][2] if whole is None else whole.draws)
    size = 1 if whole is None else len(next(iter(whole.draws.values())))
    nothing = np.full((size, len(names)), np.nan)
    return Batch(
        names,
        np.array([number for number, _, _ in kept], dtype=np.int64),
        np.array([[truth.get(name, np.nan) for name in names] for _, _, truth in kept]),
        np.stack([nothing if t is None else np.stack([t.draws[name] for name in names], 1) for _, t, _ in kept]),
        np.array([_state(trial) for _, trial, _ in kept], dtype=np.int64),
        np.array([np.nan if trial is None else trial.cpu_s for _, trial, _ in kept]),
    )


def _state(trial: Trial | None) -> int:
    if trial is None:
        return FAILED
    return UNKNOWN if trial.converged is None else int(trial.converged)


def write_trials(out: Path, fit: str, batch: Batch, provenance: Provenance) -> None:
    """Write a batch as a file of format ``trials``."""
    write(
        out,
        format=FORMAT,
        datasets={
            "number": Dataset(batch.numbers, "", "number of the truth", ("number",)),
            "truth": Dataset(batch.truths, "", "truths", ("number", "quantity")),
            "draws": Dataset(batch.draws, "", "posterior draws", ("number", "draw", "quantity")),
            "converged": Dataset(batch.converged, "", "1, 0, -1 failed, 2 unknown", ("number",)),
            "cpu": Dataset(batch.cpu_s, "s", "CPU time of the fit", ("number",)),
        },
        attributes={"fit": fit, "quantities": list(batch.names), "unranked": list(batch.unranked)},
        provenance=provenance,
    )


def read_trials(paths: Iterable[Path], fit: str) -> Batch:
    """Read and join batches of one fit, in the order of their numbers.

    Raises
    ------
    InputError : no file, a file of another fit, other quantities, batches of different configurations or
        observations, or a truth that is there twice
    """
    files = [(path, _read(path, fit)) for path in sorted(paths)]
    if not files:
        raise InputError("calibration", fit, "no file", "files made by skysift calibrate", "run calibrate first")
    _refuse_mixed(files)
    parts = [(path, _take(file)) for path, file in files]
    first = next((part for _, part in parts if not part.is_failed.all()), parts[0][1])
    parts = [(path, _match(part, first) if part.is_failed.all() else part) for path, part in parts]
    for path, part in parts:
        if part.names != first.names or part.draws.shape[1] != first.draws.shape[1]:
            found = ", ".join(part.names)
            raise InputError(path, "quantities", found, ", ".join(first.names), "make all batches with one version")
    numbers = np.concatenate([part.numbers for _, part in parts])
    if len(np.unique(numbers)) < len(numbers):
        raise InputError(parts[-1][0], "number", "a truth that is there twice", "each truth once", "remove a batch")
    order = np.argsort(numbers)
    joined = {
        name: np.concatenate([getattr(part, name) for _, part in parts])[order]
        for name in ("numbers", "truths", "draws", "converged", "cpu_s")
    }
    return Batch(first.names, **joined, unranked=first.unranked)


def _refuse_mixed(files: Sequence[tuple[Path, File]]) -> None:
    """Refuse a batch that another configuration has left: it may look the same, and says nothing about this one."""
    place, first = files[0]
    for name, what in (("configuration", "configuration"), ("inputs", "observation")):
        for path, file in files:
            if file.provenance[name] != first.provenance[name]:
                found, wanted = f"another {what} than that of {place.name}", f"batches of one {what}"
                raise InputError(path, "provenance", found, wanted, "make all batches again")


def _match(failed: Batch, whole: Batch) -> Batch:
    """Return a batch without any posterior, which knows the names of its truths alone, in the shape of another."""
    known = dict(zip(failed.names, failed.truths.T, strict=True))
    nothing = np.full(len(failed.numbers), np.nan)
    truths = np.stack([known.get(name, nothing) for name in whole.names], 1)
    return replace(
        failed, names=whole.names, truths=truths, draws=np.full((len(truths), *whole.draws.shape[1:]), np.nan)
    )


def _read(path: Path, fit: str) -> File:
    wanted = {
        "number": Field("", "i", 1), "truth": Field("", "f", 2), "draws": Field("", "f", 3),
        "converged": Field("", "i", 1), "cpu": Field("s", "f", 1),
    }  # fmt: skip
    file = read(path, format=FORMAT, wanted=wanted)
    if file.attributes["fit"] != fit:
        raise InputError(path, "fit", file.attributes["fit"], fit, "name the files of one fit")
    return file


def _take(file: File) -> Batch:
    names = tuple(str(name) for name in file.attributes["quantities"])
    unranked = tuple(str(text) for text in file.attributes["unranked"])
    return Batch(names, file["number"], file["truth"], file["draws"], file["converged"], file["cpu"], unranked)

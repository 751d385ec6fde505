"""Fits that can be stopped: where their checkpoints are, who writes them, and what SIGTERM and Ctrl-C do."""

from __future__ import annotations

import math
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

from skysift.config.code import code_digest
from skysift.errors import InterruptedRunError, SkysiftError
from skysift.inference.checkpoint import Checkpoint, Kept, Notes
from skysift.storage.checkpoints import Identity, read_checkpoint, remove_checkpoint, write_checkpoint

if TYPE_CHECKING:
    from skysift.storage.provenance import Provenance

__all__ = ["EVERY_S", "Keeping", "checkpoint_folder", "keep"]

EVERY_S = 60.0
#: Checkpoints may cost this share of a run.
SHARE = 0.005
#: Schedulers kill half a minute after they ask: who has found no place to stop by then leaves without one.
PATIENCE_S = 20.0


def checkpoint_folder(out: Path) -> Path:
    """Return where the checkpoints of a result are kept.

    Examples
    --------
    >>> print(checkpoint_folder(Path("results/R/fits/mvn/observed.nc")))
    results/R/checkpoints/mvn/observed
    >>> print(checkpoint_folder(Path("results/R/sidebands/mvn/observed/l+30.h5")))
    results/R/checkpoints/sidebands/mvn/observed/l+30
    >>> print(checkpoint_folder(Path("here.nc")))
    here.nc.checkpoint
    """
    parents = list(out.parents)
    for depth, kind in ((1, "fits"), (2, "sidebands")):
        if len(parents) > depth + 1 and parents[depth].name == kind:
            inside = out.relative_to(parents[depth]).with_suffix("")
            return parents[depth + 1] / "checkpoints" / ("" if kind == "fits" else kind) / inside
    return out.with_name(f"{out.name}.checkpoint")


def _read_clocks() -> dict[str, float]:
    return {"cpu_s": time.process_time(), "wall_s": time.perf_counter()}


@dataclass
class Keeping:
    """The checkpoint of one result, and what there was to say about it.

    Parameters
    ----------
    folder : where it is
    identity : what the run reads and is
    every_s : seconds between two notes
    share : of the run that writing may cost
    """

    folder: Path
    identity: Identity
    every_s: float = EVERY_S
    share: float = SHARE
    warnings: list[str] = field(default_factory=list)
    checkpoint: Checkpoint = field(init=False)
    _began: dict[str, float] = field(default_factory=_read_clocks)
    _signal: int | None = None
    _kept: str = ""

    def recover(self, strict: bool = False) -> None:
        """Take over what an earlier attempt has left, and say so.

        Raises
        ------
        ResumeError : it belongs to other data, another configuration or other code; strictly, to other versions
        """
        found = read_checkpoint(self.folder, self.identity, strict)
        for warning in found.warnings:
            self._warn(warning)
        self._began = {name: begin - found.spent.get(name, 0.0) for name, begin in self._began.items()}
        if found.content:
            _say(f"going on from the checkpoint {self.folder}: {_where(found.place, found.step)}")
        self.checkpoint = Checkpoint(Notes(self, {name: Kept(*pair) for name, pair in found.content.items()}))

    def spent(self) -> dict[str, float]:
        """Return ``cpu_s`` and ``wall_s`` so far, of this attempt and those before."""
        return {name: now - self._began[name] for name, now in _read_clocks().items()}

    @property
    def must_stop(self) -> bool:
        """Whether a signal came."""
        return self._signal is not None

    def write(self, content: Mapping[str, Kept], place: str, step: int | None) -> None:
        """Write everything down; a full disk is a warning."""
        try:
            write_checkpoint(self.folder, self.identity, content, (place, step), self.spent())
            self._kept = _where(place, step)
        except (OSError, SkysiftError) as error:
            self._warn(f"no checkpoint was written ({str(error).splitlines()[0]}); the run goes on")

    def leave(self) -> NoReturn:
        """End the run as the signal asks.

        Raises
        ------
        InterruptedRunError : the system asked
        KeyboardInterrupt : a person asked
        """
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        where = f"kept in {self.folder}: {self._kept}" if self._kept else "nothing new was kept"
        if self._signal == signal.SIGINT:
            _say(where)
            raise KeyboardInterrupt
        raise InterruptedRunError(f"stopped by the system; {where}\nthe same command goes on from there")

    def hear(self, number: int, frame: FrameType | None) -> None:
        """Remember a signal; the engine stops where it can go on from, or at the second signal, or soon anyhow."""
        if self.must_stop:
            self._signal = self._signal if number == signal.SIGALRM else number
            self.leave()
        self._signal = number
        signal.setitimer(signal.ITIMER_REAL, PATIENCE_S)

    def remove(self) -> None:
        """Remove the checkpoint: the result is on disk."""
        try:
            remove_checkpoint(self.folder)
        except OSError as error:
            _say(f"the checkpoint {self.folder} could not be removed: {error.strerror}")

    def _warn(self, text: str) -> None:
        if text not in self.warnings:
            self.warnings.append(text)
            _say(f"warning: {text}")


@contextmanager
def keep(
    out: Path,
    provenance: Provenance,
    step: str,
    *,
    every_s: float = EVERY_S,
    restart: bool = False,
    strict: bool = False,
    device: str = "cpu",
) -> Iterator[Keeping]:
    """Let a fit be stopped: inside the block, SIGTERM and Ctrl-C end it at a place from which it can go on.

    Parameters
    ----------
    out : the result
    provenance : what it is made from
    step : of the workflow, whose code makes it
    every_s : seconds between two notes, or more where writing takes long; 0: as many as there can be
    restart : forget what an earlier attempt has left
    strict : refuse, rather than begin anew, where versions of libraries or the device are others
    device : ``cpu`` or ``cuda``; what one has left is nothing that the other can go on from to the same answer

    Raises
    ------
    ResumeError : an earlier attempt read other data, another configuration or ran other code; strictly, other versions
    """
    identity = Identity.of(provenance, code_digest(step), device)
    keeping = Keeping(checkpoint_folder(out), identity, every_s, SHARE if every_s else math.inf)
    if restart:
        keeping.remove()
    keeping.recover(strict)
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGALRM)
    # signals reach the main thread alone
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        before = {number: signal.signal(number, keeping.hear) for number in numbers}
    try:
        yield keeping
    finally:
        if before:
            signal.setitimer(signal.ITIMER_REAL, 0.0)
        for number, handler in before.items():
            signal.signal(number, handler)


def _where(place: str, step: int | None) -> str:
    return place if step is None else f"{place}, step {step}"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)

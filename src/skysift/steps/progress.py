"""Progress of long work: a live bar on a terminal, one plain line every while in a log."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.progress import Progress as Bar

__all__ = ["Progress"]


class Progress:
    """Shows how far a piece of work is and how long it still takes, on standard error.

    Parameters
    ----------
    label : what is being done, such as ``svi mvn``
    total : number of steps
    every_s : seconds between two lines where there is no terminal
    stream : where to write
    clock : seconds that only go forward

    Examples
    --------
    >>> times = iter([0.0, 20.0, 40.0, 50.0])
    >>> with Progress("svi", 100, every_s=30, stream=sys.stdout, clock=lambda: next(times)) as progress:
    ...     progress.update(20, loss=9.0)
    ...     progress.update(50, loss=7.5)
    svi: 50/100, 1.25/s, 40 s left, loss 7.5
    svi: 50/100 in 50 s, loss 7.5
    """

    def __init__(
        self,
        label: str,
        total: int,
        *,
        every_s: float = 30.0,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.label, self.total, self.every_s = label, total, every_s
        self.stream = sys.stderr if stream is None else stream
        self._clock = clock
        self._done = 0
        self._numbers = ""
        self._bar: Bar | None = None

    def __enter__(self) -> Self:
        """Start the clock."""
        self._start = self._last_line = self._clock()
        if self.stream.isatty():
            from rich.console import Console
            from rich.progress import Progress as Bar

            self._bar = Bar(console=Console(file=self.stream), transient=True)
            self._task = self._bar.add_task(self.label, total=self.total)
            self._bar.start()
        return self

    def update(self, done: int, **numbers: float) -> None:
        """Say that ``done`` steps are finished, with the numbers worth watching (loss, logZ)."""
        self._done = done
        self._numbers = "".join(f", {name} {number:.6g}" for name, number in numbers.items())
        if self._bar is not None:
            self._bar.update(self._task, completed=done, description=self.label + self._numbers)
            return
        now = self._clock()
        if now - self._last_line < self.every_s:
            return
        self._last_line = now
        rate = done / max(now - self._start, 1e-9)
        left_s = (self.total - done) / rate if rate > 0 else float("inf")
        self._write(f"{self.label}: {done}/{self.total}, {rate:.3g}/s, {left_s:.0f} s left{self._numbers}")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the bar and leave one line that says how far the work came."""
        if self._bar is not None:
            self._bar.stop()
        took_s = self._clock() - self._start
        self._write(f"{self.label}: {self._done}/{self.total} in {took_s:.0f} s{self._numbers}")

    def _write(self, line: str) -> None:
        print(line, file=self.stream, flush=True)

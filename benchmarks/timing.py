"""CPU time in units of a reference kernel, growth with size, and peak memory."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import torch

__all__ = ["Clock", "Number", "grow", "resident_gb"]

ROUNDS = 4


class Number(NamedTuple):
    """One result; its name ends in what it is: cost, exponent, ratio, count or peak_gb."""

    name: str
    value: float


class Clock:
    """Times functions beside the reference kernel, so that the speed of the machine cancels.

    Parameters
    ----------
    budget_s : CPU seconds to spend on each function
    """

    def __init__(self, budget_s: float) -> None:
        self.budget_s = budget_s
        self.references_s: list[float] = []
        generator = torch.Generator().manual_seed(1)
        self._left = torch.randn(32, 256, generator=generator, dtype=torch.float64) / 16
        self._right = torch.randn(256, 4096, generator=generator, dtype=torch.float64)

    def _run_reference(self) -> None:
        torch.exp(self._left @ self._right)

    def cost(self, function: Callable[[], object], once: bool = False) -> float:
        """Return the least CPU time of a function over that of the reference kernel; ``once`` for long ones."""
        if not once:
            return self.costs([function])[0]
        before = self._least_reference_s()
        spent = _time_s(function)
        self.references_s.append(min(before, self._least_reference_s()))
        return spent / self.references_s[-1]

    def costs(self, functions: Sequence[Callable[[], object]]) -> list[float]:
        """Return the costs of functions timed in turn, so that a slow moment of the machine meets all of them."""
        for function in functions:
            function()
        rounds: list[list[float]] = []
        reference = self._least_reference_s()
        while len(rounds) < ROUNDS or 2 * sum(map(sum, rounds)) < self.budget_s * len(functions):
            # the one before has emptied the caches: the better of two
            rounds.append([min(_time_s(function), _time_s(function)) for function in functions])
            reference = min(reference, _time_s(self._run_reference))
        self.references_s.append(min(reference, self._least_reference_s()))
        return [min(times) / self.references_s[-1] for times in zip(*rounds, strict=True)]

    def _least_reference_s(self) -> float:
        self._run_reference()
        times: list[float] = []
        while len(times) < ROUNDS or sum(times) < 0.2 * self.budget_s:
            times.append(_time_s(self._run_reference))
        return min(times)


def _time_s(function: Callable[[], object]) -> float:
    began = time.process_time()
    function()
    return time.process_time() - began


def grow(name: str, sizes: Sequence[float], costs: Sequence[float]) -> Iterator[Number]:
    """Yield the costs at some sizes, the exponent of their growth, and the ratio of the last two.

    The exponent is the least-squares slope of ln cost against ln size.
    """
    x, y = [math.log(size) for size in sizes], [math.log(cost) for cost in costs]
    middle, level = sum(x) / len(x), sum(y) / len(y)
    top = sum((a - middle) * (b - level) for a, b in zip(x, y, strict=True))
    for size, cost in zip(sizes, costs, strict=True):
        yield Number(f"{name} {size:g} cost", cost)
    yield Number(f"{name} exponent", top / sum((a - middle) ** 2 for a in x))
    yield Number(f"{name} ratio", costs[-1] / costs[-2])


def resident_gb(which: str) -> float:
    """Return resident memory in GB: ``VmRSS`` now, or ``VmHWM`` at its peak since the start or `forget_peak`."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(which):
            return int(line.split()[1]) / 1e6
    return math.nan


def forget_peak() -> None:
    """Let ``VmHWM`` begin anew at the present size."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")

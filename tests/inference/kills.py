"""Runs that are killed again and again, each attempt going on from what the one before has kept."""

import json
import math

import torch

from skysift.inference import Stream, sequence
from skysift.inference.checkpoint import Checkpoint, Kept, Notes

__all__ = ["Diary", "Killed", "Mortal", "assert_same", "run_with_kills"]


class Killed(BaseException):
    """The process is gone; nothing after this line happened."""


class Mortal:
    """A model whose process is killed at one of its calls; without a number it only counts them."""

    CALLS = ("log_likelihood", "log_likelihood_and_gradient", "curvature", "context", "at", "minibatch")

    def __init__(self, model, life=None, calls=None):
        self._model, self._life, self._calls = model, life, calls if calls is not None else [0]

    def __getattr__(self, name):
        found = getattr(self._model, name)
        if name not in self.CALLS:
            return found

        def call(*arguments, **settings):
            self._calls[0] += 1
            if self._life is not None and self._calls[0] > self._life:
                raise Killed
            made = found(*arguments, **settings)
            return Mortal(made, self._life, self._calls) if name in ("at", "minibatch") else made

        return call

    @property
    def calls(self):
        """How often the model was asked."""
        return self._calls[0]


class Diary:
    """Notes as a disk would hold them; being late, it writes only some of what it is offered."""

    every_s, share = 0.0, 1.0
    must_stop = False

    def __init__(self, chance, draw):
        self._chance, self._draw = chance, draw
        self.pages, self.written = {}, 0

    def write(self, content, place, step):
        if self._draw() < self._chance:
            self.written += 1
            self.pages = {name: (json.dumps(kept.tree), [array.copy() for array in kept.arrays])
                          for name, kept in content.items()}  # fmt: skip

    def open(self):
        """Return the checkpoint of the next attempt."""
        content = {name: Kept(json.loads(text), list(arrays)) for name, (text, arrays) in self.pages.items()}
        return Checkpoint(Notes(self, content, clock=lambda: 0.0))


def run_with_kills(make, steps, seed, kills=20, chance=0.5):
    """Return what a sequence of engines finds, uninterrupted and in runs killed ``kills`` times or more in all.

    Attempts live for a random number of the model's calls, so that kills fall anywhere: inside of steps, between
    stages, before the first note. Who dies before anything new was written lives longer the next time.
    """
    whole = Mortal(make())
    expected = sequence.run(whole, steps, Stream(seed))
    random = torch.Generator().manual_seed(seed)
    usual = longest = 1.7 * whole.calls / kills
    found, count, diary = [], 0, None
    while count < kills or diary is not None:
        if diary is None:
            diary = Diary(chance, lambda: float(torch.rand((), generator=random)))
        life = int(torch.randint(1, math.ceil(longest) + 1, (), generator=random))
        before = diary.written
        try:
            found.append(sequence.run(Mortal(make(), life), steps, Stream(seed), diary.open()))
            diary = None
        except Killed:
            count += 1
            longest = usual if diary.written > before else 1.2 * longest
    return expected, found


def assert_same(expected, found):
    """Compare results of all engines bit by bit, counted costs included."""
    assert [one.engine for one in expected] == [one.engine for one in found]
    for first, second in zip(expected, found, strict=True):
        _compare(first.engine, {**vars(first), "cost": None}, {**vars(second), "cost": None})
        for name in first.cost.keys() - {"cpu_seconds", "cpu_s"}:
            assert first.cost[name] == second.cost[name], name


def _compare(place, first, second):
    assert type(first) is type(second), place
    if isinstance(first, torch.Tensor):
        assert first.dtype == second.dtype, place
        assert torch.equal(first.nan_to_num(), second.nan_to_num()), place
    elif isinstance(first, dict):
        assert first.keys() == second.keys(), place
        for name in first:
            _compare(f"{place}.{name}", first[name], second[name])
    else:
        assert first == second or first != first, place  # noqa: PLR0124 - not a number

"""Log likelihoods in the order in which a sampler asked for them: begun again from its seed, it asks the same."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from skysift.inference.checkpoint import Checkpoint

    Evaluate = Callable[[NDArray[np.float64]], NDArray[np.float64]]

__all__ = ["Journal"]

MARK_BYTES = 8


class Journal:
    """What a sampler has been told so far, to be told again when it begins anew after an interruption.

    Samplers keep their own state in ways that are not safe to read from disk, or not whole when they are killed. What
    they were told is plain numbers, and all that is costly; the rest follows from the seed. Each question is kept with
    a mark of its points: an answer is given again to the same points only, and where they differ (a processor that
    rounds in another way) the rest of the journal is dropped, and computed anew.

    Parameters
    ----------
    checkpoint : keeps the journal
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._checkpoint = checkpoint
        self._is_kept = checkpoint.notes.is_kept
        kept = checkpoint.load() or {"values": np.zeros(0), "marks": np.zeros((0, MARK_BYTES), dtype=np.uint8)}
        # what an earlier attempt was told, and how much of it has been told again
        self._past, self._past_marks = kept["values"], kept["marks"]
        self._told = self._asked = 0
        # what was told since
        self._values: list[NDArray[np.float64]] = []
        self._marks: list[bytes] = []

    def answer(self, points: NDArray[np.float64], evaluate: Evaluate) -> NDArray[np.float64]:
        """Return the values at points, (n, c) to (n,): those told before, or else those that ``evaluate`` returns."""
        if not self._is_kept:
            return evaluate(points)
        mark = hashlib.blake2b(points.tobytes(), digest_size=MARK_BYTES).digest()
        if self._asked < len(self._past_marks):
            if mark == self._past_marks[self._asked].tobytes():
                begin = self._told
                self._told, self._asked = begin + len(points), self._asked + 1
                told: NDArray[np.float64] = self._past[begin : self._told].copy()
                return told
            self._past, self._past_marks = self._past[: self._told], self._past_marks[: self._asked]
        values = evaluate(points)
        self._values.append(values.copy())
        self._marks.append(mark)
        # samplers may not like to be stopped here, see `pause`
        self._checkpoint.save(self._state, may_stop=False)
        return values

    def pause(self) -> None:
        """Offer the journal to the checkpoint at a place where the run may be stopped."""
        self._checkpoint.save(self._state)

    def _state(self) -> dict[str, Any]:
        fresh = np.frombuffer(b"".join(self._marks), dtype=np.uint8).reshape(-1, MARK_BYTES)
        values, marks = np.concatenate([self._past, *self._values]), np.concatenate([self._past_marks, fresh])
        if self._asked == len(self._past_marks):
            # nothing is left to be told again: all of it is past, and the next time there is less to join
            self._past, self._past_marks, self._values, self._marks = values, marks, [], []
            self._told, self._asked = len(values), len(marks)
        return {"step": len(marks), "values": values, "marks": marks}

"""What a run has done so far, kept so that it can be stopped at any moment and go on to the same answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, Protocol, TypeVar

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from skysift.inference.target import Target

__all__ = ["NOWHERE", "Checkpoint", "Keeper", "Kept", "Notes", "decode", "encode"]

State = dict[str, Any]
Found = TypeVar("Found")

ARRAY = "#"


class Kept(NamedTuple):
    """A state as plain JSON values, with its arrays apart: ``{"#": 0}`` stands for the first of them."""

    tree: Any
    arrays: list[np.ndarray]


class Keeper(Protocol):
    """Who writes notes down, and knows when a run has to stop."""

    @property
    def every_s(self) -> float:
        """Seconds between two notes."""
        ...

    @property
    def share(self) -> float:
        """Share of a run that writing may cost: what takes long to write is written less often."""
        ...

    @property
    def must_stop(self) -> bool:
        """Whether someone asked the run to stop."""
        ...

    def write(self, content: Mapping[str, Kept], place: str, step: int | None) -> None:
        """Write everything down; never raises for want of room."""
        ...

    def leave(self) -> NoReturn:
        """Raise what ends the run."""
        ...


class Notes:
    """Everything that is kept of one run, by place.

    Parameters
    ----------
    keeper : writes it down, or None: nothing is kept
    content : what an earlier attempt has left
    clock : seconds that only go forward
    """

    def __init__(
        self,
        keeper: Keeper | None = None,
        content: Mapping[str, Kept] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.content = dict(content or {})
        self._keeper, self._clock = keeper, clock
        self._pause_s = 0.0 if keeper is None else keeper.every_s
        self._last = clock()

    @property
    def is_kept(self) -> bool:
        """Whether anyone writes."""
        return self._keeper is not None

    def is_due(self, *, may_stop: bool = True) -> bool:
        """Tell whether it is time to write, or to stop."""
        if self._keeper is None:
            return False
        return (may_stop and self._keeper.must_stop) or self._clock() - self._last >= self._pause_s

    def put(self, place: str, state: State) -> None:
        """Keep what is to be known of a place, in place of all that was known of it and of what lies below it."""
        below = f"{place}/"
        for name in [name for name in self.content if name.startswith(below)]:
            del self.content[name]
        self.content[place] = encode(state)

    def write(self, place: str, step: int | None, *, may_stop: bool = True) -> None:
        """Write everything down, and stop if that was asked for."""
        if self._keeper is None:
            return
        begin = self._clock()
        self._keeper.write(self.content, place, step)
        self._last = self._clock()
        self._pause_s = max(self._keeper.every_s, (self._last - begin) / self._keeper.share)
        if may_stop and self._keeper.must_stop:
            self._keeper.leave()


@dataclass
class _Meter:
    """Likelihood values, gradients and CPU seconds that a piece of work has cost, over all attempts."""

    target: Target | None
    earlier_s: float = 0.0
    began_s: float = 0.0

    def read(self) -> dict[str, float]:
        seconds = self.earlier_s + time.process_time() - self.began_s
        return {**({} if self.target is None else self.target.cost()), "cpu_seconds": seconds}

    def restore(self, counts: Mapping[str, float]) -> None:
        self.earlier_s, self.began_s = counts["cpu_seconds"], time.process_time()
        if self.target is not None:
            self.target.restore(counts)


@dataclass(frozen=True)
class Checkpoint:
    """One place in the notes of a run, where one loop or one piece of work keeps what it has done.

    Work is a tree: an engine has a place below the sequence, a training one below its engine. What a place keeps is
    tensors and plain values, never code; where nobody writes (`NOWHERE`), keeping costs nothing.

    Examples
    --------
    >>> def count(checkpoint):
    ...     state = checkpoint.load() or {"step": 0}
    ...     while state["step"] < 3:
    ...         state = {"step": state["step"] + 1}
    ...         checkpoint.save(lambda: state)
    ...     return state
    >>> NOWHERE.child("counting").once(count)
    {'step': 3}
    """

    notes: Notes
    place: str = ""
    meter: _Meter | None = None

    def child(self, *names: str) -> Checkpoint:
        """Return the place below this one."""
        return replace(self, place="/".join((self.place, *names) if self.place else names))

    def metered(self, target: Target | None = None) -> Checkpoint:
        """Return this place with a meter, which starts now: what is kept below includes what it has cost."""
        return replace(self, meter=_Meter(target, 0.0, time.process_time()))

    def cost(self) -> dict[str, float]:
        """Return the meter's ``cpu_seconds``, and the target's counts, of this attempt and those before."""
        return {} if self.meter is None else self.meter.read()

    def load(self) -> State | None:
        """Return what this place last kept, None at the first attempt."""
        kept = self._find(done=False)
        return None if kept is None else kept["state"]

    def save(self, snapshot: Callable[[], State], *, may_stop: bool = True) -> None:
        """Offer a state to go on from; ``snapshot`` is called when it is time to write.

        Call it wherever the loop could begin again. It replaces what has been kept below this place. Returns never
        when the run was asked to stop, unless this is no place to stop at.
        """
        if self.notes.is_due(may_stop=may_stop):
            state = snapshot()
            self._put(state, done=False)
            self.notes.write(self.place, state.get("step"), may_stop=may_stop)

    def once(
        self,
        compute: Callable[[Checkpoint], Found],
        pack: Callable[[Found], Any] = lambda found: found,
        unpack: Callable[[Any], Found] = lambda kept: kept,
    ) -> Found:
        """Return what ``compute(here)`` returned, computed at the first attempt that comes to its end.

        ``pack`` turns it into tensors and plain values, ``unpack`` turns those back.
        """
        kept = self._find(done=True)
        if kept is not None:
            return unpack(kept["state"])
        found = compute(self)
        if self.notes.is_kept:
            self._put(pack(found), done=True)
            if self.notes.is_due():
                self.notes.write(self.place, None)
        return found

    def once_as(self, kind: type[Found], compute: Callable[[Checkpoint], Found]) -> Found:
        """Return as `once` what ``compute`` returns: a dataclass of tensors and plain values."""

        def unpack(kept: State) -> Found:
            return kind(**kept)

        found: Found = self.once(compute, vars, unpack)
        return found

    def _put(self, state: Any, *, done: bool) -> None:  # noqa: ANN401 - any plain value
        cost = None if self.meter is None else self.meter.read()
        self.notes.put(self.place, {"state": state, "done": done, "cost": cost})

    def _find(self, *, done: bool) -> State | None:
        kept = self.notes.content.get(self.place)
        if kept is None or kept.tree["done"] is not done:
            return None
        found: State = decode(kept)
        if self.meter is not None and found["cost"] is not None:
            self.meter.restore(found["cost"])
        return found


def encode(state: Any) -> Kept:  # noqa: ANN401 - any plain value
    """Copy tensors, arrays, lists, mappings by text, numbers, text, None; tuples become lists.

    Raises
    ------
    TypeError : anything else
    """
    arrays: list[np.ndarray] = []
    return Kept(_encode(state, arrays), arrays)


def decode(kept: Kept) -> Any:  # noqa: ANN401 - any plain value
    """Undo `encode`: tensors come back with their device and the order of their numbers in memory."""
    return _decode(kept.tree, kept.arrays)


def _encode(value: Any, arrays: list[np.ndarray]) -> Any:  # noqa: ANN401 - any plain value
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) and key != ARRAY for key in value):
            raise TypeError(f"keys of a state are text, and not {ARRAY!r}: {list(value)}")
        return {key: _encode(item, arrays) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_encode(item, arrays) for item in value]
    return _encode_array(value, arrays)


def _encode_array(value: Any, arrays: list[np.ndarray]) -> dict[str, Any]:  # noqa: ANN401 - tensor or array
    import numpy as np
    import torch

    if isinstance(value, torch.Tensor):
        value = value.detach()
        order = _memory_order(value)
        entry = {ARRAY: len(arrays), "device": str(value.device), "order": order}
        arrays.append(value.permute(order).contiguous().cpu().numpy().copy())
        return entry
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        arrays.append(value.copy())
        return {ARRAY: len(arrays) - 1}
    raise TypeError(f"a state holds tensors and plain values, not {type(value).__name__}")


def _memory_order(value: Tensor) -> list[int]:
    """Return the axes from the slowest to the fastest in memory: sums depend on it in their last digit."""
    strides = value.stride()
    order = sorted(range(value.ndim), key=lambda axis: -strides[axis])
    return order if value.permute(order).is_contiguous() else list(range(value.ndim))


def _decode(tree: Any, arrays: list[np.ndarray]) -> Any:  # noqa: ANN401 - any plain value
    if isinstance(tree, list):
        return [_decode(item, arrays) for item in tree]
    if not isinstance(tree, dict):
        return tree
    if ARRAY not in tree:
        return {key: _decode(item, arrays) for key, item in tree.items()}
    array = arrays[tree[ARRAY]].copy()
    if "order" not in tree:
        return array
    import torch

    back = sorted(range(array.ndim), key=lambda axis: tree["order"][axis])
    return torch.from_numpy(array).to(tree["device"]).permute(back)


#: The checkpoint of a run that nobody keeps.
NOWHERE = Checkpoint(Notes())

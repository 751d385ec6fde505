"""How engines say how far they are, without knowing who listens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Protocol

__all__ = ["Bar", "follow", "observe"]


class Bar(Protocol):
    """What a listener shows for one piece of work."""

    def update(self, done: int, **numbers: float) -> None:
        """Say that ``done`` steps are finished, with numbers worth watching."""
        ...


Maker = Callable[[str, int], AbstractContextManager[Bar]]
_maker: ContextVar[Maker | None] = ContextVar("skysift_progress", default=None)


@contextmanager
def observe(maker: Maker) -> Iterator[None]:
    """Let ``maker(label, total)`` show the progress of every engine inside the block."""
    token = _maker.set(maker)
    try:
        yield
    finally:
        _maker.reset(token)


@contextmanager
def follow(label: str, total: int) -> Iterator[Callable[..., None]]:
    """Begin a piece of work of ``total`` steps; yields ``update(done, **numbers)``, silent when nobody listens.

    Examples
    --------
    >>> with follow("svi", 10) as update:
    ...     update(5, loss=1.0)
    """
    maker = _maker.get()
    if maker is None:
        yield lambda done, **numbers: None
        return
    with maker(label, total) as bar:
        yield bar.update

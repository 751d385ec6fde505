"""Settings of nested sampling."""

from __future__ import annotations

from dataclasses import dataclass

from skysift.errors import InputError, nearest

__all__ = ["Settings"]

LIBRARIES = ("dynesty", "nautilus")
SAMPLES = ("unif", "rslice", "slice", "rwalk")


@dataclass(frozen=True)
class Settings:
    """How to sample.

    ``library``: dynesty or nautilus; ``live`` points, by default 500 or 50 per dimension (dynesty), 2000 (nautilus);
    ``sample``: proposals of dynesty, by default ``unif`` up to five dimensions and ``rslice`` beyond; ``dlogz``: share
    of the evidence left when dynesty stops; ``effective`` draws: dynesty adds batches until there are so many (by
    default none), nautilus draws so many (10 000); ``runs`` that are merged, and whose scatter is part of the error;
    ``discard`` what nautilus drew while it built its bounds.
    """

    library: str = "dynesty"
    live: int | None = None
    sample: str | None = None
    dlogz: float = 0.01
    effective: int | None = None
    runs: int = 1
    discard: bool = True

    def __post_init__(self) -> None:
        """Check the names."""
        for field, value, known in (("library", self.library, LIBRARIES), ("sample", self.sample, SAMPLES)):
            if value is not None and value not in known:
                wanted = f"one of {', '.join(known)}"
                raise InputError("sequence", f"nested.{field}", value, wanted, nearest(value, known))

"""Shares of the channels in which dark matter annihilates or decays: stated, or free."""

from __future__ import annotations

from typing import Any, Self

from pydantic import model_validator

from skysift.config.faults import fault
from skysift.config.scalars import Name, PositiveReal
from skysift.config.section import Section, key, without_nulls

__all__ = ["Branching"]


class Branching(Section):
    """Shares of channels; a mapping of names to numbers stands for ``shares``.

    Attributes
    ----------
    shares : channel to its share, None where they are free
    channels : names of channels whose shares are free
    dirichlet : concentration of every channel
    """

    shares: dict[Name, PositiveReal] | None = key(
        None, "shares that sum to 1; their mapping alone stands for it", example={"b": 0.7, "W": 0.3}, says="free"
    )
    channels: list[Name] | None = key(None, "channels whose shares are free", example=["b", "W"], min_length=2)
    dirichlet: PositiveReal = key(1.0, "concentration of every channel with free shares; 1 is flat", example=1)

    @model_validator(mode="before")
    @classmethod
    def _expand(cls, data: Any) -> Any:  # noqa: ANN401 - whatever the file holds
        is_plain = isinstance(data, dict) and not {"shares", "channels", "dirichlet"} & set(data)
        return {"shares": data} if is_plain else without_nulls(data)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.shares is None) == (self.channels is None):
            remedy = "write for example {b: 0.7, W: 0.3}, or {channels: [b, W], dirichlet: 1}"
            raise fault("shares, or channels whose shares are free", remedy, "none" if self.shares is None else "both")
        total = sum((self.shares or {"": 1.0}).values())
        if abs(total - 1) > 1e-6:
            raise fault("shares that sum to 1", "correct the shares", f"a sum of {total:g}")
        if len(set(self.names)) < len(self.names):
            raise fault("each channel once", "remove one of them", ", ".join(self.names))
        return self

    @property
    def names(self) -> list[str]:
        """The channels."""
        return list(self.shares or self.channels or [])

    @property
    def is_fixed(self) -> bool:
        """Whether the shares are stated."""
        return self.shares is not None

    @property
    def kind(self) -> str:
        """Family of the prior."""
        return "fixed" if self.is_fixed else "dirichlet"

    @property
    def support(self) -> tuple[float, float]:
        """Lowest and highest share that the prior allows."""
        return 0.0, 1.0

"""Simulation-based calibration of fits: how many skies, in how many jobs."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import model_validator

from skysift.config.scalars import Name, PositiveInteger
from skysift.config.section import Section, key, without_nulls

__all__ = ["Calibration"]


class Calibration(Section):
    """Truths drawn from the prior, data from the model, and every fit repeated on them.

    Attributes
    ----------
    simulations : truths
    per_job : truths of one job
    draws : posterior draws kept of each
    fits : names of fits, None for all that are posteriors
    fewer : truths of the fits that take longer than others
    """

    shorthands: ClassVar[tuple[dict[str, Any], ...]] = ({"type": "integer", "minimum": 1},)

    simulations: PositiveInteger = key(
        200, "truths drawn from the prior; a verdict wants 200, a paper 1000", example=1000, le=100_000
    )
    per_job: PositiveInteger = key(20, "truths that one job takes in turn", example=50, le=10_000)
    draws: PositiveInteger = key(100, "posterior draws among which each truth is ranked", example=200, ge=20, le=10_000)
    fits: list[Name] | None = key(
        None, "fits to calibrate", example=["mvn"], min_length=1, says="all but published recipes"
    )

    fewer: dict[Name, PositiveInteger] = key(
        None, "truths of fits that take longer than others", example={"nuts": 200}, default_factory=dict
    )

    @model_validator(mode="before")
    @classmethod
    def _expand(cls, data: Any) -> Any:  # noqa: ANN401 - whatever the file holds
        plain = isinstance(data, int) and not isinstance(data, bool)
        return {"simulations": data} if plain else without_nulls(data)

    def of(self, fit: str) -> Calibration:
        """Return what holds for one fit."""
        simulations = min(self.simulations, self.fewer.get(fit, self.simulations))
        return self.model_copy(update={"simulations": simulations, "fits": None, "fewer": {}})

    @property
    def batches(self) -> int:
        """Number of jobs for each fit."""
        return -(-self.simulations // self.per_job)

    def numbers(self, batch: int) -> range:
        """Return the numbers of the truths of one job, from 0."""
        return range(batch * self.per_job, min(self.simulations, (batch + 1) * self.per_job))

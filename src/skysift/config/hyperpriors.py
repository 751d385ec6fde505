"""Priors of kernel hyper-parameters and of the mean of a Gaussian process, as a configuration writes them."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Self

from pydantic import model_validator

from skysift.config.faults import fault
from skysift.config.priors import expand_bare
from skysift.config.quantities import Radians
from skysift.config.scalars import PositiveReal, Real
from skysift.config.section import REQUIRED, Section, key

__all__ = ["LengthScale", "MeanPrior", "Variance"]


class LengthScale(Section):
    """Correlation length of a kernel: one angle, or a prior.

    Attributes
    ----------
    value_rad : the angle in rad, None when there is a prior
    median_rad, sd : median in rad and standard deviation of ln of the prior
    is_fixed : whether there is no prior
    """

    shorthands: ClassVar[tuple[dict[str, Any], ...]] = ({"type": "string"},)

    value_rad: Radians | None = key(None, "the angle", example="0.2 rad", unit="angle", alias="value")
    lognormal: tuple[Radians, PositiveReal] | None = key(
        None,
        "median, and standard deviation of the natural logarithm",
        example=["0.4 rad", 0.5],
        unit="angle, 1",
    )

    @model_validator(mode="before")
    @classmethod
    def _expand_angle(cls, data: Any) -> Any:  # noqa: ANN401 - whatever the file holds
        return expand_bare(data, "value")

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_one(self.value_rad, self.lognormal, "lengthscale: 0.2 rad")
        if not 0 < self.median_rad <= math.pi:
            raise fault("an angle above 0 and up to 180 deg", "write for example 'lengthscale: 0.2 rad'")
        return self

    @property
    def median_rad(self) -> float:
        """Median of the prior in rad, or the fixed value."""
        return self.lognormal[0] if self.lognormal else self.value_rad or 0.0

    @property
    def sd(self) -> float:
        """Standard deviation of ln of the prior; 0 when fixed."""
        return self.lognormal[1] if self.lognormal else 0.0

    @property
    def is_fixed(self) -> bool:
        """Whether there is no prior."""
        return self.lognormal is None


class Variance(Section):
    """Variance of the logarithm of the modulation: one number, or a prior.

    Attributes
    ----------
    value : the variance, None when there is a prior
    median, sd : median and standard deviation of ln of the prior
    is_fixed : whether there is no prior
    """

    shorthands: ClassVar[tuple[dict[str, Any], ...]] = ({"type": "number"},)

    value: PositiveReal | None = key(None, "the variance of f in exp(f)", example=0.5)
    lognormal: tuple[PositiveReal, PositiveReal] | None = key(
        None, "median, and standard deviation of the natural logarithm", example=[0.05, 1.0]
    )

    @model_validator(mode="before")
    @classmethod
    def _expand_number(cls, data: Any) -> Any:  # noqa: ANN401 - whatever the file holds
        return expand_bare(data, "value")

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_one(self.value, self.lognormal, "variance: 0.5")
        return self

    @property
    def median(self) -> float:
        """Median of the prior, or the fixed value."""
        return self.lognormal[0] if self.lognormal else self.value or 0.0

    @property
    def sd(self) -> float:
        """Standard deviation of ln of the prior; 0 when fixed."""
        return self.lognormal[1] if self.lognormal else 0.0

    @property
    def is_fixed(self) -> bool:
        """Whether there is no prior."""
        return self.lognormal is None


def _check_one(value: object, prior: object, example: str) -> None:
    if (value is None) == (prior is None):
        raise fault(
            "one value, or a lognormal prior",
            f"write for example '{example}'",
            "neither" if value is None else "both",
        )


class MeanPrior(Section):
    """Prior of the constant mean of a Gaussian process.

    Attributes
    ----------
    mean, sd : of the normal prior on the mean of f
    """

    normal: tuple[Real, PositiveReal] = key(REQUIRED, "mean and standard deviation of the mean of f", example=[0, 0.5])

    @property
    def mean(self) -> float:
        """Mean of the normal prior."""
        return self.normal[0]

    @property
    def sd(self) -> float:
        """Standard deviation of the normal prior."""
        return self.normal[1]

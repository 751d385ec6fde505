"""Priors of norms, as a configuration writes them."""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, model_validator

from skysift.config.faults import fault
from skysift.config.scalars import Real, read_number
from skysift.config.section import Section, key, without_nulls

__all__ = ["Prior", "expand_bare"]

PriorKind = Literal["normal", "lognormal", "uniform", "loguniform", "fixed"]
_KINDS: tuple[PriorKind, ...] = ("normal", "lognormal", "uniform", "loguniform", "fixed")


def _read_fixed(value: Any) -> Any:  # noqa: ANN401 - whatever the file holds
    if value == "rigid_fit":
        return value
    if isinstance(value, str) and not any(letter.isdigit() for letter in value):
        raise fault("a number, or rigid_fit", "write for example 'fixed: 1.0' or 'fixed: rigid_fit'")
    return read_number(value)


def expand_bare(data: Any, bare: str) -> Any:  # noqa: ANN401 - whatever the file holds
    """Read a bare value as the mapping ``{bare: value}``."""
    return without_nulls(data) if isinstance(data, dict) else {bare: data}


class Prior(Section):
    """Prior of a norm: exactly one of the five families.

    Attributes
    ----------
    kind : ``normal``, ``lognormal``, ``uniform``, ``loguniform`` or ``fixed``
    mean, sd : of a normal prior; ``sd`` of a lognormal one is that of the natural logarithm
    median : of a lognormal prior
    low, high : of a uniform or log-uniform prior
    value : of a fixed norm; None for ``rigid_fit``
    is_rigid_fit : whether the norm is fixed at the maximum of the fit without Gaussian processes
    min, max : truncation of a normal prior, None where there is none
    """

    shorthands: ClassVar[tuple[dict[str, Any], ...]] = ({"type": "number"},)

    normal: tuple[Real, Real] | None = key(None, "mean and standard deviation", example=[0.5, 0.1])
    lognormal: tuple[Real, Real] | None = key(
        None, "median, and standard deviation of the natural logarithm", example=[12.3, 0.5]
    )
    uniform: tuple[Real, Real] | None = key(None, "lowest and highest value", example=[0, 1.5])
    loguniform: tuple[Real, Real] | None = key(
        None, "lowest and highest value, flat in the logarithm", example=[0.01, 10]
    )
    fixed: Annotated[float | Literal["rigid_fit"], BeforeValidator(_read_fixed)] | None = key(
        None,
        "the value, not fitted; `rigid_fit`: the maximum of the fit without Gaussian processes, which uses data twice",
        example=1.0,
    )
    min: Real | None = key(None, "truncation of a normal prior from below", example=0)
    max: Real | None = key(None, "truncation of a normal prior from above", example=2)

    @model_validator(mode="before")
    @classmethod
    def _expand_number(cls, data: Any) -> Any:  # noqa: ANN401 - whatever the file holds
        return expand_bare(data, "fixed")

    @model_validator(mode="after")
    def _check(self) -> Self:
        given = [kind for kind in _KINDS if getattr(self, kind) is not None]
        if len(given) != 1:
            found = " and ".join(given) if given else "none of them"
            raise fault(
                f"exactly one of {', '.join(_KINDS)}", "keep one of them, for example {normal: [1, 0.5]}", found
            )
        if self.kind != "normal" and (self.min is not None or self.max is not None):
            raise fault(
                "min and max beside a normal prior only",
                f"leave min and max out, or choose normal in place of {self.kind}",
                f"{self.kind} with min or max",
            )
        _check_family(self)
        return self

    @property
    def kind(self) -> PriorKind:
        """Name of the family."""
        return next(kind for kind in _KINDS if getattr(self, kind) is not None)

    @property
    def mean(self) -> float:
        """Mean of the normal prior, before truncation."""
        return self._pair("normal")[0]

    @property
    def sd(self) -> float:
        """Standard deviation of the normal prior, or that of ln of the lognormal one."""
        return self._pair("normal", "lognormal")[1]

    @property
    def median(self) -> float:
        """Median of the lognormal prior."""
        return self._pair("lognormal")[0]

    @property
    def low(self) -> float:
        """Lower end of the uniform or log-uniform prior."""
        return self._pair("uniform", "loguniform")[0]

    @property
    def high(self) -> float:
        """Upper end of the uniform or log-uniform prior."""
        return self._pair("uniform", "loguniform")[1]

    @property
    def value(self) -> float | None:
        """The fixed norm; None when it comes from the rigid fit, or is not fixed."""
        return self.fixed if isinstance(self.fixed, float) else None

    @property
    def is_fixed(self) -> bool:
        """Whether the norm is not fitted."""
        return self.fixed is not None

    @property
    def is_rigid_fit(self) -> bool:
        """Whether the norm is fixed at the maximum of the fit without Gaussian processes."""
        return self.fixed == "rigid_fit"

    @property
    def support(self) -> tuple[float, float]:
        """Lowest and highest value that the prior allows."""
        match self.kind:
            case "uniform" | "loguniform":
                return self.low, self.high
            case "lognormal":
                return 0.0, math.inf
            case "normal":
                return (
                    -math.inf if self.min is None else self.min,
                    math.inf if self.max is None else self.max,
                )
        return -math.inf, math.inf

    def _pair(self, *kinds: PriorKind) -> tuple[float, float]:
        for kind in kinds:
            pair: tuple[float, float] | None = getattr(self, kind)
            if pair is not None:
                return pair
        raise AttributeError(f"a {self.kind} prior has none of {', '.join(kinds)}")


def _check_family(prior: Prior) -> None:
    match prior.kind:
        case "normal":
            _check_width("normal", "[mean, standard deviation]", prior.sd)
            _check_truncation(prior)
        case "lognormal":
            _check_width("lognormal", "[median, standard deviation of the logarithm]", prior.sd)
            _check_positive("lognormal: the median", prior.median)
        case "uniform" | "loguniform" as kind:
            if not prior.low < prior.high:
                raise fault(
                    f"{kind}: [low, high] with low < high",
                    "swap or widen the limits; for a norm that is not fitted write 'fixed: <value>'",
                    f"{kind}: [{prior.low:g}, {prior.high:g}]",
                )
            if kind == "loguniform":
                _check_positive("loguniform: the lower limit", prior.low)


def _check_width(kind: str, pair: str, sd: float) -> None:
    if sd <= 0:
        raise fault(
            f"{kind}: {pair} with the second number > 0",
            "widen the prior; for a norm that is not fitted write 'fixed: <value>'",
            f"a prior of width {sd:g}",
        )


def _check_positive(what: str, value: float) -> None:
    if value <= 0:
        raise fault(f"{what} > 0", "its logarithm must exist; use uniform or normal for norms down to 0", f"{value:g}")


def _check_truncation(prior: Prior) -> None:
    low, high = prior.support
    if not low < high:
        raise fault("min < max", "swap the limits of the truncation", f"min {low:g} and max {high:g}")
    root = prior.sd * math.sqrt(2)
    # erfc keeps its precision in the tail on which the interval lies.
    lower, upper = (low - prior.mean) / root, (high - prior.mean) / root
    if lower < 0 < upper:
        return
    near, far = (lower, upper) if lower >= 0 else (-upper, -lower)
    if (math.erfc(near) - math.erfc(far)) / 2 < 1e-6:
        raise fault(
            "a truncated normal prior that keeps at least 1e-6 of its mass",
            "move the mean or the limits; use uniform for a flat prior between two limits",
            f"normal: [{prior.mean:g}, {prior.sd:g}] between {low:g} and {high:g}",
        )

"""Populations of unresolved sources: how many of which brightness, and how the exposure enters."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

from pydantic import model_validator

from skysift.config.faults import fault
from skysift.config.priors import Prior
from skysift.config.scalars import Name, PositiveInteger, PositiveReal, Real
from skysift.config.section import REQUIRED, Section, key, without_nulls

__all__ = ["ExposureVariation", "Population", "TruePopulation"]

Units = Literal["counts", "flux"]
NormOf = Literal["break", "counts", "intensity"]

_UNITS = "of breaks and of dN/dF: `counts` (photons at the region's mean exposure), or `flux` (ph/cm2/s)"
_NORM_OF = (
    "what the norm measures: `break`, dN/dF at the highest break per unit of template; `counts`, all photons of the "
    "population in the fit region; `intensity`, their mean in ph/cm2/s/sr"
)
_LIMITS = (
    "lowest and highest brightness of the sources, for a power law without breaks; dN/dF at a break is that at the "
    "highest brightness then"
)
_RELATIVE = "each break after the first is given as its share of the one above"


class Population(Section):
    r"""Sources too faint to resolve: dN/dF = A (F/F_1)^-n_1 above the highest break, another slope below each break.

    Attributes
    ----------
    slopes : list of `Prior`, n_1 (above the highest break) first
    breaks : list of `Prior`, the highest first
    limits : lowest and highest brightness where there are no breaks
    relative : whether further breaks are shares of the one above
    units : ``counts`` or ``flux``
    norm_of : ``break``, ``counts`` or ``intensity``
    template_is : ``counts`` or ``density``
    """

    slopes: list[Prior] = key(
        REQUIRED,
        "priors of the slopes, one more than breaks, that of the brightest sources (above 2) first, that of the "
        "faintest (below 2) last",
        example=[{"uniform": [2.05, 30]}, {"uniform": [-2, 1.95]}],
        min_length=1,
        max_length=9,
    )
    breaks: list[Prior] = key(
        REQUIRED, "priors of the breaks, the highest first; [] beside `limits`", example=[{"uniform": [0.05, 40]}],
        max_length=8,
    )  # fmt: skip
    limits: tuple[PositiveReal, PositiveReal] | None = key(None, _LIMITS, example=[0.1, 40])
    relative: bool = key(False, _RELATIVE, example=True)
    units: Units = key("counts", _UNITS, example="flux")
    norm_of: NormOf = key("break", _NORM_OF, example="intensity")
    template_is: Literal["counts", "density"] = key(
        "counts",
        "`counts`: the template is counts per pixel, and sources are as many as it has light where the exposure is "
        "divided out; `density`: sources per pixel themselves",
        example="density",
    )

    @property
    def free(self) -> dict[str, Prior]:
        """Priors of slopes and breaks that are fitted, ``slope_1``, ..., ``break_1``, ..."""
        listed = {"slope": self.slopes, "break": self.breaks}
        return {
            f"{name}_{k}": prior
            for name, priors in listed.items()
            for k, prior in enumerate(priors, start=1)
            if not prior.is_fixed
        }

    @model_validator(mode="after")
    def _check(self) -> Self:
        check_lengths(len(self.slopes), len(self.breaks))
        check_limits(self.limits, len(self.breaks))
        for name, priors in (("slopes", self.slopes), ("breaks", self.breaks)):
            if any(prior.is_rigid_fit for prior in priors):
                raise fault("numbers or priors", "write a number, or a prior such as uniform", f"rigid_fit in {name}")
        if self.breaks:
            check_slopes(_edges(self.slopes[0])[0], _edges(self.slopes[-1])[1])
            self._check_breaks()
        return self

    def _check_breaks(self) -> None:
        lows, highs = zip(*map(_edges, self.breaks), strict=True)
        if min(lows) < 0 or (self.relative and max(highs[1:], default=0.0) >= 1 + 1e-12):
            wanted = "breaks above 0" + (", and below 1 after the first" if self.relative else "")
            raise fault(wanted, "change the limits of their priors", f"from {min(lows):g} to {max(highs):g}")
        if not self.relative and any(low < high for low, high in zip(lows, highs[1:], strict=False)):
            raise fault(
                "breaks whose priors do not overlap, the highest first",
                "separate the priors, or write 'relative: true' and give shares of the break above",
                "; ".join(f"{low:g} to {high:g}" for low, high in zip(lows, highs, strict=True)),
            )


def _edges(prior: Prior) -> tuple[float, float]:
    return (prior.value, prior.value) if prior.value is not None else prior.support


def check_lengths(slopes: int, breaks: int) -> None:
    """Raise unless there is one slope more than breaks."""
    if slopes != breaks + 1:
        raise fault(
            f"one slope more than breaks: {breaks + 1}", "add or remove a slope", f"{slopes} slopes, {breaks} breaks"
        )


def check_limits(limits: tuple[float, float] | None, breaks: int) -> None:
    """Raise unless there are either breaks or limits, which rise."""
    if (limits is None) is (breaks == 0):
        found = f"{breaks} breaks and {'no' if limits is None else 'both'} limits"
        raise fault("breaks, or limits of a law without breaks", "write for example 'limits: [0.1, 40]'", found)
    if limits is not None and limits[0] >= limits[1]:
        raise fault("the lowest limit first", "sort them", f"{limits[0]:g} to {limits[1]:g}")


def check_slopes(first: float, last: float) -> None:
    """Raise unless the light of all sources is finite: lowest value of n_1, highest of the last slope."""
    if first < 2 or last > 2:
        raise fault(
            "the first slope above 2, the last one below 2: else the light of all sources has no end",
            "change the limits of their priors, for example {uniform: [2.05, 30]} and {uniform: [-2, 1.95]}",
            f"a first slope down to {first:g}, a last one up to {last:g}",
        )


class ExposureVariation(Section):
    """How the variation of the exposure over the sky enters the statistics of sources: exactly one of three.

    Attributes
    ----------
    nodes : Chebyshev nodes in the logarithm of the exposure, between which coefficients are interpolated
    regions : regions of similar exposure, mean counts following each pixel's own
    nptfit : regions of similar exposure in NPTFit's convention
    """

    shorthands: ClassVar[tuple[dict[str, Any], ...]] = ({"enum": ["nptfit"]},)

    nodes: PositiveInteger | None = key(
        None, "Chebyshev nodes in the logarithm of the exposure, with interpolation between them", example=3, le=20
    )
    regions: PositiveInteger | None = key(
        None, "regions of similar exposure, in which mean counts follow each pixel's own", example=5, le=100
    )
    nptfit: PositiveInteger | None = key(
        None,
        "regions of similar exposure as NPTFit makes them: mean counts of sources do not follow the exposure within a "
        "region, and norms are per unit of its templates; `nptfit` alone is one region",
        example=1,
        le=100,
    )

    @model_validator(mode="before")
    @classmethod
    def _expand(cls, data: Any) -> Any:  # noqa: ANN401 - whatever the file holds
        return {"nptfit": 1} if data == "nptfit" else without_nulls(data)

    @model_validator(mode="after")
    def _check(self) -> Self:
        given = [name for name, value in self if value is not None]
        if len(given) != 1:
            found = " and ".join(given) or "none of them"
            raise fault("exactly one of nodes, regions, nptfit", "write for example {nodes: 3}", found)
        return self


class TruePopulation(Section):
    """A population that is drawn, source by source.

    Attributes
    ----------
    template : None for that of the component of this name
    norm, slopes, breaks, limits : as in `Population`, numbers
    units, norm_of, template_is : as in `Population`; None for those of the component of this name
    """

    template: Name | None = key(
        None, "where the sources are", example="nfw_squared", says="that of the component of this name"
    )
    norm: PositiveReal = key(REQUIRED, "true norm", example=0.01)
    slopes: list[Real] = key(REQUIRED, "true slopes, that of the brightest first", example=[3.5, 0.5], min_length=1)
    breaks: list[PositiveReal] = key(
        REQUIRED, "true breaks, the highest first, none of them relative; [] beside `limits`", example=[12]
    )
    limits: tuple[PositiveReal, PositiveReal] | None = key(None, _LIMITS, example=[0.1, 40])
    units: Units | None = key(None, _UNITS, example="flux", says="those of the component of this name, or counts")
    norm_of: NormOf | None = key(
        None, _NORM_OF, example="intensity", says="that of the component of this name, or break"
    )
    template_is: Literal["counts", "density"] | None = key(
        None, "as in a component", example="density", says="that of the component of this name, or counts"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        check_lengths(len(self.slopes), len(self.breaks))
        check_limits(self.limits, len(self.breaks))
        if self.breaks:
            check_slopes(self.slopes[0] - 1e-12, self.slopes[-1] + 1e-12)
        if any(low >= high for high, low in zip(self.breaks, self.breaks[1:], strict=False)):
            raise fault("falling breaks", "sort them, the highest first", f"{self.breaks}")
        return self

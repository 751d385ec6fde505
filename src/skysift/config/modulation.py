"""Gaussian processes that modulate a template."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, model_validator

from skysift.config.faults import fault
from skysift.config.hyperpriors import LengthScale, MeanPrior, Variance
from skysift.config.priors import Prior
from skysift.config.scalars import ComponentName, Integer, PositiveReal, ResolutionParameter
from skysift.config.section import Section, key, without_nulls

__all__ = ["Inducing", "Modulation", "Modulations"]

_LENGTHSCALE: dict[str, Any] = {"lognormal": ["0.2 rad", 0.5]}
_VARIANCE: dict[str, Any] = {"lognormal": [0.05, 1.0]}
Hyper = Literal["fixed", "sampled", "maximised", "marginalised"]


class Inducing(Section):
    """Inducing points of a Gaussian process.

    Attributes
    ----------
    spacing : in correlation lengths
    nside : None where it follows from the spacing
    points : ``grid`` or ``all``
    learn : whether the points may move
    """

    spacing: PositiveReal = key(
        0.35, "distance between inducing points, in correlation lengths; above 0.6 refused", example=0.35, le=0.6
    )
    nside: ResolutionParameter | None = key(
        None, "HEALPix resolution of the grid of inducing points", example=16, says="from the spacing"
    )
    points: Literal["grid", "all"] = key(
        "grid", "`grid`: a HEALPix grid over the region and a margin; `all`: every pixel, exact", example="grid"
    )
    learn: bool = key(False, "let the points move; the projection is then computed at every step", example=False)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.points == "all" and (self.nside is not None or self.learn):
            raise fault(
                "points: all without nside and learn",
                "choose one: points: grid with nside or learn, or points: all",
                "points: all and " + ("nside" if self.nside is not None else "learn"),
            )
        return self


class Modulation(Section):
    """One Gaussian process f; its component becomes norm x exp(f) x template.

    Attributes
    ----------
    kernel : ``matern12``, ``matern32``, ``matern52`` or ``rbf``
    lengthscale : `LengthScale`, with ``value_rad`` or ``median_rad`` and ``sd``
    variance : `Variance`, with ``value`` or ``median`` and ``sd``
    hyper : ``fixed``, ``sampled``, ``maximised`` or ``marginalised``
    grid : points per free hyper-parameter when marginalised
    distance : ``chord`` or ``geodesic``
    nside : resolution at which f is evaluated, None for that of the counts
    inducing : `Inducing`
    mean : `MeanPrior` or None
    shared : component whose field is used in place of an own one, or None
    coefficient : `Prior` of the factor on the shared field
    energies : ``shared``, ``independent`` or ``separable``
    energy_lengthscale : in ln E, for ``separable``
    """

    kernel: Literal["matern12", "matern32", "matern52", "rbf"] = key("matern52", "covariance function", example="rbf")
    lengthscale: LengthScale = key(
        None,
        "correlation length: an angle, or `{lognormal: [median, sd of ln]}`",
        example="0.2 rad",
        unit="angle",
        default_factory=lambda: LengthScale.model_validate(_LENGTHSCALE),
    )
    variance: Variance = key(
        None,
        "variance of f: a number, or `{lognormal: [median, sd of ln]}`",
        example=0.5,
        default_factory=lambda: Variance.model_validate(_VARIANCE),
    )
    hyper: Hyper = key(
        "marginalised",
        "what happens to hyper-parameters with a prior: sampled with the rest, set to the maximum of the evidence, or "
        "marginalised on a grid weighted by evidence",
        example="marginalised",
        says="fixed when neither has a prior, marginalised otherwise",
    )
    grid: Integer = key(5, "points per hyper-parameter with a prior, when marginalised", example=3, ge=3, le=25)
    distance: Literal["chord", "geodesic"] = key(
        "chord",
        "distance between directions; on the great circle most kernels are not positive definite everywhere and are "
        "refused where they are not",
        example="chord",
    )
    nside: ResolutionParameter | None = key(
        None,
        "HEALPix resolution at which f is evaluated: finer pixels share a value; several times faster where pixels are "
        "much smaller than the lengthscale; the first kernel's choice holds for the sum",
        example=64,
        says="that of the counts",
    )
    inducing: Inducing = key(None, "inducing points", example={"spacing": 0.35}, default_factory=Inducing)
    mean: MeanPrior | None = key(
        None, "prior of the constant mean of f, only beside a fixed norm", example={"normal": [0, 0.5]}, says="mean 0"
    )
    shared: ComponentName | None = key(
        None, "use the field of this component, times the coefficient, in place of an own one", example="diffuse"
    )
    coefficient: Prior = key(
        None,
        "factor on a shared field: a number or a prior",
        example={"normal": [1, 0.5]},
        default_factory=lambda: Prior.model_validate(1.0),
    )
    energies: Literal["shared", "independent", "separable"] = key(
        "shared",
        "one field for all energy bins, one for each, or one with a kernel in ln E as well",
        example="separable",
    )
    energy_lengthscale: PositiveReal = key(
        1.0, "correlation length in ln E, for `energies: separable`", example=1.0, unit="ln E"
    )

    @model_validator(mode="before")
    @classmethod
    def _choose_hyper(cls, data: Any) -> Any:  # noqa: ANN401 - whatever the file holds
        data = without_nulls(data)
        if not isinstance(data, dict) or "hyper" in data:
            return data
        given = (data.get("lengthscale", _LENGTHSCALE), data.get("variance", _VARIANCE))
        has_prior = any(isinstance(value, dict) and value.get("lognormal") is not None for value in given)
        needs_prior = has_prior and "shared" not in data
        return {**data, "hyper": "marginalised" if needs_prior else "fixed"}

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.shared is not None:
            return self._check_shared()
        if self.coefficient != _default("coefficient"):
            raise fault("coefficient beside shared only", "add shared, or leave coefficient out", "coefficient alone")
        if self.free_hypers and self.hyper == "fixed":
            raise fault(
                "numbers in place of priors, or another choice of hyper",
                "give a number, or write 'hyper: marginalised'",
                f"hyper: fixed and a prior on {' and '.join(self.free_hypers)}",
            )
        if not self.free_hypers and self.hyper != "fixed":
            raise fault(
                "a prior on lengthscale or variance, or hyper: fixed",
                "write for example 'variance: {lognormal: [0.05, 1.0]}'",
                f"hyper: {self.hyper} with lengthscale and variance both given as numbers",
            )
        return self

    def _check_shared(self) -> Self:
        own = [name for name in ("kernel", "lengthscale", "variance", "mean", "grid", "inducing", "distance")
               if getattr(self, name) != _default(name)]  # fmt: skip
        if self.coefficient.is_rigid_fit:
            raise fault("a number or a prior", "write for example 'coefficient: 1.0'", "coefficient: rigid_fit")
        if own or self.hyper != "fixed":
            raise fault(
                "shared without a kernel of its own",
                f"leave {own[0] if own else 'hyper'} out, or leave shared out",
                f"shared: {self.shared} and {', '.join(own) if own else f'hyper: {self.hyper}'}",
            )
        return self

    @property
    def free_hypers(self) -> tuple[str, ...]:
        """Names among ``lengthscale`` and ``variance`` that have a prior."""
        if self.shared is not None:
            return ()
        pairs = (("lengthscale", self.lengthscale.is_fixed), ("variance", self.variance.is_fixed))
        return tuple(name for name, is_fixed in pairs if not is_fixed)

    @property
    def variants(self) -> int:
        """Number of grid points over hyper-parameters when they are marginalised, else 1."""
        return int(self.grid ** len(self.free_hypers)) if self.hyper == "marginalised" else 1


def _as_list(data: Any) -> Any:  # noqa: ANN401 - whatever the file holds
    return [data] if isinstance(data, dict) else data


Modulations = Annotated[
    list[Modulation], BeforeValidator(_as_list, json_schema_input_type=Modulation | list[Modulation])
]


def _default(name: str) -> Any:  # noqa: ANN401 - any default
    return Modulation.model_fields[name].get_default(call_default_factory=True, validated_data={})

"""What a model file declares: sources, backgrounds, their parts and parameters, before any of it is a tensor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from skysift.config.models.units import read_unit

__all__ = [
    "BackgroundDeclaration", "ModelFile", "ParameterDeclaration", "PartDeclaration", "PriorDeclaration",
    "SourceDeclaration", "TemplateDeclaration",
]  # fmt: skip


@dataclass(frozen=True)
class PriorDeclaration:
    """Prior on one parameter, in its unit.

    Parameters
    ----------
    kind : ``normal`` (mu, sigma), ``uniform`` (min, max), ``loguniform`` (min, max) or ``generalised_normal``
        (mu, sigma, eta): exp(-|x - mu|^(1/eta) / (sigma sqrt 2)^(1/eta))
    numbers : in that order
    weight : of -2 ln p in the statistic
    """

    kind: str
    numbers: tuple[float, ...]
    weight: float = 1.0

    def scaled(self, factor: float) -> PriorDeclaration:
        """Return the prior of the parameter times a factor."""
        scaled = tuple(number * factor for number in self.numbers[:2])
        return replace(self, numbers=scaled + self.numbers[2:])


@dataclass(frozen=True)
class ParameterDeclaration:
    """One parameter.

    Parameters
    ----------
    name : within its part
    value, unit : ``unit`` as the file writes it
    error : of an earlier fit, None if the file has none
    low, high : limits, None where there is none
    is_frozen : whether it stays at its value
    link : label that it shares with other parameters; all of one label are one parameter
    expression : text of the expression of other parameters that sets it
    prior : None if the file has none
    natural_unit : the one that skysift computes in (TeV, cm-2 s-1 TeV-1, deg, ...)
    hints : further entries that are kept and written back (``interp``, ``scale_method``, ...)
    """

    name: str
    value: float
    unit: str = ""
    error: float | None = None
    low: float | None = None
    high: float | None = None
    is_frozen: bool = False
    link: str | None = None
    expression: str | None = None
    prior: PriorDeclaration | None = None
    natural_unit: str = ""
    hints: Mapping[str, str] = field(default_factory=dict)

    @property
    def factor(self) -> float:
        """What a value in ``unit`` is multiplied by to be one in ``natural_unit``."""
        if self.unit == self.natural_unit:
            return 1.0
        return read_unit(self.unit).factor / read_unit(self.natural_unit).factor

    def natural(self) -> ParameterDeclaration:
        """Return the same parameter in the unit that skysift computes in.

        Examples
        --------
        >>> ParameterDeclaration("reference", 500.0, "GeV", natural_unit="TeV").natural().value
        0.5
        """
        factor = self.factor
        return replace(
            self,
            value=self.value * factor,
            unit=self.natural_unit,
            error=None if self.error is None else self.error * factor,
            low=None if self.low is None else self.low * factor,
            high=None if self.high is None else self.high * factor,
            prior=None if self.prior is None else self.prior.scaled(factor),
        )


@dataclass(frozen=True)
class PartDeclaration:
    """A spectrum, a shape or a light curve.

    Parameters
    ----------
    tag : short name of its kind, as in Gammapy (``pl``, ``gauss``, ...)
    parameters : in the order of its kind
    tables : numbers that come with it, in TeV, cm-2 s-1 TeV-1, deg (``energy``, ``values``, ``weights``, ...)
    settings : its other entries (``operator``, ``interp``, ``normalize``, ...)
    frame : ``icrs`` or ``galactic`` for shapes that have a place
    file : that it needs, as found from the model file
    parts : of a compound spectrum or a sum of shapes
    """

    tag: str
    parameters: tuple[ParameterDeclaration, ...] = ()
    tables: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    frame: str | None = None
    file: str | None = None
    parts: tuple[PartDeclaration, ...] = ()

    def named_parameters(self) -> Iterator[tuple[str, ParameterDeclaration]]:
        """Yield all parameters with their names: of parts ``model1.index`` and so on, in order."""
        for parameter in self.parameters:
            yield parameter.name, parameter
        for number, part in enumerate(self.parts, 1):
            for name, parameter in part.named_parameters():
                yield f"model{number}.{name}", parameter

    def __getitem__(self, name: str) -> ParameterDeclaration:
        """Return a parameter by its name, ``model1.index`` for those of parts."""
        return dict(self.named_parameters())[name]

    def natural(self) -> PartDeclaration:
        """Return the same part with all parameters in the units that skysift computes in."""
        return replace(
            self,
            parameters=tuple(parameter.natural() for parameter in self.parameters),
            parts=tuple(part.natural() for part in self.parts),
        )

    @property
    def values(self) -> dict[str, float]:
        """Values of all parameters by name, in the units that skysift computes in."""
        return {name: parameter.natural().value for name, parameter in self.named_parameters()}


_IRF = ("exposure", "psf", "edisp")


@dataclass(frozen=True)
class SourceDeclaration:
    """A source: spectrum times shape times light curve.

    Parameters
    ----------
    name : unique in its file
    spectral, spatial, temporal : parts; without shape it fits spectra of regions only
    datasets : names of those it shines in, None for all
    apply_irf : whether ``exposure``, ``psf`` and ``edisp`` are applied to it
    place : where it is written
    origin : the element of an XML file it was read from, with which it is written again
    """

    name: str
    spectral: PartDeclaration
    spatial: PartDeclaration | None = None
    temporal: PartDeclaration | None = None
    datasets: tuple[str, ...] | None = None
    apply_irf: Mapping[str, bool] = field(default_factory=lambda: dict.fromkeys(_IRF, True))
    place: str = ""
    origin: Any = field(default=None, compare=False, repr=False)

    def parts(self) -> Iterator[tuple[str, PartDeclaration]]:
        """Yield ``spectral``, ``spatial``, ``temporal`` with the part, those that there are."""
        for role in ("spectral", "spatial", "temporal"):
            part = getattr(self, role)
            if part is not None:
                yield role, part

    def parameters(self) -> Iterator[tuple[str, ParameterDeclaration]]:
        """Yield all parameters with names such as ``crab.spectral.index``, in order."""
        for role, part in self.parts():
            for name, parameter in part.named_parameters():
                yield f"{self.name}.{role}.{name}", parameter

    def is_in(self, dataset: str) -> bool:
        """Return whether it shines in a data set."""
        return self.datasets is None or dataset in self.datasets

    def natural(self) -> SourceDeclaration:
        """Return the same source in the units that skysift computes in."""
        return self.with_parts({role: part.natural() for role, part in self.parts()})

    def with_parts(self, parts: Mapping[str, Any]) -> SourceDeclaration:
        """Return the same source with some of ``spectral``, ``spatial``, ``temporal`` replaced."""
        return replace(self, **parts)


@dataclass(frozen=True)
class BackgroundDeclaration(SourceDeclaration):
    """The background cube of one data set times a norm spectrum, and a shape if there is one."""

    @property
    def dataset(self) -> str:
        """Name of its data set."""
        (name,) = self.datasets or ("",)
        return name


@dataclass(frozen=True)
class TemplateDeclaration(SourceDeclaration):
    """Predicted counts in a file, times a norm spectrum.

    Parameters
    ----------
    file : of the counts
    """

    file: str = ""


@dataclass(frozen=True)
class ModelFile:
    """All of a model file.

    Parameters
    ----------
    components : sources, backgrounds, templates, in order
    name : of the file
    covariance : rows of the covariance of all parameters in order, in their units; None if there is none
    covariance_file : its name as written in the file
    extras : block ``skysift`` of the file
    warnings : what was repaired or left out on reading
    """

    components: tuple[SourceDeclaration, ...]
    name: str = ""
    covariance: tuple[tuple[float, ...], ...] | None = None
    covariance_file: str | None = None
    extras: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def sources(self) -> tuple[SourceDeclaration, ...]:
        """Sources of the sky."""
        other = (BackgroundDeclaration, TemplateDeclaration)
        return tuple(component for component in self.components if not isinstance(component, other))

    @property
    def backgrounds(self) -> tuple[BackgroundDeclaration, ...]:
        """Backgrounds of data sets."""
        return tuple(component for component in self.components if isinstance(component, BackgroundDeclaration))

    @property
    def templates(self) -> tuple[TemplateDeclaration, ...]:
        """Templates of predicted counts."""
        return tuple(component for component in self.components if isinstance(component, TemplateDeclaration))

    def __getitem__(self, name: str) -> SourceDeclaration:
        """Return a component by its name."""
        return {component.name: component for component in self.components}[name]

    def parameters(self) -> dict[str, ParameterDeclaration]:
        """Return all parameters by name (``crab.spectral.index``), in order of declaration."""
        return dict(pair for component in self.components for pair in component.parameters())

    def natural(self) -> ModelFile:
        """Return the same models in TeV, cm-2 s-1 TeV-1 and deg, covariance included."""
        factors = [parameter.factor for parameter in self.parameters().values()]
        covariance = self.covariance and tuple(
            tuple(value * row * column for value, column in zip(line, factors, strict=True))
            for line, row in zip(self.covariance, factors, strict=True)
        )
        components = tuple(component.natural() for component in self.components)
        return replace(self, components=components, covariance=covariance)

"""Energy spectra and dark-matter profiles of event sources, with numbers or priors."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal, Self

from pydantic import model_validator

from skysift.config.events.branching import Branching
from skysift.config.faults import fault
from skysift.config.priors import Prior, expand_bare
from skysift.config.quantities import EnergyTeV, FluxDensity, Kiloparsec, format_density
from skysift.config.scalars import Name, Real
from skysift.config.section import Section, key

__all__ = ["EnergyPrior", "Profile", "SourcePrior", "Spectrum"]

_FAMILIES = ("fixed", "uniform", "loguniform", "lognormal")


class EnergyPrior(Section):
    """Prior of an energy or a mass; a bare quantity is fixed.

    Attributes
    ----------
    kind : ``fixed``, ``uniform``, ``loguniform`` or ``lognormal``
    fixed_tev, uniform_tev, loguniform_tev : value, or lowest and highest
    lognormal : median and sd of ln
    """

    shorthands: ClassVar[tuple[dict[str, Any], ...]] = ({"type": "string"},)

    fixed_tev: EnergyTeV | None = key(None, "the value, not fitted", example="1 TeV", unit="energy", alias="fixed")
    uniform_tev: tuple[EnergyTeV, EnergyTeV] | None = key(
        None, "lowest and highest value", example=["0.1 TeV", "10 TeV"], unit="energy", alias="uniform"
    )
    loguniform_tev: tuple[EnergyTeV, EnergyTeV] | None = key(
        None,
        "lowest and highest value, flat in the logarithm",
        example=["0.1 TeV", "10 TeV"],
        unit="energy",
        alias="loguniform",
    )
    lognormal: tuple[EnergyTeV, Real] | None = key(
        None, "median, and standard deviation of the natural logarithm", example=["1 TeV", 0.5]
    )

    @model_validator(mode="before")
    @classmethod
    def _expand(cls, data: Any) -> Any:  # noqa: ANN401 - whatever the file holds
        return expand_bare(data, "fixed")

    @model_validator(mode="after")
    def _check(self) -> Self:
        given = [name for name in _FAMILIES if self._numbers(name) is not None]
        if len(given) != 1:
            raise fault(
                f"exactly one of {', '.join(_FAMILIES)}", "write for example '1 TeV'", " and ".join(given) or "none"
            )
        numbers = self.numbers
        if self.kind in ("uniform", "loguniform") and not numbers[0] < numbers[1]:
            raise fault("lowest < highest", "swap or widen the limits", f"{numbers[0]:g} and {numbers[1]:g} TeV")
        if min(numbers) <= 0:
            raise fault("values above 0", "an energy is positive", f"{min(numbers):g}")
        return self

    def _numbers(self, name: str) -> Any:  # noqa: ANN401 - one or two numbers
        return getattr(self, name if name == "lognormal" else f"{name}_tev")

    @property
    def kind(self) -> str:
        """Name of the family."""
        return next(name for name in _FAMILIES if self._numbers(name) is not None)

    @property
    def numbers(self) -> tuple[float, ...]:
        """The numbers of the family: TeV, and the sd of ln of a lognormal prior."""
        found = self._numbers(self.kind)
        return found if isinstance(found, tuple) else (found,)

    @property
    def is_fixed(self) -> bool:
        """Whether it is not fitted."""
        return self.kind == "fixed"

    @property
    def support(self) -> tuple[float, float]:
        """Lowest and highest value that the prior allows, TeV."""
        return (0.0, math.inf) if self.kind == "lognormal" else (self.numbers[0], self.numbers[-1])


#: Prior of a parameter of a source.
SourcePrior = Prior | EnergyPrior | Branching

_NEEDS = {
    "power_law": ("index",),
    "broken_power_law": ("index", "index_2", "break"),
    "cutoff": ("index", "cutoff"),
    "log_parabola": ("index", "curvature"),
    "table": ("file",),
    "annihilation": ("mass",),
    "decay": ("mass",),
}
_SHAPE = ("index", "index_2", "break", "cutoff", "curvature", "mass", "channel", "branching", "file")
_DARK = ("annihilation", "decay")
_ANALYTIC = ("bergstrom", "line")


class Spectrum(Section):
    """Differential flux, as a function of energy.

    Attributes
    ----------
    kind : family
    norm : flux density at the pivot, TeV-1 cm-2 s-1, or per sr for isotropic and diffuse emission
    pivot_tev : reference energy
    index, index_2, curvature : `Prior`
    break_energy, cutoff, mass : `EnergyPrior`
    channel : ``bergstrom``, ``line``, or a column of the table ``file``
    branching : `Branching` of several channels, in place of one channel
    self_conjugate : whether dark matter is its own antiparticle
    file : table of a spectrum or of channel spectra
    """

    kind: Literal["power_law", "broken_power_law", "cutoff", "log_parabola", "table", "annihilation", "decay"] = key(
        "power_law", "family", example="cutoff"
    )
    norm: FluxDensity | None = key(
        None,
        "flux density at the pivot, of the whole source; of isotropic and diffuse emission per sr, such as 1e-9 TeV-1 "
        "cm-2 s-1 sr-1; fractions do not need it",
        example="1e-12 TeV-1 cm-2 s-1",
        unit="flux density",
        says="1e-12 TeV-1 cm-2 s-1 (sr-1); of a diffuse model its own",
    )
    pivot_tev: EnergyTeV = key(1.0, "reference energy", example="1 TeV", unit="energy", alias="pivot", gt=0)
    index: Prior | None = key(None, "index Gamma of E^-Gamma, below a break", example={"normal": [2.4, 0.2]})
    index_2: Prior | None = key(None, "index above the break", example=3.0)
    curvature: Prior | None = key(None, "curvature beta of a log-parabola", example=0.1)
    break_energy: EnergyPrior | None = key(None, "energy of the break", example="1 TeV", alias="break")
    cutoff: EnergyPrior | None = key(None, "energy of the exponential cut-off", example="10 TeV")
    mass: EnergyPrior | None = key(
        None, "mass of the dark-matter particle", example={"loguniform": ["0.3 TeV", "30 TeV"]}
    )
    channel: Name | None = key(
        None, "`bergstrom` or `line` (analytic), or a channel of the table `file`", example="bergstrom"
    )
    branching: Branching | None = key(
        None, "shares of several channels: numbers, or free with a Dirichlet prior", example={"b": 0.7, "W": 0.3},
        says="one channel",
    )  # fmt: skip
    self_conjugate: bool = key(
        True, "whether the annihilating particle is its own antiparticle: 8 pi, otherwise 16 pi", example=False
    )
    file: str | None = key(
        None,
        "table: energy and density (TeV, TeV-1 cm-2 s-1), or channel spectra as PPPC4DMID has them: a line of names, "
        "then mass in GeV, log10 x, and dN/dlog10 x of each channel",
        example="spectra.dat",
        min_length=1,
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        given = [name for name in _SHAPE if getattr(self, "break_energy" if name == "break" else name) is not None]
        wanted = _NEEDS[self.kind]
        missing = [name for name in wanted if name not in given]
        more = ("channel", "branching", "file") if self.kind in _DARK else ()
        extra = [name for name in given if name not in (*wanted, *more)]
        if missing:
            raise fault(f"{', '.join(wanted)} with kind: {self.kind}", f"add {missing[0]}", f"no {missing[0]}")
        if extra:
            raise fault(
                f"only {', '.join(wanted)} with kind: {self.kind}", f"leave {extra[0]} out, or change kind", extra[0]
            )
        if self.norm is not None and self.kind in ("table", *_DARK):
            remedy = "leave norm out; the norm of the component scales it"
            raise fault(f"no norm with kind: {self.kind}", remedy, f"norm: {format_density(self.norm)}")
        self._check_dark()
        for name in ("index", "index_2", "curvature"):
            prior = getattr(self, name)
            if prior is not None and prior.is_rigid_fit:
                raise fault("a number or a prior", f"write for example '{name}: 2.4'", f"{name}: rigid_fit")
        return self

    def _check_dark(self) -> None:
        if not self.self_conjugate and self.kind != "annihilation":
            raise fault("self_conjugate with kind: annihilation", "leave it out", f"kind: {self.kind}")
        if self.kind not in _DARK:
            return
        if (self.channel is None) == (self.branching is None):
            found = "neither" if self.channel is None else "both"
            raise fault("a channel, or branching of several", "write for example 'channel: bergstrom'", found)
        tabulated = [name for name in self.channels if name not in _ANALYTIC]
        if bool(tabulated) != (self.file is not None):
            found = f"channel {(tabulated or list(self.channels))[0]} {'with' if self.file else 'without'} file"
            raise fault(
                "channel: bergstrom or line without file, or a channel of a file",
                "name the file of the channel, or take an analytic channel",
                found,
            )

    @property
    def channels(self) -> list[str]:
        """Channels of dark matter."""
        if self.branching is not None:
            return self.branching.names
        return [] if self.channel is None else [self.channel]

    @property
    def priors(self) -> dict[str, SourcePrior]:
        """What is fitted, by name."""
        return {name: part for name, part in self._parts().items() if not part.is_fixed}

    @property
    def numbers(self) -> list[str]:
        """What can be fitted, by name."""
        return list(self._parts())

    def _parts(self) -> dict[str, SourcePrior]:
        names = {"break_energy": "break"}
        parts = {
            names.get(name, name): getattr(self, name)
            for name in ("index", "index_2", "curvature", "break_energy", "cutoff", "mass", "branching")
        }
        return {name: part for name, part in parts.items() if part is not None}


class Profile(Section):
    """Density profile of the Galaxy's dark matter.

    Attributes
    ----------
    kind : family
    gamma, alpha, beta : slopes of a generalised NFW profile, or alpha of an Einasto profile; `Prior`
    r_s : scale radius in kpc, `Prior`
    local_density : in GeV cm-3, `Prior`
    distance_kpc : of the Galactic centre
    core_kpc : radius within which the density is constant
    """

    kind: Literal["nfw", "gnfw", "einasto", "burkert", "moore"] = key("einasto", "family", example="gnfw")
    gamma: Prior | None = key(None, "inner slope (gnfw)", example={"uniform": [0.5, 1.4]}, says="1")
    alpha: Prior | None = key(None, "sharpness (gnfw), or curvature (einasto)", example=0.17, says="1, or 0.17")
    beta: Prior | None = key(None, "outer slope (gnfw)", example=3, says="3")
    r_s: Prior | None = key(
        None, "scale radius, in kpc", example={"normal": [24, 3], "min": 5}, says="of the family: 24.42, 28.44, ..."
    )
    local_density: Prior | None = key(
        None, "density at the Sun, in GeV cm-3", example={"normal": [0.39, 0.03], "min": 0.2}, says="0.39"
    )
    distance_kpc: Kiloparsec = key(
        8.33, "distance of the Galactic centre", example="8.33 kpc", unit="length", alias="distance", gt=0
    )
    core_kpc: Kiloparsec | None = key(
        None, "constant density within this radius", example="0.01 kpc", unit="length", alias="core", says="none"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        own = self.numbers
        for name in ("gamma", "alpha", "beta"):
            if getattr(self, name) is not None and name not in own:
                raise fault(
                    f"no {name} with kind: {self.kind}", "leave it out, or choose kind: gnfw", f"{name} is given"
                )
        for name in ("alpha", "r_s", "local_density"):
            prior = getattr(self, name)
            low = None if prior is None else (prior.value if prior.is_fixed else prior.support[0])
            if prior is not None and (low is None or low < 0 or (prior.is_fixed and low == 0)):
                raise fault(
                    f"{name} above 0",
                    f"add min to the prior of {name}, or raise its lower limit",
                    f"{name} down to {low}",
                )
        if self.gamma is not None and self.core_kpc is None:
            high = self.gamma.value if self.gamma.is_fixed else self.gamma.support[1]
            if high is None or high >= 1.5:
                raise fault(
                    "an inner slope below 1.5, where the J-factor converges",
                    "lower the upper limit of gamma, or add core",
                    f"gamma up to {high}",
                )
        return self

    @property
    def priors(self) -> dict[str, SourcePrior]:
        """What is fitted, by name."""
        parts = {name: getattr(self, name) for name in self.numbers}
        return {name: part for name, part in parts.items() if part is not None and not part.is_fixed}

    @property
    def numbers(self) -> list[str]:
        """What can be fitted, by name."""
        return [*{"gnfw": ("gamma", "alpha", "beta"), "einasto": ("alpha",)}.get(self.kind, ()), "r_s", "local_density"]

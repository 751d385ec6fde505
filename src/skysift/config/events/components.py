"""Components of an event mixture: sources in the sky, and the residual background of the instrument."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import model_validator

from skysift.config.events.diffuse import PER_SR, Patch
from skysift.config.events.spectra import Profile, SourcePrior, Spectrum
from skysift.config.faults import fault
from skysift.config.modulation import Modulations
from skysift.config.priors import Prior
from skysift.config.quantities import Degrees, EnergyTeV, format_density
from skysift.config.scalars import ComponentName, Name, PositiveReal
from skysift.config.section import Section, key, without_nulls

__all__ = ["CATALOGUES", "EventComponent"]

PROFILE_PARAMETERS = ("gamma", "alpha", "beta", "r_s", "local_density")
SHAPES = ("gaussian", "disk", "shell", "ring")
_CENTRED = ("point", *SHAPES)
CATALOGUES = ("hgps", "synthetic_catalogue")
_OWN_SPECTRUM = (*CATALOGUES, "fermi_diffuse", "synthetic_diffuse", "template")


class EventComponent(Section):
    """One component: a source in the sky, or the residual background of the instrument.

    Attributes
    ----------
    instrument : ``background`` or ``outlier``, None for a source in the sky
    sky : kind of source, None for the background
    center_deg, size_deg, inner_deg, elongation, angle_deg : of an analytic source
    file, ordering, coordsys : of a map
    sources : names in the catalogue, None for all
    shell_inner : inner over outer radius of the catalogue's shells
    large_scale : whether the survey's diffuse band is part of the component
    shape_band_tev, window : energies and part of the sky from which a diffuse model has its shape and mean
    share : parameter name to the component that owns it
    spectrum : `Spectrum`, None for that of a catalogue or diffuse model
    profile : `Profile` of dark matter
    norm : `Prior` of an absolute norm (extended likelihood)
    modulate : list of `Modulation`, empty for a rigid component
    """

    instrument: Literal["background", "outlier"] | None = key(
        None,
        "`background`: events that are no photons, as the response file gives them; `outlier`: events that nothing "
        "explains, flat in the region and in ln E",
        example="background",
    )
    sky: (
        Literal[
            "hgps", "synthetic_catalogue", "fermi_diffuse", "synthetic_diffuse", "isotropic", "point", "gaussian",
            "disk", "shell", "ring", "dark_matter", "template",
        ]
        | None
    ) = key(None, "kind of source", example="hgps")  # fmt: skip
    center_deg: tuple[Degrees, Degrees] | None = key(
        None, "Galactic longitude and latitude", example=["0 deg", "0 deg"], unit="angle", alias="center"
    )
    size_deg: Degrees | None = key(
        None, "sigma of a gaussian, outer radius of the others", example="0.2 deg", unit="angle", alias="size", gt=0
    )
    inner_deg: Degrees | None = key(
        None, "inner radius of a shell or ring", example="0.1 deg", unit="angle", alias="inner", gt=0, says="0.95 size"
    )
    elongation: PositiveReal = key(1.0, "minor over major axis", example=0.5, le=1)
    angle_deg: Degrees = key(
        0.0, "position angle of the major axis, from north to increasing longitude", example="30 deg",
        unit="angle", alias="angle",
    )  # fmt: skip
    file: str | None = key(
        None,
        "template: a map (FITS image, HEALPix table or HDF5 array), or a cube with energies and a unit of intensity, "
        "which needs no spectrum; or another file of a catalogue or diffuse model",
        example="map.fits",
        min_length=1,
    )
    ordering: Literal["ring", "nested"] | None = key(
        None, "pixel order of a HEALPix template whose header is silent", example="ring", says="from the header"
    )
    coordsys: Literal["galactic", "equatorial"] | None = key(
        None, "frame of a HEALPix template whose header is silent", example="galactic", says="from the header"
    )
    sources: list[str] | None = key(
        None, "sources of the catalogue that this component holds", example=["HESS J1745-290"], min_length=1, says="all"
    )
    shell_inner: PositiveReal | None = key(
        None, "inner over outer radius of the shells of the catalogue", example=0.9, lt=1, says="0.95"
    )
    large_scale: bool = key(
        False, "the diffuse band that the H.E.S.S. survey fitted below its sources shines with them", example=True
    )
    shape_band_tev: tuple[EnergyTeV, EnergyTeV] | None = key(
        None, "energies over which the Fermi-LAT model gives its shape", example=["10 GeV", "600 GeV"], unit="energy",
        alias="shape_band", says="10 GeV to 600 GeV",
    )  # fmt: skip
    window: Patch | None = key(
        None, "where the shape of a diffuse model has mean one, so that its norm is the mean intensity there",
        example={"lon": ["-3 deg", "3 deg"], "lat": ["-3 deg", "3 deg"]}, says="the field",
    )  # fmt: skip
    spectrum: Spectrum | None = key(
        None, "energy spectrum", example={"index": 2.4}, says="that of the catalogue, diffuse model or cube"
    )
    share: dict[Name, ComponentName] = key(
        None,
        "parameters taken from another component, such as its index",
        example={"index": "diffuse"},
        default_factory=dict,
    )
    profile: Profile | None = key(None, "density profile of dark matter", example={"kind": "nfw"}, says="einasto")
    norm: Prior | None = key(
        None,
        "prior of the absolute norm, with likelihood: extended; 1 is the flux as declared, of dark matter that of a "
        "cross-section of 3e-26 cm3 s-1 or a lifetime of 1e27 s; posteriors state `<component>_sigma_v` in cm3 s-1 or "
        "`<component>_lifetime` in s (with fractions: the fraction times the number of events, over those expected)",
        example={"lognormal": [1, 1]},
    )
    modulate: Modulations = key(
        None,
        "Gaussian process on the component",
        example={"lengthscale": "1 deg", "variance": 0.1},
        default_factory=list,
        says="rigid",
    )

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, data: Any) -> Any:  # noqa: ANN401 - whatever the file holds
        return without_nulls(data)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.instrument is None) == (self.sky is None):
            found = "neither" if self.sky is None else "both sky and instrument"
            raise fault("sky: <kind>, or instrument: background", "write for example 'sky: hgps'", found)
        for name, allowed, needed in self._rules():
            given = getattr(self, name) not in (None, False)
            if given and not allowed:
                kind = self.sky or self.instrument
                word = name.removesuffix("_deg").removesuffix("_tev")
                raise fault(f"no {word} with {kind}", f"leave {word} out", f"{word} is given")
            if needed and not given:
                word = name.removesuffix("_deg")
                raise fault(f"{word} with sky: {self.sky}", f"add {word}", f"no {word}")
        if self.inner_deg is not None and self.size_deg is not None and self.inner_deg >= self.size_deg:
            raise fault("inner < size", "swap them", f"inner {self.inner_deg:g} deg, size {self.size_deg:g} deg")
        if self.norm is not None and self.norm.is_rigid_fit:
            raise fault("a number or a prior", "write for example 'norm: 1'", "norm: rigid_fit")
        twice = sorted({name for name in self.sources or [] if (self.sources or []).count(name) > 1})
        if twice:
            raise fault("each source once", f"remove one {twice[0]!r} from sources", f"{twice[0]!r} twice")
        band = self.shape_band_tev
        if band is not None and not 0 < band[0] < band[1]:
            raise fault("shape_band: 0 < lowest < highest", "swap or widen it", f"{band[0]:g} to {band[1]:g} TeV")
        self._check_spectrum()
        self._check_field()
        return self

    def _rules(self) -> list[tuple[str, bool, bool]]:
        sky = self.sky
        own_file = ("template", "hgps", "fermi_diffuse")
        return [
            ("center_deg", sky in _CENTRED, sky in _CENTRED),
            ("size_deg", sky in SHAPES, sky in SHAPES),
            ("inner_deg", sky in ("shell", "ring"), False),
            ("file", sky in own_file, sky == "template"),
            ("ordering", sky == "template", False),
            ("coordsys", sky == "template", False),
            ("sources", sky in CATALOGUES, False),
            ("shell_inner", sky in CATALOGUES, False),
            ("large_scale", sky == "hgps", False),
            ("shape_band_tev", sky == "fermi_diffuse", False),
            ("window", sky in ("fermi_diffuse", "synthetic_diffuse"), False),
            ("profile", sky == "dark_matter", False),
            ("spectrum", sky not in (*CATALOGUES, None), sky is not None and sky not in _OWN_SPECTRUM),
        ]

    def _check_spectrum(self) -> None:
        dark = self.spectrum is not None and self.spectrum.kind in ("annihilation", "decay")
        if dark != (self.sky == "dark_matter") and self.spectrum is not None:
            raise fault(
                "kind: annihilation or decay with sky: dark_matter, and only there",
                "correct sky or spectrum.kind",
                f"{self.spectrum.kind} with {self.sky}",
            )

        norm = self.spectrum.norm if self.spectrum is not None else None
        if norm is not None and norm.is_per_sr != (self.sky in PER_SR):
            example = "1e-9 TeV-1 cm-2 s-1" + (" sr-1" if self.sky in PER_SR else "")
            whole = "of each solid angle" if self.sky in PER_SR else "of the whole source"
            raise fault(
                f"spectrum.norm {whole} with sky: {self.sky}, such as {example}",
                "add sr-1 to the unit" if self.sky in PER_SR else "take sr-1 from the unit, if that is the whole flux",
                f"norm: {format_density(norm)}",
            )

    def _check_field(self) -> None:
        if self.modulate and (self.sky in (None, "point", *CATALOGUES) or self.free or self.share):
            raise fault(
                "modulate on a sky map without other free parameters",
                "fix the spectrum and the profile, or leave modulate out",
                f"modulate on {self.sky or self.instrument}",
            )
        if any(gp.shared is not None or gp.mean is not None or gp.hyper != "fixed" for gp in self.modulate):
            raise fault(
                "modulate with numbers for lengthscale and variance",
                "write for example {lengthscale: 1 deg, variance: 0.1}",
                "shared, mean, or a prior of a hyper-parameter",
            )

    @property
    def free(self) -> dict[str, SourcePrior]:
        """Parameters of the source that are fitted, by name."""
        return {name: prior for name, prior in self.priors.items() if name not in self.share}

    @property
    def priors(self) -> dict[str, SourcePrior]:
        """Priors that the spectrum and the profile state, by name of the parameter."""
        spectrum = self.spectrum.priors if self.spectrum is not None else {}
        return spectrum | (self.profile.priors if self.profile is not None else {})

    @property
    def numbers(self) -> list[str]:
        """Names of the parameters that the source has, free or not."""
        spectrum = self.spectrum.numbers if self.spectrum is not None else []
        return [*spectrum, *(self.profile.numbers if self.profile is not None else [])]

    @property
    def template(self) -> str:
        """What it is, in a word."""
        return self.sky or str(self.instrument)

    @property
    def moves(self) -> bool:
        """Whether fitted parameters change where the source shines, rather than its spectrum alone."""
        profile = self.profile.priors if self.profile is not None else {}
        return bool(profile) or any(name in PROFILE_PARAMETERS for name in self.share)

    @property
    def source(self) -> dict[str, Any]:
        """What decides where and at which energies it shines, as plain data: everything but its norm."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"norm"})

"""What a Cherenkov telescope observed: response files, pointings, and the axes of the analysis."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

from pydantic import model_validator

from skysift.config.events.discrete import Window, check_discrete, fill_discrete
from skysift.config.events.observed import ObservedEvents, ZenithResponse, check_observed
from skysift.config.faults import fault
from skysift.config.quantities import Degrees, EnergyTeV, Seconds
from skysift.config.scalars import PositiveInteger
from skysift.config.section import REQUIRED, Section, key, without_nulls

__all__ = ["Angles", "Energies", "EventObservation", "Pointing", "Reconstructed", "TrueAxes"]

#: Photons of lower or higher energy are no gamma rays that anybody sees so.
LOWEST_TEV, HIGHEST_TEV = 1e-6, 1e6


class Pointing(Section):
    """One pointing of the telescope.

    Attributes
    ----------
    lon_deg, lat_deg : Galactic direction
    time_s : live time
    irf : response of this pointing, None for that of the observation
    zenith_deg : zenith angle, None where the response does not depend on it
    """

    lon_deg: Degrees = key(REQUIRED, "Galactic longitude", example="0 deg", unit="angle", alias="lon")
    lat_deg: Degrees = key(REQUIRED, "Galactic latitude", example="0 deg", unit="angle", alias="lat", ge=-90, le=90)
    time_s: Seconds = key(REQUIRED, "live time", example="50 h", unit="time", alias="time", gt=0)
    irf: str | None = key(None, "response of this pointing", example="analytic", min_length=1, says="`observation.irf`")
    zenith_deg: Degrees | None = key(
        None, "zenith angle, where responses of several are given", example="40 deg", unit="angle", alias="zenith",
        ge=0, lt=90, says="none",
    )  # fmt: skip


class Energies(Section):
    """Logarithmic bins of reconstructed energy.

    Attributes
    ----------
    range_tev : first and last bin centre
    points : number of bins
    """

    range_tev: tuple[EnergyTeV, EnergyTeV] = key(
        REQUIRED,
        "centres of the first and the last bin",
        example=["0.1 TeV", "100 TeV"],
        unit="energy",
        alias="range",
    )
    points: PositiveInteger = key(REQUIRED, "number of bins, in all", example=50, ge=2, le=2000)

    @model_validator(mode="after")
    def _check(self) -> Self:
        low, high = self.range_tev
        if not 0 < low < high:
            raise fault("0 < lowest < highest energy", "swap or widen the range", f"{low:g} TeV and {high:g} TeV")
        if low < LOWEST_TEV or high > HIGHEST_TEV:
            bounds = f"energies between {LOWEST_TEV:g} and {HIGHEST_TEV:g} TeV"
            raise fault(bounds, "look at the units of the range", f"{low:g} TeV and {high:g} TeV")
        return self


class Angles(Section):
    """Bins of one reconstructed coordinate.

    Attributes
    ----------
    range_deg : first and last bin centre
    step_deg : width of a bin
    """

    range_deg: tuple[Degrees, Degrees] = key(
        REQUIRED,
        "centres of the first and the last bin",
        example=["-3.2 deg", "3.2 deg"],
        unit="angle",
        alias="range",
    )
    step_deg: Degrees = key(REQUIRED, "width of a bin", example="0.4 deg", unit="angle", alias="step", gt=0)

    @model_validator(mode="after")
    def _check(self) -> Self:
        low, high = self.range_deg
        steps = (high - low) / self.step_deg
        if not low < high:
            raise fault("a rising range", "swap the ends; longitudes may be negative", f"{low:g} deg to {high:g} deg")
        if abs(steps - round(steps)) > 1e-6 * max(1.0, steps):
            raise fault(
                "a range of whole steps", f"end it at {low + round(steps) * self.step_deg:g} deg", f"{steps:.6g} steps"
            )
        if steps > 20000:
            raise fault("at most 20000 bins", "take a larger step", f"{steps:.0f} steps")
        return self


class Reconstructed(Section):
    """Bins of reconstructed coordinates: what is compared.

    Attributes
    ----------
    energy : `Energies`
    lon, lat : `Angles`, Galactic
    """

    energy: Energies = key(REQUIRED, "energy bins", example={"range": ["0.1 TeV", "100 TeV"], "points": 50})
    lon: Angles = key(REQUIRED, "bins of longitude", example={"range": ["-3.2 deg", "3.2 deg"], "step": "0.4 deg"})
    lat: Angles = key(REQUIRED, "bins of latitude", example={"range": ["-3.2 deg", "3.2 deg"], "step": "0.4 deg"})

    @model_validator(mode="after")
    def _check(self) -> Self:
        low, high = self.lat.range_deg
        half = self.lat.step_deg / 2
        if low - half < -90 or high + half > 90:
            raise fault("latitudes between -90 and 90 deg", "make the range smaller", f"{low:g} to {high:g} deg")
        low, high = self.lon.range_deg
        if high - low + self.lon.step_deg > 360:
            raise fault("at most 360 deg of longitude", "make the range smaller", f"{low:g} to {high:g} deg")
        return self


class TrueAxes(Section):
    """The grid of true coordinates: larger and finer than the reconstructed one.

    Attributes
    ----------
    margin_deg : how far beyond the reconstructed field, None for five widths of the PSF
    refine : true pixels per reconstructed pixel and axis, None for pixels of at most 0.1 deg
    """

    margin_deg: Degrees | None = key(
        None, "how far beyond the field", example="1 deg", unit="angle", alias="margin", says="five widths of the PSF",
        ge=0,
    )  # fmt: skip
    refine: PositiveInteger | None = key(
        None, "true pixels per pixel of the field and axis", example=4, says="pixels of at most 0.1 deg"
    )


class EventObservation(Section):
    """The observation of an event analysis.

    Attributes
    ----------
    instrument : ``ctao``
    irf : name of a registered file, a path, or ``analytic``; list of `ZenithResponse`; None for those of a store
    pointings : list of `Pointing`, empty for those that the headers of observed lists state
    reconstructed : `Reconstructed`
    true : `TrueAxes`
    normalise : ``integrated`` or ``discrete``
    window : `Window` of the discrete normalisation, None with the other one
    psf_empty : ``nearest`` or ``one_degree``
    background : ``instrument`` or ``smeared``
    extrapolate : ``nearest``, None where events beyond the energies of a response are refused
    events : GADF event lists or a data store, an `ObservedEvents`; empty when events are simulated
    """

    shorthands: ClassVar[tuple[dict[str, Any], ...]] = ()

    instrument: Literal["ctao"] = key(REQUIRED, "the instrument", example="ctao")
    irf: str | list[ZenithResponse] | None = key(
        None,
        "instrument response: a registered file, a path, or `analytic` (an embedded toy, no files); or a list of "
        "responses of several zenith angles, between which tables are linear in the cosine",
        example="Prod5-South-20deg-AverageAz-14MSTs37SSTs.180000s-v0.1.fits.gz",
        min_length=1,
        says="those of the pointings, or of the event store",
    )
    pointings: list[Pointing] = key(
        None,
        "pointings with their live times",
        example=[{"lon": "0 deg", "lat": "0 deg", "time": "50 h"}],
        default_factory=list,
        max_length=1000,
        says="those of the observed event lists",
    )
    reconstructed: Reconstructed = key(REQUIRED, "bins of reconstructed coordinates", example={})
    true: TrueAxes = key(None, "grid of true coordinates", example={"refine": 4}, default_factory=TrueAxes)
    normalise: Literal["integrated", "discrete"] = key(
        "integrated",
        "`integrated`: bins are volumes; `discrete`: bins are points and kernels are divided by their sums over them, "
        "for comparison with GammaBayes alone: fractions only, no absolute counts",
        example="discrete",
    )
    window: Window | None = key(
        None,
        "true bins that count for an event, with `normalise: discrete`; `none` for all",
        example={"energy": 1, "lon": "1.3 deg", "lat": "1.3 deg"},
        says="one decade and 1.3 deg with `normalise: discrete`",
    )
    psf_empty: Literal["nearest", "one_degree"] = key(
        "nearest",
        "what a PSF table says where it is empty: the next valid energy, or 1 deg as gammapy has it",
        example="one_degree",
        says="nearest; one_degree with `normalise: discrete`",
    )
    background: Literal["instrument", "smeared"] = key(
        "instrument",
        "`instrument`: reconstructed background, as the response file has it; `smeared`: its cut along the field's "
        "x axis, taken for true coordinates and folded, as GammaBayes has it",
        example="smeared",
        says="instrument; smeared with `normalise: discrete`",
    )
    extrapolate: Literal["nearest"] | None = key(
        None,
        "`nearest`: beyond the energies of a response the values at its ends are taken, with a warning in the report",
        example="nearest",
        says="events beyond are refused",
    )
    events: ObservedEvents = key(
        None,
        "observed event lists (GADF FITS), one per pointing, or a data store",
        example=["events_000.fits"],
        default_factory=ObservedEvents,
        says="simulated",
    )

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, data: Any) -> Any:  # noqa: ANN401 - whatever the file holds
        return fill_discrete(without_nulls(data))

    @model_validator(mode="after")
    def _check(self) -> Self:
        check_discrete(self)
        check_observed(self)
        return self

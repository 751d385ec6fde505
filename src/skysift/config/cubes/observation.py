"""What was counted: cubes from files, or made from a response, pointings and axes."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import model_validator

from skysift.config.events.observation import HIGHEST_TEV, LOWEST_TEV, Pointing
from skysift.config.faults import fault
from skysift.config.quantities import Degrees, EnergyTeV
from skysift.config.scalars import PositiveInteger
from skysift.config.section import REQUIRED, Section, key, without_nulls

__all__ = ["CubeObservation", "EnergyBins", "Pixels"]


class EnergyBins(Section):
    """Logarithmic bins of energy.

    Attributes
    ----------
    range_tev : outer edges
    bins : how many
    """

    range_tev: tuple[EnergyTeV, EnergyTeV] = key(
        REQUIRED, "outer edges", example=["0.1 TeV", "100 TeV"], unit="energy", alias="range"
    )
    bins: PositiveInteger = key(REQUIRED, "number of bins, in all", example=24, le=2000)

    @model_validator(mode="after")
    def _check(self) -> Self:
        low, high = self.range_tev
        if not LOWEST_TEV <= low < high <= HIGHEST_TEV:
            wanted = f"rising energies between {LOWEST_TEV:g} and {HIGHEST_TEV:g} TeV"
            raise fault(wanted, "swap the ends, or look at their units", f"{low:g} TeV and {high:g} TeV")
        return self


class Pixels(Section):
    """Square pixels of the sky.

    Attributes
    ----------
    center_deg : longitude and latitude of the middle
    frame : ``galactic`` or ``icrs``
    projection : ``TAN`` or ``CAR``
    width_deg : of the map along both axes
    step_deg : width of a pixel
    """

    center_deg: tuple[Degrees, Degrees] = key(
        REQUIRED, "longitude and latitude of the middle", example=["0 deg", "0 deg"], unit="angle", alias="center"
    )
    frame: Literal["galactic", "icrs"] = key("galactic", "frame of the map", example="icrs")
    projection: Literal["TAN", "CAR"] = key("TAN", "tangent plane or plate carrée", example="CAR")
    width_deg: tuple[Degrees, Degrees] = key(
        REQUIRED, "width along longitude and latitude", example=["6 deg", "6 deg"], unit="angle", alias="width"
    )
    step_deg: Degrees = key(REQUIRED, "width of a pixel", example="0.05 deg", unit="angle", alias="step", gt=0)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if abs(self.center_deg[1]) > 90:
            raise fault("a latitude within 90 deg", "correct the center", f"{self.center_deg[1]:g} deg")
        if min(self.width_deg) < self.step_deg or max(self.width_deg) > (60 if self.projection == "TAN" else 360):
            raise fault("a width between one pixel and 60 deg (TAN) or 360 deg (CAR)", "change width or step")
        if self.shape[0] * self.shape[1] > 10**7:
            raise fault("at most 10 million pixels", "take a larger step", f"{self.shape[0]} x {self.shape[1]} pixels")
        return self

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return round(self.width_deg[1] / self.step_deg), round(self.width_deg[0] / self.step_deg)


class CubeObservation(Section):
    """The observation of counts cubes.

    Attributes
    ----------
    instrument : ``cube``
    datasets : files of cubes with their response; empty where they are made here
    irf : name of a registered file, a path, or ``analytic``; None with ``datasets``
    pointings : list of `Pointing`
    pixels : `Pixels`
    energy, true_energy : `EnergyBins` of reconstructed and true energy
    """

    instrument: Literal["cube"] = key(REQUIRED, "counts cubes, whichever telescope made them", example="cube")
    datasets: list[str] = key(
        None, "cubes with their response (Gammapy MapDataset, FITS)", example=["crab.fits.gz"], default_factory=list,
        max_length=1000, says="made from irf, pointings and axes",
    )  # fmt: skip
    irf: str | None = key(
        None, "instrument response: a registered file, a path, or `analytic` (an embedded toy, no files)",
        example="Prod5-South-20deg-AverageAz-14MSTs37SSTs.180000s-v0.1.fits.gz", min_length=1, says="with `datasets`",
    )  # fmt: skip
    pointings: list[Pointing] = key(
        None, "pointings with their live times", example=[{"lon": "0 deg", "lat": "0 deg", "time": "50 h"}],
        default_factory=list, max_length=1000, says="with `datasets`",
    )  # fmt: skip
    pixels: Pixels | None = key(
        None, "pixels of the cube", example={"width": ["6 deg", "6 deg"], "step": "0.05 deg"}, says="with `datasets`"
    )
    energy: EnergyBins | None = key(
        None, "bins of reconstructed energy", example={"range": ["0.1 TeV", "100 TeV"], "bins": 24},
        says="with `datasets`",
    )  # fmt: skip
    true_energy: EnergyBins | None = key(
        None, "bins of true energy", example={"range": ["0.05 TeV", "200 TeV"], "bins": 30},
        says="those of `energy`, and half as far again on both sides",
    )  # fmt: skip

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, data: Any) -> Any:  # noqa: ANN401 - whatever the file holds
        return without_nulls(data)

    @model_validator(mode="after")
    def _check(self) -> Self:
        needed = ("irf", "pointings", "pixels", "energy")
        stated = [name for name in (*needed, "true_energy") if getattr(self, name)]
        if self.datasets and stated:
            raise fault("datasets, or what cubes are made from", "leave one of them out", f"datasets and {stated[0]}")
        missing = [name for name in needed if not getattr(self, name)]
        if not self.datasets and missing:
            raise fault("datasets, or irf, pointings, pixels and energy", f"add {missing[0]}", f"no {missing[0]}")
        return self

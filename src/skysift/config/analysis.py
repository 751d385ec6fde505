"""An analysis: everything that one configuration says."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any, Literal, Self

from pydantic import model_validator

from skysift.config.components import Model
from skysift.config.faults import fault
from skysift.config.fits import Fit
from skysift.config.observation import Observation
from skysift.config.scalars import Integer, Name, PositiveInteger
from skysift.config.section import REQUIRED, Section, key, without_nulls
from skysift.config.simulate import Simulation
from skysift.config.systematics import Sidebands, Systematics

__all__ = ["OBSERVED", "Analysis"]

OBSERVED = "observed"


class Analysis(Section):
    """One run: an observation, a model and its fits.

    Attributes
    ----------
    run : name of the run and of its folder
    seed : every random stream is derived from it
    device : ``auto``, ``cpu`` or ``cuda``
    threads : per fit
    observation : `Observation`
    simulate : `Simulation`, or None when the observed counts are fitted
    model : `Model`
    fits : name to `Fit`
    systematics : `Systematics`
    """

    run: Name = key(REQUIRED, "name of the run; its results are in `results/<run>`", example="inner-galaxy")
    seed: Integer = key(1, "every random stream is derived from it by name", example=1, ge=0)
    device: Literal["auto", "cpu", "cuda"] = key("cpu", "where tensors live", example="auto")
    threads: PositiveInteger = key(1, "threads of each fit", example=2, le=1024)
    observation: Observation = key(REQUIRED, "what was observed", example={"region": {"radius": "20 deg"}})
    simulate: Simulation | None = key(
        None,
        "simulated data in place of the observed counts",
        example={"replicates": 20, "truth": {"gce": 0.9, "model_o_gas": 8}},
        says="the observed counts are fitted",
    )
    model: Model = key(
        REQUIRED,
        "what is fitted",
        example={"components": {"gce": {"template": "nfw_squared", "norm": {"uniform": [0, 1.5]}}}},
    )
    fits: dict[Name, Fit] = key(
        REQUIRED, "the fits, by name", example={"mvn": ["map", {"svi": {"guide": "mvn"}}]}, min_length=1
    )
    systematics: Systematics = key(
        None, "systematic uncertainties to measure", example="sidebands", default_factory=Systematics, says="none"
    )

    @model_validator(mode="before")
    @classmethod
    def _drop_removed(cls, data: Any) -> Any:  # noqa: ANN401 - whatever the file holds
        data = without_nulls(data)
        if isinstance(data, dict) and isinstance(data.get("fits"), dict):
            return {**data, "fits": without_nulls(data["fits"])}
        return data

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.run == "cache":
            raise fault("another name than cache", "results/cache is shared by all runs: rename the run", "run: cache")
        return self

    @property
    def sidebands(self) -> Sidebands | None:
        """The sideband systematic, None where it is not asked for."""
        return self.systematics.sidebands

    def model_of(self, fit: str) -> Model:
        """Return the model of one fit, with what the fit changes in it."""
        return self.model.merged(self.fits[fit].model)

    def set_names(self) -> list[str]:
        """Return what ``data`` of a fit may name: the simulated sets, or ``observed``."""
        return [OBSERVED] if self.simulate is None else list(self.simulate.sets)

    def data_of_set(self, name: str) -> list[str]:
        """Return the data sets of one simulated set, or of ``observed``."""
        return [OBSERVED] if self.simulate is None else self.simulate.data_of(name)

    def all_data(self) -> list[str]:
        """Return the names of all data sets: ``observed``, or ``<set>-000``, ``<set>-001``, ..."""
        return [data for name in self.set_names() for data in self.data_of_set(name)]

    def fit_data(self) -> dict[str, list[str]]:
        """Return the data sets of each fit."""
        return {
            name: [data for chosen in self.set_names() for data in self.data_of_set(chosen)
                   if fit.data is None or any(_names(pattern, chosen, data) for pattern in fit.data)]
            for name, fit in self.fits.items()
        }  # fmt: skip

    def sideband_fits(self) -> list[str]:
        """Return the fits that get the sideband systematic; those of a recipe are no posteriors and do not."""
        if self.sidebands is None:
            return []
        if self.sidebands.fits is not None:
            return list(self.sidebands.fits)
        return [name for name in self.fits if self._fits_signal(name, self.sidebands.signal)]

    def _fits_signal(self, fit: str, signal: str) -> bool:
        component = self.model_of(fit).components.get(signal)
        return self.fits[fit].recipe is None and component is not None and not component.norm.is_fixed

    def sideband_regions(self) -> list[str]:
        """Return the names of the sideband regions, such as ``l+30``."""
        return [] if self.sidebands is None else list(self.sidebands.regions)

    def slices(self) -> dict[str, dict[str, Any]]:
        """Return what each step reads, as plain data by slice name; see `skysift.config.slices`."""
        from skysift.config.slices import make_slices

        return {name: part.model_dump(mode="json", by_alias=True, exclude_none=True)
                for name, part in make_slices(self).items()}  # fmt: skip

    def plain(self) -> dict[str, Any]:
        """Return the resolved configuration as plain data, quantities as text with their unit."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def _names(pattern: str, chosen: str, data: str) -> bool:
    """Whether ``data`` of a fit means one data set of a simulated set."""
    return pattern == chosen or fnmatchcase(data, pattern)

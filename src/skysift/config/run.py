"""What every kind of analysis says: its name, its seed, where it runs, and which data each fit takes."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any, ClassVar, Literal, Protocol, Self

from pydantic import model_validator

from skysift.config.calibration import Calibration
from skysift.config.engines import EngineSequence
from skysift.config.faults import fault
from skysift.config.scalars import DataPattern, Integer, Name, PositiveInteger
from skysift.config.section import REQUIRED, Section, key, without_nulls

__all__ = ["OBSERVED", "BaseFit", "Run"]

OBSERVED = "observed"


class BaseFit(Section):
    """A sequence of engines on some data sets.

    Attributes
    ----------
    sequence : list of engine steps, each with ``name`` and ``settings``
    data : simulated sets (or ``observed``), or patterns of data sets such as ``model_o-00?``; None for all
    """

    sequence: EngineSequence = key(
        None,
        "engines in a row, each starting where the last one ended: a name, or `{name: settings}`; `ladder` stands for "
        "`[map, laplace, {svi: {guide: mvn}}, hmc]`, `gigalens` for the published settings of that pipeline; a list "
        "or a name in place of the fit is a sequence",
        example=["map", {"svi": {"guide": "mvn"}}],
        default_factory=list,
    )
    data: list[DataPattern] | None = key(
        None,
        "what this fit uses: simulated sets, or data sets by name or shell pattern (`model_o-00?`), or `observed`",
        example=["model_o"],
        min_length=1,
        says="all",
    )

    def takes(self, chosen: str, data: str) -> bool:
        """Whether the fit is for a data set of a simulated set."""
        return self.data is None or any(name == chosen or fnmatchcase(data, name) for name in self.data)


class _Simulation(Protocol):
    @property
    def sets(self) -> Mapping[str, Any]: ...

    def data_of(self, name: str) -> list[str]: ...


class Run(Section):
    """One run of any kind.

    Attributes
    ----------
    run : name of the run and of its folder
    seed : every random stream is derived from it
    device : ``auto``, ``cpu`` or ``cuda``
    threads : per fit
    calibrate : `Calibration` or None
    """

    kind: ClassVar[str]

    run: Name = key(REQUIRED, "name of the run; its results are in `results/<run>`", example="inner-galaxy")
    seed: Integer = key(1, "every random stream is derived from it by name", example=1, ge=0)
    device: Literal["auto", "cpu", "cuda"] = key("cpu", "where tensors live", example="auto")
    threads: PositiveInteger = key(1, "threads of each fit", example=2, le=1024)
    calibrate: Calibration | None = key(
        None,
        "repeat the fits on data drawn from their own model, to see whether posteriors hold what they promise",
        example={"simulations": 200},
    )

    @model_validator(mode="before")
    @classmethod
    def _drop_removed(cls, data: Any) -> Any:  # noqa: ANN401 - whatever the file holds
        data = without_nulls(data)
        if isinstance(data, dict) and isinstance(data.get("fits"), dict):
            return {**data, "fits": without_nulls(data["fits"])}
        return data

    @model_validator(mode="after")
    def _check_name(self) -> Self:
        if self.run == "cache":
            raise fault("another name than cache", "results/cache is shared by all runs: rename the run", "run: cache")
        return self

    def _simulation(self) -> _Simulation | None:
        raise NotImplementedError

    def _fits(self) -> Mapping[str, BaseFit]:
        raise NotImplementedError

    def set_names(self) -> list[str]:
        """Return what ``data`` of a fit may name: the simulated sets, or ``observed``."""
        simulation = self._simulation()
        return [OBSERVED] if simulation is None else list(simulation.sets)

    def data_of_set(self, name: str) -> list[str]:
        """Return the data sets of one simulated set, or of ``observed``."""
        simulation = self._simulation()
        return [OBSERVED] if simulation is None else simulation.data_of(name)

    def all_data(self) -> list[str]:
        """Return the names of all data sets: ``observed``, or ``<set>-000``, ``<set>-001``, ..."""
        return [data for name in self.set_names() for data in self.data_of_set(name)]

    def fit_data(self) -> dict[str, list[str]]:
        """Return the data sets of each fit."""
        return {
            name: [data for chosen in self.set_names() for data in self.data_of_set(chosen) if fit.takes(chosen, data)]
            for name, fit in self._fits().items()
        }

    def calibrated_fits(self) -> list[str]:
        """Return the fits that are calibrated; those of a recipe are no posteriors and are not."""
        if self.calibrate is None:
            return []
        fits = self._fits()
        chosen = [name for name in fits if getattr(fits[name], "recipe", None) is None]
        return chosen if self.calibrate.fits is None else [name for name in fits if name in self.calibrate.fits]

    def calibration_batches(self) -> dict[str, int]:
        """Return the number of batches of each fit that is calibrated."""
        chosen = self.calibrate
        return {} if chosen is None else {name: chosen.of(name).batches for name in self.calibrated_fits()}

    def make_slices(self) -> dict[str, Section]:
        """Return what each step reads, by slice name."""
        raise NotImplementedError

    def slices(self) -> dict[str, dict[str, Any]]:
        """Return what each step reads, as plain data by slice name."""
        return {name: part.model_dump(mode="json", by_alias=True, exclude_none=True)
                for name, part in self.make_slices().items()}  # fmt: skip

    def plain(self) -> dict[str, Any]:
        """Return the resolved configuration as plain data, quantities as text with their unit."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

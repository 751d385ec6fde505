"""An analysis of counts cubes: everything that one configuration says."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from pydantic import model_validator

from skysift.config.cubes.model import CubeModel, CubeModelOverride
from skysift.config.cubes.observation import CubeObservation
from skysift.config.cubes.simulate import CubeSimulation
from skysift.config.faults import fault
from skysift.config.run import BaseFit, Run
from skysift.config.scalars import Name
from skysift.config.section import REQUIRED, Section, key, without_nulls

__all__ = ["CubeAnalysis", "CubeFit"]


class CubeFit(BaseFit):
    """One fit of counts cubes.

    Attributes
    ----------
    sequence : list of engine steps, each with ``name`` and ``settings``
    data : simulated sets (or ``observed``), or patterns of data sets such as ``simulated-00?``; None for all
    model : `CubeModelOverride` or None
    """

    shorthands: ClassVar[tuple[dict[str, Any], ...]] = ({"$ref": "#/$defs/CubeFit/anyOf/0/properties/sequence"},)

    model: CubeModelOverride | None = key(
        None, "what this fit changes in the model", example={"file": "with_halo.yaml"}
    )

    @model_validator(mode="before")
    @classmethod
    def _expand(cls, data: Any) -> Any:  # noqa: ANN401 - whatever the file holds
        if isinstance(data, list):
            return {"sequence": data}
        return {"sequence": [data]} if isinstance(data, str) else without_nulls(data)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.sequence:
            raise fault("a sequence of engines", "write for example [map, laplace]", "none")
        return self


class CubeAnalysis(Run):
    """One run on counts cubes: an observation, a model file and its fits.

    Attributes
    ----------
    run, seed, device, threads : as in every run
    observation : `CubeObservation`
    simulate : `CubeSimulation`, or None when observed counts are fitted
    model : `CubeModel`
    fits : name to `CubeFit`
    """

    kind: ClassVar[str] = "cubes"

    observation: CubeObservation = key(REQUIRED, "what was observed", example={"instrument": "cube"})
    simulate: CubeSimulation | None = key(
        None, "simulated counts in place of observed ones", example={"replicates": 1},
        says="the counts of `observation.datasets` are fitted",
    )  # fmt: skip
    model: CubeModel = key(REQUIRED, "what is fitted", example={"file": "models.yaml"})
    fits: dict[Name, CubeFit] = key(REQUIRED, "the fits, by name", example={"best": ["map", "laplace"]}, min_length=1)

    def _simulation(self) -> CubeSimulation | None:
        return self.simulate

    def _fits(self) -> dict[str, CubeFit]:
        return self.fits

    def model_of(self, fit: str) -> CubeModel:
        """Return the model of one fit, with what the fit changes in it."""
        return self.model.merged(self.fits[fit].model)

    def named_files(self) -> dict[str, str]:
        """Return every file that the analysis names, by its key."""
        observation = self.observation
        found = {"observation.irf": observation.irf, "model.file": self.model.file}
        found |= {f"observation.datasets[{k}]": file for k, file in enumerate(observation.datasets)}
        found |= {f"fits.{name}.model.file": fit.model.file for name, fit in self.fits.items() if fit.model}
        sets = self.simulate.sets if self.simulate else {}
        found |= {f"simulate.sets.{name}.file": part.file for name, part in sets.items()}
        return {key: name for key, name in found.items() if name is not None and name != "analytic"}

    def make_slices(self) -> dict[str, Section]:
        """Return what each step reads, by slice name; see `skysift.config.cubes.slices`."""
        from skysift.config.cubes.slices import make_slices

        return make_slices(self)

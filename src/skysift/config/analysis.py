"""An analysis of counts maps: everything that one configuration says."""

from __future__ import annotations

from typing import ClassVar

from skysift.config.components import Model
from skysift.config.fits import Fit
from skysift.config.observation import Observation
from skysift.config.run import OBSERVED, Run
from skysift.config.scalars import Name
from skysift.config.section import REQUIRED, Section, key
from skysift.config.simulate import Simulation
from skysift.config.systematics import Sidebands, Systematics

__all__ = ["OBSERVED", "Analysis"]


class Analysis(Run):
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

    kind: ClassVar[str] = "maps"

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

    def _simulation(self) -> Simulation | None:
        return self.simulate

    def _fits(self) -> dict[str, Fit]:
        return self.fits

    @property
    def sidebands(self) -> Sidebands | None:
        """The sideband systematic, None where it is not asked for."""
        return self.systematics.sidebands

    def model_of(self, fit: str) -> Model:
        """Return the model of one fit, with what the fit changes in it."""
        return self.model.merged(self.fits[fit].model)

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

    def make_slices(self) -> dict[str, Section]:
        """Return what each step reads, by slice name; see `skysift.config.slices`."""
        from skysift.config.slices import make_slices

        return dict(make_slices(self))

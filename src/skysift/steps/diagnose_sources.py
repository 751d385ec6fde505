"""What `diagnose` adds for populations of sources: bands of dN/dF beside their truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from skysift.diagnostics.posterior_maps import LEVELS
from skysift.diagnostics.source_counts import count_sources, make_fluxes
from skysift.storage.hdf5 import Dataset

if TYPE_CHECKING:
    from torch import Tensor

    from skysift.instruments.fermi import Counts, Observation
    from skysift.models.population import Population

__all__ = ["SourceDraws"]

Array = NDArray[np.float64]
_DEG2 = (180.0 / np.pi) ** 2


@dataclass
class SourceDraws:
    """Draws of dN/dF collected over batches of posterior draws, (draw, 2, flux) by population."""

    observation: Observation
    largest: float
    draws: dict[str, list[Array]] = field(default_factory=dict)
    mean_cm2_s: float = 0.0

    @property
    def photons(self) -> Array:
        """Photons at the mean exposure of the sources that are shown, (n,)."""
        return make_fluxes(self.largest)

    @property
    def area_deg2(self) -> float:
        """The fit region's area."""
        return float(self.observation.region.sum()) * self.observation.pixel_area_sr * _DEG2

    def add(self, member: Any, values: Mapping[str, Tensor]) -> None:  # noqa: ANN401 - any Model
        """Take in a batch; models without populations have nothing to add."""
        for population in getattr(member, "populations", ()):
            self.mean_cm2_s = population.mean_cm2_s
            self.draws.setdefault(population.name, []).append(self._count(population, values))

    def _count(self, population: Population, values: Mapping[str, Tensor]) -> Array:
        import torch

        law = population.law(values)
        height = law.log_density(torch.as_tensor(np.log(self.photons))[None]).numpy()
        height = height + np.log(float(population.density.sum()))
        slope = np.full(len(height), np.inf) if law.is_limited else law.slopes[:, 0].numpy()
        return np.stack(count_sources(self.photons, height, slope, self.area_deg2, population.mean_cm2_s), 1)

    def datasets(self, counts: Counts) -> dict[str, Dataset]:
        """Return the bands of each population, with the truth where it is known."""
        made = {}
        units = {"density": "cm-2 s-1 deg-2", "number": "deg-2"}
        texts = {"density": "F^2 dN/dF", "number": "sources above each flux"}
        for name, parts in self.draws.items():
            bands = np.quantile(np.concatenate(parts), LEVELS, axis=0)
            head = f"source_counts/{name}"
            attributes = {"one_photon": 1.0 / self.mean_cm2_s, "brightest": self.largest / self.mean_cm2_s}
            made[f"{head}/flux"] = Dataset(
                self.photons / self.mean_cm2_s, "cm-2 s-1", "flux of a source", ("flux",), attributes
            )
            truth = self._truth(counts, name)
            for k, (kind, unit) in enumerate(units.items()):
                made[f"{head}/{kind}"] = Dataset(bands[:, k], unit, texts[kind], ("level", "flux"))
                if truth is not None:
                    made[f"{head}/true_{kind}"] = Dataset(truth[k], unit, f"true {texts[kind]}", ("flux",))
        return made

    def _truth(self, counts: Counts, name: str) -> tuple[Array, Array] | None:
        if name not in counts.populations:
            return None
        from skysift.instruments.fermi.source_drawing import make_population

        true = counts.populations[name]
        ordered = {
            key: [value for name, value in true.parameters.items() if name.startswith(key)]
            for key in ("slope", "break", "limit")
        }
        numbers = {
            "norm": true.parameters["norm"],
            "slopes": ordered["slope"],
            "breaks": ordered["break"],
            "limits": ordered["limit"] or None,
        }
        made = make_population(self.observation, true.template, numbers, true.settings)
        with np.errstate(divide="ignore"):
            height = np.log(made.law.density(self.photons) * made.density[self.observation.region].sum())[None]
        slope = np.array([np.inf if made.law.limits else made.law.slopes[0]])
        density, number = count_sources(self.photons, height, slope, self.area_deg2, self.mean_cm2_s)
        return density[0], number[0]

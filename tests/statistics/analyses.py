"""Small analyses of the embedded sky, built from their configuration as `skysift fit` builds them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from skysift.config import resolve
from skysift.config.slices import make_slices
from skysift.instruments.fermi import Counts
from skysift.instruments.fermi.assembly import assemble
from skysift.models import build
from skysift.steps.observations import layout_of, source_of

__all__ = ["NORMS", "Analysis", "make_analysis"]

NORMS = {
    "bubbles": {"template": "bubbles", "norm": {"normal": [0.5, 0.1], "min": 0}},
    "isotropic": {"template": "isotropic", "norm": {"normal": [0.1, 0.02], "min": 0}},
    "point_sources": {"template": "point_sources", "norm": {"normal": [0.5, 0.1], "min": 0}},
    "gce": {"template": "nfw_squared", "norm": {"uniform": [0, 1.5]}},
}
PLACE = Path("test.yaml")


@dataclass(frozen=True)
class Analysis:
    """The slice of one fit, what it looks at, and the configured truth: template to norm."""

    settings: object
    observation: object
    truth: dict

    def bind(self, counts):
        """Return the model of counts (P,)."""
        counts = np.asarray(counts, dtype=np.int64).reshape(1, -1)
        return build(self.settings, self.observation, Counts("simulated", counts))

    def bind_flat(self):
        """Return the model of a flat sky, to draw from: neither its parameters nor its maps know the counts."""
        return self.bind(np.ones(len(self.observation.pixels)))

    def expected_truth(self):
        """Return the mean counts of the configured truth, (P,)."""
        return sum(norm * self.observation.templates[name][0] for name, norm in self.truth.items())

    def draw_truth(self, generator):
        """Return Poisson counts of the configured truth, (P,)."""
        return torch.poisson(torch.as_tensor(self.expected_truth()), generator=generator)


def make_analysis(observation, components, truth):
    """Return an analysis from the sections ``observation`` and ``components`` and the truth of a simulation."""
    analysis = resolve(
        {
            "run": "test",
            "observation": observation,
            "simulate": {"replicates": 1, "truth": truth},
            "model": {"components": components},
            "fits": {"any": ["map"]},
        }
    )
    slices = make_slices(analysis)
    looked_at = slices["observation"]
    source, layout = source_of(looked_at.observation, PLACE), layout_of(looked_at, PLACE)
    parts = slices["simulate-simulated"].truth.values()
    return Analysis(
        slices["fit-any"],
        assemble(source, layout, looked_at.templates, looked_at.observation.nside),
        {part.template: part.norm for part in parts},
    )

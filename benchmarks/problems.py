"""The analyses that are timed: the inner Galaxy at several sizes, the published problem, the whole sky."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skysift.config import resolve
from skysift.config.slices import make_slices
from skysift.errors import InputError
from skysift.inference import sequence
from skysift.inference.engine import Start, Stream
from skysift.instruments.fermi import Counts, Observation
from skysift.instruments.fermi.assembly import assemble
from skysift.instruments.fermi.drawing import simulate_counts
from skysift.models import TemplateModel, build
from skysift.steps.observations import layout_of, source_of

__all__ = ["STREAM", "Problem", "Sky", "inner_galaxy", "published", "whole_sky"]

STREAM = Stream(1, ("benchmark",))
TRUTH = {"bubbles": 0.5, "isotropic": 0.1, "point_sources": 0.5, "gce": 0.9, "model_o_gas": 8, "model_o_ics": 4}
PRIORS = {"bubbles": (0.5, 0.1), "isotropic": (0.1, 0.02), "point_sources": (0.5, 0.1)}


@dataclass(frozen=True)
class Sky:
    """Counts and templates of an observation, and the slice of the fit that looks at them."""

    settings: Any
    observation: Observation
    counts: Counts

    def build(self) -> TemplateModel:
        """Return the model."""
        return build(self.settings, self.observation, self.counts)


@dataclass(frozen=True)
class Problem:
    """A model, and where its maps come from: ``fermi`` or ``embedded``."""

    model: TemplateModel
    sky: str

    def start(self) -> Start:
        """Return the mode and its covariance, by the engine laplace."""
        found = sequence.run(self.model, [("laplace", {"importance": 0, "draws": 64})], STREAM)[-1]
        return sequence.continue_from(found, Start())

    def z(self, rows: int) -> Tensor:
        """Return points around the model's own first guess, (rows, d)."""
        generator = STREAM.generator("points")
        points = self.model.parameters.unconstrain(self.model.starting_points(rows, generator))
        noise = torch.randn(points.shape, generator=generator, dtype=torch.float64)
        return points + 0.05 * noise


def _observe(observation: dict[str, Any], diffuse: dict[str, Any]) -> Sky:
    norms = {name: {"template": name, "norm": {"normal": list(prior), "min": 0}} for name, prior in PRIORS.items()}
    gce = {"template": "nfw_squared", "norm": {"uniform": [0, 1.5]}}
    analysis = resolve(
        {
            "run": "benchmark",
            "observation": observation,
            "simulate": {"replicates": 1, "truth": TRUTH},
            "model": {"components": {"diffuse": diffuse, **norms, "gce": gce}},
            "fits": {"any": ["map"]},
        }
    )
    slices: dict[str, Any] = make_slices(analysis)
    looked_at, place = slices["observation"], Path("benchmark.yaml")
    source, layout = source_of(looked_at.observation, place), layout_of(looked_at, place)
    seen = assemble(source, layout, looked_at.templates, looked_at.observation.nside)
    truth = slices["simulate-simulated"].truth
    templates = {name: part.template for name, part in truth.items()}
    norms_drawn = {name: part.norm for name, part in truth.items()}
    random = np.random.default_rng(1)
    return Sky(slices["fit-any"], seen, simulate_counts("drawn", seen, norms_drawn, templates, {}, random, 1))


@cache
def inner_galaxy(nside: int, points: int = 16) -> Problem:
    """Return the inner 20 degrees of the embedded sky, with inducing points on a grid of HEALPix ``points``."""
    modulate = {"lengthscale": "0.25 rad", "variance": 0.03, "inducing": {"nside": points}}
    sky = _observe(
        {"data": "synthetic", "nside": nside, "region": {"radius": "20 deg", "mask_plane": "2 deg"}},
        {"template": "p6v11", "norm": {"lognormal": [12, 0.5]}, "modulate": modulate},
    )
    return Problem(sky.build(), "embedded")


@cache
def published(nside: int) -> Problem:
    """Return the published problem, on the Fermi templates where they are installed."""
    diffuse = {
        "template": "p6v11",
        "norm": {"fixed": "rigid_fit"},
        "modulate": {"kernel": "matern52", "lengthscale": "0.2 rad", "variance": 0.5},
    }
    region = {"radius": "20 deg", "mask_plane": "2 deg", "mask": "mask_3fgl_0p8deg"}
    try:
        return Problem(_observe({"data": "fermi", "nside": nside, "region": region}, diffuse).build(), "fermi")
    except InputError:
        return Problem(_observe({"data": "synthetic", "nside": nside, "region": region}, diffuse).build(), "embedded")


def whole_sky(nside: int, points: int) -> Sky:
    """Return the whole embedded sky with inducing points on a grid of HEALPix ``points``."""
    modulate = {"lengthscale": f"{1.8 / points:.4f} rad", "variance": 0.03, "inducing": {"nside": points}}
    return _observe(
        {"data": "synthetic", "nside": nside, "region": {"radius": "180 deg"}},
        {"template": "p6v11", "norm": {"lognormal": [12, 0.5]}, "modulate": modulate},
    )

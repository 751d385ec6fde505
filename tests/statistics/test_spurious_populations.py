"""A sky without sources holds no population; one with sources does, as bright as it is.

The smooth excess and the population have the same template: only how photons come together tells them apart.
"""

import numpy as np
import pytest
import torch

from skysift.config import resolve, yaml_text
from skysift.inference import sequence
from skysift.inference.engine import Stream
from skysift.instruments.fermi import Counts, read_observation
from skysift.instruments.fermi.photon_shares import gaussian_containment
from skysift.instruments.fermi.source_drawing import draw_sources, make_population
from skysift.models import build
from skysift.steps import prepare

pytestmark = pytest.mark.statistics

#: A fifth of all light, in sources of about ten photons.
SHARE = 0.2
SOURCES = {"slopes": [{"uniform": [3, 8]}, {"uniform": [-2, 1]}], "breaks": [{"loguniform": [3, 30]}]}
CONFIGURATION = {
    "run": "spurious",
    "observation": {
        "data": "synthetic",
        "nside": 32,
        "region": {"radius": "20 deg", "mask_plane": "2 deg"},
        "psf": {"gaussian": "0.6 deg"},
    },
    "simulate": {"truth": {"diffuse": 0.5, "gce": 0.15}},
    "model": {
        "likelihood": "non_poissonian",
        "exposure": {"nodes": 2},
        "components": {
            "diffuse": {"template": "diffuse", "norm": {"lognormal": [0.5, 0.3]}},
            "gce": {"template": "nfw_squared", "norm": {"uniform": [0, 1]}},
            "gce_sources": {
                "template": "nfw_squared",
                "norm": {"uniform": [0, 4000]},
                "population": {"norm_of": "counts", **SOURCES},
            },
        },
    },
    "fits": {"any": ["map"]},
}
ENGINES = [("map", {"starts": 4}), ("laplace", {"draws": 400, "importance": 1000})]


@pytest.fixture(scope="module")
def sky(tmp_path_factory):
    """The slice of a fit with a population, and what it looks at."""
    folder, analysis = tmp_path_factory.mktemp("spurious"), resolve(CONFIGURATION)
    (folder / "observation.yaml").write_text(yaml_text(analysis.slices()["observation"]))
    prepare.run(folder / "observation.yaml", folder / "observation.h5")
    return analysis.make_slices()["fit-any"], read_observation(folder / "observation.h5")


def draw(observation, share, random):
    """Counts of diffuse emission and an excess, a share of all light in sources rather than smooth."""
    diffuse, bulge = 0.5 * observation.templates["diffuse"][0], observation.templates["nfw_squared"][0]
    inside = observation.region
    light = 0.3 * diffuse[inside].sum() / 0.7
    counts = random.poisson(diffuse + (1 - share / 0.3) * light * bulge / bulge[inside].sum())
    if share:
        numbers = {"norm": light * share / 0.3, "slopes": [5.0, 0.3], "breaks": [10.0]}
        meaning = {"units": "counts", "norm_of": "counts", "template_is": "counts"}
        made = make_population(observation, "nfw_squared", numbers, meaning)
        counts = counts + draw_sources(made, observation, gaussian_containment(np.radians(0.6)), random)
    return counts


def fit_share(sky, counts, number):
    """Quantiles of the population's share of all light: 2.5, 50 and 97.5 %."""
    settings, observation = sky
    model = build(settings, observation, Counts(f"simulated-{number:03d}", counts[None].astype(np.int64)))
    result = sequence.run(model, ENGINES, Stream(1, ("spurious", str(number)), "cpu"))[-1]
    values = model.parameters.values(result.draws.reshape(-1, result.draws.shape[-1]))
    parts = {name: part.sum(-1).ravel() for name, part in model.component_counts(values).items()}
    share = parts["gce_sources"] / sum(parts.values())
    weight = torch.ones_like(share) if result.log_weights is None else result.log_weights.ravel().softmax(0)
    order = share.argsort()
    below = weight[order].cumsum(0) / weight.sum()
    return [float(share[order][int(torch.searchsorted(below, level).clamp(max=len(share) - 1))])
            for level in (0.025, 0.5, 0.975)]  # fmt: skip


def fit_skies(sky, share, seed, skies=4):
    """Quantiles of the share of sources in the light, mean over several skies."""
    pairs = [(number, np.random.default_rng([seed, number])) for number in range(skies)]
    return np.mean([fit_share(sky, draw(sky[1], share, random), number) for number, random in pairs], axis=0)


@pytest.mark.slow
def test_smooth_skies_hold_no_population(sky, seed):
    """Medians scatter by 0.017 about 0.02, upper ends by 0.05 about 0.11: means of four are four sigma away."""
    _, median, high = fit_skies(sky, 0.0, seed)
    assert median < 0.08
    assert high < 0.21


@pytest.mark.slow
def test_skies_of_sources_hold_them(sky, seed):
    """The control: medians scatter by 0.04 about 0.17, less than the truth for the prior reaches down to nothing."""
    low, median, high = fit_skies(sky, SHARE, seed)
    assert 0.08 < median < 0.26
    assert low < SHARE < high

"""Mixtures of events: intervals against truths."""

import dataclasses

import numpy as np
import pytest
import torch
from tests.models.mixture.events import NAMES, draw_events, line_densities
from tests.statistics.ensembles import FIXED_SEED, Ensemble, list_faults

from skysift.inference import sequence
from skysift.inference.engine import Stream
from skysift.inference.result import resample
from skysift.models.mixture import MixtureModel
from skysift.parameters.priors import LogNormal

SETS, EVENTS, KEPT = 240, 400, 100


def ensemble(seed, make, fractions_of):
    """Truths from the prior, events drawn with them, and draws of the posterior of each set."""
    random = np.random.default_rng(seed)
    names, truths, draws = (), [], []
    for k in range(SETS):
        model, truth = make(random)
        result = sequence.run(model, [("laplace", {"importance": 1000})], Stream(seed, (str(k),)))[-1]
        z, _ = resample(result, KEPT, torch.Generator().manual_seed(seed + k))
        names, found = fractions_of(model, model.parameters.values(z))
        truths.append(truth)
        draws.append(found)
    return Ensemble(names, np.stack(truths), np.stack(draws))


def draw_fractions(random):
    truth = random.dirichlet(np.ones(3))
    x, _ = draw_events(truth, EVENTS, random)
    return MixtureModel.of(NAMES[:3], line_densities(x)), truth


def draw_norms(random):
    """Poisson numbers of events around norms from their priors; the third component is fixed."""
    totals = np.array([150.0, 100.0, 50.0])
    norms = np.append(np.exp(random.normal(0.0, [0.5, 0.7])), 1.0)
    number = random.poisson(norms * totals)
    x = random.normal(np.repeat([0.0, 1.5, 3.0], number))
    priors = {"background": LogNormal(1.0, 0.5), "diffuse": LogNormal(1.0, 0.7), "catalogue": 1.0}
    return MixtureModel.extended(NAMES[:3], line_densities(x), totals, priors), norms[:2]


@pytest.mark.statistics
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["fractions", "norms"])
def test_intervals_hold_the_truth_as_often_as_they_say(kind, seed):
    """Rank KS, coverage and pulls of 240 sets; intervals of 0.7 the width fail, and so does a wrong density."""
    if kind == "fractions":
        found = ensemble(
            seed, draw_fractions, lambda model, values: (NAMES[:3], model.component_fractions(values).numpy())
        )
    else:
        found = ensemble(seed, draw_norms, lambda model, values: (NAMES[:2], model.parameters.pack(values).numpy()))
    verdict = found.check()
    assert list_faults(verdict, seed) == []
    if seed == FIXED_SEED:
        by_level = dict(zip((0.50, 0.68, 0.90, 0.95), verdict.coverage, strict=True))
        assert ((by_level[0.68] > 0.58) & (by_level[0.68] < 0.78)).all()
        assert ((by_level[0.95] > 0.90) & (by_level[0.95] < 0.995)).all()
        assert (verdict.p_values > 0.01).all()
    assert found.distort(scale=0.7).check().failures


@pytest.mark.statistics
@pytest.mark.slow
def test_a_wrong_density_is_seen():
    """Densities of the diffuse component that belong to other events: intervals miss the truth."""

    def make(random):
        model, truth = draw_fractions(random)
        logs = torch.log(model.densities.scaled) + model.densities.offsets[:, None]
        logs[:, 1] = logs[:, 1].roll(1)
        wrong = MixtureModel.of(NAMES[:3], logs)
        return dataclasses.replace(model, densities=wrong.densities), truth

    found = ensemble(FIXED_SEED, make, lambda model, values: (NAMES[:3], model.component_fractions(values).numpy()))
    assert any("diffuse" in fault for fault in found.check().failures)

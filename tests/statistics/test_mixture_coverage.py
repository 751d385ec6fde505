"""Mixtures of events: evidences against quadrature, fractions against other engines, intervals against truths."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy import stats
from tests.models.mixture.events import NAMES, draw_events, integrate_evidence, line_densities, make_mixture
from tests.statistics.ensembles import FIXED_SEED, Ensemble, list_faults

from skysift.inference import sequence
from skysift.inference.engine import Stream
from skysift.inference.result import resample
from skysift.models.mixture import MixtureModel
from skysift.parameters.priors import LogNormal

SETS, EVENTS, KEPT = 240, 400, 100
ENGINES = {
    "laplace": {"importance": 2000},
    "nested": {},
    "nautilus": {"library": "nautilus", "live": 300, "effective": 1000},
}
#: a half, a sixth, a third; one in a thousand; two and six components
WORLDS = {
    "three": ((0.5, 1 / 6, 1 / 3), 1000),
    "rare": ((0.6, 0.399, 0.001), 2000),
    "two": ((0.3, 0.7), 400),
    "six": ((0.3, 0.2, 0.2, 0.1, 0.1, 0.1), 600),
}


def fit(model, engine, seed):
    name = "laplace" if engine == "laplace" else "nested"
    return sequence.run(model, [(name, ENGINES[engine])], Stream(seed))[-1]


def moments(model, result):
    """Weighted mean, sd and correlations of the fractions."""
    weights = torch.softmax(result.log_weights[0], 0)
    fractions = model.component_fractions(model.parameters.values(result.draws[0]))
    mean = weights @ fractions
    covariance = (weights[:, None] * (fractions - mean)).T @ (fractions - mean)
    sd = covariance.diagonal().sqrt()
    return mean.numpy(), sd.numpy(), (covariance / sd / sd[:, None]).numpy()


@pytest.mark.statistics
@pytest.mark.parametrize("world", ["two", "three", "rare"])
def test_importance_weights_give_the_evidence_of_quadrature(world, seed):
    """Within 0.02 nats from 2000 draws, and moments within 0.1 sd; 4.5 sigma of what weights of this size scatter."""
    fractions, count = WORLDS[world]
    x, _ = draw_events(np.array(fractions), count, np.random.default_rng(seed))
    size = len(fractions)
    exact, mean, sd = integrate_evidence(line_densities(x, size))
    model = MixtureModel.of(NAMES[:size], line_densities(x, size))
    gaps = []
    for k in range(5):
        result = fit(model, "laplace", seed + k)
        assert abs(result.log_z - exact) < max(0.02, 5.0 * result.log_z_error)
        gaps.append(result.log_z - exact)
        found, spread, _ = moments(model, result)
        assert np.abs((found - mean) / sd).max() < 0.12
        assert np.abs(np.log(spread / sd)).max() < 0.15
    assert abs(np.mean(gaps)) < 0.02
    # the control: a prior that is not normalised is off by ln 2
    assert abs(np.mean(gaps) - np.log(2.0)) > 0.5


@pytest.mark.statistics
@pytest.mark.slow
@pytest.mark.parametrize(("world", "engine"), [("three", "nested"), ("rare", "nested"), ("three", "nautilus")])
def test_nested_sampling_gives_the_evidence_of_quadrature(world, engine, seed):
    """Within five claimed errors, and 0.05 for nautilus, whose claim leaves out what its bounds miss."""
    fractions, count = WORLDS[world]
    x, _ = draw_events(np.array(fractions), count, np.random.default_rng(seed))
    exact, mean, sd = integrate_evidence(line_densities(x, len(fractions)))
    model = MixtureModel.of(NAMES[: len(fractions)], line_densities(x, len(fractions)))
    result = fit(model, engine, seed)
    assert abs(result.log_z - exact) < max(0.05 if engine == "nautilus" else 0.0, 5.0 * result.log_z_error)
    assert result.log_z_error < 0.2
    found, spread, _ = moments(model, result)
    assert np.abs((found - mean) / sd).max() < 0.2
    assert np.abs(np.log(spread / sd)).max() < 0.15
    again = fit(model, engine, seed)
    assert again.log_z == result.log_z
    assert torch.equal(again.draws, result.draws)


@pytest.mark.statistics
@pytest.mark.slow
def test_laplace_and_nested_agree_on_six_components(seed):
    fractions, count = WORLDS["six"]
    model = make_mixture(fractions, count, seed)
    first, second = fit(model, "laplace", seed), fit(model, "nested", seed)
    assert abs(first.log_z - second.log_z) < 5.0 * second.log_z_error
    (mean, sd, correlation), (other, spread, correlations) = moments(model, first), moments(model, second)
    assert np.abs((mean - other) / sd).max() < 0.2
    assert np.abs(np.log(spread / sd)).max() < 0.2
    assert np.abs(correlation - correlations).max() < 0.15


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


def test_quadrature_is_right():
    """Two fractions in closed form: densities that know the component make a Beta integral."""
    logs = np.where(np.arange(30)[:, None] < 12, [[0.0, -50.0]], [[-50.0, 0.0]])
    log_z, mean, sd = integrate_evidence(logs)
    beta = stats.beta(13, 19)
    exact = np.sum(np.log(np.arange(1, 13))) + np.sum(np.log(np.arange(1, 19))) - np.sum(np.log(np.arange(1, 32)))
    assert log_z == pytest.approx(exact, abs=1e-6)
    assert mean[0] == pytest.approx(beta.mean(), abs=1e-6)
    assert sd[0] == pytest.approx(beta.std(), rel=1e-5)

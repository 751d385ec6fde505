"""Mixtures of events: evidences against quadrature, and fractions of one engine against those of another."""

from dataclasses import replace
from functools import cached_property

import numpy as np
import pytest
import torch
from scipy import stats
from tests.models.mixture.events import NAMES, draw_events, integrate_evidence, line_densities
from tests.statistics.ensembles import FIXED_SEED

from skysift.inference import sequence
from skysift.inference.engine import Stream
from skysift.models.mixture import Fractions, MixtureModel
from skysift.parameters import Parameter
from skysift.parameters.priors import Dirichlet

SEEDS = 5
ENGINES = {
    "laplace": ("laplace", {"importance": 2000}),
    "dynesty": ("nested", {"live": 500}),
    "nautilus": ("nested", {"library": "nautilus", "live": 500, "effective": 2000}),
    "many weights": ("laplace", {"importance": 40_000}),
    "many points": ("nested", {"effective": 10_000}),
}
#: how far the mean of five evidences may lie from the truth
OFF = {"laplace": 0.05, "dynesty": 0.2, "nautilus": 0.05}
#: a half, a sixth, a third; one in a thousand; two and six components
WORLDS = {
    "three": ((0.5, 1 / 6, 1 / 3), 1000),
    "rare": ((0.6, 0.399, 0.001), 2000),
    "two": ((0.3, 0.7), 400),
    "six": ((0.3, 0.2, 0.2, 0.1, 0.1, 0.1), 600),
}


def make(world, seed):
    """Return densities and a model of events drawn in a world."""
    fractions, count = WORLDS[world]
    x, _ = draw_events(np.array(fractions), count, np.random.default_rng(seed))
    logs = line_densities(x, len(fractions))
    return logs, MixtureModel.of(NAMES[: len(fractions)], logs)


def fit(model, engine, seed):
    return sequence.run(model, [ENGINES[engine]], Stream(seed))[-1]


def moments(model, result):
    """Weighted mean, sd and correlations of the fractions."""
    weights = torch.softmax(result.log_weights[0], 0)
    fractions = model.component_fractions(model.parameters.values(result.draws[0]))
    mean = weights @ fractions
    covariance = (weights[:, None] * (fractions - mean)).T @ (fractions - mean)
    sd = covariance.diagonal().sqrt()
    return mean.numpy(), sd.numpy(), (covariance / sd / sd[:, None]).numpy()


class Loose(Dirichlet):
    """A flat prior whose density is one everywhere, and not one over the size of the simplex."""

    _log_normaliser = 0.0


class Skewed(Dirichlet):
    """A prior whose cube and density are those of two different ones: points are too dense at small first fractions."""

    def from_cube(self, cube):
        return super().from_cube(cube**3)


def spoil(model, law):
    """Return a model with another prior of its fractions."""

    class Spoilt(Fractions):
        @cached_property
        def parameters(self):
            return [Parameter(group.parameter, law(group.concentration)) for group in self.groups]

    return replace(model, shares=Spoilt(model.shares.names, model.shares.groups))


def check_evidences(world, engine, seed, law=None):
    """Five seeds: each within three claimed errors (five where seeds roam), and their mean."""
    logs, model = make(world, seed)
    model = model if law is None else spoil(model, law)
    exact, mean, sd = integrate_evidence(logs)
    gaps = []
    for k in range(SEEDS):
        result = fit(model, engine, seed + k)
        gaps.append(result.log_z - exact)
        assert abs(gaps[-1]) < (3.0 if seed == FIXED_SEED else 5.0) * result.log_z_error
        assert result.log_z_error < 0.2
        found, spread, _ = moments(model, result)
        assert np.abs((found - mean) / sd).max() < 0.2
        assert np.abs(np.log(spread / sd)).max() < 0.15
    assert abs(np.mean(gaps)) < OFF[engine]


@pytest.mark.statistics
@pytest.mark.parametrize("world", ["two", "three", "rare"])
def test_importance_weights_give_the_evidence_of_quadrature(world, seed):
    check_evidences(world, "laplace", seed)


@pytest.mark.statistics
@pytest.mark.slow
@pytest.mark.parametrize(("world", "engine"), [("three", "dynesty"), ("rare", "dynesty"), ("three", "nautilus")])
def test_nested_sampling_gives_the_evidence_of_quadrature(world, engine, seed):
    check_evidences(world, engine, seed)


@pytest.mark.statistics
def test_a_prior_that_is_not_normalised_is_seen(seed):
    """Control: densities of one over the triangle of three fractions, whose area is a half, make Z half as large."""
    _, model = make("three", seed)
    off = fit(spoil(model, Loose), "laplace", seed).log_z - fit(model, "laplace", seed).log_z
    assert off == pytest.approx(-np.log(2.0), abs=0.1)
    with pytest.raises(AssertionError):
        check_evidences("three", "laplace", seed, Loose)


@pytest.mark.statistics
@pytest.mark.slow
def test_points_that_do_not_follow_the_prior_are_seen(seed):
    """Control of nested sampling, which sees no density of the prior but its cube."""
    with pytest.raises(AssertionError):
        check_evidences("three", "dynesty", seed, Skewed)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["dynesty", "nautilus"])
def test_the_same_seed_gives_the_same_draws(engine, seed):
    _, model = make("two" if engine == "dynesty" else "three", seed)
    first, again = fit(model, engine, seed), fit(model, engine, seed)
    assert again.log_z == first.log_z
    assert torch.equal(again.draws, first.draws)


@pytest.mark.statistics
@pytest.mark.slow
@pytest.mark.parametrize("world", ["two", "three", "rare", "six"])
def test_laplace_and_nested_agree(world, seed):
    """Means within 0.1 sd, sd within 5 %, correlations within 0.05; twice as much where seeds roam."""
    _, model = make(world, seed)
    first, second = fit(model, "many weights", seed), fit(model, "many points", seed)
    assert abs(first.log_z - second.log_z) < 5.0 * second.log_z_error
    (mean, sd, correlation), (other, spread, correlations) = moments(model, first), moments(model, second)
    loose = 1.0 if seed == FIXED_SEED else 2.0
    assert np.abs((mean - other) / sd).max() < 0.1 * loose
    assert np.abs(np.log(spread / sd)).max() < 0.05 * loose
    assert np.abs(correlation - correlations).max() < 0.05 * loose


def test_quadrature_is_right():
    """Two fractions in closed form: densities that know the component make a Beta integral."""
    logs = np.where(np.arange(30)[:, None] < 12, [[0.0, -50.0]], [[-50.0, 0.0]])
    log_z, mean, sd = integrate_evidence(logs)
    beta = stats.beta(13, 19)
    exact = np.sum(np.log(np.arange(1, 13))) + np.sum(np.log(np.arange(1, 19))) - np.sum(np.log(np.arange(1, 32)))
    assert log_z == pytest.approx(exact, abs=1e-6)
    assert mean[0] == pytest.approx(beta.mean(), abs=1e-6)
    assert sd[0] == pytest.approx(beta.std(), rel=1e-5)

"""Trees of fractions: the prior they state, names instead of places, and errors that say what is wrong."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from tests.models.mixture.events import NAMES, draw_events, line_densities

from skysift.errors import InputError
from skysift.inference import sequence
from skysift.inference.engine import Stream
from skysift.models.mixture import Fractions, MixtureModel
from skysift.parameters import Parameters

TREES = {
    "flat": None,
    "balanced": {"a": ["background", "diffuse"], "b": ["catalogue", "shell"]},
    "deep": {"background": None, "sky": {"diffuse": None, "sources": {"catalogue": None, "shell": None}}},
}
DRAWS = 4000


def draw(fractions, seed=1, count=DRAWS):
    parameters = Parameters(fractions.parameters)
    return fractions.shares(parameters.draw(count, torch.Generator().manual_seed(seed))).numpy()


@pytest.mark.parametrize("tree", TREES)
def test_the_default_prior_of_leaves_is_flat(tree):
    """Each of four flat leaves is Beta(1, 3), each pair Beta(2, 2)."""
    shares = draw(Fractions.of(NAMES[:4], TREES[tree]))
    for k in range(4):
        assert stats.kstest(shares[:, k], stats.beta(1, 3).cdf).pvalue > 1e-5
        for j in range(k):
            assert stats.kstest(shares[:, k] + shares[:, j], stats.beta(2, 2).cdf).pvalue > 1e-5


def test_equal_concentrations_of_nodes_are_not_flat():
    """Negative control: without counting leaves, the tree prefers its shallow leaf."""
    shares = draw(Fractions.of(NAMES[:4], TREES["deep"], 1.0))
    assert stats.kstest(shares[:, 0], stats.beta(1, 3).cdf).pvalue < 1e-10
    assert stats.kstest(shares[:, 0], "uniform").pvalue > 1e-5


def product_of_uniforms(count):
    """Return the distribution function of a product of so many uniform numbers: a sum of logarithms is a Gamma."""
    return lambda x: stats.gamma(count).sf(-np.log(np.clip(x, 1e-300, 1.0)))


def test_leaves_of_equal_concentrations_are_products_of_uniforms():
    """Flat at every node of two: a leaf three nodes down is the product of three; as one of two it is not."""
    shares = draw(Fractions.of(NAMES[:4], TREES["deep"], 1.0))
    for name, depth in (("background", 1), ("diffuse", 2), ("catalogue", 3), ("shell", 3)):
        column = shares[:, NAMES.index(name)]
        assert stats.kstest(column, product_of_uniforms(depth)).pvalue > 1e-5
        assert stats.kstest(column, product_of_uniforms(depth % 3 + 1)).pvalue < 1e-10


@pytest.mark.parametrize("tree", TREES)
def test_the_density_of_leaves_is_that_of_their_draws(tree):
    """Flat over four leaves is ln 3!; for any concentrations the density integrates to one."""
    flat = Fractions.of(NAMES[:4], TREES[tree])
    shares = torch.as_tensor(draw(flat))
    density = flat.log_prior(shares)
    torch.testing.assert_close(density, torch.full_like(density, math.log(6.0)), rtol=1e-9, atol=0)
    other = Fractions.of(NAMES[:4], TREES[tree], {"background": 2.0, "shell": 1.5})
    ratio = torch.exp(other.log_prior(shares) - math.log(6.0))
    assert abs(float(ratio.mean()) - 1.0) < 5.0 * float(ratio.std()) / DRAWS**0.5


@pytest.mark.parametrize("tree", TREES)
@pytest.mark.parametrize("each", [0.5, 1.0, 1.0001, 2.5])
def test_one_concentration_of_the_leaves_is_one_dirichlet_whatever_the_tree(tree, each):
    fractions = Fractions.of(NAMES[:4], TREES[tree], each=each)
    shares = np.random.default_rng(4).dirichlet(np.ones(4), 50)
    wanted = stats.dirichlet.logpdf(shares.T, np.full(4, each))
    np.testing.assert_allclose(fractions.log_prior(torch.as_tensor(shares)), wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("concentration", [None, 1.0, {"sky": 5.0, "shell": 0.5}])
def test_the_summary_says_what_draws_say(concentration):
    fractions = Fractions.of(NAMES[:4], TREES["deep"], concentration)
    shares = draw(fractions, count=20_000)
    for k, (name, leaf) in enumerate(fractions.summarise_prior().items()):
        assert name == NAMES[k]
        assert abs(shares[:, k].mean() - leaf.mean) < 5.0 * leaf.sd / 20_000**0.5
        assert shares[:, k].std() == pytest.approx(leaf.sd, rel=0.05)
        low, high = np.quantile(shares[:, k], [0.05, 0.95])
        assert (low, high) == pytest.approx((leaf.low, leaf.high), abs=0.02)


@pytest.mark.parametrize("tree", TREES)
def test_splitting_undoes_multiplying(tree):
    fractions = Fractions.of(NAMES[:4], TREES[tree])
    values = Parameters(fractions.parameters).draw(5, torch.Generator().manual_seed(1))
    again = fractions.split(fractions.shares(values))
    for name, value in values.items():
        torch.testing.assert_close(again[name], value, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("size", [2, 3, 6])
def test_mapped_uniforms_are_flat_fractions(size):
    """Same cube, same fractions; each fraction is Beta(1, S - 1) and a stick grows with its coordinate."""
    parameters = Parameters(Fractions.of(NAMES[:size]).parameters)
    u = torch.rand(DRAWS, size - 1, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    shares = parameters.from_cube(u)["fractions"]
    assert torch.equal(shares, parameters.from_cube(u)["fractions"])
    torch.testing.assert_close(shares.sum(-1), torch.ones(DRAWS).double())
    for k in range(size):
        assert stats.kstest(shares[:, k], stats.beta(1, size - 1).cdf).pvalue > 1e-5
        # the control: another number of components
        assert stats.kstest(shares[:, k], stats.beta(1, size + 1).cdf).pvalue < 1e-10
    raised = parameters.from_cube(u.clone().mul_(0.999).add_(0.001))["fractions"]
    assert bool((raised[:, 0] >= shares[:, 0]).all())


def test_permuting_components_or_leaves_permutes_the_answer():
    x, _ = draw_events(np.array([0.4, 0.3, 0.2, 0.1]), 500, np.random.default_rng(1))
    logs, names = line_densities(x, 4), list(NAMES[:4])
    reference = MixtureModel.of(names, logs, tree=TREES["deep"])
    order = [2, 0, 3, 1]
    moved = MixtureModel.of([names[k] for k in order], logs[:, order], tree=TREES["deep"])
    turned = {"sky": {"sources": ["shell", "catalogue"], "diffuse": None}, "background": None}
    turned = MixtureModel.of(names, logs, tree=turned)
    answers = []
    for model in (reference, moved, turned):
        result = sequence.run(model, [("laplace", {"importance": 4000})], Stream(1))[-1]
        values = model.parameters.values(result.mode[None])
        weights = torch.softmax(result.log_weights[0], 0)
        means = weights @ model.component_fractions(model.parameters.values(result.draws[0]))
        answers.append((dict(zip(model.names, means.tolist(), strict=True)), result.log_z))
        best = dict(zip(model.names, model.component_fractions(values)[0].tolist(), strict=True))
        answers[-1][0].update({f"{name} at the mode": value for name, value in best.items()})
    for means, log_z in answers[1:]:
        assert log_z == pytest.approx(answers[0][1], abs=0.05)
        for name, value in answers[0][0].items():
            # the mode in log-ratios of a tree follows its order too; draws carry sampling errors
            assert means[name] == pytest.approx(value, abs=0.005), name
    shares = reference.component_fractions(reference.parameters.draw(5, torch.Generator().manual_seed(1)))
    there = moved.shares.split(shares[:, order])
    torch.testing.assert_close(
        moved.log_likelihood(there), reference.log_likelihood(reference.shares.split(shares)), rtol=1e-12, atol=0
    )


@pytest.mark.parametrize(
    ("tree", "concentration", "message"),
    [
        ({"background": None, "difuse": None}, None, "did you mean 'diffuse'"),
        ({"background": None, "sky": ["background", "diffuse"]}, None, "every name once"),
        (["background", "diffuse"], {"sky": 1.0}, "node or leaf"),
        ({"sky": ["background", "diffuse"]}, None, "two or more children"),
    ],
)
def test_wrong_trees_are_refused(tree, concentration, message):
    with pytest.raises(InputError, match=message):
        Fractions.of(["background", "diffuse"], tree, concentration)


def test_a_component_without_a_leaf_is_named():
    with pytest.raises(InputError, match="add catalogue"):
        Fractions.of(["background", "diffuse", "catalogue"], ["background", "diffuse"])

"""The grid engine against brute-force integrals that share only the likelihood with it."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from tests.contracts.toys import PoissonField, PoissonTemplates
from tests.inference.scales import SCALES, Scales

from skysift.errors import InputError
from skysift.inference import Start, Stream, grid, sequence
from skysift.inference.grid import Settings
from skysift.inference.marginal import Marginal
from skysift.inference.result import flatten
from skysift.parameters import Parameter, Parameters
from skysift.parameters.priors import LogNormal, Uniform


class Poisson(PoissonTemplates):
    """One, two or three templates of faint counts, with a uniform prior on the one in the middle."""

    def __init__(self, count, high=14.0):
        super().__init__()
        self.order = ("bump", "flat", "slope")[:count]
        index = {"flat": 0, "bump": 1, "slope": 2}
        self.templates = self.templates[[index[name] for name in self.order]]
        priors = {"bump": Uniform(0.0, high), "flat": LogNormal(5.0, 0.5), "slope": LogNormal(3.0, 0.7)}
        self.parameters = Parameters([Parameter(f"{name}_norm", priors[name]) for name in self.order])
        missing = [name for name in index if name not in self.order]
        self.floor = sum(self.truth[index[name]] * PoissonTemplates().templates[index[name]] for name in missing)

    def expected(self, values):
        return self.parameters.pack(values) @ self.templates + self.floor

    def brute(self, points=36):
        """Fine values of the bump's norm and ln of its marginal likelihood, by sums over the others' priors."""
        bump = np.linspace(-1.0, 30.0, 800)
        others = [self.parameters[f"{name}_norm"].prior for name in self.order[1:]]
        axes = [math.log(prior.median) + prior.sd * np.linspace(-4.5, 4.5, points) for prior in others]
        weights = [stats.norm.pdf(np.linspace(-4.5, 4.5, points)) * 9.0 / (points - 1) for _ in others]
        rest = np.stack([axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")], 1) if axes else np.zeros((1, 0))
        weight = np.ones(1)
        for one in weights:
            weight = np.outer(weight, one).ravel()
        keep = weight > 1e-9 * weight.max()
        rates = torch.as_tensor(np.exp(rest[keep])) @ self.templates[1:] + self.floor
        log_l = []
        for value in bump:
            mean = (rates + value * self.templates[0]).clamp_min(1e-300)
            terms = (torch.xlogy(self.counts, mean) - mean - torch.lgamma(self.counts + 1.0)).sum(-1)
            log_l.append(float(torch.logsumexp(terms + torch.as_tensor(np.log(weight[keep])), 0)))
        return bump, np.array(log_l)


def summarise(values, log_density):
    density = np.exp(log_density - log_density.max())
    density /= density.sum()
    mean = density @ values
    return values[log_density.argmax()], mean, math.sqrt(density @ (values - mean) ** 2)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_marginal_posterior_and_evidence_against_quadrature(count, seed):
    """Without the prior: mean, sd within 0.03 sd (10 errors), peak within 0.15 (5); ln Z within 0.03 and 5 errors."""
    model = Poisson(count)
    result = grid.run(model, Settings("bump_norm", importance=2000), Start(), Stream(seed))
    bump, log_l = model.brute()
    peak, mean, sd = summarise(bump, log_l)
    found = Marginal(result.traces["marginal_grid"].numpy(), result.traces["marginal_log_likelihood"].numpy(), None)
    assert abs(found.moments()[0] - peak) < 0.15 * sd
    assert abs(found.moments()[1] - mean) < 0.03 * sd
    assert found.moments()[2] == pytest.approx(sd, rel=0.03)
    inside = (bump > 0.0) & (bump < 14.0)
    exact = np.logaddexp.reduce(log_l[inside]) + math.log((bump[1] - bump[0]) / 14.0)
    assert abs(result.log_z - exact) < 0.03 + 5.0 * result.log_z_error
    assert result.labels == {"marginal_of": "bump_norm"}
    assert result.is_converged


@pytest.mark.parametrize("count", [1, 3])
def test_draws_follow_the_posterior_and_without_the_prior_the_likelihood(count, seed):
    """A prior that ends near the peak: draws stay inside it, those without prior go beyond; both by KS, 1e-5."""
    model = Poisson(count, high=9.5)
    result = grid.run(model, Settings("bump_norm", importance=1000, draws=3000), Start(), Stream(seed))
    bump, log_l = model.brute(30)
    draws, _ = flatten(result)
    values = model.parameters.values(draws)["bump_norm"].numpy()
    free = result.traces["flat_bump_norm"].numpy()
    assert values.max() <= 9.5 < free.max()
    for drawn, density in ((values, np.where((bump > 0) & (bump < 9.5), log_l, -np.inf)), (free, log_l)):
        share = np.cumsum(np.exp(density - density.max()))
        uniform = np.interp(drawn, bump, share / share[-1])
        # draws are stratified along the parameter: they lie closer to the law than independent ones would
        assert stats.kstest(uniform, "uniform").pvalue > 1e-5
        moved = np.interp(drawn + 0.4, bump, share / share[-1])
        assert stats.kstest(moved, "uniform").pvalue < 1e-5, "the control passed: the test is blind"


@pytest.mark.parametrize("name", ["flat_norm", "slope_norm"])
def test_the_rest_is_drawn_given_the_parameter(name, seed):
    """Mean and correlation of the other norms against brute force over the three, within 6 sampling errors."""
    model = Poisson(3)
    result = grid.run(model, Settings("bump_norm", importance=2000, draws=4000), Start(), Stream(seed))
    draws, _ = flatten(result)
    values = {key: value.numpy() for key, value in model.parameters.values(draws).items()}
    axes = [np.linspace(0.01, 14, 50), np.linspace(1.5, 8.0, 60), np.linspace(0.05, 9.0, 60)]
    mesh = torch.as_tensor(np.stack([axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")], 1))
    table = model.parameters.unpack(mesh)
    weight = torch.softmax(model.log_likelihood(table) + model.parameters.log_prior(table), 0)
    other, bump = table[name], table["bump_norm"]
    mean, centre = float(weight @ other), float(weight @ bump)
    sd = float(weight @ (other - mean) ** 2) ** 0.5
    link = float(weight @ ((other - mean) * (bump - centre))) / sd / float(weight @ (bump - centre) ** 2) ** 0.5
    assert abs(values[name].mean() - mean) < (6.0 / 4000**0.5 + 0.03) * sd
    assert values[name].std() == pytest.approx(sd, rel=0.1)
    assert np.corrcoef(values[name], values["bump_norm"])[0, 1] == pytest.approx(link, abs=6.0 / 4000**0.5 + 0.03)


@pytest.mark.parametrize("profiled", [0.25, 1.0])
def test_hyper_parameters_are_integrated(profiled, seed):
    """The level of data with unknown signal and noise: exact by numerical integration over both."""
    model = Scales(nodes=5)
    result = grid.run(model, Settings("level", importance=0, profiled=profiled), Start(), Stream(seed))
    levels = np.linspace(-1.5, 2.5, 400)
    exact, _, _ = model.table(levels, points=60)
    _, mean, sd = summarise(levels, exact)
    found = Marginal(result.traces["marginal_grid"].numpy(), result.traces["marginal_log_likelihood"].numpy(), None)
    assert abs(found.moments()[1] - mean) < 0.05 * sd
    assert found.moments()[2] == pytest.approx(sd, rel=0.08)
    inside = (levels > -1.0) & (levels < 0.6)
    log_z = np.logaddexp.reduce(exact[inside]) + math.log((levels[1] - levels[0]) / 1.6)
    assert result.log_z == pytest.approx(log_z, abs=0.08)
    assert {"node_signal", "node_noise", "node_log_weight", "flat_level"} < set(result.traces)
    scale = result.traces["node_signal"].log()[result.variant.reshape(-1)]
    assert abs(float(scale.mean()) - math.log(SCALES["signal"].median)) < 1.0


def test_limits_are_kept(seed):
    chosen = Settings("bump_norm", values=8, low=6.0, high=12.0, importance=0)
    result = grid.run(Poisson(2), chosen, Start(), Stream(seed))
    edges = result.traces["marginal_grid"]
    assert (float(edges[0]), float(edges[-1])) == (6.0, 12.0)
    values = Poisson(2).parameters.values(flatten(result)[0])["bump_norm"]
    assert float(values.min()) >= 6.0
    assert float(values.max()) <= 12.0


@pytest.mark.parametrize("low", [14.0, 30.0])
def test_a_prior_far_from_the_likelihood_is_still_reached(low, seed):
    """The posterior is the tail of the likelihood inside the prior: mean within 0.05 of its own sd of quadrature."""
    model = Poisson(2)
    prior = Uniform(low, low + 10.0)
    model.parameters = Parameters([Parameter("bump_norm", prior), model.parameters["flat_norm"]])
    result = grid.run(model, Settings("bump_norm", importance=0, draws=4000), Start(), Stream(seed))
    bump = np.linspace(low, low + 10.0, 3000)
    rates = torch.exp(math.log(5.0) + 0.5 * torch.linspace(-5.0, 5.0, 80, dtype=torch.float64))
    weight = torch.as_tensor(stats.norm.logpdf(np.linspace(-5.0, 5.0, 80)))
    mean = rates[:, None, None] * model.templates[1] + model.floor + torch.as_tensor(bump)[:, None] * model.templates[0]
    terms = (torch.xlogy(model.counts, mean) - mean).sum(-1) + weight[:, None]
    _, centre, sd = summarise(bump, torch.logsumexp(terms, 0).numpy())
    values = model.parameters.values(flatten(result)[0])["bump_norm"].numpy()
    assert values.min() >= low
    assert abs(values.mean() - centre) < 0.1 * sd
    assert values.std() == pytest.approx(sd, rel=0.1)


def test_a_grid_that_ends_inside_the_likelihood_says_so(seed):
    plain = grid.run(Poisson(2), Settings("bump_norm", importance=0), Start(), Stream(seed))
    assert next(check for check in plain.checks if check.name == "grid reaches").colour == "green"
    # the likelihood is impossible below some value: the grid cannot reach its tail there
    cut = Poisson(1)
    cut.floor = cut.floor * 0.0 + 1e-9
    cut.counts = torch.zeros_like(cut.counts)
    cut.counts[24] = 1.0
    result = grid.run(cut, Settings("bump_norm", importance=0), Start(), Stream(seed))
    assert next(check for check in result.checks if check.name == "grid reaches").colour == "amber"


def test_what_cannot_be_put_on_a_grid_is_refused(seed):
    model = PoissonField()
    with pytest.raises(InputError, match="single number"):
        grid.run(model, Settings("flat_field"), Start(), Stream(seed))
    with pytest.raises(InputError, match="did you mean 'bump_norm'"):
        grid.run(model, Settings("bumps_norm"), Start(), Stream(seed))
    for count in (1, 2):
        with pytest.raises(InputError, match="at least four"):
            grid.run(Poisson(count), Settings("bump_norm", low=-90.0, high=-80.0), Start(), Stream(seed))
    with pytest.raises(InputError, match="some that the prior of bump_norm allows"):
        grid.run(Poisson(2), Settings("bump_norm", low=15.0, high=20.0, importance=0), Start(), Stream(seed))


def test_same_seed_same_draws(seed):
    chosen = Settings("bump_norm", values=8, importance=100, draws=200)
    first, again, other = (grid.run(PoissonField(), chosen, Start(), Stream(one)) for one in (seed, seed, seed + 1))
    assert torch.equal(first.draws, again.draws)
    assert first.log_z == again.log_z
    assert not torch.equal(first.draws, other.draws)


def test_agrees_with_importance_weighted_laplace(seed):
    """Two ways to the same evidence of a model with a field, within 5 of their errors plus 0.05."""
    steps = [("map", {"starts": 4, "steps": 20}), ("laplace", {"importance": 4000})]
    laplace = sequence.run(PoissonField(), steps, Stream(seed))[-1]
    result = grid.run(PoissonField(), Settings("bump_norm", importance=1000), Start(mode=laplace.mode), Stream(seed))
    assert abs(result.log_z - laplace.log_z) < 0.05 + 5.0 * (result.log_z_error + laplace.log_z_error)
    assert result.started_from == "mode"

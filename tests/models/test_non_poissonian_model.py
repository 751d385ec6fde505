"""Templates beside populations of sources: the contract of models, derivatives, limits and exposure."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from scipy import stats
from tests.contracts.model_contract import ModelContract
from tests.models.skies import PIXELS, make

from skysift.likelihoods.source_counts import SourceCountTable, log_source_count
from skysift.models.non_poissonian import NonPoissonianModel
from skysift.models.population import Population, place_nodes
from skysift.models.template import TemplateModel
from skysift.parameters import Parameter, Parameters
from skysift.parameters.priors import LogUniform, Uniform

FRACTIONS, SHARES = np.array([0.7, 0.1, 0.02]), np.array([1.0, 2.5, 2.5])


def density():
    return np.random.default_rng(3).uniform(0.2, 2.0, PIXELS)


def exposure():
    return 7e10 * np.exp(np.linspace(-0.15, 0.15, PIXELS))


def population(name="sources", breaks=1, norm="norm", **choices):
    """A population with every number free, and its parameters."""
    limits = choices.pop("limits", None)
    places = place_nodes(exposure(), 7e10, **choices)
    slopes = tuple(f"{name}_slope_{k}" for k in range(1, breaks + 2))
    falls = tuple(f"{name}_break_{k}" for k in range(1, breaks + 1))
    seen = density() * (places.shares @ np.exp(places.log_ratios))
    total = {"log_unit": -math.log(seen.sum()), "is_total": True} if norm == "total" else {}
    made = Population(
        name,
        torch.as_tensor(density()[:, None] * places.shares),
        torch.as_tensor(seen),
        torch.as_tensor(density()),
        7e10,
        torch.as_tensor(places.log_ratios),
        f"{name}_norm",
        slopes,
        falls,
        is_relative=breaks > 1,
        limits=limits,
        **total,
    )
    priors = [LogUniform(0.02, 0.2) if norm == "norm" else Uniform(50, 500)]
    priors += [Uniform(2.5, 6.0), *[Uniform(0.5, 1.9)] * breaks]
    priors += [Uniform(3, 9), *[Uniform(0.1, 0.6)] * (breaks - 1)][:breaks]
    return made, [Parameter(key, prior) for key, prior in zip(made.free, priors, strict=True)]


def join(smooth, *parts, counts=None):
    """The model of a smooth sky beside populations."""
    counts = smooth.counts if counts is None else counts
    parameters = [item for item in smooth.parameters] + [item for _, listed in parts for item in listed]
    fields = {name: getattr(smooth, name) for name in TemplateModel.__dataclass_fields__}
    fields |= {"parameters": Parameters(parameters), "counts": counts}
    table = SourceCountTable(FRACTIONS, SHARES, max(1, int(counts.max())))
    return NonPoissonianModel(**fields, populations=tuple(made for made, _ in parts), table=table)


class TestOnePopulation(ModelContract):
    poisson = False

    def make(self):
        return join(make("rigid"), population())

    def test_closed_curvature_against_autograd(self):
        """Against differences: second derivatives by autograd are refused."""
        model = self.make()
        point = model.parameters.pack(self.values(model, 1))
        found = model.curvature(model.parameters.unpack(point), True)
        step = 1e-5 * point[0].abs().clamp_min(0.1)
        axes = torch.diag(step)
        ahead, behind = (self.gradient(model, point + sign * axes) for sign in (1, -1))
        wanted = -(ahead - behind) / (2 * step[:, None])
        scale = wanted.diagonal().abs().sqrt()
        assert float(((found.information - wanted) / scale / scale[:, None]).abs().max()) < 1e-5
        torch.testing.assert_close(found.value, model.log_likelihood(model.parameters.unpack(point))[0])
        torch.testing.assert_close(found.gradient, self.gradient(model, point)[0], rtol=1e-9, atol=1e-7)

    def test_simulations_agree_with_expected(self):
        model = self.make()
        values = {name: value.expand(800, *value.shape[1:]) for name, value in self.values(model, 1).items()}
        data = model.simulate(values, torch.Generator().manual_seed(1))
        mean, variance = model.expected(values)[0], data.var(0)
        # means of 800 draws: the largest of 60 pulls
        assert float(((data.mean(0) - mean) / (variance / 800).sqrt()).abs().max()) < 6.0
        assert float((variance / mean).mean()) > 1.2

    def test_probabilities_of_simulated_counts(self):
        """The share of draws at each number of counts is the likelihood's own, pixel by pixel."""
        model, draws = self.make(), 2000
        one = self.values(model, 1)
        data = model.simulate(
            {n: v.expand(draws, *v.shape[1:]) for n, v in one.items()}, torch.Generator().manual_seed(2)
        )
        most, statistic, freedom = int(data.max()), 0.0, 0
        for pixel in (0, 17, 59):
            alone = model.take(torch.full((most + 1,), pixel))
            every = dataclasses.replace(alone, counts=torch.arange(most + 1.0, dtype=torch.float64)[None])
            every = dataclasses.replace(every, table=SourceCountTable(FRACTIONS, SHARES, most))
            wanted = draws * probabilities(every, one)
            found = torch.bincount(data[:, pixel].long(), minlength=most + 1)
            used = wanted > 20
            statistic += float(((found - wanted)[used] ** 2 / wanted[used]).sum())
            freedom += int(used.sum())
        assert stats.chi2.sf(statistic, freedom) > 1e-4


def probabilities(model, values):
    """Probability of each pixel's own counts, (P,)."""
    from skysift.likelihoods.non_poissonian import non_poissonian_log_likelihood

    means, totals = model._coefficients(values)
    smooth = TemplateModel.expected(model, values)
    return non_poissonian_log_likelihood(model._pixels, smooth, means, totals)[0].exp()


class TestTwoPopulationsUnderFields(TestOnePopulation):
    def make(self):
        return join(make("two scales"), population(norm="total"), population("others", breaks=2, regions=3))


class TestNoBreak(TestOnePopulation):
    """Sources of 8 to 900 photons, more than are drawn by their own numbers."""

    def make(self):
        return join(make("rigid"), population(norm="total", breaks=0, limits=(8.0, 900.0)))


def test_without_sources_the_likelihood_is_that_of_templates():
    smooth = make("two scales")
    model = join(smooth, population())
    values = model.parameters.draw(3, torch.Generator().manual_seed(0))
    values["sources_norm"] = torch.full((3,), 1e-300, dtype=torch.float64)
    torch.testing.assert_close(model.log_likelihood(values), smooth.log_likelihood(values), rtol=1e-12, atol=1e-9)
    without = smooth.log_likelihood_and_gradient(values)[1]
    found = model.log_likelihood_and_gradient(values)[1]
    for name, slope in without.items():
        torch.testing.assert_close(found[name], slope, rtol=1e-9, atol=1e-9)


def test_sources_far_below_a_photon_are_smooth():
    smooth = make("rigid")
    model = join(smooth, population(norm="total"))
    values = model.parameters.draw(1, torch.Generator().manual_seed(0))
    values["sources_break_1"] = torch.tensor([1e-7], dtype=torch.float64)
    seen = model.populations[0].seen
    light = values["sources_norm"][:, None] * seen / seen.sum()
    wanted = torch.as_tensor(stats.poisson.logpmf(smooth.counts[0], TemplateModel.expected(model, values) + light)).sum(
        1
    )
    torch.testing.assert_close(model.log_likelihood(values), wanted, rtol=1e-5, atol=1e-3)


def test_a_norm_of_all_light_is_all_light():
    made, parameters = population(norm="total")
    values = Parameters(parameters).draw(5, torch.Generator().manual_seed(0))
    torch.testing.assert_close(made.expected(values).sum(1), values["sources_norm"])


def test_mean_counts_are_the_integral_of_the_law():
    made, parameters = population(breaks=3)
    values = Parameters(parameters).draw(4, torch.Generator().manual_seed(0))
    law = made.law(values)
    log_flux = torch.linspace(-60, 60, 240_001, dtype=torch.float64)[None]
    integrand = (log_source_count(log_flux, law.log_norm, law.slopes, law.log_breaks) + 2 * log_flux).exp()
    torch.testing.assert_close(law.photons(), torch.trapezoid(integrand, log_flux[0], dim=1), rtol=1e-6, atol=0)


def test_relative_breaks_are_shares_of_the_one_above():
    made, parameters = population(breaks=3)
    values = Parameters(parameters).draw(1, torch.Generator().manual_seed(0))
    falls = [float(values[f"sources_break_{k}"]) for k in (1, 2, 3)]
    wanted = [falls[0], falls[0] * falls[1], falls[0] * falls[1] * falls[2]]
    assert made.law(values).log_breaks.exp()[0].tolist() == pytest.approx(wanted)


@pytest.mark.parametrize("choices", [{"nodes": 3}, {"regions": 6}], ids=str)
def test_finer_exposure_changes_nothing_of_account(choices):
    """Doubling nodes or regions changes ln L by less than 0.01; without any variation it changes by far more."""
    smooth = make("rigid")
    values = join(smooth, population()).parameters.draw(1, torch.Generator().manual_seed(3))
    found = {}
    for key, choice in {"own": choices, "twice": {k: 2 * v for k, v in choices.items()}, "one": {"regions": 1}}.items():
        found[key] = float(join(smooth, population(**choice)).log_likelihood(values))
    assert abs(found["own"] - found["twice"]) < 0.01
    assert abs(found["one"] - found["twice"]) > abs(found["own"] - found["twice"])


def test_shares_of_exposure_keep_mean_counts():
    for choices in ({"nodes": 1}, {"nodes": 4}, {"regions": 5}):
        places = place_nodes(exposure(), 7e10, **choices)
        np.testing.assert_allclose(places.shares @ np.exp(places.log_ratios), exposure() / 7e10, rtol=1e-12)
    nptfit = place_nodes(exposure(), 7e10, regions=4, follows=False)
    assert set(np.unique(nptfit.shares)) == {0.0, 1.0}
    assert len(nptfit.log_ratios) == 4


def test_batches_and_pixels_do_not_change_answers(monkeypatch):
    from skysift.models import non_poissonian

    model = join(make("two scales"), population())
    values = model.parameters.draw(5, torch.Generator().manual_seed(0))
    wanted = model.log_likelihood_and_gradient(values)
    monkeypatch.setattr(non_poissonian, "TABLE_BYTES", 1)
    found = model.log_likelihood_and_gradient(values)
    torch.testing.assert_close(found[0], wanted[0], rtol=1e-12, atol=1e-9)
    torch.testing.assert_close(found[1], wanted[1], rtol=1e-9, atol=1e-9)
    halves = [model.take(index) for index in (torch.arange(0, PIXELS, 2), torch.arange(1, PIXELS, 2))]
    torch.testing.assert_close(sum(half.log_likelihood(values) for half in halves), wanted[0], rtol=1e-12, atol=1e-9)
    part = model.minibatch(PIXELS // 2, torch.Generator().manual_seed(1))
    assert part.scale == 2.0
    assert torch.isfinite(part.log_likelihood(values)).all()


@pytest.mark.parametrize("steps", ["gradient", "curvature", "map", "counts", "information", "simulate"])
def test_tensors_live_where_the_model_does(steps):
    """Whatever is made on another device, because nobody said where, meets the model's own and fails."""
    model = join(make("two scales"), population(norm="total"), population("others", breaks=2, regions=3))
    values = model.parameters.draw(2, torch.Generator().manual_seed(0))
    one = {name: part[:1] for name, part in values.items()}
    calls = {
        "gradient": lambda: model.parameters.pack(model.log_likelihood_and_gradient(values)[1]),
        "curvature": lambda: model._differentiate(one)[0],
        "map": lambda: model.log_likelihood_map(values),
        "counts": lambda: torch.cat(list(model.component_counts(values).values())),
        "information": lambda: model.information(one),
        "simulate": lambda: model.simulate(values, torch.Generator().manual_seed(1)),
    }
    with torch.device("meta"):
        found = calls[steps]()
    assert found.device.type == "cpu"
    torch.testing.assert_close(found, calls[steps]())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_finds_the_same(repository):
    from tests.models.test_populations_by_hand import LAWS, make_model

    here, there = (make_model([LAWS[2]], {"regions": 2}, device=device) for device in ("cpu", "cuda"))
    values = here.parameters.draw(3, torch.Generator().manual_seed(0))
    moved = {name: part.cuda() for name, part in values.items()}
    for mine, other in zip(
        here.log_likelihood_and_gradient(values), there.log_likelihood_and_gradient(moved), strict=True
    ):
        torch.testing.assert_close(other.cpu(), mine, rtol=1e-10, atol=1e-10)

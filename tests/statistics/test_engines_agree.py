"""Engines that share nothing but the likelihood find the same posterior of one sky, whatever way its pixels are cut.

The inner 20 degrees of the embedded sky at nside 64, a template under a Gaussian process beside four rigid ones.
"""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from tests.statistics.analyses import NORMS as COMPONENTS
from tests.statistics.analyses import make_analysis

from skysift.inference import sequence
from skysift.inference.engine import Stream
from skysift.inference.target import Target
from skysift.models import template
from skysift.models.template import TemplateModel

pytestmark = pytest.mark.statistics

TRUTH = {"bubbles": 0.5, "isotropic": 0.1, "point_sources": 0.5, "gce": 0.9, "diffuse": 12}
NORMS = ("diffuse_norm", "bubbles_norm", "isotropic_norm", "point_sources_norm", "gce_norm")
# error of a quantile in units of that of the mean, for a Gaussian
QUANTILES = {0.025: 2.7, 0.16: 1.5, 0.5: 1.25, 0.84: 1.5, 0.975: 2.7}
MODE = ("laplace", {"importance": 0})


@pytest.fixture(scope="module")
def model():
    """The model of one sky, whatever the seed of the engines: its signal lies well inside its prior."""
    modulate = {"lengthscale": "0.2 rad", "variance": 0.03, "inducing": {"spacing": 0.6}}
    analysis = make_analysis(
        {"data": "synthetic", "nside": 64, "region": {"radius": "20 deg", "mask_plane": "2 deg"}},
        {"diffuse": {"template": "diffuse", "norm": {"lognormal": [12, 0.5]}, "modulate": modulate}, **COMPONENTS},
        TRUTH,
    )
    return analysis.bind(analysis.draw_truth(Stream(20200929).generator("sky")))


def run(model, seed, *steps):
    return sequence.run(model, [("map", {}), *steps], Stream(seed, ("agreement",)))[-1]


def guide(name, **settings):
    return MODE, ("svi", {"guide": name, "restarts": 1, "evaluate": 4000, **settings})


def draw_norms(model, result):
    """Return the draws of every norm, {name: (n,)}."""
    values = model.parameters.values(result.draws.reshape(-1, model.parameters.size))
    return {name: values[name].numpy() for name in NORMS}


@pytest.fixture(scope="module")
def chains(model, seed):
    """The result of Hamiltonian chains."""
    return run(model, seed, MODE, ("hmc", {"chains": 32, "warmup": 100, "draws": 300, "max_draws": 300}))


def compare(model, found, chains):
    """Return difference of means in sd, and ratio of sds, for every norm."""
    found, chains = draw_norms(model, found), draw_norms(model, chains)
    return {
        name: ((found[name].mean() - draws.mean()) / draws.std(), found[name].std() / draws.std())
        for name, draws in chains.items()
    }


def least_ess(result):
    return float(torch.minimum(result.traces["ess_bulk"], result.traces["ess_tail"]).min())


def test_chains_have_converged(chains):
    assert least_ess(chains) > 1000
    assert [check for check in chains.checks if check.colour == "red"] == []


def test_grid_agrees_with_chains(model, chains, seed):
    # four errors of every number beside the tolerance: 6e-5 each
    grid = run(model, seed, ("grid", {"parameter": "gce_norm", "importance": 500}))
    shift, ratio = compare(model, grid, chains)["gce_norm"]
    error = 4 * least_ess(chains) ** -0.5
    assert abs(shift) < 0.1 + error
    assert 0.9 - error < ratio < 1.1 + error
    ours, theirs = draw_norms(model, grid)["gce_norm"], draw_norms(model, chains)["gce_norm"]
    for share, factor in QUANTILES.items():
        gap = (np.quantile(ours, share) - np.quantile(theirs, share)) / theirs.std()
        assert abs(gap) < 0.15 + factor * error


@pytest.mark.parametrize("name", ["flow", "conditional_iaf"])
def test_guides_agree_with_chains(model, chains, seed, name):
    # means are known to 0.05 sd, sds to 4 %: five errors inside the limits when the guide has learnt the posterior
    for norm, (shift, ratio) in compare(model, run(model, seed, *guide(name)), chains).items():
        assert abs(shift) < 0.5, norm
        assert 0.8 < ratio < 1.2, norm


def test_a_gaussian_guide_agrees_or_says_so(model, chains, seed):
    result = run(model, seed, *guide("mvn"))
    agrees = all(abs(a) < 0.5 and 0.8 < b < 1.2 for a, b in compare(model, result, chains).values())
    assert agrees or any(check.colour == "red" for check in result.checks)


class Unscaled(TemplateModel):
    """The same model with the published error: minibatches count as if they were all there is."""

    def minibatch(self, size, generator):
        return replace(super().minibatch(size, generator), scale=1.0)


def test_a_guide_does_not_depend_on_the_minibatch(model, seed):
    """Means within 0.2 sd and sds within 10 %, four to five errors of 4000 weighted draws; the ELBO within a nat."""
    whole = run(model, seed, *guide("mvn"))
    part = run(model, seed, *guide("mvn", batch=430))
    for shift, ratio in compare(model, part, whole).values():
        assert abs(shift) < 0.2
        assert ratio == pytest.approx(1.0, abs=0.1)
    assert float(part.traces["elbo_final"][0]) > float(whole.traces["elbo_final"][0]) - 1.0
    wrong = Unscaled(**{item.name: getattr(model, item.name) for item in fields(model)})
    tempered = run(wrong, seed, *guide("mvn", batch=430))
    assert float(tempered.traces["elbo_final"][0]) < float(whole.traces["elbo_final"][0]) - 3.0


def test_likelihood_does_not_depend_on_blocks_chunks_and_threads(model, seed, monkeypatch):
    z = torch.randn(7, model.parameters.size, generator=Stream(seed).generator("points"), dtype=torch.float64)
    whole = Target(model, chunk_bytes=2**30).log_density_and_gradient(z)
    threads = torch.get_num_threads()
    monkeypatch.setattr(template, "BLOCK_BYTES", 1)
    for count in (1, 2):
        torch.set_num_threads(count)
        try:
            parts = Target(model, chunk_bytes=1).log_density_and_gradient(z)
        finally:
            torch.set_num_threads(threads)
        torch.testing.assert_close(parts, whole, rtol=1e-10, atol=1e-8)

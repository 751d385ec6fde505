"""Posteriors hold the truth as often as they say, engine by engine, on skies drawn from the model itself.

Simulation-based calibration on a reduced problem: 300 pixels of the embedded sky, five norms, a Gaussian process with
46 inducing points; norms, field and counts are drawn from the model, and `skysift.models.build` makes each model anew.
With the fixed seed the verdict of `check_calibration` is deterministic; with another one a false failure has a
probability below 1e-4 (see `list_faults`). Each test distorts its own draws as well: narrower by 0.7, or moved by half
a standard deviation, they must not pass. The least of these controls moves 100 pulls by 0.5, which is 5 sigma where
3.13 suffice, in each of seven quantities: it passes with a probability below 1e-4.
"""

from dataclasses import replace

import pytest
import torch
from tests.statistics.analyses import NORMS, make_analysis
from tests.statistics.ensembles import list_faults, run_ensemble

from skysift.streams import torch_stream

pytestmark = pytest.mark.statistics

GAUSSIAN = ("laplace", {"importance": 0, "draws": 200})
SMOOTH = {"lognormal": [0.8, 0.4]}
SHARE = 1500 / 4234  # of the pixels in a minibatch of the published recipe


def analysis(gce=NORMS["gce"]["norm"]):
    modulate = {"lengthscale": "0.2 rad", "variance": 0.05, "inducing": {"spacing": 0.6}}
    diffuse = {"template": "diffuse", "norm": {"lognormal": [12, 0.5]}, "modulate": modulate}
    return make_analysis(
        {"data": "synthetic", "nside": 64, "region": {"radius": "10 deg", "mask_plane": "2 deg"}},
        {"diffuse": diffuse, **NORMS, "gce": {**NORMS["gce"], "norm": gce}},
        {"diffuse": 12},
    )


def assert_calibrated(ensemble, seed):
    assert list_faults(ensemble.check(), seed) == []
    for wrong in (ensemble.distort(scale=0.7), ensemble.distort(shift=0.5)):
        assert not wrong.check().is_calibrated


def test_grid_is_calibrated(seed):
    # the signal's norm has sharp edges here, and many of its posteriors lean on them
    engines = [("grid", {"parameter": "gce_norm", "values": 8, "importance": 100, "draws": 100})]
    assert_calibrated(run_ensemble(analysis(), engines, 200, seed), seed)


def test_hmc_is_calibrated(seed):
    # 16 chains forget where they began in 16 transitions; at the edge of a uniform prior it takes them hundreds
    chains = ("hmc", {"chains": 16, "warmup": 16, "draws": 14, "max_draws": 14})
    assert_calibrated(run_ensemble(analysis(SMOOTH), [GAUSSIAN, chains], 100, seed), seed)


def test_flow_is_calibrated(seed):
    # as shipped, restarts and all: two seconds each, so 25 of them find errors of half a standard deviation, no less
    guide = ("svi", {"guide": "flow", "draws": 100, "evaluate": 2000})
    ensemble = run_ensemble(analysis(), [GAUSSIAN, guide], 25, seed)
    assert list_faults(ensemble.check(), seed) == []
    for wrong in (ensemble.distort(scale=0.5), ensemble.distort(shift=1.0)):
        assert not wrong.check().is_calibrated


def test_minibatch_without_its_factor_is_found_out(seed):
    """On average over minibatches the posterior is that of the likelihood to the power B / N: far too wide.

    (One minibatch for good would be no error: less data have a calibrated posterior, too.) What gives it away is the
    joint log density, 1.2 posterior sd too high at the truth: limits of 0.6 are 4.5 errors away on both sides.
    """
    sky = analysis(SMOOTH)
    tempered = run_ensemble(sky, [GAUSSIAN], 100, seed, lambda model: replace(model, scale=SHARE)).check()
    right = run_ensemble(sky, [GAUSSIAN], 100, seed).check()
    at = right.names.index("log_density")
    assert not tempered.is_calibrated
    assert tempered.pull_mean[at] > 0.6 > right.pull_mean[at]


def test_minibatches_without_their_factor_add_up_to_the_whole(seed):
    """What an optimiser climbs that sees one minibatch at a time: B / N of the log likelihood, on average."""
    small = analysis()
    generator = torch_stream(seed, "minibatches")
    model = small.bind(small.draw_truth(generator))
    values = model.parameters.draw(3, generator)
    whole = model.log_likelihood(values)
    parts = torch.randperm(model.pixel_count, generator=generator).chunk(4)
    summed = sum(model.take(part).log_likelihood(values) for part in parts)
    torch.testing.assert_close(summed, whole, rtol=1e-12, atol=0.0)
    batch = model.minibatch(100, generator)
    assert batch.pixel_count == 100
    assert batch.scale == model.pixel_count / 100
    unscaled = replace(batch, scale=1.0).log_likelihood(values)
    torch.testing.assert_close(batch.log_likelihood(values), batch.scale * unscaled, rtol=1e-12, atol=0.0)

"""``skysift systematics``: an error from sidebands enters a posterior as one convolution of its likelihood."""

import math

import numpy as np
import pytest
from scipy import stats
from tests.steps.small_run import SMALL, SmallRun

from skysift.errors import InputError
from skysift.steps import sidebands, systematics
from skysift.steps.systematics import spurious_sd
from skysift.storage.hdf5 import Dataset, collect, write
from skysift.storage.posterior import Posterior, Variable, read_posterior, write_posterior

CENTRE, SD, DRAWS = 0.8, 0.2, 20_000
LINK = 0.6
UNIT, TOTAL = 6000.0, 60_000.0


def make_posterior(path, prior, *, from_grid=True, seed=1, **attributes):
    """A Gaussian likelihood N(0.8, 0.2) of gce_norm under a prior, with a correlated second norm."""
    random = np.random.default_rng(seed)
    free = CENTRE + SD * random.standard_normal(DRAWS)
    other = 10.0 + LINK * (free - CENTRE) / SD + math.sqrt(1 - LINK**2) * random.standard_normal(DRAWS)
    family, numbers = prior
    weight = np.exp(density(prior, free))
    index = random.choice(DRAWS, DRAWS, p=weight / weight.sum())
    summary = {"family": family, "numbers": numbers}
    variables = {
        "gce_norm": Variable(free[index][None], "", "gce norm", prior_summary=summary),
        "other_norm": Variable(other[index][None], "", "other norm"),
        "gce_counts": Variable(UNIT * free[index][None], "counts"),
        "gce_fraction": Variable(UNIT / TOTAL * free[index][None]),
        "diffuse_field": Variable(random.standard_normal((1, DRAWS, 2)), dims=("point",)),
    }
    grid = np.linspace(CENTRE - 5 * SD, CENTRE + 5 * SD, 4001)
    arrays = {
        "marginal_grid": Variable(grid, dims=("marginal",)),
        "marginal_log_likelihood": Variable(-0.5 * ((grid - CENTRE) / SD) ** 2, dims=("marginal",)),
        "flat_gce_norm": Variable(free, dims=("flat",)),
        "flat_other_norm": Variable(other, dims=("flat",)),
    }
    posterior = Posterior(
        variables,
        arrays=arrays if from_grid else {},
        log_z=-100.0 if from_grid else None,
        converged=True,
        warnings=["kept"],
        attributes={"fit": "best", "data": "observed", "run": "small", "seed": 3, **attributes},
        provenance=collect(),
    )
    write_posterior(path, posterior)
    return path


def density(prior, values):
    family, numbers = prior
    if family == "Uniform":
        return stats.uniform(numbers["low"], numbers["high"] - numbers["low"]).logpdf(values)
    return stats.norm(numbers["mean"], numbers["sd"]).logpdf(values)


def make_spurious(folder, norms, sds, **changes):
    paths = []
    for number, (norm, sd) in enumerate(zip(norms, sds, strict=True)):
        attributes = {
            "fit": "best", "data": "observed", "region": f"l{number}", "signal": "gce", "central_norm": norm,
            "central_norm_sd": sd, "fraction": 0.1 * norm, "fraction_sd": 0.1 * sd, "central_counts": TOTAL,
            "central_counts_per_norm": UNIT, **changes,
        }  # fmt: skip
        dataset = {"norm": Dataset(np.zeros(3), "", "", ("norm",))}
        paths.append(folder / f"spurious-{number}.h5")
        write(paths[-1], format="spurious", datasets=dataset, attributes=attributes, provenance=collect())
    return paths


def widen(folder, prior, sigma, **keys):
    """Widen a posterior by sidebands whose rms beyond their errors is sigma."""
    sd = 0.1
    norms = math.hypot(sigma, sd) * np.array([1.0, -1.0, 1.0, -1.0])
    out = folder / "out.nc"
    fitted = make_posterior(folder / "in.nc", prior, **keys)
    systematics.run(fitted, make_spurious(folder, norms, np.full(4, sd)), out)
    return read_posterior(out)


def test_rms_without_its_statistical_part():
    norms, sds = np.array([0.5, -0.7, 0.1]), np.array([0.2, 0.3, 0.1])
    exact = math.sqrt((0.25 + 0.49 + 0.01 - 0.04 - 0.09 - 0.01) / 3)
    assert spurious_sd(norms, sds) == pytest.approx(exact, rel=1e-14)
    assert spurious_sd(0.1 * norms, sds) == 0.0


@pytest.mark.statistics
def test_rms_recovers_what_was_put_in(seed):
    """Mean square over 4000 sidebands within 5 errors (6e-7); without the subtraction it must not be."""
    random = np.random.default_rng(seed)
    sds = np.full(4000, 0.4)
    norms = 0.6 * random.standard_normal(4000) + sds * random.standard_normal(4000)
    error = math.sqrt(2 / 4000) * (0.36 + 0.16)
    assert abs(spurious_sd(norms, sds) ** 2 - 0.36) < 5 * error
    assert abs(spurious_sd(norms, 0 * sds) ** 2 - 0.36) > 5 * error, "the control passed: the test is blind"


@pytest.mark.statistics
@pytest.mark.parametrize("from_grid", [True, False])
def test_a_gaussian_likelihood_under_a_flat_prior_is_convolved(tmp_path, from_grid):
    """Mean and sd of 4000 resampled draws are those of the convolution within 5 errors (2e-6)."""
    found = widen(tmp_path, ("Uniform", {"low": -50.0, "high": 50.0}), 0.5, from_grid=from_grid).flat("gce_norm")
    exact = math.hypot(SD, 0.5)
    assert len(found) == 4000
    assert abs(found.mean() - CENTRE) < 5 * exact / math.sqrt(4000)
    assert abs(found.std() - exact) < 5 * exact / math.sqrt(8000)
    assert abs(found.std() - SD) > 5 * exact / math.sqrt(8000), "the control passed: the test is blind"


def test_without_a_systematic_nothing_moves(tmp_path):
    found = widen(tmp_path, ("Uniform", {"low": -50.0, "high": 50.0}), 0.0)
    assert found.attributes["sigma_systematic"] == pytest.approx(0.0, abs=1e-7)
    assert abs(found.flat("gce_norm").std() - SD) < 5 * SD / math.sqrt(8000)
    assert found.log_z == pytest.approx(-100.0, abs=1e-6)


@pytest.mark.statistics
@pytest.mark.parametrize("from_grid", [True, False])
def test_a_normal_prior_counts_once(tmp_path, from_grid):
    """Likelihood N(0.8, 0.2) widened by 0.3, prior N(0.5, 0.25): the product of two normals, also without a grid."""
    found = widen(tmp_path, ("Normal", {"mean": 0.5, "sd": 0.25}), 0.3, from_grid=from_grid).flat("gce_norm")
    wide = SD**2 + 0.3**2
    precision = 1 / wide + 1 / 0.25**2
    mean, sd = (CENTRE / wide + 0.5 / 0.25**2) / precision, precision**-0.5
    # draws are repeated when weights differ: half of them count
    assert abs(found.mean() - mean) < 5 * sd / math.sqrt(2000)
    assert abs(found.std() - sd) < 5 * sd / math.sqrt(4000)
    twice = ((CENTRE / wide + 2 * 0.5 / 0.25**2) / (precision + 1 / 0.25**2)) - mean
    assert abs(twice) > 5 * sd / math.sqrt(2000), "the control passed: the test is blind"


@pytest.mark.statistics
def test_a_prior_that_ends_cuts_the_widened_posterior(tmp_path):
    """KS of the draws against the truncated normal: p above 1e-5; against the unwidened one below."""
    posterior = widen(tmp_path, ("Uniform", {"low": 0.0, "high": 1.5}), 0.6)
    found = posterior.flat("gce_norm")
    width = math.hypot(SD, 0.6)
    exact = stats.truncnorm((0.0 - CENTRE) / width, (1.5 - CENTRE) / width, CENTRE, width)
    assert stats.kstest(found, exact.cdf).pvalue > 1e-5
    plain = stats.truncnorm(-CENTRE / SD, (1.5 - CENTRE) / SD, CENTRE, SD)
    assert stats.kstest(found, plain.cdf).pvalue < 1e-5, "the control passed: the test is blind"
    # evidence: the share of the likelihood inside the prior, before and after
    before = stats.norm(CENTRE, SD).cdf([0.0, 1.5])
    after = stats.norm(CENTRE, width).cdf([0.0, 1.5])
    gain = math.log(np.diff(after)[0] / np.diff(before)[0])
    assert posterior.log_z == pytest.approx(-100.0 + gain, abs=2e-3)


def test_the_marginal_likelihood_is_convolved(tmp_path):
    posterior = widen(tmp_path, ("Uniform", {"low": -50.0, "high": 50.0}), 0.5)
    grid, log_l = (posterior.arrays[f"marginal_{name}"].array for name in ("grid", "log_likelihood"))
    width = math.hypot(SD, 0.5)
    inside = np.abs(grid - CENTRE) < 3 * width
    np.testing.assert_allclose(log_l[inside], -0.5 * ((grid[inside] - CENTRE) / width) ** 2, atol=0.01)


def test_the_other_norms_keep_their_covariance_with_the_likelihood(tmp_path):
    """eps is independent of the rest: covariances stay, so the correlation falls by the ratio of widths."""
    posterior = widen(tmp_path, ("Uniform", {"low": -50.0, "high": 50.0}), 0.5)
    link = np.corrcoef(posterior.flat("gce_norm"), posterior.flat("other_norm"))[0, 1]
    assert link == pytest.approx(LINK * SD / math.hypot(SD, 0.5), abs=5 / math.sqrt(4000))
    assert abs(posterior.flat("other_norm").std() - 1.0) < 5 / math.sqrt(8000)
    # draws come from the whole of what the fit stored, not again and again from a part of it
    assert len(np.unique(posterior.flat("other_norm"))) > 3000


def test_what_the_file_says(tmp_path):
    posterior = widen(tmp_path, ("Uniform", {"low": 0.0, "high": 3.0}), 0.5)
    attributes = posterior.attributes
    assert attributes["fit"] == "best_sidebands"
    assert attributes["systematic_of"] == "gce_norm"
    assert attributes["sigma_systematic"] == pytest.approx(0.5)
    assert attributes["sigma_statistical"] == pytest.approx(SD, rel=0.05)
    assert attributes["sidebands"] == ["l0", "l1", "l2", "l3"]
    assert "kept" in posterior.warnings
    assert set(posterior.variables) == {"gce_norm", "other_norm", "gce_counts", "gce_fraction"}
    np.testing.assert_allclose(posterior.flat("gce_counts"), UNIT * posterior.flat("gce_norm"))
    np.testing.assert_allclose(posterior.flat("gce_fraction"), UNIT / TOTAL * posterior.flat("gce_norm"))
    assert posterior.arrays["sideband_central_norm"].array.shape == (4,)


def test_a_fit_without_a_grid_says_what_stands_in(tmp_path):
    posterior = widen(tmp_path, ("Uniform", {"low": 0.0, "high": 3.0}), 0.5, from_grid=False)
    assert any("does not end in grid" in text for text in posterior.warnings)
    assert posterior.log_z is None


def test_a_grid_over_another_parameter_is_no_likelihood_of_this_one(tmp_path):
    """Its draws without prior belong to the other parameter, and so does its marginal."""
    prior = ("Uniform", {"low": 0.0, "high": 3.0})
    posterior = widen(tmp_path, prior, 0.5, marginal_of="other_norm")
    assert any("does not end in grid over gce_norm" in text for text in posterior.warnings)
    assert posterior.log_z is None
    assert "marginal_grid" not in posterior.arrays


def test_same_inputs_same_bytes(tmp_path):
    prior = ("Uniform", {"low": 0.0, "high": 3.0})
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    for folder in ("a", "b"):
        widen(tmp_path / folder, prior, 0.4)
    assert (tmp_path / "a" / "out.nc").read_bytes() == (tmp_path / "b" / "out.nc").read_bytes()


@pytest.mark.parametrize(("field", "value"), [("fit", "another"), ("data", "simulated-001")])
def test_sidebands_of_something_else_are_refused(tmp_path, field, value):
    fitted = make_posterior(tmp_path / "in.nc", ("Uniform", {"low": 0.0, "high": 3.0}))
    paths = make_spurious(tmp_path, [0.5], [0.1], **{field: value})
    with pytest.raises(InputError) as caught:
        systematics.run(fitted, paths, tmp_path / "out.nc")
    assert (caught.value.field, caught.value.exit_code) == (field, 2)
    assert not (tmp_path / "out.nc").exists()


def test_a_real_fit_with_real_sidebands(tmp_path):
    grid = [{"map": SMALL}, {"grid": {"parameter": "gce_norm", "values": 6, "importance": 0, "draws": 500}}]
    truth = {"diffuse_gas": 8.0, "diffuse_ics": 4.0, "isotropic": 0.1, "gce": 0.9}
    chosen = {"sidebands": {"fits": ["grid"], "signal": "gce", "longitudes": ["60 deg", "-60 deg"]}}
    run = SmallRun(tmp_path, fits={"grid": grid}, truth=truth, systematics=chosen)
    spurious = []
    for region in ("l+60", "l-60"):
        spurious.append(tmp_path / f"{region}.h5")
        config = run.slice("sidebands-grid")
        sidebands.run(config=config, observation=run.observation, data=run.data(), region=region, out=spurious[-1])
    systematics.run(run.fit("grid"), spurious, tmp_path / "out.nc")
    plain, wide = run.posterior("grid"), read_posterior(tmp_path / "out.nc")
    assert wide.attributes["marginal_of"] == "gce_norm"
    assert wide.attributes["sigma_systematic"] > 0
    assert wide.flat("gce_norm").std() > plain.flat("gce_norm").std()
    assert wide.flat("gce_norm").min() >= 0.0

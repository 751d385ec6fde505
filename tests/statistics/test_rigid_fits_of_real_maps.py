"""What rigid fits make of the real templates of the inner Galaxy: right ones find the signal, wrong ones lose it."""

import numpy as np
import pytest
from tests.statistics.analyses import make_analysis

from skysift.inference import laplace
from skysift.inference.engine import Start, Stream

pytestmark = pytest.mark.statistics

TRUTH = {
    "bubbles": 0.5, "isotropic": 0.1, "point_sources": 0.5, "nfw_squared": 0.9, "model_o_gas": 8, "model_o_ics": 4,
}  # fmt: skip
MAPS = 20
PRIOR_SD = 50
# six mean pulls, 1e-5 each
MOST_SIGMAS = 4.4


def make_sky(*diffuse):
    """Return the analysis; all norms live on the whole line under priors that hardly matter."""
    names = ("bubbles", "isotropic", "point_sources", "nfw_squared", *diffuse)
    return make_analysis(
        {"data": "fermi", "region": {"radius": "20 deg", "mask_plane": "2 deg", "mask": "mask_3fgl_0p8deg"}},
        {name: {"template": name, "norm": {"normal": [TRUTH.get(name, 12), PRIOR_SD]}} for name in names},
        TRUTH,
    )


def fit_maps(analysis, seed):
    """Draw maps of the truth and fit each; return norms and sds, {name: (MAPS,)}."""
    stream = Stream(seed, ("rigid",))
    generator = stream.generator("counts")
    norms, sds = [], []
    for _ in range(MAPS):
        model = analysis.bind(analysis.draw_truth(generator))
        result = laplace.run(model, laplace.Settings(draws=1, importance=0), Start(), stream)
        assert result.is_converged
        norms.append(model.parameters.pack(model.parameters.values(result.mode[None]))[0].numpy())
        # under a normal prior on the whole line a norm is linear in z
        sds.append(PRIOR_SD * result.covariance_factor.square().sum(1).sqrt().numpy())
    names = [item.name.removesuffix("_norm") for item in model.parameters]
    return {name: (np.array(norms)[:, k], np.array(sds)[:, k]) for k, name in enumerate(names)}


def mean_pull(norms, sds, truth):
    """Return the mean pull in units of its error."""
    return float(np.mean((norms - truth) / sds) * MAPS**0.5)


def test_published_sky(data_folder):
    sky = make_sky("model_o_gas", "model_o_ics")
    expected = sky.expected_truth()
    assert len(expected) == 4234
    assert expected.sum() == pytest.approx(67583.4, abs=0.05)
    share = 0.9 * sky.observation.templates["nfw_squared"].sum() / expected.sum()
    assert 100 * share == pytest.approx(8.476, abs=5e-4)


def test_right_templates_find_every_norm(data_folder, seed):
    found = fit_maps(make_sky("model_o_gas", "model_o_ics"), seed)
    pulls = {name: mean_pull(*found[name], truth) for name, truth in TRUTH.items()}
    assert {name: pull for name, pull in pulls.items() if abs(pull) > MOST_SIGMAS} == {}
    # the check would see half of the signal missing
    assert mean_pull(*found["nfw_squared"], 0.45) > 2 * MOST_SIGMAS


def test_wrong_template_loses_the_signal(data_folder, seed):
    norms, sds = fit_maps(make_sky("p6v11"), seed)["nfw_squared"]
    # 8 sd low in every map: 4 sd in none of twenty with a probability of 2e-5
    assert np.max((norms - 0.9) / sds) < -4
    assert mean_pull(norms, sds, 0.9) < -20

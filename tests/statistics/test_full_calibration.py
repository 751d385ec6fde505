"""Calibration with the number of simulations that a release wants; minutes each, so `make test-all` runs them.

What `test_engines_calibrated.py` asks of few skies, asked of 200 for each engine, and of 50 skies of the published
problem at full size: 5204 pixels of the registered maps, 138 parameters. Verdicts and controls are the same.
"""

import pytest
from tests.statistics.analyses import NORMS, make_analysis
from tests.statistics.ensembles import run_ensemble
from tests.statistics.test_engines_calibrated import GAUSSIAN, SMOOTH, analysis, assert_calibrated

pytestmark = [pytest.mark.statistics, pytest.mark.slow]


def published(data_folder):
    """Return the inner Galaxy with its mask, and p6v11 under the published kernel with a free norm."""
    assert (data_folder / "fermi").is_dir()
    modulate = {"lengthscale": "0.2 rad", "variance": 0.5}
    diffuse = {"template": "p6v11", "norm": {"lognormal": [12.3, 0.5]}, "modulate": modulate}
    region = {"radius": "20 deg", "mask_plane": "2 deg", "mask": "mask_3fgl_0p8deg"}
    return make_analysis({"data": "fermi", "region": region}, {"diffuse": diffuse, **NORMS}, {"diffuse": 12})


@pytest.mark.parametrize("guide", ["flow", "conditional_iaf"])
def test_guide_is_calibrated(guide, seed):
    engines = [GAUSSIAN, ("svi", {"guide": guide, "draws": 100, "evaluate": 2000})]
    assert_calibrated(run_ensemble(analysis(), engines, 200, seed), seed)


def test_hmc_is_calibrated(seed):
    chains = ("hmc", {"chains": 16, "warmup": 16, "draws": 14, "max_draws": 14})
    assert_calibrated(run_ensemble(analysis(SMOOTH), [GAUSSIAN, chains], 200, seed), seed)


def test_published_problem_is_calibrated(data_folder, seed):
    engines = [("grid", {"parameter": "gce_norm", "values": 24, "low": 0, "high": 1.5, "draws": 400})]
    ensemble = run_ensemble(published(data_folder), engines, 50, seed)
    assert_calibrated(ensemble, seed)

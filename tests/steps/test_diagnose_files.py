"""Predictive files: maps on the region, truth of the ratio, p-values; and refusals."""

import numpy as np
import pytest

from skysift.errors import InputError
from skysift.steps import diagnose
from skysift.storage.hdf5 import read


@pytest.fixture(scope="module")
def predictive(fabricated):
    return read(fabricated.folder / "predictive" / "gp" / "simulated-000.h5", format="predictive")


def test_maps_cover_the_fit_region(predictive, fabricated):
    region = fabricated.observation.region
    assert predictive["pixel"].tolist() == fabricated.observation.pixels[region].tolist()
    assert predictive["counts"].tolist() == fabricated.counts.counts[:, region].tolist()
    parts = sum(predictive.group("components").values())
    assert np.allclose(parts, predictive["expected"])


def test_truth_of_the_ratio_is_what_the_absorber_has_to_explain(predictive, fabricated):
    templates, region = fabricated.observation.templates, fabricated.observation.region
    wanted = 8 * templates["diffuse_gas"] + 4 * templates["diffuse_ics"]
    truth = (wanted / templates["diffuse"])[0, region]
    assert np.allclose(predictive["modulation/diffuse/truth"], truth)
    score = predictive.attributes["ratio"]["diffuse"]
    median = predictive["modulation/diffuse/quantiles"][2]
    assert score["rmse"] == pytest.approx(np.sqrt(np.mean((median - truth) ** 2)))


def test_right_model_has_no_extreme_p_value(predictive):
    p_values = predictive.attributes["p_values"]
    assert set(p_values) == {"deviance", "chi_square", "brightest_pixel", "pit", "autocorrelation"}
    assert min(p_values.values()) > 1e-3


def test_posterior_of_another_fit_is_refused(fabricated, tmp_path):
    folder = fabricated.folder
    with pytest.raises(InputError, match=r"(?s)field   fit.*found   rigid.*wanted  gp"):
        diagnose.run(
            config=folder / "config" / "fit-gp.yaml",
            observation=folder / "observation.h5",
            data=folder / "data" / "simulated-000.h5",
            posterior=folder / "fits" / "rigid" / "simulated-000.nc",
            out=tmp_path / "out.h5",
        )
    assert not (tmp_path / "out.h5").exists()

"""Models with populations beside NPTFit's own code, in its convention: to 1e-11 of its numbers, pixel by pixel."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tests.models.nptfit_cases import CASES, EXPOSURE, FULL_SKY, SMOOTH, TEMPLATES

from skysift.config.components import Component
from skysift.config.populations import ExposureVariation
from skysift.instruments.fermi import Counts, Observation
from skysift.instruments.fermi.photon_shares import PhotonShares
from skysift.models import build

#: What `nptfit_cases.py` prints with version 0.1.1 of the package index (Python 3.11, numpy 1.23.5, GSL 2.7.1).
VALUES = {
    "one break, no spread": [
        -5.351730787700279, -2.0173669997829293, -3.2952859295563246, -3.243701439112829,
        -1.5365479712946, -3.661221104264547, -2.1773789324809116, -4.428439373510554,
        -6.137709424693682, -4.439968135378168, -3.6707909960140874, -3.0569226054201177,
    ],
    "one break": [
        -9.198855618587913, -2.1149783588857947, -2.9449859134207066, -2.832442283335711,
        -1.3799784348918622, -4.240907038059802, -2.5858793994200764, -5.455440602005481,
        -10.925242547576074, -4.450963356221371, -3.309819948119837, -3.965732422896592,
    ],
    "two breaks": [
        -24.080940551174237, -4.508739805822508, -6.026963139508582, -4.361119489839889,
        -2.25383142159758, -16.779265297993, -5.01134016822671, -11.084835854547986,
        -29.445170463683503, -4.456494480930711, -2.7146153636044095, -11.870304252662745,
    ],
    "three breaks": [
        -67.58042138748621, -12.581521476335075, -22.22076745292134, -14.5249353464685,
        -5.377087387679938, -60.83220982455155, -12.380260205547865, -28.10419809795421,
        -83.57785772664951, -17.317742566619998, -4.230589229165782, -37.17986950730156,
    ],
    "two templates": [
        -9.2286432636797, -2.124525618036899, -2.9439488586552733, -2.824989138503507,
        -1.380830201361412, -4.2609656832487195, -2.6101494918901795, -5.455440602005481,
        -10.994747052790245, -4.446288185587434, -3.246623168773427, -3.9793057657433777,
    ],
    "two templates, three regions": [
        -48.538089069594484, -13.929780904647178, -30.061862726337736, -20.81231085436937,
        -4.015560138200066, -63.891145934418304, -17.27537386401637, -28.10419809795421,
        -61.103785689915746, -25.498697740450346, -6.446569815306454, -25.18426709914511,
    ],
    "two breaks, three regions": [
        -17.226045468430655, -4.508739805822508, -8.048127330762052, -5.619294793257321,
        -1.7071088147839617, -16.779265297993, -5.82795028490508, -11.084835854547986,
        -20.914634360713713, -6.045836964563531, -2.7146153636044095, -7.757688712158815,
    ],
    "thousands": [
        -14.334677747810202, -12.92471463671483, -6.926447571178145, -8.575716449028887,
        -2.003937903893208, -9.610633894242167, -4.566422030449273, -9.185622544655226,
        -6.2658804543906506, -9.008644665445138, -9.955073349147698, -7.728610980831605,
    ],
}  # fmt: skip


def make_model(case, *, exposure="nptfit", factor=1.0):
    """The model of a case, all numbers of populations fixed; norms times a factor."""
    counts, shares, regions, laws = CASES[case]
    parts = {"smooth": {"template": "smooth", "norm": {"uniform": [0, 3]}}}
    for name, (norm, slopes, breaks) in zip(TEMPLATES, laws, strict=False):
        parts[name] = {"template": name, "norm": factor * norm, "population": {"slopes": slopes, "breaks": breaks}}
    components = {name: Component.model_validate(part) for name, part in parts.items()}
    templates = {name: part[None] for name, part in {"smooth": SMOOTH, **TEMPLATES}.items()}
    pixels, region = np.arange(len(counts)), np.ones(len(counts), dtype=bool)
    sky = Observation(
        16, pixels, region, np.array([2.0, 20.0]), EXPOSURE[None], np.array([FULL_SKY]), templates,
        shares=PhotonShares(*map(np.array, shares)),
    )  # fmt: skip
    variation = ExposureVariation.model_validate({exposure: regions})
    settings = SimpleNamespace(model=SimpleNamespace(components=components, exposure=variation))
    return build(settings, sky, Counts("simulated-000", np.array(counts)[None]))


def evaluate(model):
    return model.log_likelihood_map({"smooth_norm": torch.ones(1, dtype=torch.float64)})[0].numpy()


@pytest.mark.parametrize("case", CASES)
def test_every_pixel_is_as_in_nptfit(case):
    found = evaluate(make_model(case))
    np.testing.assert_allclose(found, VALUES[case], rtol=1e-11)


@pytest.mark.parametrize("changes", [{"exposure": "regions"}, {"factor": 1 + 1e-9}], ids=str)
def test_another_convention_or_norm_is_not(changes):
    """The controls: sources that follow the exposure within a region, and a norm that is off by a billionth."""
    found = evaluate(make_model("two templates, three regions", **changes))
    assert not np.allclose(found, VALUES["two templates, three regions"], rtol=1e-11)


def test_where_nptfit_has_a_penalty_the_logarithm_is_kept():
    """Its p_0 vanishes at an expectation of 745, and such a pixel counts -10.1^10 there, whatever the model."""
    smooth = torch.tensor([1e4], dtype=torch.float64)
    found = make_model("thousands").log_likelihood_map({"smooth_norm": smooth})[0]
    assert torch.isfinite(found).all()
    # no counts: the exponential alone
    assert float(found[0]) == pytest.approx(VALUES["thousands"][0] - (1e4 - 1) * SMOOTH[0], rel=1e-12)

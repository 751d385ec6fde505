"""Parameters of sources: names, priors, units, and values shared between components."""

import pytest
import torch
from tests.models.events.sources import DARK, model, place

from skysift.models.events.parameters import full_names, middle_of, short_values, source_parameters
from skysift.parameters.priors import LogNormal, LogUniform, Normal, Uniform

COMPONENTS = {
    "gas": {"sky": "isotropic", "spectrum": {"index": {"normal": [2.4, 0.1], "min": 2}}},
    "star": place("point", share={"index": "gas"})
    | {"spectrum": {"kind": "cutoff", "index": 2, "cutoff": {"loguniform": ["1 TeV", "100 TeV"]}}},
    "halo": {**DARK, "spectrum": {**DARK["spectrum"], "mass": {"lognormal": ["2 TeV", 0.5]}},
             "profile": {"kind": "gnfw", "r_s": {"uniform": [10, 30]}}},
}  # fmt: skip


@pytest.fixture(scope="module")
def components():
    return model(dict(COMPONENTS)).components


def test_parameters_have_full_names_units_and_priors(components):
    found = {item.name: item for item in source_parameters(components)}
    assert list(found) == ["gas_index", "star_cutoff", "halo_mass", "halo_r_s"]
    assert [item.unit for item in found.values()] == ["", "TeV", "TeV", "kpc"]
    assert [type(item.prior) for item in found.values()] == [Normal, LogUniform, LogNormal, Uniform]
    assert found["gas_index"].prior.low == 2.0
    assert found["star_cutoff"].prior == LogUniform(1.0, 100.0)
    assert found["halo_mass"].prior == LogNormal(2.0, 0.5)


def test_middle_is_the_median_of_the_prior(components):
    assert middle_of(components) == pytest.approx(
        {"gas_index": 2.4, "star_cutoff": 10.0, "halo_mass": 2.0, "halo_r_s": 20.0}, abs=1e-3
    )


def test_a_shared_parameter_is_that_of_its_owner(components):
    assert full_names(components["star"], "star") == {"cutoff": "star_cutoff", "index": "gas_index"}
    values = {"gas_index": torch.tensor([2.1]), "star_cutoff": torch.tensor([4.0]), "halo_mass": torch.tensor([1.0])}
    assert short_values(components["star"], "star", values) == {
        "cutoff": torch.tensor([4.0]),
        "index": torch.tensor([2.1]),
    }
    assert full_names(components["background"], "background") == {}

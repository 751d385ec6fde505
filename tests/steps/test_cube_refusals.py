"""Model files and cubes whose fit would not be what they say: refused, each with what to do."""

import dataclasses

import numpy as np
import pytest
from tests.models.cubes.small_cubes import declare, observe

from skysift.errors import InputError
from skysift.steps.cubes.sources import bind_model

SOURCE = """
    components:
    - name: one
      type: SkyModel
      spectral:
        type: PowerLawSpectralModel
        parameters:
        - {name: index, value: 2.0PRIOR}
        - {name: amplitude, value: 1.0e-12, unit: cm-2 s-1 TeV-1, min: 1.0e-14, max: 1.0e-10}
        - {name: reference, value: 1.0, unit: TeV, frozen: true}
      spatial:
        type: PointSpatialModel
        frame: galactic
        parameters:
        - {name: lon_0, value: 0.1, unit: deg, frozen: true}
        - {name: lat_0, value: 0.1, unit: deg, frozen: true}
"""
CURVE = """
      temporal:
        type: LinearTemporalModel
        parameters:
        - {name: alpha, value: 1.0}
        - {name: beta, value: 0.1, unit: d-1}
        - {name: t_ref, value: 55000.0, unit: d, frozen: true}
"""
PRIOR = ", prior: {type: GaussianPrior, parameters: [{name: mu, value: 2.0}, {name: sigma, value: 0.1}], weight: W}"


@pytest.fixture(scope="module")
def looked_at():
    return observe(width=6, energies=2)


def bind(text, looked_at):
    return bind_model(declare(text), looked_at, None, "gammapy")


@pytest.mark.parametrize(
    ("text", "field"),
    [(SOURCE.replace("PRIOR", PRIOR.replace("W", "2.0")), "prior.weight"),
     (SOURCE.replace("PRIOR", "") + CURVE, "temporal")],
)  # fmt: skip
def test_models_that_would_be_taken_for_others_are_refused(looked_at, text, field):
    with pytest.raises(InputError) as caught:
        bind(text, looked_at)
    assert caught.value.field == field


def test_an_off_region_is_refused(looked_at):
    counts = np.ones((2, 6, 6))
    cube = dataclasses.replace(looked_at.datasets[0], counts_off=counts, alpha=0.1 * counts)
    with pytest.raises(InputError) as caught:
        bind(SOURCE.replace("PRIOR", ""), dataclasses.replace(looked_at, datasets=(cube,)))
    assert caught.value.field == "COUNTS_OFF"


def test_without_them_the_same_files_are_taken(looked_at):
    """The control."""
    model = bind(SOURCE.replace("PRIOR", PRIOR.replace("W", "1.0")), looked_at)
    assert set(model.parameters.names) == {"one.spectral.index", "one.spectral.amplitude"}

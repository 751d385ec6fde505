"""Prior densities: normalised, with the moments that their numbers promise."""

import numpy as np
import pytest

from skysift.diagnostics.priors import PriorDensity

CASES = [
    PriorDensity("normal", 0.5, 0.1, low=0.0),
    PriorDensity("normal", 0.1, 0.2, low=0.0),
    PriorDensity("lognormal", 12.3, 0.5),
    PriorDensity("uniform", 0.0, 1.5),
    PriorDensity("loguniform", 0.01, 10.0),
]


@pytest.mark.parametrize("prior", CASES, ids=lambda p: p.kind)
def test_density_integrates_to_one_with_its_moments(prior):
    low, high = prior.interval(1 - 1e-7)
    grid = np.linspace(low, high, 400_001)
    density = prior.density(grid)
    assert np.trapezoid(density, grid) == pytest.approx(1, abs=2e-4)
    mean = np.trapezoid(density * grid, grid)
    assert mean == pytest.approx(prior.mean, rel=1e-3)
    assert np.sqrt(np.trapezoid(density * (grid - mean) ** 2, grid)) == pytest.approx(prior.sd, rel=2e-3)
    assert np.exp(prior.log_density(grid)) == pytest.approx(density)


def test_median_of_a_lognormal_is_its_first_number():
    low, high = PriorDensity("lognormal", 12.3, 0.5).interval(0.0)
    assert low == high == pytest.approx(12.3)


def test_nothing_outside_the_support():
    assert PriorDensity("normal", 0.1, 0.2, low=0.0).density(np.array([-0.1])).tolist() == [0.0]
    assert PriorDensity("uniform", 0.0, 1.5).support == (0.0, 1.5)


def test_unknown_family_is_refused():
    with pytest.raises(ValueError, match="triangular"):
        _ = PriorDensity("triangular", 0, 1).mean

"""Source counts in bands, and ranks of counts among replicas of any law."""

import numpy as np
import pytest
from scipy import stats

from skysift.diagnostics.predictive import rank_in_replicas
from skysift.diagnostics.source_counts import count_sources, make_fluxes
from skysift.sky.source_counts import SourceCounts


def test_numbers_above_are_the_integral_of_the_law():
    law = SourceCounts(0.02, (3.5, 0.5), (12.0,))
    photons = make_fluxes(200.0)
    density, number = count_sources(photons, np.log(law.density(photons))[None], np.array([3.5]), 4.0, 7e10)
    wanted = [law.number_above(one) / 4.0 for one in photons]
    np.testing.assert_allclose(number[0], wanted, rtol=5e-3)
    # F^2 dN/dF of the flux F = S / E
    np.testing.assert_allclose(density[0], photons**2 * law.density(photons) / 7e10 / 4.0)


@pytest.mark.parametrize(("shift", "is_right"), [(0, True), (1, False)])
def test_ranks_among_replicas_are_uniform(seed, shift, is_right):
    random = np.random.default_rng(seed)

    def law(size):
        return random.poisson(random.gamma(2.0, 2.0, size))

    pit = rank_in_replicas(law(3000) + shift, law((150, 3000)), random)
    assert bool(stats.kstest(pit, "uniform").pvalue > 1e-4) is is_right

"""Own R-hat, effective sizes and E-BFMI against ArviZ."""

import numpy as np
import pytest

from skysift.inference.convergence import bulk_ess, e_bfmi, effective_size, r_hat, tail_ess


def chains(seed, memory, chains=8, count=200, size=3, apart=0.0):
    generator = np.random.default_rng(seed)
    x = np.zeros((chains, count, size))
    x[:, 0] = generator.normal(size=(chains, size))
    for k in range(1, count):
        x[:, k] = memory * x[:, k - 1] + np.sqrt(1 - memory**2) * generator.normal(size=(chains, size))
    return x + apart * np.arange(chains)[:, None, None]


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("memory", [-0.5, 0.0, 0.5, 0.9])
@pytest.mark.parametrize("apart", [0.0, 0.1])
def test_against_arviz(memory, apart, seed):
    import arviz

    x = chains(seed, memory, apart=apart)
    for k in range(x.shape[2]):
        one = x[:, :, k]
        np.testing.assert_allclose(r_hat(x)[k], arviz.rhat(one), rtol=1e-10)
        np.testing.assert_allclose(bulk_ess(x)[k], arviz.ess(one, method="bulk"), rtol=0.05)
        np.testing.assert_allclose(tail_ess(x)[k], arviz.ess(one, method="tail"), rtol=0.05)
        np.testing.assert_allclose(e_bfmi(one), arviz.bfmi(one), rtol=0.01)


def test_ties_share_their_rank(seed):
    import arviz

    x = np.round(chains(seed, 0.3), 1)
    np.testing.assert_allclose(r_hat(x)[0], arviz.rhat(x[:, :, 0]), rtol=1e-10)


def test_effective_size_of_a_known_process(seed):
    # autoregression of memory m has n (1 - m) / (1 + m) effective draws; the estimate scatters by about 5 %
    x = chains(seed, 0.6, chains=16, count=2000)
    np.testing.assert_allclose(effective_size(x), 16 * 2000 * 0.25, rtol=0.3)


def test_chains_apart_do_not_pass(seed):
    assert (r_hat(chains(seed, 0.0, apart=0.0)) < 1.03).all()
    assert (r_hat(chains(seed, 0.0, apart=0.5)) > 1.2).all()


def test_what_never_moves_is_nan():
    x = np.zeros((4, 50, 1))
    assert np.isnan(effective_size(x)).all()
    assert np.isnan(r_hat(x)).all()

"""R-hat and effective sample size against ArviZ and against chains of known correlation."""

import arviz
import numpy as np
import pytest

from skysift.diagnostics.chains import bulk_ess, split_r_hat


def autoregressive(rho, chains, draws, seed):
    random = np.random.default_rng(seed)
    noise = random.normal(size=(chains, draws))
    made = np.empty_like(noise)
    made[:, 0] = noise[:, 0]
    for k in range(1, draws):
        made[:, k] = rho * made[:, k - 1] + np.sqrt(1 - rho**2) * noise[:, k]
    return made


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9])
def test_numbers_equal_those_of_arviz(rho):
    draws = autoregressive(rho, 4, 501, 1)
    assert split_r_hat(draws) == pytest.approx(float(arviz.rhat(draws)), abs=2e-3)
    assert bulk_ess(draws) == pytest.approx(float(arviz.ess(draws, method="bulk")), rel=0.02)


def test_chains_that_disagree_are_seen():
    draws = autoregressive(0.0, 4, 200, 2)
    draws[0] += 3
    assert split_r_hat(draws) > 1.2
    widened = autoregressive(0.0, 4, 500, 3)
    widened[0] *= 5
    assert split_r_hat(widened) > 1.05


def test_one_drifting_chain_is_seen():
    assert split_r_hat(np.linspace(0, 1, 400)[None]) > 1.5


def test_constant_and_short_chains_give_nan():
    assert np.isnan(split_r_hat(np.ones((4, 10))))
    assert np.isnan(bulk_ess(np.ones((4, 10))))
    assert np.isnan(bulk_ess(np.zeros((4, 3))))

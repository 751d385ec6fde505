"""The mixture likelihood: linear, scaled, differentiated in closed form, and clear about what is impossible."""

import math

import pytest
import torch

from skysift.likelihoods import mixture
from skysift.likelihoods.mixture import (
    differentiate_mixture,
    extended_log_likelihood,
    maximise_shares,
    mixture_information,
    mixture_log_likelihood,
    scale_densities,
)


@pytest.fixture
def table():
    """Log densities over a hundred decades, some impossible: (n, S); counts (n,)."""
    generator = torch.Generator().manual_seed(1)
    logs = 60.0 * torch.randn(50, 3, generator=generator, dtype=torch.float64)
    logs[torch.rand(50, 3, generator=generator) < 0.2] = -torch.inf
    logs = logs[torch.isfinite(logs).any(1)]
    return logs, torch.randint(1, 5, (len(logs),), generator=generator).double()


def shares(rows, size=3, seed=2):
    draws = torch.rand(rows, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + 0.01
    return draws / draws.sum(-1, keepdim=True)


def test_agrees_with_log_sum_exp(table):
    logs, counts = table
    scaled, offsets = scale_densities(logs)
    f = shares(7)
    exact = torch.logsumexp(logs + f.log()[:, None], -1) @ counts
    torch.testing.assert_close(mixture_log_likelihood(f, scaled, counts, offsets @ counts), exact, rtol=1e-13, atol=0)
    assert float(scaled.amax(-1).min()) == float(scaled.amax(-1).max()) == 1.0


def test_extended_is_poisson_in_the_number_of_events(table):
    """With a total T, the extended likelihood is that of the fractions times T^n e^-T."""
    logs, counts = table
    scaled, offsets = scale_densities(logs)
    f, total = shares(4), 130.0
    plain = mixture_log_likelihood(f, scaled, counts, offsets @ counts)
    extended = extended_log_likelihood(total * f, scaled, counts, offsets @ counts)
    torch.testing.assert_close(extended, plain + counts.sum() * math.log(total) - total, rtol=1e-13, atol=1e-9)


def test_value_alone_in_a_batch_in_pieces_and_with_a_table_for_each_row(table, monkeypatch):
    scaled, _ = scale_densities(table[0])
    f, counts = shares(9), table[1]
    whole = mixture_log_likelihood(f, scaled, counts)
    alone = torch.cat([mixture_log_likelihood(row[None], scaled, counts) for row in f])
    torch.testing.assert_close(whole, alone, rtol=1e-14, atol=1e-12)
    many = scaled.expand(9, -1, -1)
    torch.testing.assert_close(mixture_log_likelihood(f, many, counts), whole, rtol=1e-14, atol=1e-12)
    monkeypatch.setattr(mixture, "BLOCK_NUMBERS", 2 * len(counts))
    torch.testing.assert_close(mixture_log_likelihood(f, scaled, counts), whole, rtol=1e-14, atol=1e-12)
    torch.testing.assert_close(mixture_log_likelihood(f, many, counts), whole, rtol=1e-14, atol=1e-12)


def test_closed_derivatives_against_autograd(table):
    scaled, _ = scale_densities(table[0])
    f, counts = shares(1)[0], table[1]

    def at(point):
        return mixture_log_likelihood(point[None], scaled, counts)[0]

    exact = torch.autograd.functional.jacobian(at, f)
    torch.testing.assert_close(differentiate_mixture(f[None], scaled, counts)[0], exact, rtol=1e-12, atol=1e-9)
    many = differentiate_mixture(f[None].expand(2, -1), scaled.expand(2, -1, -1), counts)
    torch.testing.assert_close(many, exact.expand(2, -1), rtol=1e-12, atol=1e-9)
    hessian = torch.autograd.functional.hessian(at, f)
    torch.testing.assert_close(mixture_information(f, scaled, counts), -hessian, rtol=1e-11, atol=1e-7)


@pytest.mark.parametrize("with_gradient", [False, True])
def test_impossible_events_give_minus_infinity(with_gradient):
    scaled = torch.tensor([[1.0, 0.0], [0.5, 1.0]], dtype=torch.float64)
    f = torch.tensor([[0.0, 1.0], [0.5, 0.5], [-1.0, 2.0]], dtype=torch.float64, requires_grad=with_gradient)
    found = mixture_log_likelihood(f, scaled, torch.ones(2, dtype=torch.float64)).detach()
    assert found[[0, 2]].tolist() == [-math.inf, -math.inf]
    assert float(found[1]) == pytest.approx(math.log(0.5) + math.log(0.75), rel=1e-14)


def test_a_row_that_no_component_allows_keeps_its_offset():
    scaled, offsets = scale_densities(torch.full((1, 2), -torch.inf, dtype=torch.float64))
    assert scaled.tolist() == [[0.0, 0.0]]
    assert offsets.tolist() == [-math.inf]


def test_expectation_maximisation_stops_where_the_gradient_says(table):
    """At the maximum every share above zero has the same gradient: the number of events."""
    scaled, _ = scale_densities(table[0])
    counts = table[1]
    best = maximise_shares(scaled, counts, torch.zeros(3, dtype=torch.float64), steps=5000, tolerance=1e-12)
    slope = differentiate_mixture(best[None], scaled, counts)[0]
    assert float(best.sum()) == pytest.approx(1.0, abs=1e-12)
    inside = best > 1e-6
    torch.testing.assert_close(slope[inside] / counts.sum(), torch.ones_like(slope[inside]), rtol=1e-4, atol=0)
    assert bool((slope[~inside] <= counts.sum() * (1 + 1e-6)).all())


def test_expectation_maximisation_with_a_prior_is_the_mode_in_log_ratios(table):
    scaled, _ = scale_densities(table[0])
    counts, prior = table[1], torch.tensor([1.0, 0.5, 2.0], dtype=torch.float64)
    best = maximise_shares(scaled, counts, prior, steps=5000, tolerance=1e-13).requires_grad_()
    logs = torch.log(best)
    density = mixture_log_likelihood(torch.softmax(logs, 0)[None], scaled, counts)[0]
    density = density + (prior * torch.log_softmax(logs, 0)).sum()
    (slope,) = torch.autograd.grad(density, logs)
    assert float(slope.abs().max()) < 1e-6

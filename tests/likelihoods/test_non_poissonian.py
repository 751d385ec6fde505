"""Non-Poissonian counts against direct convolution, simulated pixels, limits and differences."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from tests.likelihoods.by_hand import convolve

from skysift.likelihoods.non_poissonian import PixelCounts, non_poissonian_log_likelihood
from skysift.likelihoods.source_counts import SourceCountTable

FRACTIONS, PIXELS = np.array([0.95, 0.5, 0.1]), np.array([0.6, 0.5, 1.8])
LAWS = {
    1: ([3.1, 1.2], [8.0]),
    2: ([3.2, 1.4, 0.2], [15.0, 4.0]),
    3: ([5.0, 2.2, 1.5, -1.0], [25.0, 9.0, 2.0]),
}
COUNTS = torch.tensor([0.0, 3.0, 25.0, 12.0, 1.0, 9.0])
SMOOTH = torch.tensor([[0.5, 2.0, 11.0, 1e-3, 0.2, 4.0]], dtype=torch.float64)
WEIGHTS = torch.tensor([[1.0, 0.2], [0.5, 0.0], [2.0, 0.3], [1.2, 0.7], [0.0, 0.1], [3.0, 1.0]], dtype=torch.float64)


@pytest.fixture(scope="module")
def table():
    return SourceCountTable(FRACTIONS, PIXELS, 25)


def law(breaks, norm=0.05):
    slopes, places = LAWS[breaks]
    parts = (math.log(norm), slopes, [math.log(place) for place in places])
    return tuple(torch.tensor([part], dtype=torch.float64) for part in parts)


def coefficients(table, laws):
    """Means (1, population, m) and totals (1, population) of several populations."""
    pairs = [table.integrate(*law(breaks)) for breaks in laws]
    return torch.stack([means[0] for means, _ in pairs])[None], torch.stack([total[0] for _, total in pairs])[None]


@pytest.mark.parametrize("laws", [(1,), (2,), (3,), (1, 3)])
def test_probability_is_the_direct_convolution(table, laws):
    means, totals = coefficients(table, laws)
    weights = WEIGHTS[:, : len(laws)]
    found = non_poissonian_log_likelihood(PixelCounts(COUNTS, weights), SMOOTH, means, totals)
    for pixel, count in enumerate(COUNTS.tolist()):
        terms = (weights[pixel] @ means[0]).tolist()[: int(count)]
        wanted = convolve(int(count), float(SMOOTH[0, pixel]), terms, float(weights[pixel] @ totals[0]))
        assert float(found[0, pixel]) == pytest.approx(wanted, rel=1e-10, abs=1e-12)


def test_probabilities_sum_to_one_with_the_right_mean():
    table = SourceCountTable(FRACTIONS, PIXELS, 600)
    slopes, breaks = [6.0, 1.2], [8.0]
    parts = (torch.tensor([part], dtype=torch.float64) for part in (math.log(0.05), slopes, np.log(breaks).tolist()))
    means, totals = table.integrate(*parts)
    every = torch.arange(601.0)
    pixels = PixelCounts(every, torch.full((601, 1), 1.5, dtype=torch.float64))
    found = non_poissonian_log_likelihood(pixels, torch.full((1, 601), 2.0).double(), means[:, None], totals[:, None])[
        0
    ]
    assert float(found.exp().sum()) == pytest.approx(1.0, abs=1e-9)
    photons = 0.05 * 8.0**2 * (1 / (slopes[0] - 2) + 1 / (2 - slopes[1])) * float(FRACTIONS @ PIXELS)
    assert float(found.exp() @ every.double()) == pytest.approx(2.0 + 1.5 * photons, rel=1e-6)


def test_without_sources_it_is_poisson(table):
    means, totals = coefficients(table, (1,))
    found = non_poissonian_log_likelihood(PixelCounts(COUNTS, 0 * WEIGHTS[:, :1]), SMOOTH, means, totals)
    np.testing.assert_allclose(found[0], stats.poisson.logpmf(COUNTS, SMOOTH[0]), rtol=1e-13)


def test_sources_far_below_a_photon_are_smooth(table):
    parts = [torch.tensor([part], dtype=torch.float64) for part in (0.0, [4.0, 0.5], [math.log(1e-6)])]
    photons = 1e-12 * (1 / 2 + 1 / 1.5) * float(FRACTIONS @ PIXELS)
    parts[0] = torch.tensor([math.log(3.0 / photons)], dtype=torch.float64)
    means, totals = table.integrate(*parts)
    ones = torch.ones(len(COUNTS), 1, dtype=torch.float64)
    found = non_poissonian_log_likelihood(PixelCounts(COUNTS, ones), SMOOTH, means[:, None], totals[:, None])
    np.testing.assert_allclose(found[0], stats.poisson.logpmf(COUNTS, SMOOTH[0] + 3.0), rtol=1e-4)


def draw_pixels(random, size, norm, smooth, slopes, place):
    """Counts of pixels: sources of a single break, each with its own share of photons there, and smooth light."""
    # what is fainter than a hundredth of a photon is smooth
    faint, flat = 1e-2, 1 - slopes[1]
    above = norm * place / (slopes[0] - 1)
    below = norm * place ** slopes[1] * (place**flat - faint**flat) / flat
    unresolved = norm * place ** slopes[1] * faint ** (flat + 1) / (flat + 1) * (FRACTIONS @ PIXELS)
    counts = random.poisson(smooth + unresolved, size)
    for fraction, weight in zip(FRACTIONS, PIXELS, strict=True):
        sources = random.poisson(weight * (above + below), size)
        share = random.random(int(sources.sum()))
        bright = place * share ** (-1 / (slopes[0] - 1))
        dim = (faint**flat + share * (place**flat - faint**flat)) ** (1 / flat)
        flux = np.where(random.random(len(share)) < above / (above + below), bright, dim)
        counts += np.bincount(np.repeat(np.arange(size), sources), random.poisson(fraction * flux), size).astype(int)
    return counts


@pytest.mark.parametrize(("slope", "is_right"), [(1.2, True), (1.35, False)])
def test_histograms_of_simulated_pixels(seed, slope, is_right):
    """A million pixels; the control has another slope."""
    counts = draw_pixels(np.random.default_rng(seed), 1_000_000, 0.02, 1.5, (3.1, 1.2), 8.0)
    most = int(np.quantile(counts, 0.9995))
    table = SourceCountTable(FRACTIONS, PIXELS, most)
    parts = (torch.tensor([part], dtype=torch.float64) for part in (math.log(0.02), [3.1, slope], [math.log(8.0)]))
    means, totals = table.integrate(*parts)
    every = torch.arange(most + 1.0)
    pixels = PixelCounts(every, torch.ones(most + 1, 1, dtype=torch.float64))
    smooth = torch.full((1, most + 1), 1.5, dtype=torch.float64)
    share = non_poissonian_log_likelihood(pixels, smooth, means[:, None], totals[:, None])[0].exp().numpy()
    expected = len(counts) * np.append(share, 1 - share.sum())
    observed = np.bincount(np.minimum(counts, most + 1), minlength=most + 2)
    p_value = stats.chi2.sf(np.sum((observed - expected) ** 2 / expected), most + 1)
    assert bool(p_value > 1e-4) is is_right, p_value


def test_gradients_are_differences(table):
    parts = tuple(part.requires_grad_() for part in law(2))
    smooth = SMOOTH.clone().requires_grad_()
    pixels = PixelCounts(COUNTS, WEIGHTS[:, :1])

    def value(log_norm, slopes, log_breaks, expected):
        means, totals = table.integrate(log_norm, slopes, log_breaks)
        return non_poissonian_log_likelihood(pixels, expected, means[:, None], totals[:, None])

    assert torch.autograd.gradcheck(value, (*parts, smooth), eps=1e-6, rtol=1e-6, atol=1e-7)


def test_thousands_of_counts_equal_extended_precision():
    table = SourceCountTable([1.0], [1.0], 4000)
    parts = (torch.tensor([part], dtype=torch.float64) for part in (math.log(1e-4), [2.8, 1.3], [math.log(900.0)]))
    means, totals = table.integrate(*parts)
    one = torch.ones(1, 1, dtype=torch.float64)
    for smooth in (3900.0, 300.0):
        found = non_poissonian_log_likelihood(
            PixelCounts(torch.tensor([4000.0]), one), smooth * one, means[:, None], totals[:, None]
        )
        terms = np.array(means[0].tolist(), dtype=np.longdouble) * np.arange(1, 4001)
        terms[0] += smooth
        log_scale, row = np.longdouble(0), np.zeros(4001, dtype=np.longdouble)
        row[0] = 1
        for k in range(1, 4001):
            row[k] = terms[:k] @ row[k - 1 :: -1] / k if k > 1 else terms[0] * row[0]
            if row[k] > 1e1000:
                log_scale += np.log(row[k])
                row /= row[k]
        wanted = float(np.log(row[4000]) + log_scale - smooth - np.longdouble(float(totals)))
        assert float(found) == pytest.approx(wanted, rel=1e-11)


def test_probabilities_too_small_for_plain_numbers_are_kept(table):
    means, totals = coefficients(table, (1,))
    pixels = PixelCounts(COUNTS, WEIGHTS[:, :1])
    smooth = (1e-12 * SMOOTH).requires_grad_()
    found = non_poissonian_log_likelihood(pixels, smooth, 1e-200 * means, 0 * totals)
    for pixel, count in enumerate(COUNTS.tolist()):
        terms = (1e-200 * WEIGHTS[pixel, 0] * means[0, 0]).tolist()[: int(count)]
        wanted = convolve(int(count), float(1e-12 * SMOOTH[0, pixel]), terms, sum(terms))
        assert found[0, pixel].item() == pytest.approx(wanted, rel=1e-9, abs=1e-10)
    found.sum().backward()
    assert torch.isfinite(smooth.grad).all()


def test_impossible_counts_are_impossible(table):
    means, totals = coefficients(table, (1,))
    nothing = torch.zeros(1, 2, dtype=torch.float64, requires_grad=True)
    pixels = PixelCounts(torch.tensor([0.0, 2.0]), torch.zeros(2, 1, dtype=torch.float64))
    found = non_poissonian_log_likelihood(pixels, nothing, means, totals)
    assert found.tolist() == [[0.0, -math.inf]]
    found[0, 0].backward()
    assert torch.isfinite(nothing.grad).all()

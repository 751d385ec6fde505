"""Integrals of broken power laws against incomplete gamma functions of 30 digits."""

import math

import mpmath
import numpy as np
import pytest
import torch
from tests.likelihoods.by_hand import count_sources, count_sources_in_all

from skysift.likelihoods.source_counts import SourceCountTable, log_photons, log_source_count

FRACTIONS, PIXELS = (0.9, 0.4, 0.05), (0.7, 0.6, 2.6)
NORM = 0.3
LAWS = {
    "one break": ([3.0, 1.5], [7.0]),
    "slopes of one and two": ([2.0, 1.0, -5.0], [20.0, 3.0]),
    "two breaks in one panel": ([10.0, 2.1, 1.0, 1.9], [40.0, 39.0, 0.02]),
    "four breaks": ([4.0, 3.0, 2.0, 1.5, -1.0], [60.0, 20.0, 5.0, 1.0]),
    "fainter than a photon": ([4.0, 1.99], [0.001]),
    "brighter than any pixel": ([2.5, 0.3], [1e5]),
    "steep as a cut": ([30.0, -10.0], [12.0]),
}

#: Slope, lowest and highest brightness of laws without breaks.
LIMITED = [(1.7, (0.2, 30.0)), (-1.0, (12.0, 12.5)), (3.0, (0.5, 4e3)), (2.5, (1e-6, 1e-3)), (1.5, (300.0, 900.0))]


@pytest.fixture(scope="module")
def table():
    return SourceCountTable(FRACTIONS, PIXELS, 90)


def tensors(slopes, breaks, norm=NORM):
    return tuple(
        torch.tensor([part], dtype=torch.float64) for part in (math.log(norm), slopes, np.log(breaks).tolist())
    )


def exact(m, slopes, breaks):
    """c_m by incomplete gamma functions."""
    return float(count_sources(m, (NORM, slopes, breaks), (FRACTIONS, PIXELS)))


@pytest.mark.parametrize("name", LAWS)
def test_coefficients_equal_incomplete_gamma_functions(table, name):
    slopes, breaks = LAWS[name]
    found, _ = table.integrate(*tensors(slopes, breaks))
    for m in (1, 2, 3, 5, 10, 30, 60, 90):
        assert float(found[0, m - 1]) == pytest.approx(exact(m, slopes, breaks), rel=1e-11), m


@pytest.mark.parametrize(("slope", "limits"), LIMITED, ids=str)
def test_laws_without_breaks_end_at_their_limits(table, slope, limits):
    law = tensors([slope] * 3, limits[::-1])
    found, total = table.integrate(*law, is_limited=True)
    shares = FRACTIONS, PIXELS
    for m in (1, 2, 5, 30, 90):
        wanted = float(count_sources(m, (NORM, [slope], [], limits), shares))
        # where the brightest source sends far fewer photons, a part in 1e14 of what there is
        assert float(found[0, m - 1]) == pytest.approx(wanted, rel=1e-11, abs=1e-14 * float(found.max())), m
    assert float(total) == pytest.approx(float(count_sources_in_all((NORM, [slope], [], limits), shares)), rel=1e-11)
    low, high = limits
    photons = NORM * high**slope * (high ** (2 - slope) - low ** (2 - slope)) / (2 - slope)
    assert math.log(NORM) + float(log_photons(*law[1:], is_limited=True)) == pytest.approx(math.log(photons))
    outside = torch.tensor([[math.log(0.99 * low), math.log(1.01 * high)]], dtype=torch.float64)
    assert log_source_count(outside, *law, is_limited=True).exp().tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize("name", LAWS)
def test_total_equals_its_integral(table, name):
    slopes, breaks = LAWS[name]
    _, total = table.integrate(*tensors(slopes, breaks))
    places = np.linspace(-60.0, 60.0, 600_001)
    flux = torch.from_numpy(places)[None]
    density = (log_source_count(flux, *tensors(slopes, breaks))[0] + flux[0]).exp().numpy()
    pairs = zip(FRACTIONS, PIXELS, strict=True)
    seen = -sum(weight * np.expm1(-fraction * np.exp(places)) for fraction, weight in pairs)
    # what lies below is a power law in photons
    faint = float(density[0] * seen[0]) / (2 - slopes[-1])
    assert float(total) == pytest.approx(faint + np.trapezoid(density * seen, places), rel=1e-6)


def test_density_is_continuous_with_its_norm_at_the_highest_break():
    slopes, breaks = LAWS["four breaks"]
    law = tensors(slopes, breaks)

    def at(flux):
        return float(log_source_count(torch.tensor([[math.log(flux)]], dtype=torch.float64), *law).exp())

    assert at(breaks[0]) == pytest.approx(NORM)
    for place in breaks:
        assert at(place * (1 - 1e-9)) == pytest.approx(at(place * (1 + 1e-9)), rel=1e-6)
    for slope, place in zip(slopes, [200.0, 40.0, 10.0, 2.0, 0.1], strict=True):
        assert -math.log(at(place * 1.01) / at(place)) / math.log(1.01) == pytest.approx(slope)


@pytest.mark.parametrize("name", [name for name in LAWS if name != "brighter than any pixel"])
def test_gradients_are_differences(table, name):
    law = tuple(part.requires_grad_() for part in tensors(*LAWS[name]))

    def logarithms(*parts):
        means, total = table.integrate(*parts)
        return torch.cat((means[0, ::9], total)).log()

    assert torch.autograd.gradcheck(logarithms, law, eps=1e-6, rtol=1e-6, atol=1e-7)


def test_gradients_within_limits_are_differences(table):
    slope, (low, high) = LIMITED[0]
    log_norm, slopes, log_breaks = tensors([slope], (high, low))

    def logarithms(log_norm, slopes):
        means, total = table.integrate(log_norm, slopes.expand(1, 3), log_breaks, is_limited=True)
        return torch.cat((means[0, ::9], total)).log()

    parts = log_norm.requires_grad_(), slopes.requires_grad_()
    assert torch.autograd.gradcheck(logarithms, parts, eps=1e-6, rtol=1e-6, atol=1e-7)


def test_laws_of_a_batch_do_not_mix(table):
    both = [LAWS[name] for name in ("one break", "fainter than a photon")]
    parts = [torch.cat(rows) for rows in zip(*(tensors(*law) for law in both), strict=True)]
    means, totals = table.integrate(*parts)
    for row, law in enumerate(both):
        own, total = table.integrate(*tensors(*law))
        torch.testing.assert_close(means[row], own[0], rtol=1e-13, atol=0)
        torch.testing.assert_close(totals[row], total[0], rtol=1e-13, atol=0)


def test_thousands_of_counts_are_covered():
    wide = SourceCountTable([1.0], [1.0], 4000)
    means, _ = wide.integrate(*tensors([2.5, 1.2], [2000.0]))
    with mpmath.workdps(30):
        for m in (1, 1500, 4000):
            parts = [mpmath.gammainc(m + 1 - slope, low, high) * mpmath.mpf(2000) ** slope
                     for slope, low, high in ((2.5, 2000, mpmath.inf), (mpmath.mpf(1.2), 0, 2000))]  # fmt: skip
            wanted = NORM * float(sum(parts) / mpmath.factorial(m))
            assert float(means[0, m - 1]) == pytest.approx(wanted, rel=1e-10)

"""Shares of a source's photons among pixels: against random photons, limits and refinement."""

import numpy as np
import pytest
import torch
from scipy import stats

from skysift.geometry.pixels import find_pixels, ring_vectors
from skysift.instruments.fermi import photon_shares
from skysift.instruments.fermi.photon_shares import gaussian_containment, share_photons, share_photons_of_squares
from skysift.instruments.fermi.psf import king_containment
from skysift.likelihoods.source_counts import SourceCountTable

NSIDE = 128
PSFS = {"king": king_containment, "gaussian": gaussian_containment(np.radians(0.1812))}


@pytest.fixture(scope="module")
def pixels():
    vectors = ring_vectors(NSIDE, np.arange(12 * NSIDE**2))
    return np.flatnonzero(vectors[:, 0] > np.cos(np.radians(20)))


@pytest.fixture(scope="module", params=PSFS)
def psf(request, pixels):
    return PSFS[request.param], share_photons(PSFS[request.param], NSIDE, pixels)


def draw_radii(containment, random, count):
    grid = np.concatenate(([0.0], np.geomspace(1e-5, np.pi, 4000)))
    return np.interp(random.random(count), containment(grid), grid)


def test_all_photons_are_shared(psf):
    _, shares = psf
    assert shares.fractions @ shares.pixels == pytest.approx(1.0, abs=1e-12)
    assert (np.diff(shares.fractions) > 0).all()
    assert len(shares.fractions) >= 40


def test_shares_are_those_of_random_photons(psf, pixels, seed):
    """Second and third moments of the share, of sources anywhere in the region, with random photons."""
    containment, shares = psf
    random = np.random.default_rng(seed)
    photons, sources = 3000, 500
    found = []
    for pixel in random.choice(pixels, sources):
        # uniform within the pixel: drawn in a disc around its centre until one falls inside
        centre = ring_vectors(NSIDE, np.array([pixel]))[0]
        while True:
            trial = centre + np.radians(0.5) * random.uniform(-1, 1, 3)
            trial -= (trial @ centre - 1) * centre
            if find_pixels(NSIDE, trial[None])[0] == pixel:
                break
        place = trial / np.linalg.norm(trial)
        radius, angle = draw_radii(containment, random, photons), random.uniform(0, 2 * np.pi, photons)
        east = np.cross([0, 0, 1], place)
        east /= np.linalg.norm(east)
        north = np.cross(place, east)
        away = np.cos(angle)[:, None] * east + np.sin(angle)[:, None] * north
        there = find_pixels(NSIDE, np.cos(radius)[:, None] * place + np.sin(radius)[:, None] * away)
        counts = np.unique(there, return_counts=True)[1].astype(float)
        # pairs and triples of photons in one pixel: unbiased by their number
        pairs = (counts * (counts - 1)).sum() / (photons * (photons - 1))
        triples = (counts * (counts - 1) * (counts - 2)).sum() / (photons * (photons - 1) * (photons - 2))
        found.append((pairs, triples))
    mean, error = np.mean(found, 0), np.std(found, 0) / np.sqrt(sources)
    for power in (2, 3):
        own = shares.pixels @ shares.fractions**power
        assert abs(own - mean[power - 2]) < 4 * error[power - 2] + 2e-3 * own


@pytest.mark.parametrize("width_deg", [0.3, 0.6])
def test_shares_of_squares_are_products_of_error_functions(width_deg):
    """A Gaussian in two dimensions is a product: sums of powers of shares are squares of those of one dimension."""
    sigma_deg = 0.1812
    shares = share_photons_of_squares(gaussian_containment(np.radians(sigma_deg)), np.radians(width_deg))
    assert shares.fractions @ shares.pixels == pytest.approx(1.0, abs=1e-12)
    place = (np.arange(400) + 0.5) / 400
    edges = np.arange(-12, 14)
    inside = np.diff(stats.norm.cdf((edges - place[:, None]) * width_deg / sigma_deg), axis=1)
    for power in (2, 3):
        wanted = (inside**power).sum(1).mean() ** 2
        assert shares.pixels @ shares.fractions**power == pytest.approx(wanted, rel=5e-3)


def test_a_psf_of_no_width_keeps_every_photon_in_its_pixel(pixels):
    shares = share_photons(gaussian_containment(1e-7), NSIDE, pixels)
    assert shares.fractions.tolist() == [1.0]
    assert shares.pixels.tolist() == [1.0]


def test_finer_bins_and_more_places_change_nothing_of_account(pixels, monkeypatch):
    coarse = share_photons(king_containment, NSIDE, pixels)
    monkeypatch.setattr(photon_shares, "_RINGS", 400)
    fine = share_photons(king_containment, NSIDE, pixels, bins=160, sources=500)
    law = [torch.tensor([part], dtype=torch.float64) for part in (0.0, [3.0, 1.2], [np.log(10.0)])]
    means = [SourceCountTable(one.fractions, one.pixels, 40).integrate(*law)[0][0] for one in (coarse, fine)]
    torch.testing.assert_close(means[0], means[1], rtol=3e-3, atol=0)

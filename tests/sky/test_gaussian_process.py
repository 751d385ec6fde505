"""Projections from whitened vectors: exact on their points, honest about what they leave out, never pixels squared."""

import math

import healpy
import numpy as np
import pytest
import torch

from skysift.errors import InputError
from skysift.sky import gaussian_process
from skysift.sky.gaussian_process import Projection, inducing_points, learn_points
from skysift.sky.kernels import correlate, separation

LENGTH = 0.2


def disc(nside, radius_deg):
    """Unit vectors of pixels around the centre, (P, 3), and their latitudes, deg."""
    inside = healpy.query_disc(nside, [1.0, 0.0, 0.0], math.radians(radius_deg))
    latitude_deg = healpy.pix2ang(nside, inside, lonlat=True)[1]
    return np.stack(healpy.pix2vec(nside, inside), 1), latitude_deg, inside


def region(nside, radius_deg=20.0, band_deg=2.0):
    """The inner-Galaxy region without point-source mask."""
    vectors, latitude_deg, _ = disc(nside, radius_deg)
    return vectors[np.abs(latitude_deg) >= band_deg]


def process(pixels, points, kernel="matern52", length=LENGTH, distance="chord"):
    return Projection(torch.as_tensor(pixels), torch.as_tensor(points), kernel, length, distance)


def test_grid_of_the_published_region(data_folder):
    """Region of 4234 pixels, 0.2 rad: 134 points, mean loss 6e-4, largest 1.3e-3."""
    vectors, latitude_deg, inside = disc(128, 20.0)
    mask = np.load(data_folder / "fermi" / "mask_3fgl_0p8deg.npy")[inside]
    pixels = vectors[(np.abs(latitude_deg) >= 2.0) & ~mask]
    assert len(pixels) == 4234
    points = inducing_points(pixels, LENGTH)
    assert abs(len(points) - 134) <= 2
    loss = process(pixels, points).loss()
    assert float(loss.mean()) == pytest.approx(6e-4, rel=0.1)
    assert float(loss.max()) == pytest.approx(1.3e-3, rel=0.1)


def test_grid_covers_the_masked_plane_and_a_margin():
    pixels = region(128)
    points = inducing_points(pixels, LENGTH)
    assert len(points) == 134
    latitude_deg = np.degrees(np.arcsin(points[:, 2]))
    assert (np.abs(latitude_deg) < 2.0).sum() == 8
    assert np.degrees(np.arccos(points[:, 0])).max() > 22.0
    table = process(pixels, points)
    assert float(table.loss().mean()) < 1e-3
    assert table.check() is None


def test_without_a_margin_the_edge_suffers():
    pixels = region(64)
    points = inducing_points(pixels, LENGTH)
    inner = points[np.arccos(points[:, 0]) < math.radians(20.0)]
    assert abs(len(inner) - 88) <= 2
    assert float(process(pixels, inner).loss().max()) == pytest.approx(4e-2, rel=0.25)


def test_a_grid_wider_than_allowed_is_refused():
    pixels = region(16)
    with pytest.raises(InputError, match=r"spacing 0\.64 correlation lengths") as caught:
        inducing_points(pixels, LENGTH, nside=8)
    assert caught.value.field == "modulate.inducing.nside"
    for spacing in (0.61, 0.0, -1.0):
        with pytest.raises(InputError, match="spacing"):
            inducing_points(pixels, LENGTH, spacing)
    coarse = inducing_points(pixels, 0.2133, nside=8)
    assert len(inducing_points(pixels, LENGTH, nside=16)) > len(coarse) > 20


@pytest.mark.parametrize("centre", [(0.0, 0.0), (45.0, 41.8), (10.0, 89.9), (200.0, -60.0)])
@pytest.mark.parametrize("nside", [128, 256])
def test_fine_grids_near_the_pixels_are_those_of_the_whole_sky(monkeypatch, centre, nside):
    pixels = np.stack(healpy.pix2vec(512, healpy.query_disc(512, healpy.ang2vec(*centre, lonlat=True), 0.02)), 1)
    near = inducing_points(pixels, 0.02, nside=nside)
    monkeypatch.setattr(gaussian_process, "WHOLE_NSIDE", nside)
    assert np.array_equal(near, inducing_points(pixels, 0.02, nside=nside))
    assert len(near) > 20


def test_cells_are_no_wider_than_the_search_takes_them_for():
    for level in range(10):
        assert healpy.max_pixrad(2**level) < gaussian_process.LARGEST_RADIUS / 2**level


def test_a_grid_finer_than_its_region_is_cut_to_it():
    """The whole sky would hold 8e11 points."""
    points = inducing_points(np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]), math.radians(0.001))
    assert 2 <= len(points) < 60


@pytest.mark.parametrize("length_deg", [0.02, 1e-3, 1e-6, 1e-12])
def test_too_many_inducing_points_are_refused(length_deg):
    with pytest.raises(InputError) as caught:
        inducing_points(region(256), math.radians(length_deg))
    assert caught.value.field == "modulate.inducing"
    assert "lengthscale" in caught.value.remedy
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("spacing", [0.2, 0.35, 0.6])
def test_spacing_is_kept(spacing):
    points = inducing_points(region(16), LENGTH, spacing)
    gaps = np.arccos(np.clip(points @ points.T, -1, 1))
    np.fill_diagonal(gaps, 9.0)
    assert np.median(gaps.min(1)) < 1.15 * spacing * LENGTH


def test_all_pixels_as_points_give_the_exact_covariance():
    pixels = region(32)
    table = process(pixels, pixels)
    exact = correlate("matern52", separation(table.pixels, table.pixels), LENGTH)
    phi = table.rows(0, len(pixels))
    torch.testing.assert_close(phi @ phi.T, exact, rtol=0, atol=2e-8)
    assert float(table.loss().abs().max()) < 2e-8


def test_projection_predicts_off_its_points_as_kriging_does():
    points, pixels = inducing_points(region(16), LENGTH), region(16)[::7]
    table = process(pixels, points)
    gram = correlate("matern52", separation(table.points, table.points), LENGTH)
    cross = correlate("matern52", separation(table.pixels, table.points), LENGTH)
    exact = cross @ torch.linalg.solve(gram + 1e-8 * torch.eye(len(gram)), cross.T)
    phi = table.rows(0, len(pixels))
    torch.testing.assert_close(phi @ phi.T, exact, rtol=0, atol=1e-9)


def test_a_poor_grid_is_refused_and_a_middling_one_announced():
    pixels = region(32)
    poor = process(pixels, inducing_points(pixels, LENGTH, 0.6), "matern12")
    with pytest.raises(InputError, match="share of prior variance left out"):
        poor.check()
    middling = process(pixels, inducing_points(pixels, 0.4, 0.6), "matern52", 0.25)
    assert 1e-3 < float(middling.loss().mean()) < 2e-2
    assert "1e-3 wanted" in middling.check()


def test_streamed_rows_are_the_kept_rows(monkeypatch):
    pixels = region(32)
    points = inducing_points(pixels, LENGTH)
    kept = process(pixels, points)
    monkeypatch.setattr(gaussian_process, "CACHE_BYTES", 1000)
    monkeypatch.setattr(gaussian_process, "STREAM_BYTES", 48 * len(points) * 50)
    streamed = process(pixels, points)
    assert kept.cached is not None
    assert streamed.cached is None
    assert (kept.block, streamed.block) == (len(pixels), 50)
    torch.testing.assert_close(streamed.rows(17, 90), kept.rows(17, 90), rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(torch.cat(list(streamed.blocks())), kept.cached, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(streamed.loss(), kept.loss(), rtol=0, atol=1e-11)


@pytest.mark.parametrize("keep", [True, False])
def test_some_pixels_of_a_projection(keep, monkeypatch):
    if not keep:
        monkeypatch.setattr(gaussian_process, "CACHE_BYTES", 0)
    pixels = region(16)
    table = process(pixels, inducing_points(pixels, LENGTH))
    index = torch.tensor([4, 0, 11])
    part = table.take(index)
    torch.testing.assert_close(part.rows(0, 3), table.rows(0, len(pixels))[index], rtol=1e-12, atol=1e-12)
    assert len(table.pixels) == len(pixels)
    elsewhere = table.at(torch.as_tensor(region(8)))
    assert elsewhere.rows(0, 5).shape == (5, table.size)


def test_learned_points_lose_less_where_the_counts_are():
    pixels = region(32)
    table = process(pixels, inducing_points(pixels, LENGTH, 0.6))
    weights = torch.exp(-60.0 * (1.0 - table.pixels[:, 0]))
    learned = learn_points(table, weights, steps=40)
    share = weights / weights.sum()
    assert float(share @ learned.loss()) < 0.8 * float(share @ table.loss())
    torch.testing.assert_close(learned.points.norm(dim=1), torch.ones(table.size, dtype=torch.float64))
    assert not torch.equal(learned.points, table.points)


def test_learning_never_makes_it_worse():
    pixels = region(16)
    table = process(pixels, inducing_points(pixels, LENGTH))
    assert learn_points(table, torch.ones(len(pixels), dtype=torch.float64), steps=1, rate=30.0) is table


def test_draws_have_the_kernels_covariance(seed):
    """Sample covariance of 4000 draws against the kernel; each of 36 entries within 5 errors: 2e-5."""
    pixels = region(16)[::9]
    table = process(pixels, inducing_points(region(16), LENGTH))
    generator = torch.Generator().manual_seed(seed)
    vector = torch.randn(4000, table.size, generator=generator, dtype=torch.float64)
    draws = vector @ table.rows(0, len(pixels)).T
    exact = correlate("matern52", separation(table.pixels, table.pixels), LENGTH)
    error = ((1.0 + exact**2) / 4000) ** 0.5
    assert float(((draws.T @ draws / 4000 - exact).abs() / error).max()) < 5.0
    wrong = correlate("matern52", separation(table.pixels, table.pixels), 1.3 * LENGTH)
    assert float(((draws.T @ draws / 4000 - wrong).abs() / error).max()) > 5.0, "the control passed: the test is blind"

"""Cameras: coordinates, convolution, edges and noise against their definitions."""

import numpy as np
import pytest
import torch
from scipy.signal import convolve2d

from skysift.errors import InputError
from skysift.instruments.camera import BackgroundNoise, Camera, NoiseMap, PhotonNoise, PixelGrid, Psf
from skysift.instruments.camera.blur import Blur


def draw(*shape, seed=1):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def psf(size, supersample=1):
    kernel = draw(size, size, seed=5) + 0.1
    return Psf(kernel / kernel.sum(), supersample)


def test_the_origin_is_the_centre_of_the_image_at_every_sampling():
    for n in (4, 5):
        for supersample in (1, 2, 3):
            for border in (0, 2):
                x, y = PixelGrid.square(n, n + 1, 0.1, supersample).points(border)
                assert x.shape == (1, 1, supersample * (n + 1) + 2 * border)
                assert y.shape == (1, supersample * n + 2 * border, 1)
                for part in (x, y):
                    assert abs(float(part.sum())) < 1e-12
                    assert float(part.flatten().diff().std()) < 1e-12
                    assert float(part.flatten().diff()[0]) == pytest.approx(0.1 / supersample)


def test_points_of_a_pixel_average_to_its_centre_on_a_rotated_grid():
    angle = 0.3
    matrix = ((-0.1 * np.cos(angle), 0.1 * np.sin(angle)), (0.1 * np.sin(angle), 0.1 * np.cos(angle)))
    coarse, fine = (PixelGrid(4, 6, matrix, supersample) for supersample in (1, 3))
    assert coarse.pixel_area_arcsec2 == pytest.approx(0.01)
    for pixel, point in zip(coarse.points(), fine.points(), strict=True):
        torch.testing.assert_close(point.reshape(4, 3, 6, 3).mean((1, 3)), pixel[0], rtol=0.0, atol=1e-14)


def test_a_flipped_axis_flips_the_image_and_nothing_else():
    kernel = torch.full((3, 3), 1.0 / 9.0, dtype=torch.float64)
    upright, flipped = (
        Camera(PixelGrid(8, 9, ((sign * 0.1, 0.0), (0.0, 0.1))), Psf(kernel)).look(
            lambda x, y: torch.exp(-((x - 0.2) ** 2) - y**2)
        )
        for sign in (1.0, -1.0)
    )
    assert float(flipped.min()) > 0.0
    torch.testing.assert_close(flipped, upright.flip(-1), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("supersample", [1, 2, 3])
def test_nothing_beyond_the_edges_is_a_convolution_of_the_points(supersample):
    grid = PixelGrid.square(5, 7, 0.2, supersample)
    camera = Camera(grid, psf(5, supersample), "zero")
    points = draw(2, 5 * supersample, 7 * supersample)
    found = camera.expose(points)
    for image, row in zip(found, points, strict=True):
        blurred = convolve2d(row.numpy(), camera.psf.kernel.numpy(), mode="same")
        pooled = blurred.reshape(5, supersample, 7, supersample).mean((1, 3))
        torch.testing.assert_close(image, torch.as_tensor(pooled) * 0.04, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("supersample", [1, 2])
def test_extended_edges_are_those_of_a_larger_image(supersample):
    def sky(x, y):
        return torch.exp(-((x - 0.4) ** 2) - (y + 0.5) ** 2)

    small = Camera(PixelGrid.square(6, 6, 0.2, supersample), psf(5, supersample), "extend").look(sky)
    large = Camera(PixelGrid.square(14, 14, 0.2, supersample), psf(5, supersample), "zero").look(sky)
    torch.testing.assert_close(small, large[..., 4:10, 4:10], rtol=1e-12, atol=1e-14)
    cut = Camera(PixelGrid.square(6, 6, 0.2, supersample), psf(5, supersample), "zero").look(sky)
    assert float((cut - small).abs().max()) > 1e-3


def test_a_camera_without_psf_averages_points():
    points = draw(1, 4, 6)
    found = Camera(PixelGrid.square(2, 3, 0.5, 2)).expose(points)
    torch.testing.assert_close(found, points.reshape(1, 2, 2, 3, 2).mean((2, 4)) * 0.25, rtol=1e-12, atol=0.0)


def test_the_transpose_of_a_blur_is_its_derivative():
    blur = Blur(draw(3, 5), (6, 8), 1, 2)
    points, pixels = draw(2, 6, 8), draw(2, 2, 3, seed=3)
    small, one = Blur(draw(1, 3), (2, 4), 0, 2), draw(1, 2, 4).requires_grad_()
    assert torch.autograd.gradcheck(small.apply, one)
    assert torch.autograd.gradgradcheck(small.apply, one)
    pushed, pulled = (blur.push(points) * pixels).sum(), (points * blur.pull(pixels)).sum()
    torch.testing.assert_close(pushed, pulled, rtol=1e-12, atol=0.0)


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: Psf(torch.full((4, 4), 1.0 / 16.0)), "odd"),
        (lambda: Psf(torch.zeros(3, 3)), "sum"),
        (lambda: Psf(torch.full((3, 3), torch.nan)), "sum"),
        (lambda: Camera(PixelGrid.square(4, 4, 0.1, 2), psf(3, 1)), "2 points per pixel"),
        (lambda: Camera(PixelGrid.square(4, 4, 0.1), psf(3), "wrap"), "edges"),
        (lambda: PixelGrid.square(4, 4, 0.0), "area"),
        (lambda: PixelGrid.square(0, 4, 0.1), "one or more"),
        (lambda: BackgroundNoise(0.0, 100.0), "positive"),
        (lambda: PhotonNoise(100.0, 0.0), "sky"),
        (lambda: NoiseMap(torch.tensor([1.0, 0.0, torch.nan])), "2 pixels"),
    ],
)
def test_what_cannot_be_a_camera_is_refused(make, word):
    with pytest.raises(InputError, match=word):
        make()


@pytest.mark.parametrize(
    "noise",
    [BackgroundNoise(0.2, 50.0), NoiseMap(draw(6) + 0.2), PhotonNoise(50.0, 0.3)],
    ids=lambda noise: type(noise).__name__,
)
def test_information_is_the_variance_of_the_slope(noise):
    """Over many data; a mean of squares of 40000 is off by 6 of its standard errors in less than 1e-8 of tries."""
    expected = (2.0 * draw(6, seed=2) + 0.05).expand(40000, 6).clone().requires_grad_()
    data = noise.simulate(expected.detach(), torch.Generator().manual_seed(4))
    slopes = []
    for column in range(6):
        part = NoiseMap(noise.sd[column : column + 1]) if isinstance(noise, NoiseMap) else noise
        one = expected[:, column : column + 1]
        # each row has data of its own: the likelihood of the diagonal
        total = sum(
            part.log_likelihood(datum, row[None]).sum()
            for datum, row in zip(data[:400, column, None], one[:400], strict=True)
        )
        slopes.append(torch.autograd.grad(total, expected)[0][:400, column])
    found, exact = torch.stack(slopes, -1).square(), noise.information(expected.detach())[0]
    error = found.std(0) / 400**0.5
    assert float(((found.mean(0) - exact) / error).abs().max()) < 6.0
    assert float(((found.mean(0) - 2.0 * exact) / error).abs().min()) > 3.0


def test_the_variance_of_simulated_data_is_the_noise_s():
    """40000 data: the relative error of a variance is 0.7 %, and 5 % is seven of these."""
    expected = torch.tensor([[-0.5, 0.0, 3.0]], dtype=torch.float64).expand(40000, 3)
    noise = BackgroundNoise(0.5, 10.0)
    found = noise.simulate(expected, torch.Generator().manual_seed(2)).var(0)
    torch.testing.assert_close(found, torch.tensor([0.25, 0.25, 0.55], dtype=torch.float64), rtol=0.05, atol=0.0)
    assert float((noise.variance(expected)[0] - 0.25)[1]) == 0.0

"""Fields drawn for simulated skies: variance and correlation of the kernel."""

import numpy as np
import pytest
import torch

from skysift.errors import InputError
from skysift.geometry import angular_separation_deg, pixel_vectors
from skysift.sky.draws import FieldLaw, angular_power, draw_field
from skysift.sky.kernels import correlate

NSIDE, DRAWS = 8, 3000
EDGES = np.array([2.0, 20.0])
ONE_IN_1E5 = 4.42  # two-sided, standard deviations
# Pairs of pixels at many separations from the first.
SOME = np.array([368, 369, 371, 376, 336, 20, 760])


def correlations(fields):
    """Return products with the first pixel, mean (P,) and its standard error."""
    products = fields * fields[:, :1]
    return products.mean(axis=0), products.std(axis=0) / np.sqrt(len(products))


def draw_many(law, seed):
    """Return independent fields (DRAWS, P): as independent energy bins they are one call."""
    many = FieldLaw(law.lengthscale_rad, law.variance, law.kernel, law.distance, "independent")
    edges = np.geomspace(1.0, 10.0, DRAWS + 1)
    return draw_field([many], NSIDE, SOME, edges, np.random.Generator(np.random.PCG64(seed)))


@pytest.mark.statistics
@pytest.mark.parametrize("law", [FieldLaw(0.3, 0.5), FieldLaw(0.5, 2.0, "rbf"), FieldLaw(0.4, 1.0, "matern12")])
def test_fields_have_the_kernels_variance_and_correlation(law, seed):
    """False failures: 7 pixels at 1e-5 each, below 1e-4. Negative control: another lengthscale is found out."""
    mean, error = correlations(draw_many(law, seed))
    vectors = pixel_vectors(NSIDE, SOME)
    chord = torch.as_tensor(2 * np.sin(0.5 * np.radians(angular_separation_deg(vectors, vectors[0]))))
    wanted = law.variance * correlate(law.kernel, chord, law.lengthscale_rad).numpy()
    assert np.abs((mean - wanted) / error).max() < ONE_IN_1E5
    wrong = law.variance * correlate(law.kernel, chord, 1.5 * law.lengthscale_rad).numpy()
    assert np.abs((mean - wrong) / error).max() > ONE_IN_1E5


@pytest.mark.parametrize("kernel", ["matern12", "matern32", "matern52", "rbf"])
@pytest.mark.parametrize("lengthscale", [0.1, 1.0])
def test_power_sums_to_the_variance(kernel, lengthscale):
    power = angular_power(FieldLaw(lengthscale, 1.0, kernel), 600)
    total = (2 * np.arange(601) + 1) @ power / (4 * np.pi)
    # The tail of a Matern 1/2 kernel falls as 1 / degree.
    assert total == pytest.approx(1.0, abs=0.03 if kernel == "matern12" else 1e-3)
    assert total <= 1.0 + 1e-9


def test_great_circle_kernels_are_refused_where_they_are_indefinite():
    with pytest.raises(InputError, match="negative power"):
        angular_power(FieldLaw(1.0, 1.0, "matern52", "geodesic"), 100)


def test_energies():
    edges = np.array([1.0, 2.0, 4.0])
    laws = {
        choice: FieldLaw(0.3, 1.0, energies=choice, energy_lengthscale=3.0)
        for choice in ("shared", "independent", "separable")
    }
    pixels = np.arange(12 * NSIDE**2)
    drawn = {
        choice: draw_field([law], NSIDE, pixels, edges, np.random.Generator(np.random.PCG64(2)))
        for choice, law in laws.items()
    }
    np.testing.assert_array_equal(drawn["shared"][0], drawn["shared"][1])
    likeness = {choice: np.corrcoef(field)[0, 1] for choice, field in drawn.items()}
    assert abs(likeness["independent"]) < 0.5 < likeness["separable"] < 1.0


def test_fields_add():
    stream = np.random.Generator(np.random.PCG64(2))
    one = draw_field([FieldLaw(0.3, 1.0)], NSIDE, SOME, EDGES, np.random.Generator(np.random.PCG64(2)))
    both = draw_field([FieldLaw(0.3, 1.0), FieldLaw(0.1, 0.0)], NSIDE, SOME, EDGES, stream)
    np.testing.assert_array_equal(one, both)

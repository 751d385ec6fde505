"""The double King function of the PSF3 event type at 2 GeV."""

import numpy as np
import pytest
from scipy.integrate import quad

from skysift.instruments.fermi.psf import king_containment, king_containment_radius_rad, king_psf


@pytest.mark.parametrize(("share", "radius_deg"), [(0.68, 0.222), (0.95, 0.480)])
def test_published_containment(share, radius_deg):
    assert np.degrees(king_containment_radius_rad(share)) == pytest.approx(radius_deg, abs=5e-4)


def test_integral_is_one_and_closed_form_agrees_with_quadrature():
    assert float(king_containment(np.asarray(np.pi))) == pytest.approx(1.0, abs=1e-4)
    for radius in (0.001, 0.004, 0.02):
        found, _ = quad(lambda r: 2 * np.pi * r * king_psf(r), 0.0, radius, epsabs=1e-13, epsrel=1e-12)
        assert found == pytest.approx(float(king_containment(np.asarray(radius))), rel=1e-10)


def test_it_is_not_the_gaussian_of_the_public_examples():
    sigma = np.radians(0.1812)
    gaussian_radius = sigma * np.sqrt(-2 * np.log(1 - 0.68))
    assert np.degrees(gaussian_radius) == pytest.approx(0.274, abs=1e-3)
    assert king_containment_radius_rad(0.68) < 0.82 * gaussian_radius

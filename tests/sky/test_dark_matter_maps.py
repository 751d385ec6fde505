"""J- and D-factors: against adaptive quadrature, between profiles, derivatives, cusps and cores."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.interpolate import CubicSpline

from skysift.errors import InputError
from skysift.geometry.grids import LonLatGrid
from skysift.sky.dark_matter.j_map import HaloGeometry, j_map
from skysift.sky.dark_matter.line_of_sight import CM_PER_KPC, integrate_sight
from skysift.sky.dark_matter.profiles import Burkert, Einasto, GeneralisedNfw, Moore, Nfw

PROFILES = {
    "nfw": Nfw(), "gnfw": GeneralisedNfw(gamma=1.3, alpha=0.9, beta=3.2), "einasto": Einasto(), "burkert": Burkert(),
    "moore": Moore(), "cored": Nfw(core_kpc=0.1),
}  # fmt: skip
ANGLES_DEG = (0.01, 0.1, 1.0, 10.0, 30.0, 150.0)
FIELD = LonLatGrid.from_step(-3.2, 3.2, -3.2, 3.2, 0.4)


def shape(name, x):
    """Return the profiles once more, in plain numbers."""
    if name == "gnfw":
        return x**-1.3 * (1 + x**0.9) ** ((1.3 - 3.2) / 0.9)
    if name == "einasto":
        return math.exp(-2 / 0.17 * (x**0.17 - 1))
    if name == "burkert":
        return 1 / ((1 + x) * (1 + x * x))
    return x**-1.16 * (1 + x) ** -1.84 if name == "moore" else 1 / (x * (1 + x) ** 2)


def sight(name, angle_deg, power):
    """Return the line-of-sight integral by adaptive quadrature in s."""
    scale = {"nfw": 24.42, "gnfw": 24.42, "einasto": 28.44, "burkert": 12.67, "moore": 30.28, "cored": 24.42}[name]
    sun, psi = 8.33, math.radians(angle_deg)
    impact, along = sun * math.sin(psi), sun * math.cos(psi)

    def density(s):
        radius = math.hypot(s - along, impact)
        radius = max(radius, 0.1) if name == "cored" else radius
        return (0.39 * shape(name, radius / scale) / shape(name, sun / scale)) ** power

    core = math.sqrt(max(0.01 - impact**2, 0.0)) if name == "cored" else 0.0
    offsets = [impact * 10.0**k for k in range(5)] + [core]
    ends = sorted({0.0, 200.0, *(s for d in offsets for s in (along - d, along, along + d) if 0 < s < 200)})
    parts = [quad(density, a, b, epsrel=1e-9, limit=100)[0] for a, b in pairwise(ends)]
    return sum(parts) * CM_PER_KPC


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize(("kind", "power"), [("annihilation", 2), ("decay", 1)])
def test_sight_is_that_of_adaptive_quadrature(name, kind, power):
    found = integrate_sight(PROFILES[name], ANGLES_DEG, kind)
    np.testing.assert_allclose(found, [sight(name, angle, power) for angle in ANGLES_DEG], rtol=1e-6)


def test_profiles_meet_at_the_sun_and_differ_elsewhere():
    maps = [j_map(profile, FIELD) for profile in PROFILES.values()]
    for profile in PROFILES.values():
        assert float(profile.density(torch.tensor([8.33], dtype=torch.float64))) == pytest.approx(0.39, rel=1e-12)
    for first in range(len(maps)):
        for second in range(first):
            assert float((maps[first] / maps[second] - 1).abs().max()) > 0.02


def test_generalised_nfw_holds_nfw():
    plain = GeneralisedNfw(gamma=1.0, alpha=1.0, beta=3.0)
    np.testing.assert_allclose(j_map(plain, FIELD), j_map(Nfw(), FIELD), rtol=1e-10)
    np.testing.assert_allclose(j_map(plain, FIELD, "decay"), j_map(Nfw(), FIELD, "decay"), rtol=1e-10)


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize("center", [(0.0, 0.0), (0.03, -0.02), (40.0, 60.0)])
def test_pixels_are_the_sum_of_their_parts(name, center):
    """Centres on a corner, inside a pixel, and far from the equator."""
    lon = center[0] + np.linspace(-1.6, 1.6, 9) / np.cos(np.radians(center[1])) - (0.03 if center[0] else 0)
    coarse = LonLatGrid(lon, center[1] + np.linspace(-1.6, 1.6, 9))
    times = 5
    fine = LonLatGrid(
        *(
            np.interp(np.arange(8 * times + 1) / times, np.arange(9), e)
            for e in (coarse.lon_edges_deg, coarse.lat_edges_deg)
        )
    )
    # The edge of a core is a kink in the angle that a map interpolates across.
    limit = 3e-4 if name == "cored" else 1e-5
    for kind in ("annihilation", "decay"):
        parts = j_map(PROFILES[name], fine, kind, center).reshape(8, times, 8, times).sum((1, 3)).reshape(-1)
        np.testing.assert_allclose(j_map(PROFILES[name], coarse, kind, center), parts, rtol=limit)


@pytest.mark.parametrize("name", ["nfw", "einasto", "moore"])
def test_the_centre_is_integrated_with_its_cusp(name):
    """One square pixel about the centre against polar integration of the integrals along single lines."""
    one = LonLatGrid(np.array([-0.5, 0.5]), np.array([-0.5, 0.5]))
    profile = PROFILES[name]
    points, parts = np.polynomial.legendre.leggauss(40)
    place = 0.5 * (1 + points)

    def disk(radius_deg):
        angle = radius_deg * place**6
        values = integrate_sight(profile, angle).numpy() * np.sin(np.radians(angle))
        return float(values @ (0.5 * parts * 6 * place**5) * np.radians(radius_deg))

    radii = np.linspace(0.49, 0.72, 12)
    azimuth = (np.arange(200) + 0.5) / 200 * np.pi / 4
    total = 2 * np.pi * CubicSpline(radii, [disk(radius) for radius in radii])(0.5 / np.cos(azimuth)).mean()
    assert float(j_map(profile, one)[0]) == pytest.approx(total, rel=1e-4)


def test_the_map_is_the_line_of_sight_times_the_pixel():
    grid = LonLatGrid.from_step(-3.0, 3.0, -3.0, 3.0, 0.05)
    far = grid.separations_deg(0.0, 0.0) > 1.0
    found = j_map(Nfw(), grid).numpy()[far]
    area = grid.areas_deg2[far] * np.radians(1.0) ** 2
    np.testing.assert_allclose(found, integrate_sight(Nfw(), grid.separations_deg(0, 0)[far]).numpy() * area, rtol=1e-3)


@pytest.mark.parametrize("kind", ["annihilation", "decay"])
@pytest.mark.parametrize(
    ("make", "names"),
    [
        (GeneralisedNfw, ("gamma", "alpha", "beta", "scale_kpc", "local_density_gev_cm3", "distance_kpc")),
        (Einasto, ("alpha", "scale_kpc", "distance_kpc")), (Burkert, ("scale_kpc",)), (Moore, ("scale_kpc",)),
        (Nfw, ("scale_kpc", "core_kpc")),
    ],
)  # fmt: skip
def test_every_parameter_is_live_and_its_derivative_a_finite_difference(make, names, kind):
    geometry = HaloGeometry.build(FIELD)
    fixed = {"core_kpc": 0.2} if "core_kpc" in names else {}
    start = make(**fixed)
    values = {name: float(getattr(start, name)) for name in names}
    inputs = {name: torch.tensor(value, dtype=torch.float64, requires_grad=True) for name, value in values.items()}
    weight = torch.linspace(1.0, 2.0, FIELD.size, dtype=torch.float64)

    def total(settings):
        return (geometry.integrate(make(**(fixed | settings)), kind).log() * weight).sum()

    slopes = torch.autograd.grad(total(inputs), list(inputs.values()))
    for name, slope in zip(names, slopes, strict=True):
        step = 1e-5 * values[name]
        low, high = (total(values | {name: values[name] + sign * step}) for sign in (-1, 1))
        assert float(slope) == pytest.approx(float(high - low) / (2 * step), rel=1e-5)
        assert abs(float(slope)) > 1e-3


def test_a_batch_is_its_members():
    geometry = HaloGeometry.build(FIELD)
    gamma, sun = torch.tensor([0.8, 1.2]), torch.tensor([8.0, 8.5])
    batch = geometry.integrate(GeneralisedNfw(gamma=gamma, distance_kpc=sun))
    alone = [
        geometry.integrate(GeneralisedNfw(gamma=float(g), distance_kpc=float(r)))
        for g, r in zip(gamma, sun, strict=True)
    ]
    torch.testing.assert_close(batch, torch.stack(alone), rtol=1e-6, atol=0)


def test_a_cusp_too_steep_needs_a_core():
    with pytest.raises(InputError, match="gamma"):
        j_map(GeneralisedNfw(gamma=1.5), FIELD)
    with pytest.raises(InputError, match="gamma"):
        j_map(GeneralisedNfw(gamma=torch.tensor([1.0, 1.6])), FIELD)
    assert bool(j_map(GeneralisedNfw(gamma=1.6, core_kpc=0.01), FIELD).isfinite().all())
    assert bool(j_map(GeneralisedNfw(gamma=1.6), FIELD, "decay").isfinite().all())

"""The light of each kind of source on a small grid: flux, place, and files."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from astropy.io import fits
from scipy.integrate import quad
from scipy.special import ndtr
from tests.models.events.sources import DARK, POWER_LAW, component, find_nothing, place

from skysift.errors import InputError
from skysift.geometry import EnergyAxis, LonLatGrid
from skysift.instruments.ctao import Axes
from skysift.models.events.lights import make_light, make_share, make_spectrum

WINDOW = LonLatGrid.from_step(-0.9, 0.9, -0.9, 0.9, 0.2)
AXES = Axes(EnergyAxis.from_bins(0.3, 30.0, 5), LonLatGrid.from_step(-1.5, 1.5, -1.5, 1.5, 0.1))
EDGES = AXES.energy.edges_tev
SIZES = {
    "gaussian": {"size": "0.15 deg", "elongation": 0.6, "angle": "30 deg"},
    "disk": {"size": "0.3 deg"},
    "shell": {"size": "0.4 deg"},
    "ring": {"size": "0.4 deg", "inner": "0.2 deg"},
}


def integrals(density):
    return np.array([quad(density, low, high, epsrel=1e-10)[0] for low, high in pairwise(EDGES)])


FLUX = integrals(lambda energy: 2e-12 * energy**-2.4)


def light_of(settings, find=find_nothing, **values):
    return make_light(component(settings), AXES, WINDOW, find, values)


@pytest.mark.parametrize("sky", SIZES)
def test_extended_source_keeps_its_flux_and_its_place(sky):
    light = light_of(place(sky, **SIZES[sky]))
    assert not len(light.points_deg)
    np.testing.assert_allclose(light.total, FLUX, rtol=1e-3)
    share = light.cube[0] / light.cube[0].sum()
    assert share @ AXES.grid.lon_deg == pytest.approx(0.2, abs=1e-3)
    assert share @ AXES.grid.lat_deg == pytest.approx(-0.1, abs=1e-3)


def test_shell_without_inner_radius_is_thin():
    thin, given = (light_of(place("shell", size="0.4 deg", **more)) for more in ({}, {"inner": "0.38 deg"}))
    assert np.array_equal(thin.cube, given.cube)


def test_point_source_is_at_its_exact_place():
    light = light_of(place("point"))
    assert light.points_deg.tolist() == [[0.2, -0.1]]
    assert not light.cube.any()
    np.testing.assert_allclose(light.total, FLUX, rtol=1e-9)


@pytest.mark.parametrize("sky", SIZES)
def test_extended_source_is_the_same_light_whatever_is_free_about_it(sky):
    """Fixed, with a free index, under a field; the control are bins that are points."""
    keys = place(sky, **SIZES[sky])
    more = {"spectrum": {"index": {"uniform": [2, 3]}}}, {"modulate": {"lengthscale": "1 deg", "variance": 0.1}}
    fixed, free, under = (make_share(component(keys | part), AXES, WINDOW, find_nothing, {}) for part in ({}, *more))
    assert np.array_equal(fixed.cube, free.cube)
    assert np.array_equal(fixed.cube, under.cube)
    points = make_share(component(keys), replace(AXES, is_discrete=True), WINDOW, find_nothing, {})
    assert not np.allclose(points.cube, fixed.cube, rtol=1e-2, atol=0)


def test_gaussian_much_smaller_than_pixels_is_a_few_points():
    light = light_of(place("gaussian", size="0.02 deg", elongation=0.5, angle="90 deg"))
    assert not light.cube.any()
    np.testing.assert_allclose(light.total, FLUX, rtol=1e-9)
    shares, apart = light.point_flux.sum(1) / FLUX.sum(), light.points_deg - [0.2, -0.1]
    np.testing.assert_allclose(shares @ apart, 0.0, atol=1e-7)
    np.testing.assert_allclose(np.sqrt(shares @ apart**2), [0.02, 0.01], rtol=1e-5)
    cut = light_of({**place("gaussian", size="0.02 deg"), "center": ["1.54 deg", "0 deg"]})
    np.testing.assert_allclose(cut.total, FLUX * (5 / 6), rtol=1e-9)


def test_isotropic_sky_is_per_solid_angle():
    light = light_of({"sky": "isotropic", "spectrum": {**POWER_LAW, "norm": "2e-15 GeV-1 cm-2 s-1 sr-1"}})
    high = math.radians(1.55)
    np.testing.assert_allclose(light.total, FLUX * 2 * high * 2 * math.sin(high), rtol=1e-9)


def test_synthetic_diffuse_has_mean_one_over_the_field():
    settings = component({"sky": "synthetic_diffuse"})
    light = make_light(settings, AXES, AXES.grid, find_nothing)
    high = math.radians(1.55)
    wanted = integrals(lambda energy: 1.36e-8 * energy**-2.41) * 2 * high * 2 * math.sin(high)
    np.testing.assert_allclose(light.total, wanted, rtol=1e-9)


def test_synthetic_catalogue_or_some_of_its_sources():
    whole = light_of({"sky": "synthetic_catalogue"})
    assert len(whole.points_deg) == 2
    one = light_of({"sky": "synthetic_catalogue", "sources": ["SYN J0003"]})
    assert not len(one.points_deg)
    # 0.25 deg from the edge of the grid, 0.18 deg wide
    flux = integrals(lambda energy: 1.9e-12 * 1.57 * energy**-2.57)
    np.testing.assert_allclose(one.total, flux * ndtr(0.25 / 0.18), rtol=2e-3)
    with pytest.raises(InputError, match="did you mean 'SYN J0003'"):
        light_of({"sky": "synthetic_catalogue", "sources": ["SYN J003"]})


def test_real_catalogue_and_diffuse_model(data_folder):
    def find(name, role):
        files = {"catalogue": "hgps_catalog_v1.fits.gz", "diffuse": "gll_iem_v06_gc.fits.gz"}
        return data_folder / "ctao" / files[role]

    light = light_of({"sky": "hgps", "sources": ["HESS J1747-281", "HESS J1745-303"]}, find)
    assert len(light.points_deg) == 1
    assert light.cube.sum() > 0
    diffuse = make_share(component({"sky": "fermi_diffuse"}), Axes(AXES.energy, WINDOW), WINDOW, find, {})
    high = math.radians(1.0)
    assert diffuse.cube.sum() == pytest.approx(2 * high * 2 * math.sin(high), rel=1e-9)


def test_a_diffuse_shape_has_mean_one_in_a_window_that_is_stated():
    """The same shape, in another measure: the window's mean is one, whatever the field."""
    patch = {"lon": ["-0.7 deg", "0.2 deg"], "lat": ["0.5 deg", "1 deg"]}
    field, own = (
        make_share(component({"sky": "synthetic_diffuse", **keys}), AXES, WINDOW, find_nothing, {}).cube[0]
        for keys in ({}, {"window": patch})
    )
    np.testing.assert_allclose(own / field, own[0] / field[0], rtol=1e-12)
    grid = LonLatGrid(np.linspace(-0.7, 0.2, 10), np.linspace(0.5, 1.0, 6))
    axes = Axes(AXES.energy, grid)
    share = make_share(component({"sky": "synthetic_diffuse", "window": patch}), axes, WINDOW, find_nothing, {})
    assert share.cube.sum() == pytest.approx(grid.areas_deg2.sum() * math.radians(1) ** 2, rel=1e-4)


def test_shells_of_a_catalogue_are_as_thick_as_stated():
    """A thick shell is brighter in its middle than a thin one, and has the same flux."""
    grid = LonLatGrid.from_step(352.95, 354.15, -1.28, -0.08, 0.05)
    axes = Axes(AXES.energy, grid)
    lights = [
        make_light(
            component({"sky": "synthetic_catalogue", "sources": ["SYN J0004"], **keys}), axes, grid, find_nothing
        )
        for keys in ({}, {"shell_inner": 0.95}, {"shell_inner": 0.3})
    ]
    np.testing.assert_array_equal(lights[0].cube, lights[1].cube)
    np.testing.assert_allclose(lights[2].total, lights[0].total, rtol=1e-3)
    middle = grid.separations_deg(353.55, -0.68).argmin()
    assert lights[2].cube[0, middle] > 1.3 * lights[0].cube[0, middle]


def test_options_of_the_real_catalogue_and_diffuse_model(data_folder):
    """The diffuse band of the survey adds its flux; the diffuse model has another shape at higher energies."""

    def find(name, role):
        files = {"catalogue": "hgps_catalog_v1.fits.gz", "diffuse": "gll_iem_v06_gc.fits.gz"}
        return data_folder / "ctao" / files[role]

    plain, banded = (
        light_of({"sky": "hgps", "sources": ["HESS J1747-281"], "large_scale": has_band}, find)
        for has_band in (False, True)
    )
    extra = banded.cube - plain.cube
    assert (extra.sum(0) > 0).all()
    ridge = np.abs(AXES.grid.lat_deg) < 0.2
    assert extra[:, ridge].sum() > 0.3 * extra.sum()
    above = integrals(lambda energy: 1.3 * energy**-2.3)
    np.testing.assert_allclose(extra.sum(1) / extra.sum(), above / above.sum(), rtol=1e-9)
    # 2e-9 to 2e-8 cm-2 s-1 sr-1 above 1 TeV in the inner Galaxy, of which half a degree is bright
    total = extra.sum() / above.sum() / (AXES.grid.areas_deg2.sum() * math.radians(1) ** 2)
    assert 1e-10 < total < 2e-8
    shapes = [
        make_share(component({"sky": "fermi_diffuse", **keys}), Axes(AXES.energy, WINDOW), WINDOW, find, {}).cube[0]
        for keys in ({}, {"shape_band": ["10 GeV", "600 GeV"]}, {"shape_band": ["200 GeV", "600 GeV"]})
    ]
    np.testing.assert_array_equal(shapes[0], shapes[1])
    assert np.abs(shapes[2] / shapes[0] - 1).max() > 1e-3


def test_template_from_a_file(tmp_path):
    lon, lat = np.meshgrid(np.linspace(2.0, -2.0, 41), np.linspace(-2.0, 2.0, 41))
    image = fits.PrimaryHDU(np.exp(-((lon - 0.5) ** 2 + lat**2) / 0.08))
    image.header.update(
        CTYPE1="GLON-CAR", CTYPE2="GLAT-CAR", CRVAL1=0.0, CRVAL2=0.0, CDELT1=-0.1, CDELT2=0.1, CRPIX1=21.0,
        CRPIX2=21.0, CUNIT1="deg", CUNIT2="deg", BUNIT="cm-2 s-1 sr-1",
    )  # fmt: skip
    image.writeto(tmp_path / "map.fits")
    asked = []

    def find(name, role):
        asked.append((name, role))
        return tmp_path / name

    light = light_of({"sky": "template", "file": "map.fits", "spectrum": POWER_LAW}, find)
    assert asked == [("map.fits", "template")]
    np.testing.assert_allclose(light.total, FLUX, rtol=1e-9)
    share = light.cube[0] / light.cube[0].sum()
    assert share @ AXES.grid.lon_deg == pytest.approx(0.5, abs=0.01)


def test_dark_matter_shines_where_its_profile_says():
    einasto, nfw = (
        make_light(component({**DARK, "profile": {"kind": kind}}), AXES, WINDOW, find_nothing)
        for kind in ("einasto", "nfw")
    )
    assert einasto.cube.shape == AXES.shape
    assert not np.allclose(einasto.cube, nfw.cube, rtol=0.01, atol=0)
    assert not einasto.cube[EDGES[:-1] > 3.0].any()
    assert AXES.grid.separations_deg(0.0, 0.0)[einasto.cube[0].argmax()] < 0.1
    heavy = light_of({**DARK, "spectrum": {**DARK["spectrum"], "mass": {"uniform": ["1 TeV", "20 TeV"]}}}, mass=10.0)
    assert heavy.cube[EDGES[:-1] > 3.0].any()


def test_channels_of_dark_matter_are_mixed_by_their_shares():
    """Seven parts of a continuum and three of a line; half the rate where particles differ from antiparticles."""
    spectra = [
        make_spectrum(
            component({**DARK, "spectrum": {"kind": "annihilation", "mass": "3 TeV", **keys}}), {}, find_nothing
        )
        for keys in (
            {"channel": "bergstrom"}, {"channel": "line"}, {"branching": {"bergstrom": 0.7, "line": 0.3}},
            {"channel": "bergstrom", "self_conjugate": False},
        )
    ]  # fmt: skip
    one, other, both, half = (spectrum.integrals(torch.tensor(EDGES)).numpy() for spectrum in spectra)
    np.testing.assert_allclose(both, 0.7 * one + 0.3 * other, rtol=1e-12)
    np.testing.assert_allclose(half, one / 2, rtol=1e-12)


SPECTRA = {
    "broken below its pivot": (
        {"kind": "broken_power_law", "index": 2, "index_2": 3, "break": "2 TeV"},
        lambda e: e**-2.0 if e < 2 else 2 * e**-3.0,
    ),
    "cutoff": ({"kind": "cutoff", "index": 1.5, "cutoff": "5 TeV"}, lambda e: e**-1.5 * math.exp(-e / 5)),
    "log-parabola": (
        {"kind": "log_parabola", "index": 2, "curvature": 0.2}, lambda e: e ** -(2 + 0.2 * math.log(e)),
    ),
    "another pivot": ({"index": 2, "pivot": "2 TeV"}, lambda e: (e / 2) ** -2.0),
}  # fmt: skip


@pytest.mark.parametrize("name", SPECTRA)
def test_spectrum_is_what_its_keys_say(name):
    keys, density = SPECTRA[name]
    settings = component(place("point") | {"spectrum": {"norm": "3e-12 TeV-1 cm-2 s-1", **keys}})
    found = make_spectrum(settings, {}, find_nothing).integrals(torch.tensor(EDGES)).numpy()
    np.testing.assert_allclose(found, 3e-12 * integrals(density), rtol=1e-3)


def test_values_of_free_parameters_replace_the_prior():
    settings = component(place("point") | {"spectrum": {"kind": "cutoff", "index": {"uniform": [1, 3]},
                                                        "cutoff": {"loguniform": ["1 TeV", "50 TeV"]}}})  # fmt: skip
    values = {"index": torch.tensor([1.5, 2.0]), "cutoff": torch.tensor([5.0, 20.0], dtype=torch.float64)}
    found = make_spectrum(settings, values, find_nothing).integrals(torch.tensor(EDGES)).numpy()
    for row, (index, cutoff) in zip(found, ((1.5, 5.0), (2.0, 20.0)), strict=True):
        density = integrals(lambda e, i=index, c=cutoff: 1e-12 * e**-i * math.exp(-e / c))
        np.testing.assert_allclose(row, density, rtol=1e-3)


def test_spectrum_from_a_table(tmp_path):
    energies = np.geomspace(0.1, 100, 200)
    np.savetxt(tmp_path / "table.txt", np.column_stack((energies, 1e-12 * energies**-2.0)))
    settings = component(place("point") | {"spectrum": {"kind": "table", "file": "table.txt"}})
    light = make_light(settings, AXES, WINDOW, lambda name, role: tmp_path / name)
    np.testing.assert_allclose(light.total, integrals(lambda e: 1e-12 * e**-2.0), rtol=1e-3)


@pytest.mark.parametrize("content", ["1 2 3\n4 5 6\n", "a b\n", ""], ids=["columns", "words", "empty"])
@pytest.mark.filterwarnings("ignore:loadtxt. input contained no data")
def test_a_wrong_table_is_refused(tmp_path, content):
    (tmp_path / "table.txt").write_text(content)
    settings = component(place("point") | {"spectrum": {"kind": "table", "file": "table.txt"}})
    with pytest.raises(InputError) as caught:
        make_light(settings, AXES, WINDOW, lambda name, role: tmp_path / name)
    assert caught.value.exit_code == 2
    assert "table.txt" in str(caught.value)


@pytest.mark.parametrize("pivot", ["1 TeV", "3 TeV"])
def test_a_diffuse_model_keeps_its_flux_when_its_index_is_given(pivot):
    own, given = (
        make_spectrum(component({"sky": "synthetic_diffuse", **keys}), {}, find_nothing)
        for keys in ({}, {"spectrum": {"index": 2.41, "pivot": pivot}})
    )
    edges = torch.tensor([0.1, 1.0, 10.0], dtype=torch.float64)
    torch.testing.assert_close(own.integrals(edges), given.integrals(edges), rtol=1e-12, atol=0)

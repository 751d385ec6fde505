"""The tables of each response file mean what they mean to Gammapy."""

import importlib
from types import SimpleNamespace

import numpy as np
import pytest
from tests.instruments.ctao import response_files
from tests.peers import import_peer

from skysift.instruments.ctao import read_irf

POINTS = 6000


@pytest.fixture(scope="session")
def gammapy():
    """Gammapy's reader and units; without Gammapy the tests are skipped, or fail where nothing may be missing."""
    from astropy import units

    return SimpleNamespace(irf=import_peer("gammapy.irf"), units=units)


@pytest.fixture(scope="session")
def both(gammapy, response_path):
    """Our reading of one file, with 1 deg at empty nodes, and Gammapy's."""
    return read_irf(response_path, psf_empty="one_degree"), gammapy.irf.load_irf_dict_from_file(response_path)


@pytest.fixture
def points(seed):
    """Random points within the tables."""
    rng = np.random.default_rng(seed)

    def draw(low, high):
        return rng.uniform(low, high, POINTS)

    return SimpleNamespace(
        energy=np.exp(draw(np.log(0.0126), np.log(199.0))),
        wide_energy=np.exp(draw(np.log(0.0101), np.log(9990.0))),
        offset=draw(0.0, 6.0), migra=draw(0.0, 3.0), separation=draw(0.0, 0.3), x=draw(-6.0, 6.0), y=draw(-6.0, 6.0),
    )  # fmt: skip


def largest_difference(ours, theirs):
    """Return the largest difference in the logarithm where both are defined."""
    defined = (ours > 0) & (theirs > 0)
    assert defined.sum() > 500
    return np.abs(np.log(ours[defined] / theirs[defined])).max()


def test_area(both, points, gammapy):
    irf, peer = both
    u = gammapy.units
    theirs = peer["aeff"].evaluate(energy_true=points.energy * u.TeV, offset=points.offset * u.deg).to_value("cm2")
    ours = irf.area_cm2(points.energy, points.offset)
    assert largest_difference(ours, theirs) < 1e-10
    assert np.array_equal(ours == 0, theirs == 0)


def test_raw_dispersion(both, points, gammapy):
    irf, peer = both
    u = gammapy.units
    theirs = peer["edisp"].evaluate(
        energy_true=points.wide_energy * u.TeV, migra=points.migra, offset=points.offset * u.deg
    )
    ours = irf.dispersion_raw(points.wide_energy, points.migra, points.offset)
    assert largest_difference(ours, theirs.to_value("")) < 1e-10
    assert np.array_equal(ours == 0, theirs.to_value("") == 0)


def test_psf_with_one_degree_at_empty_nodes(both, points, gammapy):
    irf, peer = both
    u = gammapy.units
    theirs = peer["psf"].evaluate(
        energy_true=points.energy * u.TeV, offset=points.offset * u.deg, rad=points.separation * u.deg
    )
    ours = irf.psf(points.energy, points.offset, points.separation)
    assert largest_difference(ours, theirs.to_value("deg-2")) < 1e-10
    assert np.array_equal(ours > 0, theirs.value > 0)


def test_background(both, points, gammapy):
    irf, peer = both
    u = gammapy.units
    unit = "s-1 TeV-1 deg-2"
    place = {"fov_lon": points.x * u.deg, "fov_lat": points.y * u.deg}
    theirs = peer["bkg"].evaluate(energy=points.energy * u.TeV, **place).to_value(unit)
    assert largest_difference(irf.background(points.energy, points.x, points.y), theirs) < 1e-5
    theirs = peer["bkg"].to_2d().evaluate(energy=points.energy * u.TeV, offset=points.offset * u.deg).to_value(unit)
    assert largest_difference(irf.background_radial(points.energy, points.offset), theirs) < 1e-5


def test_comparison_would_see_another_interpolation(both, points, gammapy):
    """Negative control: nodes half a bin away."""
    irf, peer = both
    u = gammapy.units
    theirs = peer["aeff"].evaluate(energy_true=points.energy * u.TeV, offset=points.offset * u.deg).to_value("cm2")
    assert largest_difference(irf.area_cm2(points.energy * 1.0001, points.offset), theirs) > 1e-6


@pytest.mark.parametrize(
    ("make", "peer"),
    [
        (response_files.make_gaussians, "EnergyDependentMultiGaussPSF"),
        (response_files.make_king, "PSFKing"),
        (response_files.make_psf_table, "PSF3D"),
    ],
)
def test_other_psfs(tmp_path, points, gammapy, make, peer):
    table = make()
    path = response_files.write(tmp_path / "irf.fits", response_files.make_tables() | {"psf": table})
    irf, u = read_irf(path), gammapy.units
    theirs = getattr(gammapy.irf, peer).read(path, hdu=table.name)
    energy, offset = np.clip(points.energy, 0.11, 9.0), points.offset * 0.49
    expected = theirs.evaluate(energy_true=energy * u.TeV, offset=offset * u.deg, rad=points.separation * u.deg)
    raw = irf.psf_model.raw if irf.psf_kind == "PSF_TABLE" else irf.psf
    assert largest_difference(raw(energy, offset, points.separation), expected.to_value("deg-2")) < 1e-10


def test_radial_background(tmp_path, points, gammapy):
    table = response_files.make_radial_background()
    path = response_files.write(tmp_path / "irf.fits", response_files.make_tables() | {"background": table})
    u = gammapy.units
    energy, offset = np.clip(points.energy, 0.11, 9.0), points.offset * 0.49
    peer = gammapy.irf.Background2D.read(path, hdu="BACKGROUND")
    theirs = peer.evaluate(energy=energy * u.TeV, offset=offset * u.deg).to_value("s-1 TeV-1 deg-2")
    assert largest_difference(read_irf(path).background(energy, offset, 0.0), theirs) < 1e-5


def test_field_of_view(points, gammapy):
    from astropy.coordinates import SkyCoord

    from skysift.instruments.ctao.field_of_view import field_of_view_deg

    fov = importlib.import_module("gammapy.utils.coordinates").FoVICRSFrame
    for lon, lat in ((0.0, 0.0), (120.0, 40.0), (-50.0, -75.0)):
        origin = SkyCoord(lon, lat, unit="deg", frame="galactic")
        sky = SkyCoord(lon + points.x, np.clip(lat + points.y, -90, 90), unit="deg", frame="galactic")
        theirs = sky.transform_to(fov(origin=origin.icrs))
        x, y = field_of_view_deg(sky.l.deg, sky.b.deg, SimpleNamespace(lon_deg=lon, lat_deg=lat), "RADEC")
        assert np.abs(x - theirs.fov_lon.deg).max() < 1e-9
        assert np.abs(y - theirs.fov_lat.deg).max() < 1e-9

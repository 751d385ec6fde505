"""Responses between two zenith angles: linear in the cosine, node by node; files written and read again."""

from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits
from tests.instruments.ctao import response_files

from skysift.config import resolve
from skysift.errors import InputError
from skysift.instruments.ctao import analytic_irf, read_irf
from skysift.instruments.ctao.files import Finder
from skysift.instruments.ctao.irf_writing import write_irf
from skysift.instruments.ctao.plan import plan_pointings, plan_responses
from skysift.instruments.ctao.response_source import open_response
from skysift.instruments.ctao.zenith import mix_responses, zenith_weights

AXIS = {"range": ["-1 deg", "1 deg"], "step": "0.5 deg"}


def write(path, area=1.0, sigma=1.0, matrix=1.0, rate=1.0):
    """A response file with some of its tables scaled."""
    tables = response_files.make_tables()
    tables["area"].columns["EFFAREA"].values *= area
    for term in (1, 2, 3):
        tables["psf"].columns[f"SIGMA_{term}"].values *= sigma
    tables["dispersion"].columns["MATRIX"].values *= matrix
    tables["background"].columns["BKG"].values *= rate
    return response_files.write(path, tables)


@pytest.fixture
def two(tmp_path):
    """Files of 20 and 60 deg."""
    return [
        write(tmp_path / "zenith20.fits"),
        write(tmp_path / "zenith60.fits", area=0.5, sigma=1.5, matrix=1000.0, rate=0.25),
    ]


@pytest.fixture
def irfs(two):
    return [read_irf(path) for path in two]


def test_weights_are_linear_in_the_cosine():
    for zenith in (20.0, 33.0, 45.0, 60.0):
        weights = zenith_weights(zenith, [60.0, 20.0])
        assert sum(weights) == pytest.approx(1)
        cosines = np.cos(np.radians([60.0, 20.0]))
        assert weights @ cosines == pytest.approx(np.cos(np.radians(zenith)))
    assert zenith_weights(40.0, [20.0, 40.0, 60.0]) == [0.0, 1.0, 0.0]
    assert zenith_weights(50.0, [20.0, 40.0, 60.0])[0] == 0.0
    for zenith in (19.0, 61.0):
        with pytest.raises(InputError, match="between 20 and 60 deg"):
            zenith_weights(zenith, [20.0, 60.0])


def test_every_table_is_between_those_of_the_files(irfs):
    low, high = irfs
    mixed = mix_responses(irfs, [0.3, 0.7], "mixture")
    energy, offset = np.array([0.2, 1.0, 5.0])[:, None], np.array([0.3, 1.4, 2.5])
    np.testing.assert_allclose(mixed.area_cm2(energy, offset), (0.3 + 0.7 * 0.5) * low.area_cm2(energy, offset))
    sigma = mixed.psf_components(energy, offset)[1] / low.psf_components(energy, offset)[1]
    np.testing.assert_allclose(sigma, 0.3 + 0.7 * 1.5)
    x, y = np.array([0.5, -1.0, 2.0]), np.array([0.1, 0.2, -1.5])
    np.testing.assert_allclose(mixed.background(energy, x, y), 0.25**0.7 * low.background(energy, x, y), rtol=1e-9)
    # a table a thousand times higher weighs no more than its share: the densities are the same
    migra = np.linspace(0.05, 2.9, 40)
    at = (1.0, migra, 1.4)
    assert (high.dispersion_raw(*at) > 100 * low.dispersion_raw(*at)).any()
    np.testing.assert_allclose(mixed.dispersion(*at), low.dispersion(*at), rtol=1e-6)


def test_a_mixture_of_one_is_itself_and_another_share_another_response(irfs):
    assert mix_responses(irfs, [1.0, 0.0], "x") is irfs[0]
    digests = {mix_responses(irfs, [share, 1 - share], "x").sha256 for share in (0.0, 0.3, 0.30000001, 1.0)}
    assert len(digests) == 4


def test_tables_on_other_axes_are_refused(irfs):
    area = irfs[1].area
    other = replace(irfs[1], area=replace(area, energy=replace(area.energy, edges=1.1 * area.energy.edges)))
    with pytest.raises(InputError, match="equal axes"):
        mix_responses([irfs[0], other], [0.5, 0.5], "mixture")
    king = replace(irfs[1], psf_model=read_king(irfs))
    with pytest.raises(InputError, match="equal axes"):
        mix_responses([irfs[0], king], [0.5, 0.5], "mixture")


def read_king(irfs):
    from skysift.instruments.ctao.psf import KingPsf

    psf = irfs[0].psf_model
    return KingPsf(psf.energy, psf.offset, psf.sigmas_deg[0], 2 + psf.sigmas_deg[0])


# ---------------------------------------------------------------- from the configuration


def settings(**keys):
    """The section ``observation`` of a configuration."""
    return resolve({
        "run": "test",
        "observation": {
            "instrument": "ctao",
            "reconstructed": {"energy": {"range": ["0.2 TeV", "8 TeV"], "points": 4}, "lon": AXIS, "lat": AXIS},
            **keys,
        },
        **({} if "events" in keys else {"simulate": {"events": {"background": 5, "diffuse": 5}}}),
        "model": {"components": {"diffuse": {"sky": "synthetic_diffuse"}, "background": {"instrument": "background"}}},
        "fits": {"quick": ["laplace"]},
    }).observation  # fmt: skip


def test_a_pointing_takes_the_response_of_its_zenith(two, irfs):
    known = [{"zenith": f"{zenith} deg", "file": str(path)} for zenith, path in zip((20, 60), two, strict=True)]
    place = {"lon": "0 deg", "lat": "0 deg", "time": "1 h"}
    pointings = [{**place, "zenith": f"{zenith} deg"} for zenith in (20, 40, 60)]
    observation, find = settings(irf=known, pointings=pointings), Finder("x")
    planned = plan_pointings(observation, find)
    opened = [open_response(part.response, "nearest", find) for part in planned]
    assert (opened[0].sha256, opened[2].sha256) == (irfs[0].sha256, irfs[1].sha256)
    share = zenith_weights(40.0, [20.0, 60.0])[1]
    assert opened[1].area_cm2(1.0, 1.0) == pytest.approx((1 - 0.5 * share) * irfs[0].area_cm2(1.0, 1.0))
    assert len(set(plan_responses(observation, planned, find))) == 3


@pytest.mark.parametrize(("card", "zenith"), [({"ZEN_PNT": 40.0}, 40.0), ({"ALT_PNT": 30.0}, 60.0)])
def test_an_observed_list_says_its_zenith(two, tmp_path, card, zenith):
    table = fits.BinTableHDU.from_columns([fits.Column("X", "B", array=np.zeros(3, np.uint8))], name="EVENTS")
    table.header.update(RA_PNT=266.4, DEC_PNT=-28.9, LIVETIME=180000.0, **card)
    table.writeto(tmp_path / "list.fits")
    known = [{"zenith": f"{angle} deg", "file": str(path)} for angle, path in zip((20, 60), two, strict=True)]
    observation = settings(irf=known, events=[str(tmp_path / "list.fits")])
    (planned,) = plan_pointings(observation, Finder("x"))
    assert [weight for _, weight in planned.response] == pytest.approx(zenith_weights(zenith, [20.0, 60.0]))
    assert planned.rows == 3


# ---------------------------------------------------------------- written and read again


@pytest.mark.parametrize("make", ["make_gaussians", "make_king", "make_psf_table", "analytic"])
def test_a_written_response_comes_back(tmp_path, make):
    if make == "analytic":
        irf = analytic_irf()
    else:
        tables = response_files.make_tables() | {"psf": getattr(response_files, make)()}
        if make == "make_king":
            tables["background"] = response_files.make_radial_background()
        irf = read_irf(response_files.write(tmp_path / "first.fits", tables))
    write_irf(tmp_path / "again.fits", irf)
    again = read_irf(tmp_path / "again.fits")
    energy, offset = np.array([0.2, 1.0, 5.0])[:, None], np.array([0.1, 1.4, 2.5])
    for name, more in (("area_cm2", ()), ("psf", (0.05,)), ("psf_components", ())):
        one, other = (getattr(part, name)(energy, offset, *more) for part in (irf, again))
        np.testing.assert_allclose(other, one, rtol=1e-12)
    np.testing.assert_allclose(again.dispersion(energy, 1.1, offset), irf.dispersion(energy, 1.1, offset), rtol=1e-12)
    np.testing.assert_allclose(again.background(energy, offset, 0.3), irf.background(energy, offset, 0.3), rtol=1e-12)
    assert again.live_time_s == irf.live_time_s
    first = (tmp_path / "again.fits").read_bytes()
    write_irf(tmp_path / "again.fits", irf)
    assert (tmp_path / "again.fits").read_bytes() == first

"""Responses as files: what makes a new digest, what is refused, what comes back."""

import dataclasses

import numpy as np
import pytest

from skysift.errors import InputError
from skysift.geometry import EnergyAxis, LonLatGrid
from skysift.instruments.ctao import Axes, Pointing, Response, analytic_irf, make_true_axes, read_irf
from skysift.instruments.ctao.discrete import DiscreteResponse, Window
from skysift.instruments.ctao.response_file import read_response, write_response

SEEN = Axes(EnergyAxis.from_bins(1.0, 10.0, 3), LonLatGrid.from_step(-0.4, 0.4, -0.4, 0.4, 0.4))
POINTING = Pointing(0.1, 0.2, 180000.0)


@pytest.fixture(scope="module")
def irf():
    return analytic_irf()


@pytest.fixture(scope="module")
def response(irf):
    return Response.build(irf, make_true_axes(irf, SEEN, [POINTING], margin_deg=0.2, refine=2), SEEN, POINTING)


def test_a_response_comes_back_as_it_was(response, irf, tmp_path, seed):
    path = tmp_path / "response.h5"
    write_response(path, response)
    later = Pointing(0.1, 0.2, 7200.0)
    back = read_response(path, irf, later, response.digest)
    assert back.digest == response.digest
    assert back.pointing.live_time_s == 7200.0
    expected = np.random.default_rng(seed).random((*response.true.shape, 2))
    np.testing.assert_array_equal(back.fold(expected), response.fold(expected))
    np.testing.assert_array_equal(back.efficiency, response.efficiency)
    events = np.array([2.0, 3.0]), np.array([0.1, -0.2]), np.array([0.0, 0.3])
    np.testing.assert_array_equal(back.densities_at(*events, expected), response.densities_at(*events, expected))


def test_same_response_same_bytes(response, tmp_path):
    write_response(tmp_path / "a.h5", response)
    write_response(tmp_path / "b.h5", response)
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def change(response, **parts):
    return dataclasses.replace(response, **parts).digest


def test_everything_but_the_live_time_makes_a_new_digest(response, irf):
    true, seen = response.true, response.reconstructed
    edges = seen.energy.edges_tev.copy()
    edges[1] = np.nextafter(edges[1], 2 * edges[1])
    finer = make_true_axes(irf, SEEN, [POINTING], margin_deg=0.2, refine=4)
    wider = make_true_axes(irf, SEEN, [POINTING], margin_deg=0.4, refine=2)
    new = [
        change(response, irf=dataclasses.replace(irf, sha256="0" + irf.sha256[1:])),
        change(response, irf=dataclasses.replace(irf, psf_empty="one_degree")),
        change(response, reconstructed=Axes(EnergyAxis(edges), seen.grid)),
        change(response, true=finer),
        change(response, true=wider),
        change(response, pointing=Pointing(0.1, np.nextafter(0.2, 1.0), 180000.0)),
        change(response, pointing=Pointing(0.1, 0.2, 180000.0, vertical_deg=10.0)),
        change(response, cut=1e-8),
        DiscreteResponse.build(irf, seen, POINTING).digest,
        DiscreteResponse.build(irf, seen, POINTING, Window(lon_deg=np.inf)).digest,
        response.digest,
    ]
    assert len(set(new)) == len(new)
    assert change(response, pointing=Pointing(0.1, 0.2, 1.0)) == response.digest
    assert change(response, true=Axes(true.energy, true.grid)) == response.digest


def test_one_changed_byte_of_the_response_file_makes_a_new_digest(response_path, tmp_path):
    content = bytearray(response_path.read_bytes())
    # A byte of the gzip header that no reader looks at: the time.
    content[5] ^= 1
    other = tmp_path / response_path.name
    other.write_bytes(content)
    axes = Axes(EnergyAxis.from_bins(1.0, 10.0, 2), LonLatGrid.from_step(0.0, 0.4, 0.0, 0.4, 0.4))
    digests = [DiscreteResponse.build(read_irf(path), axes, POINTING).digest for path in (response_path, other)]
    assert digests[0] != digests[1]


def test_a_damaged_file_is_found(response, irf, tmp_path):
    path = tmp_path / "response.h5"
    write_response(path, response)
    whole = path.read_bytes()
    for place in (len(whole) // 3, len(whole) // 2, len(whole) - 300):
        content = bytearray(whole)
        content[place] ^= 0xFF
        path.write_bytes(content)
        with pytest.raises(InputError):
            read_response(path, irf, POINTING)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError):
        read_response(path, irf, POINTING)


def test_a_file_of_another_response_is_refused_with_both_digests(response, irf, tmp_path):
    path = tmp_path / "response.h5"
    write_response(path, response)
    with pytest.raises(InputError, match=response.digest):
        read_response(path, irf, Pointing(0.2, 0.2, 1.0))
    with pytest.raises(InputError, match="f" * 64):
        read_response(path, irf, POINTING, "f" * 64)


@pytest.mark.parametrize("settings", [{"cut": -1.0}, {"cut": 0.5}])
def test_settings_that_mean_nothing_are_refused(irf, response, settings):
    with pytest.raises(InputError):
        Response.build(irf, response.true, SEEN, POINTING, **settings)


@pytest.mark.parametrize("axes", [{"margin_deg": -0.1}, {"refine": 0}])
def test_true_axes_that_mean_nothing_are_refused(irf, axes):
    with pytest.raises(InputError):
        make_true_axes(irf, SEEN, [POINTING], **axes)


@pytest.mark.parametrize("numbers", [(0.0, 91.0, 1.0), (np.nan, 0.0, 1.0), (0.0, 0.0, 0.0), (0.0, 0.0, np.inf)])
def test_pointings_that_mean_nothing_are_refused(numbers):
    with pytest.raises(InputError):
        Pointing(*numbers)

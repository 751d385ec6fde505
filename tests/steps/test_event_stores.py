"""Event lists out and in again: a data store that other tools open, read back from the configuration."""

import json
import warnings

import numpy as np
import pytest
from astropy.io import fits
from tests.peers import import_peer
from tests.steps.small_event_run import SmallEventRun

from skysift.cli import main
from skysift.config import load_slice
from skysift.errors import InputError
from skysift.instruments.ctao.event_list import read_events
from skysift.instruments.ctao.event_observation import read_event_observation
from skysift.instruments.ctao.files import Finder
from skysift.instruments.ctao.plan import plan_pointings, plan_responses
from skysift.models.events.marginals import read_marginals
from skysift.steps.events import export, observe

POINTINGS = [
    {"lon": "0 deg", "lat": "0 deg", "time": "50 h"},
    {"lon": "0.5 deg", "lat": "0 deg", "time": "10 h"},
]


def observation(**keys):
    side = {"range": ["-0.8 deg", "0.8 deg"], "step": "0.4 deg"}
    energy = {"range": ["0.5 TeV", "20 TeV"], "points": 5}
    return {"reconstructed": {"energy": energy, "lon": side, "lat": side}, "true": {"refine": 2}, **keys}


@pytest.fixture(scope="module")
def run(tmp_path_factory, repository):
    return SmallEventRun(
        tmp_path_factory.mktemp("run"), repository, observation=observation(pointings=POINTINGS),
        fits={"quick": ["laplace"]},
    )  # fmt: skip


@pytest.fixture(scope="module")
def store(run):
    """The simulated list as a data store."""
    folder = run.folder / "store"
    export.run(run.observation, run.simulate(), folder)
    return folder


def observed_run(folder, repository, **keys):
    """A run on observed events, and its list."""
    null = {"pointings": None, "irf": None}
    made = SmallEventRun(folder, repository, observation=observation(**(null | keys)), simulate=None,
                         fits={"quick": ["laplace"]})  # fmt: skip
    out = folder / "data" / "observed.h5"
    observe.run(made.slice("observation"), made.observation, out)
    return made, read_events(out)


def same_events(seen, drawn):
    order = np.lexsort((drawn.event_id, drawn.pointing))
    for name in ("pointing", "event_id", "component"):
        assert np.array_equal(getattr(seen, name), getattr(drawn, name)[order])
    for name in ("energy", "lat", "true_energy", "true_lat"):
        np.testing.assert_allclose(getattr(seen, name), getattr(drawn, name)[order], rtol=1e-12, atol=1e-12)
    for name in ("lon", "true_lon"):
        turn = (getattr(seen, name) - getattr(drawn, name)[order] + 180) % 360 - 180
        assert np.nanmax(np.abs(turn)) < 1e-12
    assert seen.components == drawn.components


def test_a_store_is_observed_again_with_its_own_pointings_and_responses(run, store, tmp_path, repository):
    again, seen = observed_run(tmp_path, repository, events={"store": str(store)})
    same_events(seen, read_events(run.simulate()))
    looked_at = read_event_observation(again.observation)
    for one, other in zip(looked_at.pointings, read_event_observation(run.observation).pointings, strict=True):
        assert one.live_time_s == other.live_time_s
        assert one.offset_deg(other.lon_deg, other.lat_deg) < 1e-10
    # the embedded response went out as tables and came back as the same numbers
    first, back = read_marginals(run.gather()), read_marginals(again.gather("observed"))
    for name in ("diffuse", "catalogue", "background"):
        np.testing.assert_allclose(np.sort(back.columns[name].density), np.sort(first.columns[name].density), rtol=1e-8)
        assert back.columns[name].totals == pytest.approx(float(first.columns[name].totals), rel=1e-10)


def test_some_observations_of_a_store_are_taken_in_their_order(store, tmp_path, repository):
    _, seen = observed_run(tmp_path, repository, events={"store": str(store), "observations": [1]}, irf="analytic")
    with fits.open(store / "obs-index.fits.gz") as file:
        assert len(seen) == file[1].data["EVENT_COUNT"][1]
    assert set(seen.pointing) == {0}


def test_lists_alone_say_where_they_looked(run, store, tmp_path, repository):
    paths = [str(store / f"simulated-000_{number:03d}.fits") for number in (1, 0)]
    again, seen = observed_run(tmp_path, repository, events=paths, irf="analytic")
    assert [part.live_time_s for part in read_event_observation(again.observation).pointings] == [36000.0, 180000.0]
    assert len(seen) == len(read_events(run.simulate()))


def test_the_plan_knows_numbers_and_responses_without_reading_events(run, store, tmp_path, repository):
    again, _ = observed_run(tmp_path, repository, events={"store": str(store)})
    settings, find = load_slice(again.slice("observation"), "events/observation").observation, Finder("x")
    planned = plan_pointings(settings, find)
    assert [part.rows for part in planned] == np.bincount(read_events(run.simulate()).pointing).tolist()
    digests = plan_responses(settings, planned, find)
    assert len(set(digests)) == 2
    # one changed byte of the response file makes a new name
    path = store / "response_000.fits"
    content = bytearray(path.read_bytes())
    content[200] ^= 1
    path.write_bytes(content)
    assert not set(plan_responses(settings, planned, find)) & set(digests)
    content[200] ^= 1
    path.write_bytes(content)
    assert plan_responses(settings, planned, find) == digests


def test_gammapy_opens_the_store(run, store):
    data = import_peer("gammapy.data")
    drawn = read_events(run.simulate())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        opened = data.DataStore.from_dir(store)
        assert list(opened.obs_table["OBS_ID"]) == [0, 1]
        observations = opened.get_observations()
        for number, one in enumerate(observations):
            own = drawn.pointing == number
            order = np.argsort(drawn.event_id[own])
            assert len(one.events.table) == own.sum()
            np.testing.assert_allclose(one.events.energy.to_value("TeV"), drawn.energy[own][order], rtol=1e-12)
            np.testing.assert_allclose(one.events.galactic.b.deg, drawn.lat[own][order], atol=1e-12)
            assert one.observation_live_time_duration.to_value("s") == pytest.approx([180000.0, 36000.0][number])
            assert one.gti.time_sum.to_value("s") == pytest.approx([180000.0, 36000.0][number])
            towards = one.get_pointing_icrs(one.tmid).galactic
            assert abs((towards.l.deg - [0.0, 0.5][number] + 180) % 360 - 180) < 1e-9
            check_response(one)


def check_response(one):
    """The exported tables are those of the embedded response."""
    from astropy import units as u

    from skysift.instruments.ctao import analytic_irf

    irf, energy, offset = analytic_irf(), np.array([0.3, 1.0, 20.0]), np.array([0.1, 1.0, 2.0])
    area = one.aeff.evaluate(energy_true=energy * u.TeV, offset=offset * u.deg).to_value("cm2")
    np.testing.assert_allclose(area, irf.area_cm2(energy, offset), rtol=1e-9)
    psf = one.psf.evaluate(energy_true=energy * u.TeV, offset=offset * u.deg, rad=0.05 * u.deg).to_value("deg-2")
    np.testing.assert_allclose(psf, irf.psf(energy, offset, 0.05), rtol=1e-6)
    edisp = one.edisp.evaluate(energy_true=energy * u.TeV, migra=1.05, offset=offset * u.deg).to_value("")
    np.testing.assert_allclose(edisp, irf.dispersion_raw(energy, 1.05, offset), rtol=1e-9)
    rate = one.bkg.evaluate(energy=energy * u.TeV, fov_lon=offset * u.deg, fov_lat=0.3 * u.deg)
    np.testing.assert_allclose(rate.to_value("s-1 TeV-1 deg-2"), irf.background(energy, offset, 0.3), rtol=1e-4)


# ---------------------------------------------------------------- what is refused


def test_a_store_of_other_lists_is_left_alone(run, store):
    before = (store / "hdu-index.fits.gz").read_bytes()
    with pytest.raises(InputError, match="empty folder"):
        export.run(run.observation, rename(run), store)
    assert (store / "hdu-index.fits.gz").read_bytes() == before
    export.run(run.observation, run.simulate(), store)
    assert (store / "hdu-index.fits.gz").read_bytes() == before


def rename(run):
    from dataclasses import replace

    from skysift.instruments.ctao.event_list import write_events
    from skysift.storage.hdf5 import collect

    path = run.folder / "other.h5"
    write_events(path, replace(read_events(run.simulate()), name="other-000"), collect("x", 1, b"", []), {})
    return path


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"events": {"store": "nowhere"}}, "hdu-index.fits.gz"),
        ({"events": {"store": "STORE", "observations": [7]}}, "OBS_ID"),
        ({"events": ["nowhere.fits"], "irf": "analytic"}, "nowhere.fits"),
        ({"events": ["STORE/hdu-index.fits.gz"], "irf": "analytic"}, "EVENTS"),
        ({"events": ["STORE/simulated-000_000.fits"], "irf": [{"zenith": "20 deg", "file": "analytic"},
                                                              {"zenith": "40 deg", "file": "analytic"}]}, "ZEN_PNT"),
    ],
)  # fmt: skip
def test_what_cannot_be_observed_exits_with_2(store, tmp_path, repository, capsys, keys, words):
    from skysift.config import load, yaml_text

    keys = observation(**({"pointings": None, "irf": None} | json.loads(json.dumps(keys).replace("STORE", str(store)))))
    analysis = load([repository / "config/smoke/events.yaml"],
                    {"observation": keys, "simulate": None, "fits": {"quick": ["laplace"]}})  # fmt: skip
    config = tmp_path / "observation.yaml"
    config.write_text(yaml_text(analysis.slices()["observation"]))
    with pytest.raises(SystemExit) as caught:
        main(["prepare", "--config", str(config), "--out", str(tmp_path / "out.h5")])
    assert caught.value.code == 2
    told = capsys.readouterr().err
    assert words in told
    assert "Traceback" not in told

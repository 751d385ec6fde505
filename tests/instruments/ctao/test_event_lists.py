"""Event lists: simulated numbers, files of their own, and GADF files that other tools read."""

import importlib
import os
import warnings

import numpy as np
import pytest
from astropy.io import fits
from scipy import stats
from tests.instruments.ctao.small_field import (
    SEEN,
    background,
    disc_of_light,
    irf,
    make_observation,
    make_response,
    point,
)

from skysift.errors import InputError
from skysift.instruments.ctao import Pointing
from skysift.instruments.ctao.event_list import EventList, read_events, write_events
from skysift.instruments.ctao.event_observation import read_event_observation, write_event_observation
from skysift.instruments.ctao.gadf import import_events, read_gadf
from skysift.instruments.ctao.gadf_store import write_gadf
from skysift.instruments.ctao.simulation import Numbers, simulate_events
from skysift.sky.light import Light
from skysift.storage.hdf5 import collect
from skysift.streams import numpy_stream

COLUMNS = ("energy", "lon", "lat", "true_energy", "true_lon", "true_lat")
COUNTS = {"disc": 300, "background": 200, "point": 100}
TWO = ((0.0, 0.0, 180000.0), (0.5, 0.2, 90000.0))


def simulate(values, seed, *, names=("run",), observation=None, parts=("disc", "point", "background"), **flags):
    observation = observation or make_observation()
    makers = {"disc": disc_of_light, "point": point, "background": lambda observation: None}
    lights = {name: makers[name](observation) for name in parts}

    def streams(*more):
        return numpy_stream(seed, *names, *more)

    irfs = [irf()] * len(observation.pointings)
    numbers = Numbers(values, **flags)
    return simulate_events("set-000", observation, irfs, lights, background(observation), numbers, streams, {"a": 1.0})


def of(events, name):
    """The events of one component, sorted: energies and places."""
    own = events.component == events.components.index(name)
    return np.sort(np.stack([getattr(events, column)[own] for column in ("energy", "lon", "lat")]), axis=1)


def test_numbers_are_exact(seed):
    events = simulate(COUNTS, seed)
    assert len(events) == 600
    assert {name: of(events, name).shape[1] for name in events.components} == COUNTS
    assert dict(events.truth["counts"]) == COUNTS
    assert events.truth["fractions"] == pytest.approx({"disc": 0.5, "background": 1 / 3, "point": 1 / 6})
    assert events.truth["parameters"] == {"a": 1.0}
    assert (SEEN.find(events.energy, events.lon, events.lat) >= 0).all()
    known = events.component != events.components.index("background")
    for column in ("true_energy", "true_lon", "true_lat"):
        assert (np.isfinite(getattr(events, column)) == known).all()
    # in no order of components
    assert len(np.unique(events.component[:60])) == 3


def test_what_fell_outside_is_counted(seed):
    observation = make_observation()
    light = disc_of_light(observation)
    counts = 8_000
    events = simulate({"disc": counts}, seed, parts=("disc",))
    response = make_response(observation)
    expected = response.detected((light.cube * response.area_cm2 * 180000.0)[:, :, None])[0]
    from skysift.instruments.ctao.drawing import Source

    source = Source.of(light, irf(), observation.true, observation.pointings[0])
    share = expected / (source.rates.sum() * 180000.0)
    assert stats.binomtest(counts, counts + events.outside["disc"], share).pvalue > 1e-4


def test_components_without_events_have_a_truth_of_zero(seed):
    events = simulate({"disc": 5}, seed)
    assert dict(events.truth["counts"]) == {"disc": 5, "point": 0, "background": 0}
    assert dict(events.truth["fractions"]) == {"disc": 1, "point": 0, "background": 0}


@pytest.mark.statistics
def test_poisson_numbers_scatter_as_they_should(seed):
    means = {"disc": 30.0, "background": 40.0}
    drawn = [
        simulate(means, seed, names=("poisson", str(k)), is_poisson=True, parts=("disc", "background")).truth["counts"]
        for k in range(25)
    ]
    for name, mean in means.items():
        numbers = np.array([counts[name] for counts in drawn])
        assert stats.poisson.cdf(numbers.sum(), 25 * mean) == pytest.approx(0.5, abs=0.49995)
        assert stats.chi2.cdf(((numbers - mean) ** 2 / mean).sum(), 25) == pytest.approx(0.5, abs=0.49995)


@pytest.mark.statistics
def test_physical_numbers_are_flux_times_area_times_live_time(seed):
    observation = make_observation(TWO)
    lights = {"disc": disc_of_light(observation), "background": None}
    expected = {"disc": 0.0, "background": 0.0}
    for number, pointing in enumerate(observation.pointings):
        response, time = make_response(observation, number), pointing.live_time_s
        expected["disc"] += 40 * response.detected((lights["disc"].cube * response.area_cm2 * time)[:, :, None])[0]
        expected["background"] += 0.5 * response.background_counts().sum() * time
    norms = {"disc": 40.0, "background": 0.5}
    events = simulate(norms, seed, observation=observation, parts=("disc", "background"), is_physical=True)
    for name, mean in expected.items():
        assert stats.poisson.cdf(events.truth["counts"][name], mean) == pytest.approx(0.5, abs=0.49995)
    assert events.truth["norms"] == norms
    # a pointing of half the time sees half the background, a little less of a source farther away
    share = np.mean(events.pointing[events.component == 1] == 1)
    rates = [part.sum() for part in background(observation)]
    wanted = 0.5 * rates[1] / (rates[0] + 0.5 * rates[1])
    assert abs(share - wanted) < 4 * np.sqrt(wanted * (1 - wanted) / expected["background"])


def test_a_component_does_not_depend_on_the_others(seed):
    whole, alone = simulate(COUNTS, seed), simulate({"point": 100}, seed, parts=("point",))
    assert np.array_equal(of(whole, "point"), of(alone, "point"))
    other = simulate(COUNTS, seed, names=("another",))
    assert not np.array_equal(of(whole, "point"), of(other, "point"))


def test_the_same_list_every_time(seed):
    first, again = simulate(COUNTS, seed), simulate(COUNTS, seed)
    for column in (*COLUMNS, "pointing", "component"):
        assert np.array_equal(getattr(first, column), getattr(again, column), equal_nan=True)


def test_a_source_out_of_sight_is_refused(seed):
    observation = make_observation()
    dark = disc_of_light(observation)
    lights = {"disc": Light(np.zeros_like(dark.cube))}
    with pytest.raises(InputError, match="no event of it"):
        simulate_events(
            "x", observation, [irf()], lights, [], Numbers({"disc": 5}), lambda *n: numpy_stream(seed, *n), {}
        )


def test_no_event_is_refused(seed):
    with pytest.raises(InputError, match="no event"):
        simulate({"disc": 1e-6}, seed, is_poisson=True)


@pytest.fixture(scope="module")
def events():
    return simulate(COUNTS, 5, observation=make_observation(TWO))


@pytest.fixture(scope="module")
def provenance():
    return collect("test", 1, b"", [])


def test_list_is_read_back_as_it_was_written(tmp_path, events, provenance):
    write_events(tmp_path / "events.h5", events, provenance, {"responses": []})
    again = read_events(tmp_path / "events.h5")
    for column in (*COLUMNS, "pointing", "component"):
        assert np.array_equal(getattr(again, column), getattr(events, column), equal_nan=True)
        assert (
            getattr(again.rows(10, 20), column).tolist() == getattr(again, column)[10:20].tolist() or "true" in column
        )
    for name in ("name", "components", "outside", "truth", "warnings"):
        assert getattr(again, name) == getattr(events, name)


def test_a_damaged_list_is_refused(tmp_path, events, provenance):
    path = tmp_path / "events.h5"
    write_events(path, events, provenance, {})
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(InputError):
        read_events(path)


def test_observation_is_read_back_as_it_was_written(tmp_path, provenance):
    from dataclasses import replace

    observation = make_observation(TWO)
    lights = {"disc": disc_of_light(observation), "point": point(observation)}
    observation = replace(observation, lights=lights, warnings=("odd",))
    write_event_observation(tmp_path / "observation.h5", observation, provenance)
    again = read_event_observation(tmp_path / "observation.h5")
    assert (again.pointings, again.responses) == (observation.pointings, observation.responses)
    assert (again.psf_empty, again.warnings) == ("nearest", ("odd",))
    for kind in ("true", "reconstructed"):
        one, other = getattr(again, kind), getattr(observation, kind)
        assert np.array_equal(one.energy.edges_tev, other.energy.edges_tev)
        assert np.array_equal(one.grid.lon_edges_deg, other.grid.lon_edges_deg)
        assert np.array_equal(one.grid.lat_edges_deg, other.grid.lat_edges_deg)
    for name, light in lights.items():
        for part in ("cube", "points_deg", "point_flux"):
            assert np.array_equal(getattr(again.lights[name], part), getattr(light, part))


# ---------------------------------------------------------------- GADF


@pytest.fixture
def exported(tmp_path, events):
    """One GADF file per pointing."""
    paths = [tmp_path / f"events_{number:03d}.fits" for number in range(2)]
    for number, path in enumerate(paths):
        write_gadf(path, events, number, Pointing(*TWO[number]))
    return paths


def test_exported_events_come_back(events, exported):
    again = import_events([read_gadf(path) for path in exported], make_observation(TWO), "observed")
    order = np.concatenate([np.flatnonzero(events.pointing == number) for number in range(2)])
    assert np.array_equal(again.pointing, events.pointing[order])
    assert np.array_equal(again.component, events.component[order])
    assert again.outside == {"observed": 0}
    for column in ("energy", "lat", "true_energy", "true_lat"):
        found, wanted = getattr(again, column), getattr(events, column)[order]
        np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-12)
    for column in ("lon", "true_lon"):
        turn = (getattr(again, column) - getattr(events, column)[order] + 180) % 360 - 180
        known = np.isfinite(getattr(events, column)[order])
        assert (np.isfinite(turn) == known).all()
        assert np.abs(turn[known]).max() < 1e-12


def test_gammapy_reads_what_is_exported(tmp_path, events, exported):
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            data = importlib.import_module("gammapy.data")
    except ImportError as error:
        if os.environ.get("SKYSIFT_REQUIRE_DATA") == "1":
            pytest.fail(f"no Gammapy: {error} (SKYSIFT_REQUIRE_DATA=1)")
        pytest.skip(f"no Gammapy: {error}")
    own = events.pointing == 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        read = data.EventList.read(exported[1])
        np.testing.assert_allclose(read.energy.to_value("TeV"), events.energy[own], rtol=1e-12)
        turn = (read.galactic.l.deg - events.lon[own] + 180) % 360 - 180
        assert np.abs(turn).max() < 1e-11
        np.testing.assert_allclose(read.galactic.b.deg, events.lat[own], atol=1e-11)
        assert read.table.meta["LIVETIME"] == 90000.0
        intervals = data.GTI.read(exported[1])
        assert intervals.time_sum.to_value("s") == pytest.approx(90000.0)
        read.table.write(tmp_path / "again.fits")
        with fits.open(tmp_path / "again.fits", mode="update") as file:
            file[1].name = "EVENTS"
    again = read_gadf(tmp_path / "again.fits")
    np.testing.assert_allclose(again.energy, events.energy[own], rtol=1e-12)
    np.testing.assert_allclose(again.lat, events.lat[own], atol=1e-12)


def change(path, edit):
    """Rewrite a GADF file after an edit of its table, without checksums."""
    with fits.open(path) as file:
        units = fits.HDUList([unit.copy() for unit in file])
    for unit in units:
        for name in ("CHECKSUM", "DATASUM"):
            unit.header.remove(name, ignore_missing=True)
    units["EVENTS"] = edit(units["EVENTS"]) or units["EVENTS"]
    units.writeto(path, overwrite=True)


def drop(name):
    return lambda table: table.header.remove(name)


def put(name, value):
    def edit(table):
        table.header[name] = value

    return edit


def fill(column, value):
    def edit(table):
        table.data[column][3] = value

    return edit


def unit_of(column, unit):
    def edit(table):
        table.columns[column].unit = unit
        table.header[f"TUNIT{table.columns.names.index(column) + 1}"] = unit

    return edit


def only(rows):
    return lambda table: fits.BinTableHDU(table.data[:rows], header=table.header, name="EVENTS")


def without(column):
    def edit(table):
        kept = fits.ColDefs([part for part in table.columns if part.name != column])
        made = fits.BinTableHDU.from_columns(kept, name="EVENTS")
        made.header.update({name: table.header[name] for name in ("RA_PNT", "DEC_PNT", "LIVETIME")})
        return made

    return edit


FAULTS = {
    "no event": (only(0), "no rows"),
    "no pointing": (drop("RA_PNT"), "RA_PNT"),
    "no live time": (drop("LIVETIME"), "LIVETIME"),
    "live time of nothing": (put("LIVETIME", 0.0), "a time above 0 s"),
    "live time of text": (put("LIVETIME", "long"), "LIVETIME"),
    "an energy of NaN": (fill("ENERGY", np.nan), "row 3"),
    "a place of NaN": (fill("DEC", np.nan), "row 3"),
    "an infinite energy": (fill("ENERGY", np.inf), "row 3"),
    "an energy below zero": (fill("ENERGY", -1.0), "row 3: -1 TeV"),
    "unknown unit": (unit_of("ENERGY", "parsnip"), "parsnip"),
    "unit of another kind": (unit_of("ENERGY", "m"), "'m'"),
    "no unit": (unit_of("RA", ""), "column RA"),
    "no column": (without("ENERGY"), "no column ENERGY"),
    "another live time": (put("LIVETIME", 100000.0), "100000 s"),
    "another pointing": (put("DEC_PNT", 0.0), "observation.pointings"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_a_list_is_refused(exported, name):
    edit, words = FAULTS[name]
    change(exported[0], edit)
    with pytest.raises(InputError) as caught:
        import_events([read_gadf(path) for path in exported], make_observation(TWO), "observed")
    assert caught.value.exit_code == 2
    assert caught.value.place == str(exported[0])
    assert words in str(caught.value)
    assert caught.value.remedy


def test_a_changed_list_that_is_sound_is_read(exported):
    change(exported[0], unit_of("ENERGY", "GeV"))
    sound = read_gadf(exported[0])
    change(exported[0], unit_of("ENERGY", "TeV"))
    np.testing.assert_allclose(read_gadf(exported[0]).energy, 1000 * sound.energy, rtol=1e-12)


def test_a_truncated_or_damaged_file_is_refused(exported):
    content = exported[0].read_bytes()
    exported[0].write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError):
        read_gadf(exported[0])
    place = content.index(b"XTENSION") + 4 * 2880
    exported[0].write_bytes(content[:place] + bytes([content[place] ^ 255]) + content[place + 1 :])
    with pytest.raises(InputError, match=r"CHECKSUM|DATASUM"):
        read_gadf(exported[0])
    exported[0].write_bytes(b"not FITS")
    with pytest.raises(InputError):
        read_gadf(exported[0])


def test_events_outside_the_axes_are_counted_and_left_out(exported):
    change(exported[0], fill("ENERGY", 90.0))
    again = import_events([read_gadf(path) for path in exported], make_observation(TWO), "observed")
    assert again.outside == {"observed": 1}
    assert len(again) == 599


def test_a_list_entirely_elsewhere_is_refused(exported):
    def far(table):
        table.data["ENERGY"][:] = 90.0

    for path in exported:
        change(path, far)
    with pytest.raises(InputError, match="600 events, all outside"):
        import_events([read_gadf(path) for path in exported], make_observation(TWO), "observed")


def test_a_silent_list_has_no_true_coordinates(exported):
    change(exported[0], without("ENERGY_TRUE"))
    change(exported[0], without("MC_ID"))
    read = read_gadf(exported[0])
    assert np.isnan(read.true_energy).all()
    assert np.isnan(read.true_lon).all()
    assert (read.component == -1).all()
    assert isinstance(import_events([read], make_observation(TWO[:1]), "observed"), EventList)

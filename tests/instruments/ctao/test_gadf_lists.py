"""Event lists as GADF files: what other tools read, what comes back, what is refused."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits
from tests.instruments.ctao.small_field import background, disc_of_light, irf, make_observation, point
from tests.peers import import_peer

from skysift.errors import InputError
from skysift.instruments.ctao import Pointing
from skysift.instruments.ctao.event_list import EventList
from skysift.instruments.ctao.gadf import import_events, read_gadf
from skysift.instruments.ctao.gadf_store import write_gadf
from skysift.instruments.ctao.simulation import Numbers, simulate_events
from skysift.streams import numpy_stream

COUNTS = {"disc": 300, "background": 200, "point": 100}
TWO = ((0.0, 0.0, 180000.0), (0.5, 0.2, 90000.0))


@pytest.fixture(scope="module")
def events():
    observation = make_observation(TWO)
    lights = {"disc": disc_of_light(observation), "point": point(observation), "background": None}
    return simulate_events(
        "set-000", observation, [irf(), irf()], lights, background(observation), Numbers(COUNTS),
        lambda *names: numpy_stream(5, *names), {},
    )  # fmt: skip


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
    data = import_peer("gammapy.data")
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
    # written as Julian dates in two parts
    np.testing.assert_allclose(again.time, read_gadf(exported[1]).time, atol=1e-4)


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


def test_energies_off_the_tables_of_the_response_are_refused(exported):
    lists, observation = [read_gadf(path) for path in exported], make_observation(TWO)
    assert len(import_events(lists, observation, "observed", [irf(), irf()])) == 600
    area = irf().area
    highest = max(part.energy.max() for part in lists)
    edges = area.energy.edges[area.energy.edges < highest]
    short = replace(area, energy=replace(area.energy, edges=edges), values_cm2=area.values_cm2[: len(edges) - 1])
    with pytest.raises(InputError, match="as the tables of analytic reach") as caught:
        import_events(lists, observation, "observed", [replace(irf(), area=short)] * 2)
    assert "row" in caught.value.found
    assert caught.value.exit_code == 2


def test_names_numbers_and_times_of_events_are_kept(events, exported):
    again = import_events([read_gadf(path) for path in exported], make_observation(TWO), "observed")
    assert again.components == events.components
    assert sorted(again.event_id.tolist()) == list(range(600))
    # nobody knew the times: they are spread over the live time
    assert again.time.min() > 0
    assert again.time[again.pointing == 1].max() < TWO[1][2]
    # another reference of times is translated, to whole seconds here
    change(exported[0], put("MJDREFI", 51545))
    moved = import_events([read_gadf(path) for path in exported], make_observation(TWO), "observed")
    first = again.pointing == 0
    np.testing.assert_allclose(moved.time[first] - again.time[first], 86400.0, atol=1e-6)
    assert np.array_equal(moved.time[~first], again.time[~first])

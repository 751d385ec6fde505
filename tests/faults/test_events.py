"""Faults of event analyses: exit code 2, file, field, found, wanted and remedy; no traceback, nothing half-written."""

import gzip
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import yaml
from astropy.io import fits
from tests.instruments.ctao.response_files import make_tables, write
from tests.steps.small_event_run import SmallEventRun

from skysift.cli import main
from skysift.instruments.ctao.event_list import read_events, write_events
from skysift.models.events.marginals import read_marginals
from skysift.steps.events import evaluate, fit, gather, marginalise
from skysift.storage.posterior import read_posterior
from skysift.storage.provenance import collect

FITS = {"quick": ["laplace"], "reference": ["nested"]}


@pytest.fixture(scope="module")
def run(tmp_path_factory, repository):
    """A small sound run: what the tests spoil is valid before."""
    made = SmallEventRun(tmp_path_factory.mktemp("run"), repository, fits=FITS)
    made.gather()
    return made


@pytest.fixture
def refuse(tmp_path, capsys):
    """Return a function that runs a command, asserts a clean refusal, and returns the message by its parts."""

    def check(words, *expected, file=None, folder=tmp_path):
        before = sorted(folder.rglob("*"))
        with pytest.raises(SystemExit) as caught:
            main([str(word) for word in words])
        text = capsys.readouterr().err
        assert caught.value.code == 2, text
        assert "Traceback" not in text
        assert sorted(folder.rglob("*")) == before, "something was written"
        parts = {}
        for line in text.splitlines():
            word, _, rest = line.strip().partition("  ")
            parts.setdefault(word, rest.strip())
        assert all(parts.get(word) for word in ("field", "found", "wanted", "do")), text
        if file is not None:
            assert f"input error in {file}" in text
        for part in expected:
            assert str(part) in text, text
        return parts

    return check


def slice_with(run, tmp_path, name, change):
    """Write a slice of the run, changed."""
    data = yaml.safe_load(run.slice(name).read_text())
    change(data)
    path = tmp_path / f"{name}.yaml"
    path.write_text(yaml.safe_dump(data, sort_keys=False))
    return path


def prepare_words(config, tmp_path):
    return ["prepare", "--config", config, "--out", tmp_path / "out.h5"]


# ---------------------------------------------------------------- configuration


BASE = """\
run: test
observation:
  instrument: ctao
  irf: analytic
  pointings: [{lon: 0 deg, lat: 0 deg, time: 50 h}]
  reconstructed:
    energy: {range: [0.2 TeV, 20 TeV], points: 8}
    lon: {range: [-1 deg, 1 deg], step: 0.5 deg}
    lat: {range: [-1 deg, 1 deg], step: 0.5 deg}
simulate: {events: {background: 200, diffuse: 100}}
model:
  components:
    diffuse: {sky: synthetic_diffuse}
    background: {instrument: background}
fits: {quick: [laplace]}
"""
CONFIGURATION = {
    # what is replaced, by what, line, field, found, remedy
    "energies that fall": ("[0.2 TeV, 20 TeV]", "[20 TeV, 0.2 TeV]", 7, "reconstructed.energy", "20 TeV and 0.2",
                           "swap"),
    "energies of zero": ("[0.2 TeV", "[0 TeV", 7, "reconstructed.energy", "0 TeV", "widen"),
    "longitudes that fall": ("lon: {range: [-1", "lon: {range: [3", 8, "reconstructed.lon", "3 deg to 1 deg",
                             "negative"),
    "no width": ("range: [-1 deg, 1 deg], step: 0.5 deg}\n    lat", "range: [1 deg, 1 deg], step: 0.5 deg}\n    lat", 8,
                 "reconstructed.lon", "1 deg to 1 deg", "swap"),
    "energy without unit": ("0.2 TeV", "0.2", 7, "energy.range[0]", "0.2", "0.2 GeV"),
    "angle in hours": ("step: 0.5 deg}\n    lat", "step: 0.5 h}\n    lat", 8, "lon.step", "'0.5 h'",
                       "the unit of a time"),
    "time without unit": ("50 h", "50", 5, "pointings[0].time", "50", "50 h"),
    "unknown unit": ("50 h", "50 hours", 5, "pointings[0].time", "'50 hours'", "known names: d, h"),
    "component twice": ("fits:", "    diffuse: {sky: hgps}\nfits:", 15, "model.components.diffuse",
                        "in line 13 and in line 15", "rename"),
    "unknown component": ("diffuse: 100", "difuse: 100", 10, "simulate.events.difuse", "'difuse'",
                          "did you mean 'diffuse'"),
    "unknown kind of sky": ("synthetic_diffuse", "synthetic_difuse", 13, "components.diffuse.sky", "synthetic_difuse",
                            "did you mean 'synthetic_diffuse'"),
    "fractions of too much": ("{background: 200, diffuse: 100}", "50, truth: {background: 0.7, diffuse: 0.7}", 10,
                              "simulate", "a sum of 1.4", "correct the fractions"),
    "a negative fraction": ("{background: 200, diffuse: 100}", "50, truth: {background: 1.2, diffuse: -0.2}", 10,
                            "simulate", "a sum of 1", "correct the fractions"),
    "fractions without a total": ("simulate: {", "simulate: {truth: {background: 0.5, diffuse: 0.5}, ", 10, "simulate",
                                  "both", "leave one of them out"),
    "a leaf too many": ("model:\n", "model:\n  fractions: {tree: {a: [diffuse], b: [background, diffuse]}}\n", 12,
                        "model.fractions.tree", "diffuse 2 times", "put diffuse into one list"),
    "a concentration of zero": ("model:\n", "model:\n  fractions: {dirichlet: 0}\n", 12,
                                "model.fractions.dirichlet", "0", "dirichlet: 1"),
    "events in words": ("{background: 200, diffuse: 100}", "physicaly", 10, "simulate.events", "'physicaly'",
                        "did you mean 'physical'"),
    "events of nothing": ("{background: 200, diffuse: 100}", "{background: 0}", 10, "simulate.events.background", "0",
                          "write for example"),
    "a yes for events": ("{background: 200, diffuse: 100}", "yes", 10, "simulate.events", "True", "write for example"),
    "a run without events": ("simulate: {events: {background: 200, diffuse: 100}}\n", "", 1, "simulate", "nothing",
                             "observation.events"),
}  # fmt: skip


@pytest.mark.parametrize("name", CONFIGURATION)
def test_a_fault_of_the_configuration_is_told_once_with_its_line(tmp_path, refuse, name):
    old, new, line, field, found, remedy = CONFIGURATION[name]
    assert BASE.count(old) == 1
    path = tmp_path / "my.yaml"
    path.write_text(BASE.replace(old, new))
    parts = refuse(["validate", path], file=f"{path} line {line}" if name != "a run without events" else path)
    assert field in parts["field"]
    assert found in parts["found"]
    assert remedy in parts["do"]


def test_the_text_that_these_faults_spoil_is_sound(tmp_path):
    path = tmp_path / "my.yaml"
    path.write_text(BASE)
    with pytest.raises(SystemExit) as caught:
        main(["validate", str(path)])
    assert not caught.value.code


# ---------------------------------------------------------------- response files


def test_sound_response_files_are_prepared(run, tmp_path):
    """Control: the tables that the next tests spoil."""
    path = write(tmp_path / "irf.fits", make_tables())
    config = slice_with(run, tmp_path, "observation", lambda data: data["observation"].update(irf=str(path)))
    main_or_none(prepare_words(config, tmp_path))
    assert (tmp_path / "out.h5").exists()


def main_or_none(words):
    with pytest.raises(SystemExit) as caught:
        main([str(word) for word in words])
    assert not caught.value.code


def drop_unit(tables):
    tables["area"].columns["EFFAREA"].unit = ""


def turn_axis(tables):
    low, high = (tables["area"].columns[f"ENERG_{end}"] for end in ("LO", "HI"))
    low.values, high.values = low.values[::-1].copy(), high.values[::-1].copy()


RESPONSES = {
    "no effective area": (lambda tables: tables.pop("area"), "AEFF_2D", "no such table"),
    "no point-spread function": (lambda tables: tables.pop("psf"), "PSF_3GAUSS", "no such table"),
    "no dispersion": (lambda tables: tables.pop("dispersion"), "EDISP_2D", "no such table"),
    "no background": (lambda tables: tables.pop("background"), "BKG_3D", "no such table"),
    "no unit": (drop_unit, "EFFAREA", "no unit"),
    "falling energies": (turn_axis, "ENERG_LO", "rise"),
}


@pytest.mark.parametrize("name", RESPONSES)
def test_a_response_file_that_lacks_something_stops_prepare(run, tmp_path, refuse, name):
    change, field, words = RESPONSES[name]
    tables = make_tables()
    change(tables)
    path = write(tmp_path / "irf.fits", tables)
    config = slice_with(run, tmp_path, "observation", lambda data: data["observation"].update(irf=str(path)))
    refuse(prepare_words(config, tmp_path), field, words, file=path)


@pytest.mark.parametrize("alignment", ["ALTAZ", None])
def test_a_background_that_follows_the_horizon_stops_prepare(run, tmp_path, refuse, alignment):
    """Never taken for one that follows the sky, also where the card is absent, which means the horizon."""
    tables = make_tables()
    del tables["background"].cards["FOVALIGN"]
    tables["background"].cards |= {} if alignment is None else {"FOVALIGN": alignment}
    path = write(tmp_path / "irf.fits", tables)

    def change(data, **more):
        data["observation"] |= {"irf": str(path), **more}

    words = prepare_words(slice_with(run, tmp_path, "observation", change), tmp_path)
    refuse(words, "background", "FOVALIGN = ALTAZ", "RADEC", file="pointing at l = 0, b = 0 deg")
    # a cut of it, as a function of offset, has no direction
    smeared = partial(change, normalise="discrete", true={}, background="smeared")
    main_or_none(prepare_words(slice_with(run, tmp_path, "observation", smeared), tmp_path))


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_response_file_that_is_cut_stops_prepare(run, tmp_path, refuse, packed, share):
    whole = write(tmp_path / "whole.fits", make_tables()).read_bytes()
    content = gzip.compress(whole, mtime=0) if packed else whole
    path = tmp_path / ("cut.fits.gz" if packed else "cut.fits")
    path.write_bytes(content[: int(share * len(content))])
    config = slice_with(run, tmp_path, "observation", lambda data: data["observation"].update(irf=str(path)))
    refuse(prepare_words(config, tmp_path), file=path)


def test_axes_above_the_tables_stop_prepare(run, tmp_path, refuse):
    path = write(tmp_path / "irf.fits", make_tables())

    def change(data):
        data["observation"]["irf"] = str(path)
        data["observation"]["reconstructed"]["energy"]["range"] = ["20 TeV", "50 TeV"]

    refuse(prepare_words(slice_with(run, tmp_path, "observation", change), tmp_path), "effective area ends at 10 TeV",
           "lower the energies")  # fmt: skip


# ---------------------------------------------------------------- sources


def source(**keys):
    def change(data):
        data["sources"]["extra"] = keys

    return change


def test_an_unknown_source_of_a_catalogue_is_named_with_the_nearest(run, tmp_path, refuse):
    config = slice_with(run, tmp_path, "observation", source(sky="synthetic_catalogue", sources=["Centre", "nobody"]))
    parts = refuse(prepare_words(config, tmp_path), "sources")
    assert "did you mean" in parts["do"] or "known names" in parts["do"]


@pytest.mark.parametrize("sky", ["hgps", "fermi_diffuse", "template"])
@pytest.mark.parametrize("content", [b"", b"SIMPLE  =                    T", b"no FITS at all", None])
def test_a_map_or_catalogue_that_is_damaged_stops_prepare(run, tmp_path, refuse, sky, content):
    path = tmp_path / "map.fits"
    if content is None:
        fits.PrimaryHDU(np.ones((40, 40))).writeto(path)
        path.write_bytes(path.read_bytes()[:4000])
    else:
        path.write_bytes(content)
    keys = {"spectrum": {"index": 2}} if sky == "template" else {}
    config = slice_with(run, tmp_path, "observation", source(sky=sky, file=str(path), **keys))
    refuse(prepare_words(config, tmp_path), file=path)


def test_a_file_that_is_nowhere_is_told(run, tmp_path, refuse):
    config = slice_with(run, tmp_path, "observation", source(sky="hgps", file="elsewhere/catalogue.fits"))
    refuse(prepare_words(config, tmp_path), "elsewhere/catalogue.fits", "skysift data list")


CHANNELS = {
    "a binary file": (b"mDM logx b\n\xff\xfe\x00\x81", "table", "utf-8"),
    "binary from its first line": (b"\xff\xfe\x00\x81", "table", "utf-8"),
    "an empty file": (b"", "channel spectra", "0 bytes"),
    "a header alone": (b"# mDM logx b\n\n# nothing\n", "table", "no numbers"),
    "a name too many": (b"mDM logx b W\n1000 -1 1\n1000 0 1\n9000 -1 1\n9000 0 1\n", "header", "4 names, 3 columns"),
    "a name too few": (b"mDM logx b\n1000 -1 1 2\n1000 0 1 2\n", "header", "3 names, 4 columns"),
    "a word among numbers": (b"mDM logx b\n1000 -1 much\n", "table", "much"),
    "no number": (b"mDM logx b\n1000 -1 1\n1000 0 nan\n", "rows", "row 2"),
}


@pytest.mark.parametrize("name", CHANNELS)
def test_a_table_of_channels_that_is_damaged_stops_the_step(run, tmp_path, refuse, name):
    content, field, found = CHANNELS[name]
    path = tmp_path / "channels.txt"
    path.write_bytes(content)
    spectrum = {"kind": "annihilation", "mass": "2 TeV", "channel": "b", "file": str(path)}
    config = slice_with(run, tmp_path, "observation", source(sky="dark_matter", spectrum=spectrum))
    parts = refuse(prepare_words(config, tmp_path), file=path)
    assert field in parts["field"]
    assert found in parts["found"]


def test_a_sound_table_of_channels_is_prepared(run, tmp_path):
    """Control: what the tests above spoil."""
    path = tmp_path / "channels.txt"
    path.write_bytes(b"# mDM logx b\n1000 -1 1\n1000 0 1 # a word\n\n9000 -1 1\n9000 0 1\n")
    spectrum = {"kind": "annihilation", "mass": "2 TeV", "channel": "b", "file": str(path)}
    config = slice_with(run, tmp_path, "observation", source(sky="dark_matter", spectrum=spectrum))
    main_or_none(prepare_words(config, tmp_path))


# ---------------------------------------------------------------- events


def spoil(run, tmp_path, **changes):
    """Write the run's events with some columns changed at row 7."""
    events = read_events(run.simulate())
    columns = {}
    for name, value in changes.items():
        columns[name] = getattr(events, name).copy()
        columns[name][7] = value
    path = tmp_path / "events.h5"
    write_events(path, replace(events, **columns), collect("test", 1, b"", []), {})
    return path


def marginalise_words(run, data, tmp_path):
    return ["marginalise", "--config", run.slice("marginalise"), "--observation", run.observation, "--data", data,
            "--chunk", "0/1", "--out", tmp_path / "out.h5", "--response", *run.responses]  # fmt: skip


@pytest.mark.parametrize(("column", "value"), [("energy", 99.0), ("energy", 0.01), ("lon", 1.3), ("lat", -1.01)])
def test_an_event_outside_the_axes_is_named(run, tmp_path, refuse, column, value):
    path = spoil(run, tmp_path, **{column: value})
    parts = refuse(marginalise_words(run, path, tmp_path), file=path)
    assert "1 outside the axes, the first is row 7" in parts["found"]
    assert f"{value:g}" in parts["found"]


@pytest.fixture(scope="module")
def wide(tmp_path_factory, repository):
    """A field that is larger than the response: nothing can be seen in its corners."""
    axis = {"range": ["-8 deg", "8 deg"], "step": "2 deg"}
    observation = {"reconstructed": {"energy": {"range": ["0.5 TeV", "20 TeV"], "points": 4}, "lon": axis, "lat": axis},
                   "true": {"refine": 2, "margin": "0.2 deg"}}  # fmt: skip
    outlier = {"components": {"outlier": {"instrument": "outlier"}}}
    fits_of_both = {"quick": ["laplace"], "robust": {"sequence": ["laplace"], "model": outlier}}
    made = {}
    for name, binned, own in (("plain", False, FITS), ("binned", True, FITS), ("robust", True, fits_of_both)):
        keys = {"observation": observation, "model": {"binned": binned}, "fits": own}
        made[name] = SmallEventRun(tmp_path_factory.mktemp(name), repository, **keys)
    return made


@pytest.mark.parametrize("kind", ["plain", "binned"])
def test_an_event_that_no_source_allows_is_named(wide, tmp_path, refuse, kind):
    run = wide[kind]
    path = spoil(run, tmp_path, lon=7.9, lat=-7.9, energy=1.234)
    parts = refuse(marginalise_words(run, path, tmp_path), file=path)
    assert "1 that no source allows, the first is row 7: 1.234 TeV, l 7.9000, b -7.9000 deg" in parts["found"]
    assert "from the pointing; its tables end at" in parts["found"]
    assert "instrument: outlier" in parts["do"]


def test_outliers_take_what_no_source_allows(wide, tmp_path, refuse):
    """With the component the run goes on; a fit without it names the row of the marginals."""
    run, out = wide["robust"], tmp_path / "marginals.h5"
    path = spoil(run, tmp_path, lon=7.9, lat=-7.9)
    marginalise.run(run.slice("marginalise"), run.observation, run.responses, path, "0/1", tmp_path / "000.h5")
    gather.run(run.slice("marginalise"), [tmp_path / "000.h5"], out)
    column = read_marginals(out).columns["outlier.robust"]
    assert column.totals == 1
    assert (column.density > 0).all()
    words = ["fit", "--observation", run.observation, "--data", out, "--out", tmp_path / "out.nc"]
    parts = refuse([*words, "--config", run.slice("fit-quick")], file=out)
    assert "1 rows that no component allows, the first is row" in parts["found"]
    fit.run(run.slice("fit-robust"), run.observation, out, tmp_path / "robust.nc")
    found = read_posterior(tmp_path / "robust.nc").flat("outlier_fraction")
    assert 0 < found.mean() < 0.05


def test_outliers_are_flat_in_the_region_and_the_logarithm(wide):
    from skysift.instruments.ctao.event_observation import read_event_observation
    from skysift.models.events.background import outlier_density

    looked_at = read_event_observation(wide["robust"].observation)
    axes = looked_at.reconstructed
    per_bin = outlier_density(looked_at)
    assert np.sum(per_bin[:, None] * axes.volumes_tev_deg2) == pytest.approx(1.0, rel=1e-12)
    low, high = axes.energy.edges_tev[:2]
    at = outlier_density(looked_at, np.geomspace(low, high, 2001))
    mean = np.trapezoid(at, np.geomspace(low, high, 2001)) / (high - low)
    assert mean == pytest.approx(per_bin[0], rel=1e-5)
    assert at[0] / at[-1] == pytest.approx(high / low)
    discrete = replace(axes, is_discrete=True)
    centres = outlier_density(replace(looked_at, reconstructed=discrete))
    assert np.sum(centres[:, None] * discrete.volumes_tev_deg2) == pytest.approx(1.0, rel=1e-12)


def test_a_list_of_events_that_is_cut_stops_the_step(run, tmp_path, refuse):
    path = tmp_path / "events.h5"
    path.write_bytes(run.simulate().read_bytes()[:-2000])
    refuse(marginalise_words(run, path, tmp_path), file=path)


@pytest.mark.parametrize("share", [0.0, 0.4, 0.9])
def test_an_observed_list_that_is_cut_stops_the_step(run, tmp_path, refuse, share, repository):
    folder = tmp_path / "lists"
    main_or_none(["export", "--observation", run.observation, "--data", run.simulate(), "--out-dir", folder])
    path = folder / "simulated-000_000.fits"
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    config = slice_with(run, tmp_path, "observation", lambda data: data["observation"].update(events=[str(path)]))
    words = ["observe", "--config", config, "--observation", run.observation, "--out", tmp_path / "out.h5"]
    refuse(words, file=path)


def export_list(run, tmp_path):
    """Write the run's events as other tools have them, and return the file and the words of the steps that read it."""
    folder = tmp_path / "lists"
    main_or_none(["export", "--observation", run.observation, "--data", run.simulate(), "--out-dir", folder])
    path = folder / "simulated-000_000.fits"
    config = slice_with(run, tmp_path, "observation", lambda data: data["observation"].update(events=[str(path)]))
    words = ["observe", "--config", config, "--observation", run.observation, "--out", tmp_path / "out.h5"]
    return path, {"prepare": prepare_words(config, tmp_path), "observe": words}


def change_list(path, cards, columns, copies):
    """Rewrite an event list; columns are made of their format and values of as many events, None where deleted."""
    with fits.open(path) as hdus:
        old = hdus["EVENTS"]
        parts = [fits.Column(part.name, part.format, part.unit, array=old.data[part.name])
                 for part in old.columns if part.name not in columns]  # fmt: skip
        for name, make in columns.items():
            unit = old.columns[name].unit
            parts.append(fits.Column(name, make[0], unit, array=make[1](old.data[name].copy())))
        kept = {key: value for key, value in old.header.items() if not key.startswith(("T", "NAXIS", "XT", "BIT"))}
        table = fits.BinTableHDU.from_columns(parts, name="EVENTS")
        table.header.update({key: kept[key] for key in kept if key not in {"PCOUNT", "GCOUNT", "CHECKSUM", "DATASUM"}})
        for name, value in cards.items():
            if value is None:
                table.header.remove(name)
            else:
                table.header[name] = value
        made = fits.HDUList([fits.PrimaryHDU(), *[table.copy() for _ in range(copies)]])
        made.writeto(path, overwrite=True, checksum=True)


def set_row(value):
    def edit(values):
        values = np.asarray(values, dtype=np.float64)
        values[7] = value
        return values

    return edit


def as_text(values):
    return np.array([f"{value:.6g}" for value in values])


def doubled(values):
    return np.stack([values, values], 1)


LISTS = {
    # step, cards, columns, number of copies, field, found
    "a declination of the pointing": ("prepare", {"DEC_PNT": 100.0}, {}, 1, "card DEC_PNT", "100 deg"),
    "a right ascension of the pointing": ("prepare", {"RA_PNT": 361.0}, {}, 1, "card RA_PNT", "361 deg"),
    "a number of a component in words": ("prepare", {"MID00001": "abc"}, {}, 1, "card MID00001", "abc"),
    "a broken number of a component": ("prepare", {"MID00001": 0.5}, {}, 1, "card MID00001", "0.5"),
    "a reference time in words": ("prepare", {"MJDREFI": "x"}, {}, 1, "card MJDREFI", "x"),
    "a frame of 1950": ("prepare", {"RADECSYS": "FK4"}, {}, 1, "card RADECSYS", "FK4"),
    "a frame of 1950 by its new name": ("prepare", {"RADESYS": "FK4"}, {}, 1, "card RADESYS", "FK4"),
    "two frames": ("prepare", {"RADESYS": "FK5"}, {}, 1, "RADESYS and RADECSYS", "FK5 and ICRS"),
    "an equinox of 1950": ("prepare", {"RADECSYS": "FK5", "EQUINOX": 1950.0}, {}, 1, "card EQUINOX", "1950"),
    "two lists in a file": ("prepare", {}, {}, 2, "EVENTS", "HDUs 1, 2"),
    "a declination": ("observe", {}, {"DEC": ("D", set_row(95.0))}, 1, "column DEC", "row 7: 95 deg"),
    "a right ascension": ("observe", {}, {"RA": ("D", set_row(-200.0))}, 1, "column RA", "row 7: -200 deg"),
    "a true declination": ("observe", {}, {"DEC_TRUE": ("D", set_row(-91.0))}, 1, "column DEC_TRUE", "row 7: -91 deg"),
    "names of events in text": ("observe", {}, {"EVENT_ID": ("12A", as_text)}, 1, "column EVENT_ID", "text"),
    "components in text": ("observe", {}, {"MC_ID": ("12A", as_text)}, 1, "column MC_ID", "text"),
    "energies in text": ("observe", {}, {"ENERGY": ("12A", as_text)}, 1, "column ENERGY", "text"),
    "two energies per event": ("observe", {}, {"ENERGY": ("2D", doubled)}, 1, "column ENERGY", "2 values per event"),
    "times in two parts": ("observe", {}, {"TIME": ("2D", doubled)}, 1, "column TIME", "2 values per event"),
    "energies of yes and no": ("observe", {}, {"ENERGY": ("L", lambda values: values > 1)}, 1, "column ENERGY", "yes"),
    "an event without a number": ("observe", {}, {"EVENT_ID": ("D", set_row(np.nan))}, 1, "column EVENT_ID",
                                  "row 7: nan"),
    "half an event": ("observe", {}, {"EVENT_ID": ("D", set_row(0.5))}, 1, "column EVENT_ID", "row 7: 0.5"),
}  # fmt: skip


@pytest.mark.parametrize("name", LISTS)
def test_a_fault_of_an_observed_list_stops_the_step(run, tmp_path, refuse, name):
    step, cards, columns, copies, field, found = LISTS[name]
    path, words = export_list(run, tmp_path)
    change_list(path, cards, columns, copies)
    parts = refuse(words[step], file=path)
    assert field in parts["field"]
    assert found in parts["found"]


FRAMES = {
    "ICRS": {},
    "nothing": {"RADECSYS": None},
    "FK5": {"RADECSYS": "FK5"},
    "FK5 without an equinox": {"RADECSYS": None, "RADESYS": "FK5", "EQUINOX": None},
}


@pytest.mark.parametrize("name", FRAMES)
def test_lists_in_frames_of_2000_are_read(run, tmp_path, name):
    """Control: FK5 differs from ICRS by milliarcseconds, and not by zero; numbers of events may be stored as floats."""
    path, words = export_list(run, tmp_path)
    change_list(path, FRAMES[name], {"EVENT_ID": ("D", lambda values: values)}, 1)
    main_or_none(words["observe"])
    found, wanted = read_events(tmp_path / "out.h5"), read_events(run.simulate())
    off = np.abs(found.lat - wanted.lat).max()
    assert off < 2e-5
    assert (off > 1e-9) == ("FK5" in name)


# ---------------------------------------------------------------- tables of fractions


@pytest.mark.parametrize(
    ("shares", "found"),
    [((0.5, 0.5, 0.5), "= 1.5"), ((1.2, -0.2, 0.0), "1.2 + -0.2 + 0"), ((0.5, 0.4, "x"), "correct the cell")],
)
def test_fractions_that_do_not_fit_are_refused(run, tmp_path, refuse, shares, found):
    names = ("diffuse", "catalogue", "background")
    values = tmp_path / "values.csv"
    row = ",".join(str(share) for share in shares)
    values.write_text(f"{','.join(f'{name}_fraction' for name in names)}\n0.2,0.3,0.5\n{row}\n")
    words = ["evaluate", "--config", run.folder / "config.yaml", "--observation", run.observation, "--fit", "quick",
             "--data", run.gather(), "--table", values, "--out", tmp_path / "out.csv"]  # fmt: skip
    parts = refuse(words, found, file=values)
    assert "row 2" in parts["field"]
    values.write_text("\n".join(values.read_text().splitlines()[:2]) + "\n")
    evaluate.run(run.folder / "config.yaml", run.observation, run.gather(), "quick", values, tmp_path / "good.csv")


def test_a_single_event_is_enough(tmp_path, repository):
    """One event says little: fractions keep nearly their prior, and nothing breaks."""
    events = {"events": {"catalogue": 1, "diffuse": None, "background": None}}
    single = SmallEventRun(
        tmp_path / "run", repository, simulate=events, fits={"quick": ["laplace"], "reference": None}
    )
    assert read_marginals(single.gather()).counts.tolist() == [1.0]
    fit.run(**vars(single.arguments("quick")), out=tmp_path / "fit.nc")
    posterior = read_posterior(tmp_path / "fit.nc")
    share = posterior.flat("catalogue_fraction")
    assert np.isfinite(posterior.log_z)
    assert 1 / 3 - 0.05 < share.mean() < 0.55  # the prior's mean, or that of Dir(1, 1, 2) at most
    assert 0.15 < share.std() < 0.3

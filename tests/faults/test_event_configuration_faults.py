"""Faults of the configuration of events: exit code 2, told once, with file and line, and what to do."""

import pytest
from tests.faults.event_words import main_or_none

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
    "no pointing": ("[{lon: 0 deg, lat: 0 deg, time: 50 h}]", "[]", 2, "observation", "none", "pointings: [{lon"),
    "a margin inside": ("lat: {range: [-1 deg, 1 deg], step: 0.5 deg}\n",
                        "lat: {range: [-1 deg, 1 deg], step: 0.5 deg}\n  true: {margin: -1 deg}\n", 10,
                        "observation.true.margin", "-1 deg", "margin: 1 deg"),
    "energies of another unit": ("[0.2 TeV, 20 TeV]", "[1e-12 TeV, 1e12 TeV]", 7, "reconstructed.energy", "1e-12 TeV",
                                 "look at the units"),
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
    main_or_none(["validate", path])


def test_files_that_are_nowhere_are_told_by_their_keys(tmp_path, refuse):
    """All of them at once, before any step; a registered file may still have to be fetched."""
    path = tmp_path / "my.yaml"
    text = BASE.replace("irf: analytic", "irf: Prod9.fits").replace(
        "{sky: synthetic_diffuse}", "{sky: template, file: cloud.fits}"
    )
    path.write_text(text)
    parts = refuse(["validate", path], "observation.irf", "Prod9.fits", "model.components.diffuse.file", file=path)
    assert "skysift data list" in parts["do"]
    registered = "Prod5-South-20deg-AverageAz-14MSTs37SSTs.180000s-v0.1.fits.gz"
    path.write_text(BASE.replace("irf: analytic", f"irf: {registered}"))
    main_or_none(["validate", path])

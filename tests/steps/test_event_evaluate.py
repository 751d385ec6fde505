"""What `skysift evaluate` says of an event list, against integrals written out here: no bins, no folds."""

import re

import numpy as np
import pytest
from scipy.special import ndtr
from tests.steps.small_event_run import SmallEventRun

from skysift.cli import cli, main
from skysift.instruments.ctao import Pointing, analytic_irf
from skysift.instruments.ctao.event_list import read_events
from skysift.instruments.ctao.event_observation import read_event_observation
from skysift.models.events.marginals import read_marginals
from skysift.storage.hdf5 import read
from skysift.storage.tables import read_table

STAR, NORM, INDEX = (0.21, -0.13), 1e-12, 2.0
POINTINGS = [
    {"lon": "0 deg", "lat": "0 deg", "time": "50 h"},
    {"lon": "0.5 deg", "lat": "0.2 deg", "time": "10 h"},
]
SIDE = {"range": ["-0.8 deg", "0.8 deg"], "step": "0.4 deg"}
EVENTS = {"events": {"star": 25, "background": 15, "diffuse": None, "catalogue": None}}
MODEL = {
    "binned": False,
    "components": {
        "diffuse": None,
        "catalogue": None,
        "star": {
            "sky": "point",
            "center": [f"{STAR[0]} deg", f"{STAR[1]} deg"],
            "spectrum": {"norm": f"{NORM} TeV-1 cm-2 s-1", "index": INDEX},
        },
    },
}


@pytest.fixture(scope="module")
def run(tmp_path_factory, repository):
    """A point source and background, two pointings, 40 events each at its own place."""
    observation = {
        "pointings": POINTINGS,
        "reconstructed": {"energy": {"range": ["0.5 TeV", "20 TeV"], "points": 5}, "lon": SIDE, "lat": SIDE},
    }
    return SmallEventRun(
        tmp_path_factory.mktemp("run"), repository, observation=observation, model=MODEL,
        simulate=EVENTS, fits={"quick": ["laplace"], "reference": None},
    )  # fmt: skip


def integrate_star(irf, axes, pointing, energy, lon, lat):
    """Density of the star at events, and its number within the axes, by the midpoint rule in ln E."""
    edges = np.linspace(np.log(0.1), np.log(200.0), 4001)
    true = np.exp(0.5 * (edges[1:] + edges[:-1]))
    offset = float(pointing.offset_deg(*STAR))
    rate = NORM * true**-INDEX * irf.area_cm2(true, offset) * pointing.live_time_s * true * np.diff(edges)
    sigma = irf.psf_components(true, offset)[1][:, 0]
    cosine = np.cos(np.radians(STAR[1]))
    rho2 = ((lon[:, None] - STAR[0]) * cosine) ** 2 + (lat[:, None] - STAR[1]) ** 2
    psf = np.exp(-0.5 * rho2 / sigma**2) / (2 * np.pi * sigma**2)
    dispersion = irf.dispersion(true, energy[:, None] / true, offset) / true
    low, high = axes.energy.edges_tev[[0, -1]]
    kept = irf.dispersion_share(true, high / true, offset) - irf.dispersion_share(true, low / true, offset)
    for bounds, centre, scale in ((axes.grid.lon_edges_deg, STAR[0], cosine), (axes.grid.lat_edges_deg, STAR[1], 1.0)):
        kept = kept * (ndtr((bounds[-1] - centre) * scale / sigma) - ndtr((bounds[0] - centre) * scale / sigma))
    return (rate * psf * dispersion).sum(1), (rate * kept).sum()


def integrate_background(irf, axes, pointing, energy, lon, lat):
    """Density of the background at events, and its number within the axes, by the midpoint rule."""
    sides = [np.linspace(edges[0], edges[-1], 41) for edges in (axes.grid.lon_edges_deg, axes.grid.lat_edges_deg)]
    steps = np.linspace(*np.log(axes.energy.edges_tev[[0, -1]]), 201)
    middles = [0.5 * (edges[1:] + edges[:-1]) for edges in (steps, *sides)]
    log_energy, lons, lats = np.meshgrid(*middles, indexing="ij")
    volume = np.exp(log_energy) * (steps[1] - steps[0]) * np.cos(np.radians(lats))
    volume *= (sides[0][1] - sides[0][0]) * (sides[1][1] - sides[1][0])
    time = pointing.live_time_s
    total = (irf.background_at(np.exp(log_energy), lons, lats, pointing) * volume).sum() * time
    return irf.background_at(energy, lon, lat, pointing) * time, total


@pytest.fixture(scope="module")
def wanted(run):
    """ln p (event, component) of star and background."""
    irf, axes, events = (
        analytic_irf(),
        read_event_observation(run.observation).reconstructed,
        read_events(run.simulate()),
    )
    pointings = [Pointing(0.0, 0.0, 180000.0), Pointing(0.5, 0.2, 36000.0)]
    lon = (events.lon + 180) % 360 - 180
    columns = []
    for integrate in (integrate_star, integrate_background):
        density, total = np.zeros(len(events)), 0.0
        for number, pointing in enumerate(pointings):
            own = events.pointing == number
            density[own], part = integrate(irf, axes, pointing, events.energy[own], lon[own], events.lat[own])
            total += part
        columns.append(np.log(density / total))
    return np.stack(columns, 1)


SHARES = (0.2, 0.55, 0.9)
LINES = ["star_fraction,background_fraction", *(f"{f},{1 - f:.12g}" for f in SHARES)]


def evaluate(run, folder, data, fit="quick", lines=LINES):
    folder.mkdir(exist_ok=True)
    table = folder / "values.csv"
    table.write_text("\n".join(lines) + "\n")
    out = folder / "evaluated.csv"
    words = ["evaluate", "--config", run.folder / "config.yaml", "--observation", run.observation, "--data", data,
             "--fit", fit, "--table", table, "--out", out]  # fmt: skip
    with pytest.raises(SystemExit) as caught:
        main([str(word) for word in words])
    if caught.value.code:
        return caught.value.code
    return read_table(out), read(out.with_suffix(".h5"), format="expected")


def test_an_event_list_is_evaluated_as_integrals_have_it(run, wanted, tmp_path, capsys):
    rows, file = evaluate(run, tmp_path, run.simulate())
    names = file.attributes["components"]
    order = [names.index(name) for name in ("star", "background")]
    found = file["log_density"][:, :, order]
    near = wanted > wanted.max(0) - 12
    assert near[:, 0].sum() >= 25
    assert near[:, 1].all()
    assert np.abs(found - wanted)[:, near].max() < 5e-3
    for row, f in zip(rows, SHARES, strict=True):
        straight = np.log(np.exp(wanted) @ [f, 1 - f]).sum()
        assert float(row["log_likelihood"]) == pytest.approx(straight, abs=0.05)
        # flat on the simplex of two
        assert float(row["log_prior"]) == pytest.approx(0.0, abs=1e-12)
        assert float(row["star_counts"]) == pytest.approx(40 * f)
    # a wrong number would have been seen
    assert abs(float(rows[0]["log_likelihood"]) - float(rows[1]["log_likelihood"])) > 1
    told = capsys.readouterr().out
    for row, text in zip(rows, re.findall(r"row \d+: log likelihood (\S+),", told), strict=True):
        assert float(text) == pytest.approx(float(row["log_likelihood"]), rel=1e-14)
    first = next(line for line in told.splitlines() if line.split()[:1] == ["0"])
    np.testing.assert_allclose([float(word) for word in first.split()[1:]], file["log_density"][0, 0], rtol=1e-12)


def test_a_list_and_its_marginals_give_the_same_numbers(run, tmp_path):
    one = evaluate(run, tmp_path / "list", run.simulate())
    other = evaluate(run, tmp_path / "marginals", run.gather())
    assert one[0] == other[0]
    assert np.array_equal(one[1]["log_density"], other[1]["log_density"])
    assert len(read_marginals(run.gather()).counts) == 40


def test_help_says_what_is_read_and_written():
    text = cli.commands["evaluate"].help
    for words in ("diffuse_fraction", "log marginal of every event", "--table values.csv"):
        assert words in text


@pytest.fixture(scope="module")
def lists(run, tmp_path_factory):
    """The events as other tools have them: a data store of two lists."""
    folder = tmp_path_factory.mktemp("lists")
    words = ["export", "--observation", run.observation, "--data", run.simulate(), "--out-dir", folder]
    with pytest.raises(SystemExit) as caught:
        main([str(word) for word in words])
    assert not caught.value.code
    return folder


def test_lists_in_fits_give_the_same_numbers(run, lists, tmp_path, capsys):
    rows, file = evaluate(run, tmp_path / "fits", lists / "hdu-index.fits.gz")
    assert "40 events within the axes, 0 outside" in capsys.readouterr().err
    known, own = evaluate(run, tmp_path / "list", run.simulate())
    for row, other in zip(rows, known, strict=True):
        assert float(row["log_likelihood"]) == pytest.approx(float(other["log_likelihood"]), abs=1e-7)
    np.testing.assert_allclose(
        np.exp(np.sort(file["log_density"], 1)), np.exp(np.sort(own["log_density"], 1)), rtol=1e-6, atol=1e-9
    )


def test_a_list_of_one_of_two_pointings_is_not_enough(run, lists, tmp_path, capsys):
    assert evaluate(run, tmp_path, lists / "simulated-000_001.fits") == 2
    told = capsys.readouterr().err
    assert "2, one per pointing" in told
    assert "hdu-index.fits.gz" in told


@pytest.fixture(scope="module")
def forest(tmp_path_factory, repository):
    """The same three components with and without a tree of fractions, and with a free index."""
    tree = {"fractions": {"tree": {"noise": ["background"], "sky": ["diffuse", "catalogue"]}}}
    free = {"components": {"diffuse": {"sky": "synthetic_diffuse", "spectrum": {"index": {"uniform": [2, 3]}}}}}
    fits = {"quick": ["laplace"], "tree": {"sequence": ["laplace"], "model": tree},
            "free": {"sequence": ["laplace"], "model": free}, "reference": None}  # fmt: skip
    return SmallEventRun(tmp_path_factory.mktemp("forest"), repository, fits=fits)


def test_fractions_by_component_are_those_of_a_tree(forest, tmp_path):
    lines = ["background_fraction,catalogue_fraction,diffuse_fraction", "0.5,0.2,0.3", "1,0,0"]
    flat, _ = evaluate(forest, tmp_path / "flat", forest.gather(), lines=lines)
    rows, _ = evaluate(forest, tmp_path / "tree", forest.gather(), "tree", lines)
    for row, other in zip(rows, flat, strict=True):
        assert float(row["log_likelihood"]) == pytest.approx(float(other["log_likelihood"]), abs=1e-9)
        assert row["background_fraction"] == other["background_fraction"]
    # two of three leaves are sky: 2 f_sky, and flat between these two
    assert float(rows[0]["log_prior"]) == pytest.approx(np.log(2 * 0.5), abs=1e-12)
    assert float(flat[0]["log_prior"]) == pytest.approx(np.log(2), abs=1e-12)
    # the numbers of the parameters themselves
    lines = ["fractions[0],fractions[1],sky_fractions[0],sky_fractions[1]", "0.5,0.5,0.6,0.4"]
    own, _ = evaluate(forest, tmp_path / "own", forest.gather(), "tree", lines)
    assert float(own[0]["log_likelihood"]) == pytest.approx(float(rows[0]["log_likelihood"]), abs=1e-9)


@pytest.mark.parametrize(
    ("fit", "header", "found"),
    [
        ("tree", "background_fraction,diffuse_fraction", "no column catalogue_fraction"),
        ("tree", "background_fraction,diffuse_fraction,catalog_fraction", "catalog_fraction"),
        ("free", "background_fraction,diffuse_fraction,catalogue_fraction", "no column diffuse_index"),
        ("tree", "fractions[0],fractions[1]", "no column sky_fractions[0], sky_fractions[1]"),
    ],
)
def test_the_columns_that_are_wanted_are_told(forest, tmp_path, capsys, fit, header, found):
    line = ",".join("0.5" for _ in header.split(","))
    assert evaluate(forest, tmp_path, forest.gather(), fit, [header, line]) == 2
    told = capsys.readouterr().err
    assert f"found   {found}\n" in told
    assert "wanted  the columns diffuse_fraction, catalogue_fraction, background_fraction" in told
    assert ("diffuse_index" in told) == (fit == "free")


def test_values_outside_the_prior_are_told(forest, tmp_path, capsys):
    header = "background_fraction,diffuse_fraction,catalogue_fraction,diffuse_index"
    lines = [header, "0.5,0.3,0.2,2.5", "0.5,0.3,0.2,3.5"]
    rows, _ = evaluate(forest, tmp_path, forest.gather(), "free", lines)
    assert [float(row["log_prior"]) == -np.inf for row in rows] == [False, True]
    first, second = (line for line in capsys.readouterr().out.splitlines() if line.startswith("row "))
    assert second.endswith("log prior -inf: outside the prior")
    assert "outside" not in first


@pytest.mark.parametrize(
    ("shares", "found"),
    [((0.5, 0.5, 0.5), "= 1.5"), ((1.2, -0.2, 0.0), "1.2 + -0.2 + 0"), ((0.5, 0.4, "x"), "correct the cell"),
     ((0.5, 0.5, "nan"), "= nan")],
)  # fmt: skip
@pytest.mark.parametrize("fit", ["quick", "tree"])
def test_fractions_that_do_not_fit_are_refused(forest, tmp_path, capsys, fit, shares, found):
    lines = ["diffuse_fraction,catalogue_fraction,background_fraction", "0.2,0.3,0.5", ",".join(map(str, shares))]
    assert evaluate(forest, tmp_path, forest.gather(), fit, lines) == 2
    told = capsys.readouterr().err
    assert found in told
    assert "row 2" in told
    assert f"input error in {tmp_path / 'values.csv'}" in told
    assert not (tmp_path / "evaluated.csv").exists()


@pytest.mark.parametrize("shares", ["0.5,0.5,0.7,0.4", "0.6,0.5,0.6,0.4", "1.5,-0.5,0.6,0.4"])
def test_own_numbers_of_a_tree_that_do_not_fit_are_refused(forest, tmp_path, capsys, shares):
    """The same check as for fractions; it also serves branching ratios."""
    lines = ["fractions[0],fractions[1],sky_fractions[0],sky_fractions[1]", shares]
    assert evaluate(forest, tmp_path, forest.gather(), "tree", lines) == 2
    assert "wanted  numbers >= 0 that sum to 1" in capsys.readouterr().err

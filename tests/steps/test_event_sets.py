"""Simulated sets as a configuration states them, and one observation cut in two: numbers, truths, the same answer."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from tests.steps.small_event_run import SmallEventRun

from skysift.instruments.ctao.event_list import read_events, write_events
from skysift.instruments.ctao.event_observation import read_event_observation
from skysift.models.events.marginals import read_marginals
from skysift.models.events.prediction import predict_cube
from skysift.steps.events import evaluate, fit, marginalise
from skysift.steps.events.sources import open_responses, read_responses
from skysift.storage.hdf5 import collect
from skysift.storage.posterior import read_posterior
from skysift.storage.tables import read_table

SIDE = {"range": ["-0.8 deg", "0.8 deg"], "step": "0.4 deg"}
AXES = {
    "reconstructed": {"energy": {"range": ["0.5 TeV", "20 TeV"], "points": 5}, "lon": SIDE, "lat": SIDE},
    "true": {"refine": 2},
}
HERE = {"lon": "0 deg", "lat": "0 deg"}
TWO = [{**HERE, "time": "50 h"}, {"lon": "0.5 deg", "lat": "0.1 deg", "time": "10 h"}]
QUICK = {"quick": ["laplace"], "reference": None}
SETS = {
    "total": {"replicates": 2, "events": 100, "truth": {"diffuse": 0.335, "catalogue": 0.335, "background": 0.33}},
    "means": {"replicates": 3, "events": {"background": 60, "catalogue": 40}, "poisson": True},
    "parts": {"events": 200, "truth": {"diffuse": 0.5, "background": 0.5}, "poisson": True},
    "sky": {"replicates": 2, "events": "physical", "truth": {"catalogue": 3}},
}
NORMS = {"diffuse": 1.0, "catalogue": 3.0, "background": 0.02}


@pytest.fixture(scope="module")
def run(tmp_path_factory, repository):
    """Two pointings and sets of every kind; norms that are absolute."""
    kinds = {"diffuse": {"sky": "synthetic_diffuse"}, "background": {"instrument": "background"}}
    components = {name: {**kind, "norm": NORMS[name]} for name, kind in kinds.items()}
    components["catalogue"] = {"sky": "synthetic_catalogue", "norm": {"uniform": [0, 10]}}
    return SmallEventRun(
        tmp_path_factory.mktemp("run"), repository, observation={**AXES, "pointings": TWO},
        simulate={"events": None, "sets": SETS}, fits={**QUICK, "quick": {"sequence": ["laplace"], "data": ["sky"]}},
        model={"likelihood": "extended", "components": components},
    )  # fmt: skip


def test_a_total_is_shared_out_in_whole_numbers(run):
    for number in range(2):
        truth = read_events(run.simulate(f"total-{number:03d}")).truth
        assert sum(truth["counts"].values()) == 100
        # 33.5, 33.5 and 33: one of the halves is rounded up
        assert sorted(truth["counts"].values()) == [33, 33, 34]
        assert truth["fractions"] == pytest.approx({name: count / 100 for name, count in truth["counts"].items()})


@pytest.mark.statistics
def test_means_and_parts_of_a_total_are_poisson(run):
    """False failures: 1e-4."""
    lists = [read_events(run.simulate(f"means-{number:03d}")) for number in range(3)]
    numbers = [events.truth["counts"]["background"] for events in lists]
    assert len(set(numbers)) > 1
    assert stats.poisson.cdf(sum(numbers), 180) == pytest.approx(0.5, abs=0.49995)
    assert lists[0].truth["counts"]["diffuse"] == 0
    parts = read_events(run.simulate("parts-000"))
    assert stats.poisson.cdf(len(parts), 200) == pytest.approx(0.5, abs=0.49995)
    assert parts.truth["fractions"] == pytest.approx({"diffuse": 0.5, "background": 0.5, "catalogue": 0})


def expected_counts(run):
    """Events of each component at norm one, by pointing."""
    looked_at = read_event_observation(run.observation)
    responses = read_responses(run.responses, open_responses(looked_at, run.observation), looked_at)
    found = {}
    for name in NORMS:
        found[name] = []
        for number, pointing in enumerate(looked_at.pointings):
            alone = replace(looked_at, pointings=(pointing,), responses=looked_at.responses[number : number + 1])
            found[name].append(
                predict_cube(
                    run.analysis.model.components[name], looked_at.lights.get(name), alone, [responses[number]]
                ).sum()
            )
    return found


@pytest.mark.statistics
def test_physical_numbers_are_poisson_about_norm_times_flux_in_each_pointing(run):
    """False failures: 14 tests of 1e-5."""
    expected = expected_counts(run)
    lists = [read_events(run.simulate(f"sky-{number:03d}")) for number in range(2)]
    for events in lists:
        assert events.truth["norms"] == pytest.approx(NORMS)
        for name, counts in expected.items():
            own = events.pointing[events.component == events.components.index(name)]
            assert events.truth["counts"][name] == len(own)
            for number, mean in enumerate(counts):
                seen = int((own == number).sum())
                assert stats.poisson.cdf(seen, NORMS[name] * mean) == pytest.approx(0.5, abs=0.499995), (name, number)
    # replicates are draws of their own, of one sky
    assert not np.array_equal(lists[0].energy[:20], lists[1].energy[:20])
    # the control: numbers of half the flux are no draws from it
    assert stats.poisson.cdf(lists[0].truth["counts"]["background"], 0.01 * sum(expected["background"])) > 1 - 1e-5


def test_a_fit_of_absolute_norms_knows_their_truth(run):
    out = run.folder / "fits" / "sky-000.nc"
    fit.run(**vars(run.arguments("quick", "sky-000")), out=out)
    posterior = read_posterior(out)
    norm = posterior.flat("catalogue_norm")
    assert posterior.variables["catalogue_norm"].truth == 3
    assert abs(norm.mean() - 3) < 5 * norm.std()


# ---------------------------------------------------------------- one observation cut in two


@pytest.fixture(scope="module")
def pair(tmp_path_factory, repository):
    """50 h, and twice 25 h at the same place; the second with the events of the first."""
    made = []
    for times in (["50 h"], ["25 h", "25 h"]):
        pointings = [{**HERE, "time": time} for time in times]
        made.append(
            SmallEventRun(
                tmp_path_factory.mktemp("half"), repository, observation={**AXES, "pointings": pointings}, fits=QUICK,
                simulate={"events": {"background": 100, "diffuse": 40, "catalogue": 60}},
            )
        )  # fmt: skip
    whole, halves = made
    events = read_events(whole.simulate())
    drawn = replace(events, pointing=np.random.default_rng(3).integers(0, 2, len(events)))
    path = halves.folder / "data" / "simulated-000.h5"
    write_events(path, drawn, collect("x", 1, b"", []), {})
    return whole, halves


def log_likelihoods(run, folder, is_binned):
    """Log likelihoods at three sets of fractions."""
    name = "binned" if is_binned else "each"
    text = run.slice("marginalise").read_text()
    assert "binned: true" in text
    config = folder / f"{name}.yaml"
    config.write_text(text.replace("binned: true", f"binned: {str(is_binned).lower()}"))
    marginals = folder / f"{name}.h5"
    marginalise.run(config, run.observation, run.responses, run.simulate(), "0/1", marginals)
    table = folder / "values.csv"
    table.write_text(
        "diffuse_fraction,catalogue_fraction,background_fraction\n0.2,0.3,0.5\n0.6,0.3,0.1\n0.01,0.9,0.09\n"
    )
    out = folder / f"{name}.csv"
    evaluate.run(run.folder / "config.yaml", run.observation, marginals, "quick", table, out)
    return np.array([float(row["log_likelihood"]) for row in read_table(out)])


@pytest.mark.parametrize("is_binned", [True, False])
def test_two_halves_of_an_observation_say_what_the_whole_says(pair, tmp_path, is_binned):
    found = []
    for number, run in enumerate(pair):
        folder = tmp_path / str(number)
        folder.mkdir()
        found.append(log_likelihoods(run, folder, is_binned))
    # which half an event belongs to says nothing about its source: one in two, 200 times
    np.testing.assert_allclose(found[1], found[0] + 200 * np.log(0.5), rtol=1e-11)


def test_density_of_an_event_is_shared_by_all_pointings(run):
    """p(r, o | s) = n_o(r) / sum of N over pointings, looped over occupied bins."""
    looked_at = read_event_observation(run.observation)
    marginals = read_marginals(run.gather("total-000"))
    responses = read_responses(run.responses, open_responses(looked_at, run.observation), looked_at)
    events = read_events(run.simulate("total-000"))
    volumes = looked_at.reconstructed.volumes_tev_deg2
    bins = looked_at.reconstructed.find(events.energy, events.lon, events.lat)
    occupied = sorted(set(zip(events.pointing.tolist(), bins.tolist(), strict=True)))
    for name in NORMS:
        cubes = []
        for number, pointing in enumerate(looked_at.pointings):
            alone = replace(looked_at, pointings=(pointing,), responses=looked_at.responses[number : number + 1])
            cubes.append(
                predict_cube(
                    run.analysis.model.components[name], looked_at.lights.get(name), alone, [responses[number]]
                )
            )
        total = sum(cube.sum() for cube in cubes)
        column = marginals.columns[name]
        for row, (number, place) in enumerate(occupied):
            assert marginals.pointing[row] == number
            straight = cubes[number].ravel()[place] / volumes.ravel()[place] / total
            assert column.density[row] / column.totals == pytest.approx(straight, rel=1e-10)

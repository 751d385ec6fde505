"""Trials of a fit on its own model's data: the same however they are cut, kept when they fail, judged with controls."""

from dataclasses import replace

import numpy as np
import pytest
from tests.steps.small_event_run import SmallEventRun
from tests.steps.small_run import COMPONENTS, SmallRun, modulated

from skysift.config import ConfigurationError, load_slice, resolve
from skysift.errors import InputError, NumericsError
from skysift.plots.calibration import plot_ranks
from skysift.steps import calibrate
from skysift.steps.events import calibrate as calibrate_events
from skysift.steps.ranks import gather_ranks, judge, rank_rows
from skysift.steps.trials import Batch, Trial, parse_batch, read_trials, run_trials, write_trials
from skysift.storage.hdf5 import Provenance

OPEN = {"variance": {"lognormal": [0.01, 0.7]}}
FITS = {
    "quick": ["laplace"],
    "bent": {"model": modulated(), "sequence": [{"laplace": {"importance": 0}}]},
    "open": {"model": modulated(**OPEN, grid=3), "sequence": [{"laplace": {"importance": 0}}]},
    "highest": {"model": modulated(**OPEN, hyper="maximised"), "sequence": [{"laplace": {"importance": 0}}]},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    keys = {"calibrate": {"simulations": 4, "per_job": 2, "draws": 30}}
    return SmallRun(tmp_path_factory.mktemp("trials"), fits=FITS, truth={"diffuse": 12, "gce": 1}, nside=8, **keys)


def try_fit(run, fit, batch, name, per_job=None):
    config = run.slice(f"calibrate-{fit}")
    if per_job is not None:
        text = config.read_text().replace("per_job: 2", f"per_job: {per_job}")
        config = config.with_name(f"other-{fit}.yaml")
        config.write_text(text)
    out = run.folder / "calibration" / name / f"{batch.replace('/', '-of-')}.h5"
    calibrate.run(config=config, observation=run.observation, batch=batch, out=out)
    return out


def test_batches_hold_the_same_whatever_their_size(run):
    parts = [try_fit(run, "quick", f"{k}/2", "quick") for k in (1, 0)]
    whole = read_trials([try_fit(run, "quick", "0/1", "whole", per_job=4)], "quick")
    joined = read_trials(parts, "quick")
    assert joined.names == ("diffuse_norm", "isotropic_norm", "gce_norm", "log_density")
    assert joined.numbers.tolist() == [0, 1, 2, 3]
    np.testing.assert_array_equal(joined.truths, whole.truths)
    np.testing.assert_array_equal(joined.draws, whole.draws)
    assert joined.draws.shape == (4, 30, 4)
    assert len(np.unique(joined.truths[:, 0])) == 4
    with pytest.raises(InputError, match="there twice"):
        read_trials([parts[0], parts[0]], "quick")
    with pytest.raises(InputError, match="bent"):
        read_trials(parts, "bent")


def test_counts_under_a_field_are_ranked_with_the_norms(run):
    batch = read_trials([try_fit(run, "bent", "0/2", "bent")], "bent")
    assert "diffuse_counts" in batch.names
    assert not [name for name in batch.names if "field" in name]
    pull = (batch.truths - batch.draws.mean(1)) / batch.draws.std(1)
    assert np.abs(pull).max() < 8


def test_integrated_hyper_parameters_are_ranked_between_their_nodes(run):
    batch = read_trials([try_fit(run, "open", "0/2", "open")], "open")
    column = batch.names.index("diffuse_variance")
    draws = batch.draws[:, :, column]
    assert len(np.unique(draws[0])) == 30
    assert (draws > 0).all()
    pull = np.log(batch.truths[:, column] / np.exp(np.log(draws).mean(1))) / np.log(draws).std(1)
    assert np.abs(pull).max() < 8
    assert "log_density" not in batch.names


def test_what_is_not_ranked_is_told(run):
    told = {}
    for fit in ("quick", "bent", "open", "highest"):
        batch = read_trials([try_fit(run, fit, "0/2", f"told-{fit}")], fit)
        told[fit] = dict(text.split(": ") for text in batch.unranked)
        assert not told[fit].keys() & set(batch.names)
    assert told["quick"] == {}
    assert set(told["bent"]) == {"diffuse_field"}
    assert set(told["open"]) == {"diffuse_field", "log_density"}
    assert set(told["highest"]) == {"diffuse_field", "diffuse_variance", "log_density"}
    batch = replace(make_batch(300), unranked=("c: 28 numbers",))
    last = list(rank_rows([judge("good", batch, 1)]))[-1]
    assert (last["quantity"], last["verdict"], last["why"]) == ("c", "not ranked", "28 numbers")


def test_events_are_tried_in_the_same_way(tmp_path, repository):
    keys = {"calibrate": {"simulations": 2, "per_job": 2, "draws": 40, "fits": ["quick"]}}
    run = SmallEventRun(tmp_path, repository, **keys)
    out = tmp_path / "calibration" / "quick" / "000.h5"
    calibrate_events.run(run.slice("calibrate-quick"), run.observation, "0/1", out, run.responses)
    batch = read_trials([out], "quick")
    assert batch.names == ("diffuse_fraction", "catalogue_fraction", "background_fraction", "log_density")
    assert batch.unranked == ()
    np.testing.assert_allclose(batch.truths[:, :3].sum(1), 1)
    pull = (batch.truths - batch.draws.mean(1)) / batch.draws.std(1)
    assert np.abs(pull).max() < 8


def test_a_fit_that_fails_keeps_its_truth(capsys):
    def attempt(number):
        if number == 1:
            raise NumericsError("no finite start")
        return Trial({"a": 0.5}, {"a": np.arange(20.0)}, True, 1.0)

    batch = run_trials(range(3), attempt, lambda number: {"a": 10.0 + number})
    assert batch.truths[:, 0].tolist() == [0.5, 11.0, 0.5]
    assert batch.is_failed.tolist() == [False, True, False]
    assert np.isnan(batch.draws[1]).all()
    assert "simulation 1: no finite start" in capsys.readouterr().err


def test_a_batch_of_failures_alone_joins_the_others(tmp_path):
    def attempt(number):
        if number == 1:
            raise NumericsError("no finite start")
        return Trial({"b": 2.0, "a": 0.5, "z": 1.0}, {"a": np.arange(20.0), "z": np.arange(20.0)}, True, 1.0)

    for number in range(3):
        batch = run_trials([number], attempt, lambda number: {"b": 3.0, "a": 10.0})
        write_trials(tmp_path / f"00{number}.h5", "quick", batch, Provenance())
    joined = read_trials(tmp_path.glob("*.h5"), "quick")
    assert joined.names == ("a", "z")
    assert joined.is_failed.tolist() == [False, True, False]
    np.testing.assert_array_equal(joined.truths, [[0.5, 1.0], [10.0, np.nan], [0.5, 1.0]])
    assert joined.draws.shape == (3, 20, 2)
    assert np.isnan(joined.draws[1]).all()


def test_what_earlier_configurations_left_is_not_taken(run, tmp_path):
    """Batches beyond those expected are no one's; among those expected, others than the rest are refused."""
    settings = load_slice(run.slice("report"), "report")
    assert settings.calibrated == dict.fromkeys(FITS, 2)
    folder = tmp_path / "calibration" / "quick"

    def write(number, configuration, inputs="1"):
        count = 200
        batch = replace(make_batch(count, seed=number), numbers=np.arange(count) + count * number)
        origin = Provenance(configuration=configuration, inputs={"observation.h5": inputs})
        write_trials(folder / f"{number:03d}.h5", "quick", batch, origin)

    write(0, "new")
    found = gather_ranks(tmp_path, settings)[0]
    assert (found.verdict, found.why) == ("undecided", ("1 of 2 batches are missing",))
    write(1, "new")
    write(2, "old")
    found = gather_ranks(tmp_path, settings)[0]
    assert (found.verdict, len(found.batch.numbers)) == ("calibrated", 400)
    write(1, "old")
    assert "another configuration than that of 000.h5" in gather_ranks(tmp_path, settings)[0].problem
    write(1, "new", inputs="2")
    assert "another observation than that of 000.h5" in gather_ranks(tmp_path, settings)[0].problem


def make_batch(count, scale=1.0, failed=0, seed=1):
    """Truths and draws from one Gaussian for each simulation: calibrated by construction at ``scale`` 1."""
    random = np.random.default_rng(seed)
    centre = random.normal(size=(count, 1, 2))
    draws = centre + scale * random.normal(size=(count, 200, 2))
    truths = (centre + random.normal(size=(count, 1, 2)))[:, 0]
    state = np.ones(count, dtype=np.int64)
    state[:failed] = -1
    draws[:failed] = np.nan
    return Batch(("a", "b"), np.arange(count), truths, draws, state, np.ones(count))


def test_verdicts():
    good = judge("good", make_batch(300), 1)
    assert (good.verdict, good.blind) == ("calibrated", ())
    assert judge("narrow", make_batch(300, scale=0.7), 1).verdict == "not calibrated"
    assert judge("wide", make_batch(300, scale=1.4), 1).verdict == "not calibrated"
    few = judge("few", make_batch(21), 1)
    assert few.verdict == "undecided"
    assert "would not show" in few.why[0]
    assert judge("fewer", make_batch(10), 1).why[0].startswith("10 posteriors of 10 simulations")
    failed = judge("failed", make_batch(300, failed=20), 1)
    assert failed.verdict == "not calibrated"
    assert failed.why == ("20 of 300 fits failed",)
    rows = list(rank_rows([good, failed]))
    assert [row["n"] for row in rows] == [300, 300, 300, 280, 280, 280]
    assert [row["quantity"] for row in rows[:3]] == ["a", "b", "joint"]
    assert {row["verdict"] for row in rows[:3]} == {"calibrated"}
    assert {row["controls_seen"] for row in rows[:3]} == {"sd x 0.7, mean + 0.5 sd"}


def test_figure_shows_what_the_numbers_say():
    found = judge("good", make_batch(300), 1).found
    figure, table = plot_ranks(found, ("a", "b"))
    assert len(figure.axes) == 3
    assert ((table["a"] >= table["band_low"]) & (table["a"] <= table["band_high"])).all()
    narrow = plot_ranks(judge("narrow", make_batch(300, scale=0.7), 1).found, ("a", "b"))[1]
    assert not ((narrow["a"] >= narrow["band_low"]) & (narrow["a"] <= narrow["band_high"])).all()


def test_missing_and_foreign_files_are_told_not_raised(run, tmp_path):
    settings = load_slice(run.slice("report"), "report")
    found = gather_ranks(tmp_path, settings)
    assert [one.fit for one in found] == list(FITS)
    assert all("no simulations" in one.problem for one in found)
    broken = tmp_path / "calibration" / "quick" / "000.h5"
    broken.parent.mkdir(parents=True)
    broken.write_bytes(b"nothing")
    assert "000.h5" in gather_ranks(tmp_path, settings)[0].problem


@pytest.mark.parametrize("text", ["2/2", "0/3", "x", "-1/2", "0"])
def test_a_batch_that_is_none_is_refused(text):
    with pytest.raises(InputError, match="0/2 to 1/2"):
        parse_batch(text, 2)


def configure(**keys):
    return resolve(
        {
            "run": "test",
            "observation": {"data": "synthetic", "region": {"radius": "20 deg"}},
            "simulate": {"truth": {"gce": 1}},
            "model": {"components": COMPONENTS},
            "fits": {"quick": ["laplace"], "legacy": {"recipe": "legacy", "model": modulated()}},
            **keys,
        }
    )


def test_recipes_are_left_out_and_nonsense_is_told():
    assert configure(calibrate=100).calibrated_fits() == ["quick"]
    fixed = {**COMPONENTS, "diffuse": {"template": "diffuse", "norm": {"fixed": "rigid_fit"}}}
    for keys, word in [
        ({"calibrate": {"fits": ["quik"]}}, "quick"),
        ({"calibrate": {"fits": ["legacy"]}}, "recipe"),
        ({"calibrate": 10, "model": {"components": fixed}, "fits": {"quick": ["laplace"]}}, "rigid_fit"),
    ]:
        with pytest.raises(ConfigurationError, match=word) as caught:
            configure(**keys)
        assert caught.value.field.startswith("calibrate")

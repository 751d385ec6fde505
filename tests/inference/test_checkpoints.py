"""Engines that are killed again and again go on to the answer of an uninterrupted run, to the last bit."""

import time

import numpy as np
import pytest
import torch
from tests.contracts.guide_contract import PoissonPatch
from tests.contracts.toys import Gaussian, PoissonField, Rosenbrock, TwoModes
from tests.inference.kills import Killed, Mortal, assert_same, run_with_kills
from tests.inference.scales import Scales

from skysift.inference import Start, Stream, hmc, sequence
from skysift.inference.checkpoint import NOWHERE, Checkpoint, Notes, decode, encode
from skysift.inference.guides.training import _Training
from skysift.inference.nested.journal import Journal
from skysift.inference.sampler import Sampler
from skysift.inference.target import Target

KILLS = 20
CHAINS = {"chains": 8, "warmup": 60, "draws": 30, "max_draws": 90}
BRIEF = {"restarts": 2, "evaluate": 1500, "draws": 400}


def patch():
    return PoissonPatch(pixels=60, numbers=8)


def small():
    return Gaussian(2)


def scales():
    return Scales(nodes=3)


CASES = {
    "map-newton": (PoissonField, [("map", {"starts": 8})]),
    "map-adam": (TwoModes, [("map", {"steps": 40, "starts": 8})]),
    "map-curved": (Rosenbrock, [("map", {"steps": 60, "starts": 8})]),
    "laplace": (PoissonField, [("laplace", {})]),
    "laplace-hyper": (scales, [("laplace", {"importance": 200})]),
    "grid": (PoissonField, [("grid", {"parameter": "bump_norm", "values": 6, "importance": 200})]),
    "grid-hyper": (scales, [("grid", {"parameter": "level", "values": 6, "importance": 0})]),
    "hmc": (Gaussian, [("hmc", CHAINS)]),
    "hmc-field": (patch, [("hmc", {**CHAINS, "warmup": 40, "draws": 30, "max_draws": 30})]),
    "svi-mvn": (PoissonField, [("svi", {"guide": "mvn", **BRIEF})]),
    "svi-iaf": (patch, [("svi", {"guide": "iaf", "steps": 20, **BRIEF})]),
    "svi-conditional": (patch, [("svi", {"guide": "conditional_iaf", "steps": 20, **BRIEF})]),
    "svi-flow": (patch, [("svi", {"guide": "flow", **BRIEF})]),
    "svi-published": (patch, [("svi", {"guide": "iaf", "published": True, "steps": 20, **BRIEF})]),
    "svi-batch": (patch, [("svi", {"guide": "mvn", "batch": 20, "steps": 40, **BRIEF})]),
    "svi-norms": (Gaussian, [("svi", {"guide": "flow", "steps": 25, **BRIEF})]),
    "nested-uniform": (small, [("nested", {"live": 25, "dlogz": 0.1})]),
    "nested-slices": (small, [("nested", {"live": 40, "sample": "rslice", "dlogz": 0.5})]),
    "nested-walks": (small, [("nested", {"live": 40, "sample": "rwalk", "dlogz": 0.5})]),
    "nested-dynamic": (small, [("nested", {"live": 40, "effective": 200, "runs": 2})]),
    "nested-nautilus": (small, [("nested", {"library": "nautilus", "live": 100, "effective": 300})]),
    "sequence": (
        Gaussian,
        [
            ("map", {"steps": 30, "starts": 4}),
            ("laplace", {"importance": 500}),
            ("svi", {"guide": "mvn", "steps": 40, **BRIEF}),
            ("hmc", CHAINS),
        ],
    ),
}


#: the same loops with other guides: run by `make test-all`
LONGER = (
    "svi-norms",
    "nested-slices",
    "nested-walks",
    "nested-dynamic",
    "nested-nautilus",
    "hmc-field",
    "map-curved",
    "svi-iaf",
    "svi-conditional",
    "svi-flow",
    "svi-published",
)


@pytest.mark.parametrize("case", [pytest.param(case, marks=[pytest.mark.slow] * (case in LONGER)) for case in CASES])
def test_killed_at_twenty_moments_and_more(case, seed):
    make, steps = CASES[case]
    whole, runs = run_with_kills(make, steps, seed, KILLS)
    for found in runs:
        assert_same(whole, found)


# ---------------------------------------------------------------- controls: what is forgotten shows


def forget(monkeypatch, owner, change):
    """Let ``owner.load`` lose a part of the state."""
    load = owner.load

    def lossy(self, state):
        load(self, change(self, dict(state)))

    monkeypatch.setattr(owner, "load", lossy)


def differs(case, seed):
    whole, [found, *_] = run_with_kills(*CASES[case], seed, KILLS)
    with pytest.raises(AssertionError):
        assert_same(whole, found)
    return True


def test_control_momenta_begin_anew(monkeypatch, seed):
    forget(monkeypatch, Sampler, lambda sampler, state: state | {"momenta": sampler.generator.get_state()})
    assert differs("hmc", seed)


def test_control_step_search_begins_anew(monkeypatch, seed):
    forget(monkeypatch, Sampler, lambda sampler, state: state | {"search": sampler.search.state()})
    assert differs("hmc", seed)


def test_control_noise_begins_anew(monkeypatch, seed):
    fresh = lambda training: {name: one.get_state() for name, one in training.generators.items()}  # noqa: E731
    forget(monkeypatch, _Training, lambda training, state: state | {"generators": fresh(training)})
    assert differs("svi-mvn", seed)


def test_control_optimiser_begins_anew(monkeypatch, seed):
    def begin_anew(training, state):
        return state | {"optimiser": training.optimiser and training.optimiser.state()}

    forget(monkeypatch, _Training, begin_anew)
    assert differs("svi-norms", seed)


@pytest.mark.slow
def test_control_regression_forgets(monkeypatch, seed):
    forget(monkeypatch, _Training, lambda training, state: state | {"memory": training.guide.memory()})
    assert differs("svi-flow", seed)


# ---------------------------------------------------------------- what is kept


def test_states_come_back_bit_by_bit():
    transposed = torch.arange(6.0).reshape(2, 3).T
    state = {
        "columns": transposed,
        "cube": torch.rand(2, 3, 4).permute(2, 0, 1),
        "part": torch.arange(10.0)[::2],
        "scalar": torch.tensor(float("nan"), dtype=torch.float64),
        "empty": torch.zeros(0, 3),
        "flags": torch.tensor([True, False]),
        "random": torch.Generator().manual_seed(3).get_state(),
        "array": np.arange(3),
        "numbers": [1, 0.1 + 0.2, float("-inf"), True, None, "text", 2**100],
        "nested": {"a": [{"b": torch.ones(1)}]},
    }
    kept = encode(state)
    transposed[0, 0] = 9.0
    found = decode(kept)
    assert found["columns"][0, 0] == 0.0, "a copy was kept"
    assert found["columns"].stride() == transposed.stride()
    assert found["cube"].stride() == state["cube"].stride()
    assert torch.equal(found["part"], state["part"])
    assert torch.isnan(found["scalar"])
    assert found["scalar"].shape == ()
    assert found["scalar"].dtype == torch.float64
    assert found["empty"].shape == (0, 3)
    assert found["flags"].tolist() == [True, False]
    assert torch.equal(found["random"], state["random"])
    assert isinstance(found["array"], np.ndarray)
    assert found["numbers"] == state["numbers"]
    assert torch.equal(found["nested"]["a"][0]["b"], torch.ones(1))
    found["flags"][0] = False
    assert decode(kept)["flags"].tolist() == [True, False], "what was kept stays as it is"


@pytest.mark.parametrize(
    "state", [{"a": object()}, {1: 2.0}, {"#": 3}, [np.array(["text"])], [np.array([{}], dtype=object)], {"f": print}]
)
def test_states_hold_no_code(state):
    with pytest.raises(TypeError):
        encode(state)


class Keeper:
    """Notes on a clock that only moves when it is told to."""

    def __init__(self, every_s=60.0, cost_s=0.0):
        self.every_s, self.cost_s, self.share = every_s, cost_s, 0.005
        self.now, self.must_stop, self.written = 0.0, False, []

    def write(self, content, place, step):
        self.now += self.cost_s
        self.written.append((sorted(content), place, step))

    def leave(self):
        raise InterruptedError

    def open(self):
        return Checkpoint(Notes(self, clock=lambda: self.now))


def test_notes_are_written_now_and_then():
    keeper = Keeper()
    checkpoint, asked = keeper.open().child("a"), []
    for _ in range(300):
        keeper.now += 1.0
        checkpoint.save(lambda: asked.append(1) or {"step": 7})
    assert keeper.written == [(["a"], "a", 7)] * 5
    assert len(asked) == 5, "a state that nobody writes was made"


def test_what_takes_long_to_write_is_written_less_often():
    keeper = Keeper(every_s=60.0, cost_s=3.0)
    checkpoint = keeper.open()
    while keeper.now < 36_000:
        keeper.now += 1.0
        checkpoint.save(dict)
    assert 50 < len(keeper.written) < 65
    assert len(keeper.written) * keeper.cost_s < 0.01 * keeper.now


def test_a_run_that_must_stop_stops_where_it_can_go_on():
    keeper = Keeper()
    checkpoint = keeper.open().child("a")
    checkpoint.save(lambda: {"step": 1})
    assert not keeper.written
    keeper.must_stop = True
    with pytest.raises(InterruptedError):
        checkpoint.save(lambda: {"step": 2})
    assert keeper.written == [(["a"], "a", 2)]
    assert checkpoint.load() == {"step": 2}


def test_a_piece_of_work_is_done_once():
    keeper = Keeper()
    place, made = keeper.open().child("a"), []

    def work(here):
        made.append(here.load())
        here.child("below").once(lambda _: 1)
        keeper.must_stop = len(made) == 1
        here.save(lambda: {"half": True})
        return (torch.ones(2), 3)

    with pytest.raises(InterruptedError):
        place.once(work)
    assert sorted(place.notes.content) == ["a"], "what lies below is part of what is kept here"
    keeper.must_stop = False
    for _ in range(3):
        ones, number = place.once(work)
        assert torch.equal(ones, torch.ones(2))
        assert number == 3
    assert made == [None, {"half": True}]
    assert place.load() is None, "what is done is no state to go on from"


def test_places_are_apart():
    keeper = Keeper(every_s=0.0)
    root = keeper.open()
    root.child("a").once(lambda _: 1)
    root.child("ab").once(lambda _: 2)
    root.child("a", "b").once(lambda _: 3)
    root.child("a").save(lambda: {"x": 1})
    assert sorted(root.notes.content) == ["a", "ab"]


def test_costs_go_on():
    target = Target(Gaussian(2))
    keeper = Keeper(every_s=0.0)
    place = keeper.open().metered(target).child("a")
    target.log_density(torch.zeros(5, 2))
    spent = place.cost()["cpu_seconds"]
    place.save(lambda: {"x": 1})
    again = Target(Gaussian(2))
    place = Checkpoint(Notes(keeper, place.notes.content)).metered(again).child("a")
    assert again.calls == 0
    place.load()
    assert again.calls == 5
    assert place.cost()["cpu_seconds"] >= spent
    assert NOWHERE.cost() == {}


def test_nobody_writes_nowhere():
    NOWHERE.child("a").save(lambda: pytest.fail("a state was made"))
    assert NOWHERE.child("a").once(lambda _: 1) == 1
    assert NOWHERE.notes.content == {}


def test_offering_a_state_costs_next_to_nothing():
    """A step of an engine takes a millisecond and more; offering its state less than a hundredth of that."""
    checkpoint = Keeper().open().child("a", "b")
    begin = time.process_time()
    for _ in range(20_000):
        checkpoint.save(dict)
    assert time.process_time() - begin < 20_000 * 1e-5


def test_finished_stages_are_not_run_again(seed, monkeypatch):
    """Killed in its last engine, a sequence does not even import what the first ones would need."""
    steps = [("map", {"steps": 30, "starts": 4}), ("hmc", CHAINS)]
    keeper = Keeper(every_s=0.0)
    checkpoint = keeper.open()
    whole = sequence.run(Gaussian(), steps, Stream(seed), checkpoint)
    ended = Checkpoint(Notes(keeper, checkpoint.notes.content))
    for name in ("map", "hmc"):
        monkeypatch.setattr(sequence.load_engine(name), "run", lambda *_: pytest.fail("it was run again"))
    assert_same(whole, sequence.run(Gaussian(), steps, Stream(seed), ended))


def test_engines_alone_need_no_checkpoint(seed):
    settings = hmc.Settings(chains=2, warmup=10, draws=5, max_draws=5)
    assert hmc.run(Gaussian(2), settings, Start(), Stream(seed)).draws.shape == (2, 5, 2)


# ---------------------------------------------------------------- the journal of nested sampling


def double(points):
    return 2.0 * points[:, 0]


def told(checkpoint, questions, evaluate=double):
    """What a journal answers, and how many points were evaluated."""
    journal, count = Journal(checkpoint), [0]

    def counted(points):
        count[0] += len(points)
        return evaluate(points)

    return [journal.answer(one, counted) for one in questions], count[0]


def test_a_journal_tells_the_same_again():
    questions = [np.random.default_rng(k).random((k, 2)) for k in (3, 1, 4)]
    notes = Keeper(every_s=0.0).open().notes
    first, count = told(Checkpoint(notes), questions[:2])
    assert count == 4
    again, count = told(Checkpoint(Notes(Keeper(every_s=0.0), notes.content)), questions)
    assert count == 4, "only what is new"
    for one, other in zip(again, [*first, double(questions[2])], strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_journal_answers_no_other_question():
    questions = [np.full((2, 2), 0.1), np.full((1, 2), 0.2), np.full((1, 2), 0.3)]
    notes = Keeper(every_s=0.0).open().notes
    told(Checkpoint(notes), questions)
    moved = [questions[0], np.nextafter(questions[1], 1.0), questions[2]]
    again, count = told(Checkpoint(Notes(Keeper(every_s=0.0), notes.content)), moved)
    assert count == 2, "all from the first that differs"
    for one, question in zip(again, moved, strict=True):
        np.testing.assert_array_equal(one, double(question))


def test_control_a_journal_of_other_values_shows(seed):
    """Negative control: answers do come from the journal."""
    keeper = Keeper(every_s=0.0)
    checkpoint = keeper.open()
    make, steps = CASES["nested-uniform"]
    whole = sequence.run(make(), steps, Stream(seed))
    model = Mortal(make(), 10)
    with pytest.raises(Killed):
        sequence.run(model, steps, Stream(seed), checkpoint)
    [kept] = checkpoint.notes.content.values()
    kept.arrays[0][32:] += 0.5  # the first are asked whether the likelihood is a constant
    [found] = sequence.run(make(), steps, Stream(seed), Checkpoint(Notes(keeper, checkpoint.notes.content)))
    assert found.log_z != whole[0].log_z

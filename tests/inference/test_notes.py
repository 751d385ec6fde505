"""What a run keeps of itself: copies to the last bit, written now and then, each piece of work done once."""

import time

import numpy as np
import pytest
import torch
from tests.contracts.toys import Gaussian
from tests.inference.kills import Killed, Mortal, assert_same

from skysift.inference import Start, Stream, hmc, sequence
from skysift.inference.checkpoint import NOWHERE, Checkpoint, Notes, decode, encode
from skysift.inference.nested.journal import Journal
from skysift.inference.target import Target

CHAINS = {"chains": 8, "warmup": 60, "draws": 30, "max_draws": 90}


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
    steps = [("nested", {"live": 25, "dlogz": 0.1})]
    whole = sequence.run(Gaussian(2), steps, Stream(seed))
    model = Mortal(Gaussian(2), 10)
    with pytest.raises(Killed):
        sequence.run(model, steps, Stream(seed), checkpoint)
    [kept] = checkpoint.notes.content.values()
    kept.arrays[0][32:] += 0.5  # the first are asked whether the likelihood is a constant
    [found] = sequence.run(Gaussian(2), steps, Stream(seed), Checkpoint(Notes(keeper, checkpoint.notes.content)))
    assert found.log_z != whole[0].log_z

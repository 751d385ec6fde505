"""Chunks of unbinned events: any cut in any order gives the same bits; what is kept, and what is refused."""

import signal
import subprocess
import sys

import numpy as np
import pytest
from tests.steps.small_event_run import SmallEventRun

from skysift.cli import main
from skysift.errors import InputError
from skysift.models.events.marginals import read_marginals
from skysift.steps.events import fit, gather, marginalise

POINTINGS = [
    {"lon": "0 deg", "lat": "0 deg", "time": "50 h"},
    {"lon": "0.5 deg", "lat": "0 deg", "time": "10 h"},
]
SIDE = {"range": ["-0.8 deg", "0.8 deg"], "step": "0.4 deg"}
OBSERVATION = {
    "pointings": POINTINGS,
    "reconstructed": {"energy": {"range": ["0.5 TeV", "20 TeV"], "points": 5}, "lon": SIDE, "lat": SIDE},
    "true": {"refine": 2},
}
EVENTS = {"events": {"background": 160, "diffuse": 60, "catalogue": 100}}
FREE = {"sky": "synthetic_diffuse", "spectrum": {"index": {"uniform": [2, 3]}}}
# dies with the part written, before it takes the place of the result
KILLED = """
import os, signal, sys
from skysift.cli import main
from skysift.steps.events import marginalise
marginalise.ROWS_PER_BLOCK = 1
os.fsync = lambda handle: os.kill(os.getpid(), signal.SIGKILL)
main(sys.argv[1:])
"""
FITS = {"quick": ["laplace"], "free": {"sequence": ["laplace"], "model": {"components": {"diffuse": FREE}}}}


def make_run(folder, repository, **keys):
    keys = {"observation": OBSERVATION, "fits": FITS, "simulate": EVENTS} | keys
    return SmallEventRun(folder, repository, **keys)


@pytest.fixture(scope="module")
def run(tmp_path_factory, repository):
    """320 events in bins, two pointings, three columns and one for each true energy."""
    return make_run(tmp_path_factory.mktemp("run"), repository)


@pytest.fixture(scope="module")
def whole(run):
    return read_marginals(run.gather())


@pytest.fixture(scope="module")
def unbinned(tmp_path_factory, repository):
    """The same events each at its place; extended sources and points, one of them with a free index."""
    return make_run(tmp_path_factory.mktemp("unbinned"), repository, model={"binned": False})


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of one row, so that few events are many chunks; responses are unpacked once."""
    monkeypatch.setattr(marginalise, "ROWS_PER_BLOCK", 1)
    opened = {}
    true = marginalise.read_responses
    monkeypatch.setattr(
        marginalise, "read_responses", lambda paths, *more: opened.setdefault(tuple(paths), true(paths, *more))
    )


def cut(run, folder, count, numbers=None):
    """Marginalise chunks of a list, in the order of the numbers; return their files."""
    folder.mkdir(exist_ok=True)
    paths = []
    for number in range(count) if numbers is None else numbers:
        paths.append(folder / f"{number:03d}.h5")
        marginalise_chunk(run, f"{number}/{count}", paths[-1])
    return paths


def marginalise_chunk(run, chunk, out):
    marginalise.run(run.slice("marginalise"), run.observation, run.responses, run.simulate(), chunk, out)


def join(run, paths, out):
    gather.run(run.slice("marginalise"), paths, out)
    return read_marginals(out)


def same(one, other):
    for name in ("counts", "pointing", "seen"):
        assert np.array_equal(getattr(one, name), getattr(other, name))
    assert list(one.columns) == list(other.columns)
    for name, column in one.columns.items():
        assert np.array_equal(other.columns[name].density, column.density), name
        assert np.array_equal(other.columns[name].totals, column.totals), name
    assert one.digests == other.digests


MORE_CUTS = [(True, 64), (False, 1), (False, 7), (False, 64)]


@pytest.mark.parametrize(
    ("is_binned", "count"),
    [(True, 1), (True, 7), (False, 3), *(pytest.param(*case, marks=pytest.mark.slow) for case in MORE_CUTS)],
)
def test_any_cut_in_any_order_gives_the_same_bits(run, unbinned, tmp_path, small_blocks, seed, is_binned, count):
    chosen = run if is_binned else unbinned
    whole = read_marginals(chosen.gather())
    order = np.random.default_rng(seed).permutation(count).tolist()
    paths = cut(chosen, tmp_path, count, order)
    sizes = [len(read_marginals(path).counts) for path in paths]
    assert sum(sizes) == len(whole.counts)
    assert min(sizes) > 0
    joined = join(chosen, paths, tmp_path / "whole.h5")
    same(whole, joined)
    assert joined.counts.sum() == 320
    assert whole.columns["diffuse.free"].density.ndim == 2


def test_a_chunk_that_was_killed_is_made_again_to_the_same_bits(run, whole, tmp_path, small_blocks):
    paths = cut(run, tmp_path, 7, [0, 1, 2, 4, 5, 6])
    lost = tmp_path / "003.h5"
    words = ["marginalise", "--config", run.slice("marginalise"), "--observation", run.observation, "--data",
             run.simulate(), "--chunk", "3/7", "--out", lost, "--response", *run.responses]  # fmt: skip
    done = subprocess.run([sys.executable, "-c", KILLED, *map(str, words)], capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL
    assert not lost.exists()
    assert list(tmp_path.glob("003.h5.part-*"))
    with pytest.raises(InputError, match="chunk 3"):
        join(run, paths, tmp_path / "whole.h5")
    marginalise_chunk(run, "3/7", lost)
    assert not list(tmp_path.glob("*.part-*"))
    same(whole, join(run, [*paths, lost], tmp_path / "whole.h5"))


def test_a_missing_chunk_is_named(run, tmp_path, small_blocks, capsys):
    paths = cut(run, tmp_path, 3, [0, 2])
    words = ["gather", "--config", run.slice("marginalise"), "--out", tmp_path / "whole.h5", "--marginals", *paths]
    with pytest.raises(SystemExit) as caught:
        main([str(word) for word in words])
    assert caught.value.code == 2
    told = capsys.readouterr().err
    assert "chunk 1" in told
    assert "missing" in told


# ---------------------------------------------------------------- what an earlier result is good for


@pytest.fixture
def computed(monkeypatch):
    """Sources whose column was computed."""
    names = []
    one, together = marginalise.marginalise, marginalise.marginalise_together

    def count_one(component, *arguments):
        names.append(component.sky or component.instrument)
        return one(component, *arguments)

    def count_together(lights, *arguments):
        names.extend(lights)
        return together(lights, *arguments)

    monkeypatch.setattr(marginalise, "marginalise", count_one)
    monkeypatch.setattr(marginalise, "marginalise_together", count_together)
    return names


def more_sources(run, folder, repository):
    """The same run with one more source, its observation prepared anew, the same events."""
    star = {"sky": "point", "center": ["0.2 deg", "0 deg"], "spectrum": {"index": 2}}
    other = make_run(folder, repository, model={"components": {"star": star}})
    assert other.analysis.sources().keys() - run.analysis.sources().keys() == {"star"}
    return other


def test_a_new_source_computes_one_column_only(run, whole, tmp_path, repository, computed):
    other = more_sources(run, tmp_path, repository)
    out = tmp_path / "000.h5"
    marginalise_chunk(run, "0/1", out)
    assert len(computed) == 4
    computed.clear()
    marginalise.run(other.slice("marginalise"), other.observation, other.responses, run.simulate(), "0/1", out)
    assert computed == ["star"]
    grown = read_marginals(out)
    assert set(grown.columns) == {*whole.columns, "star"}
    for name, column in whole.columns.items():
        assert np.array_equal(grown.columns[name].density, column.density)
    assert grown.digests["sources"].items() > whole.digests["sources"].items()
    # nothing is left to be done, and the file stays what it is
    computed.clear()
    content = out.read_bytes()
    marginalise.run(other.slice("marginalise"), other.observation, other.responses, run.simulate(), "0/1", out)
    assert computed == []
    assert out.read_bytes() == content


@pytest.mark.parametrize("change", ["events", "live time", "code", "damaged"])
def test_columns_of_anything_else_are_computed_again(run, tmp_path, repository, computed, monkeypatch, change):
    other, data = run, run.simulate()
    out = tmp_path / "000.h5"
    marginalise_chunk(run, "0/1", out)
    computed.clear()
    if change == "events":
        data = tmp_path / "again.h5"
        data.write_bytes(run.simulate().read_bytes())
        from skysift.instruments.ctao.event_list import read_events, write_events
        from skysift.storage.hdf5 import collect

        write_events(data, read_events(run.simulate()), collect("other", 2, b"", []), {})
    elif change == "live time":
        longer = [POINTINGS[0], POINTINGS[1] | {"time": "20 h"}]
        other = make_run(tmp_path / "other", repository, observation=OBSERVATION | {"pointings": longer})
    elif change == "code":
        monkeypatch.setattr(marginalise, "code_digest", lambda step: "another")
    else:
        out.write_bytes(out.read_bytes()[:2000])
    marginalise.run(other.slice("marginalise"), other.observation, other.responses, data, "0/1", out)
    assert len(computed) == 4
    read_marginals(out)


def test_marginals_of_another_response_are_refused_with_both_digests(run, whole, tmp_path, repository, monkeypatch):
    from dataclasses import replace

    from skysift.instruments.ctao.analytic import analytic_irf

    monkeypatch.setattr(
        "skysift.instruments.ctao.response_source.analytic_irf", lambda: replace(analytic_irf(), sha256=64 * "0")
    )
    other = make_run(tmp_path, repository)
    mixed = [tmp_path / "first.h5", tmp_path / "second.h5"]
    marginalise.run(other.slice("marginalise"), other.observation, other.responses, run.simulate(), "1/2", mixed[1])
    monkeypatch.undo()
    marginalise_chunk(run, "0/2", mixed[0])
    with pytest.raises(InputError) as caught:
        join(run, mixed, tmp_path / "whole.h5")
    digests = [read_marginals(path).digests["observation"] for path in mixed]
    assert digests[0] != digests[1]
    assert all(digest in str(caught.value) for digest in digests)
    # a fit compares what it is given with the observation
    with pytest.raises(InputError) as caught:
        fit.run(other.slice("fit-quick"), other.observation, run.gather(), tmp_path / "out.nc")
    assert all(digest in str(caught.value) for digest in digests)
    assert caught.value.exit_code == 2

"""Columns of densities at events, and the files of their chunks: what is read back, gathered, refused."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from tests.instruments.ctao.small_field import SEEN, background, irf, make_observation, make_response
from tests.models.events.sources import POWER_LAW, component, find_nothing, place

from skysift.errors import InputError
from skysift.instruments.ctao.simulation import Numbers, simulate_events
from skysift.models.events.columns import Column, Rows, kind_of, marginalise, marginalise_together
from skysift.models.events.fields import weigh_pixels
from skysift.models.events.lights import make_light, make_share, make_spectrum
from skysift.models.events.marginals import Marginals, gather_marginals, read_marginals, write_marginals
from skysift.models.events.prediction import light_at, predict_cube
from skysift.sky.light import Light
from skysift.steps.events.marginalise import ROWS_PER_BLOCK, chunk_range
from skysift.storage.hdf5 import collect
from skysift.streams import numpy_stream

TWO = ((0.0, 0.0, 180000.0), (0.5, 0.2, 90000.0))
BLOB = place("gaussian", size="0.2 deg")
STAR = place("point")
FREE = {"index": {"uniform": [1.5, 3.5]}, "norm": POWER_LAW["norm"]}


@pytest.fixture(scope="module")
def observation():
    return make_observation(TWO)


@pytest.fixture(scope="module")
def responses(observation):
    return [make_response(observation, number) for number in range(2)]


@pytest.fixture(scope="module")
def counts_of_background(observation):
    pairs = zip(background(observation), observation.pointings, strict=True)
    return {number: rates * pointing.live_time_s for number, (rates, pointing) in enumerate(pairs)}


@pytest.fixture(scope="module")
def events(observation):
    light = make_light(component(BLOB), observation.true, SEEN.grid, find_nothing)
    lights = {"blob": light, "background": None}
    numbers = Numbers({"blob": 200, "background": 100})
    return simulate_events(
        "set-000", observation, [irf(), irf()], lights, background(observation), numbers,
        lambda *names: numpy_stream(1, *names), {},
    )  # fmt: skip


@pytest.fixture(scope="module")
def rows(events, observation):
    return Rows.of(events, observation, binned=True)


def test_bins_hold_every_event_once_and_pointings_apart(events, observation, rows):
    assert rows.counts.sum() == 300
    assert (rows.counts > 0).all()
    size = SEEN.energy.size * SEEN.grid.size
    both = rows.pointing * size + rows.bins
    assert (np.diff(both) > 0).all()
    inside = SEEN.find(events.energy, events.lon, events.lat)
    for number in range(2):
        own = rows.pointing == number
        wanted = np.bincount(inside[events.pointing == number], minlength=size)
        assert np.array_equal(wanted[rows.bins[own]], rows.counts[own])
    each = Rows.of(events, observation, binned=False)
    assert len(each.counts) == 300
    assert np.array_equal(each.take(10, 20).energy, events.energy[10:20])
    assert rows.take(3, 5).bins.tolist() == rows.bins[3:5].tolist()


@pytest.mark.parametrize("settings", [BLOB, STAR], ids=["extended", "point"])
def test_column_is_the_fold_at_occupied_bins(settings, observation, responses, counts_of_background, rows):
    part = component(settings)
    light = make_light(part, observation.true, SEEN.grid, find_nothing)
    column = marginalise(part, light, rows, observation, responses, counts_of_background)
    assert column.kind == "fixed"
    volumes = SEEN.volumes_tev_deg2.ravel()
    for number, pointing in enumerate(observation.pointings):
        alone = replace(observation, pointings=(pointing,))
        cube = predict_cube(part, light, alone, [responses[number]]).ravel()
        own = rows.pointing == number
        np.testing.assert_allclose(column.density[own], (cube / volumes)[rows.bins[own]], rtol=1e-12)
    assert column.totals == pytest.approx(predict_cube(part, light, observation, responses).sum(), rel=1e-12)


@pytest.mark.parametrize("binned", [True, False])
def test_sources_together_are_sources_one_by_one(observation, responses, counts_of_background, events, binned):
    rows = Rows.of(events, observation, binned=binned)
    parts = {name: component(settings) for name, settings in (("blob", BLOB), ("star", STAR), ("again", BLOB))}
    lights = {name: make_light(part, observation.true, SEEN.grid, find_nothing) for name, part in parts.items()}
    together = marginalise_together(lights, rows, observation, responses)
    for name, part in parts.items():
        alone = marginalise(part, lights[name], rows, observation, responses, counts_of_background)
        assert together[name].kind == alone.kind
        np.testing.assert_allclose(together[name].density, alone.density, rtol=1e-5, atol=1e-12 * alone.density.max())
        np.testing.assert_allclose(together[name].totals, alone.totals, rtol=1e-12)


@pytest.mark.parametrize("settings", [BLOB, STAR], ids=["extended", "point"])
def test_column_of_a_free_spectrum_times_the_flux_is_that_of_the_fixed_one(
    settings, observation, responses, counts_of_background, rows
):
    fixed, free = component(settings), component({**settings, "spectrum": FREE})
    assert (kind_of(fixed), kind_of(free)) == ("fixed", "spectrum")
    light = make_light(fixed, observation.true, SEEN.grid, find_nothing)
    wanted = marginalise(fixed, light, rows, observation, responses, counts_of_background)
    share = make_share(free, observation.true, SEEN.grid, find_nothing, {})
    column = marginalise(free, share, rows, observation, responses, counts_of_background)
    index = {"index": torch.tensor(2.4, dtype=torch.float64)}
    flux = make_spectrum(free, index, find_nothing).integrals(torch.tensor(observation.true.energy.edges_tev)).numpy()
    np.testing.assert_allclose(column.density @ flux.ravel(), wanted.density, rtol=1e-10)
    assert column.totals @ flux.ravel() == pytest.approx(float(wanted.totals), rel=1e-10)
    lit = light_at("x", free, share, {"x_index": 2.4}, observation, find_nothing)
    np.testing.assert_allclose(lit.total, light.total, rtol=1e-12)


def test_column_of_the_background_is_its_rate(observation, responses, counts_of_background, rows):
    part = component({"instrument": "background"})
    column = marginalise(part, None, rows, observation, responses, counts_of_background)
    total = sum(cube.sum() for cube in counts_of_background.values())
    assert column.totals == pytest.approx(total)
    assert predict_cube(part, None, observation, responses).sum() == pytest.approx(total, rel=1e-10)
    own = rows.pointing == 1
    middle = SEEN.energy.centres_tev[rows.bins[own] // SEEN.grid.size]
    at = rows.bins[own] % SEEN.grid.size
    pointing = observation.pointings[1]
    rate = irf().background_at(middle, SEEN.grid.lon_deg[at], SEEN.grid.lat_deg[at], pointing) * 90000.0
    # the rate at the middle of a bin is near its mean
    np.testing.assert_allclose(column.density[own], rate, rtol=0.25)


def test_rows_of_any_order_belong_to_their_pointing(observation, responses, counts_of_background, rows):
    part = component(BLOB)
    light = make_light(part, observation.true, SEEN.grid, find_nothing)
    order = np.random.default_rng(3).permutation(len(rows.counts))
    mixed = Rows(rows.counts[order], rows.pointing[order], rows.bins[order])
    arguments = (observation, responses, counts_of_background)
    plain, shuffled = (marginalise(part, light, chosen, *arguments) for chosen in (rows, mixed))
    assert np.array_equal(shuffled.density, plain.density[order])


def test_a_field_has_its_mean_over_the_light_within_the_field(observation):
    """Light from beyond alone counts whole: some mean has to be taken."""
    grid = observation.true.grid
    inside = SEEN.grid.find(grid.lon_deg, grid.lat_deg) >= 0
    assert (~inside).any()
    image = np.arange(1.0, grid.size + 1)
    for lit, wanted in ((image, image * inside), (image * ~inside, image * ~inside)):
        cube = np.outer(np.ones(observation.true.energy.size), lit)
        np.testing.assert_allclose(weigh_pixels(Light(cube), observation), wanted / wanted.sum(), rtol=1e-12)


# ---------------------------------------------------------------- files and chunks


def matrix(rows, columns, seed=0):
    random = np.random.default_rng(seed)
    return csr_array(random.random((rows, columns)) * (random.random((rows, columns)) < 0.3))


def make_marginals(number=0, count=1, rows=7, **digests):
    random = np.random.default_rng(number)
    columns = {
        "background": Column("fixed", random.random(rows), np.asarray(12.0)),
        "diffuse": Column("spectrum", random.random((rows, 3)), np.arange(3.0)),
        "halo": Column("map", matrix(rows, 12, number), np.arange(12.0)),
        "gas.fit": Column("field", matrix(rows, 4, number), np.arange(4.0)),
    }
    return Marginals(
        data="set-000", counts=random.random(rows), pointing=np.arange(rows) % 2, columns=columns,
        seen=np.full((2, 4), float(number)), chunk=(number, count),
        digests={"events": "e", "responses": ["r", "s"], "sources": {"halo": "h"}} | digests,
        truth={"counts": {"halo": 3.0}}, warnings=("odd",),
    )  # fmt: skip


def same(one, other):
    for name in ("counts", "pointing", "seen"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert list(one.columns) == list(other.columns)
    for name, column in one.columns.items():
        again = other.columns[name]
        assert again.kind == column.kind
        np.testing.assert_array_equal(again.totals, column.totals)
        dense = [part.toarray() if hasattr(part, "toarray") else part for part in (column.density, again.density)]
        np.testing.assert_array_equal(*dense)
    for name in ("data", "digests", "truth", "warnings"):
        assert getattr(one, name) == getattr(other, name)


def test_marginals_are_read_back_as_they_were_written(tmp_path):
    written = make_marginals(1, 3)
    write_marginals(tmp_path / "001.h5", written, collect("test", 1, b"", []))
    again = read_marginals(tmp_path / "001.h5")
    same(written, again)
    assert again.chunk == (1, 3)
    (tmp_path / "001.h5").write_bytes((tmp_path / "001.h5").read_bytes()[:5000])
    with pytest.raises(InputError):
        read_marginals(tmp_path / "001.h5")


def gather(*chunks):
    return gather_marginals(chunks, [Path(f"marginals/{number}.h5") for number in range(len(chunks))])


def test_chunks_in_any_order_make_the_whole():
    parts = [make_marginals(number, 3, rows) for number, rows in enumerate((7, 0, 5))]
    whole = gather(*parts)
    assert whole.chunk == (0, 1)
    assert len(whole.counts) == 12
    assert np.array_equal(whole.counts, np.concatenate([part.counts for part in parts]))
    assert whole.columns["halo"].density.shape == (12, 12)
    assert np.array_equal(whole.columns["halo"].density[[7]].toarray(), parts[2].columns["halo"].density[[0]].toarray())
    assert whole.columns["diffuse"].totals.tolist() == [0.0, 1.0, 2.0]
    assert (whole.seen == 3).all()
    same(whole, gather(parts[2], parts[0], parts[1]))
    same(gather(make_marginals()), make_marginals())


def test_a_chunk_of_no_rows_is_written_and_read(tmp_path):
    write_marginals(tmp_path / "000.h5", make_marginals(0, 2, 0), collect("test", 1, b"", []))
    assert read_marginals(tmp_path / "000.h5").columns["halo"].density.shape == (0, 12)


@pytest.mark.parametrize(
    ("chunks", "words"),
    [
        ([(0, 3), (2, 3)], ["chunk 1", "missing", "marginals"]),
        ([(0, 2), (1, 2), (1, 2)], ["chunk 1", "there twice"]),
        ([(0, 2), (1, 3)], ["chunk 1 of 3", "2 chunks", "1.h5"]),
    ],
    ids=["missing", "twice", "of another cut"],
)
def test_chunks_that_do_not_make_a_whole_are_refused(chunks, words):
    with pytest.raises(InputError) as caught:
        gather(*(make_marginals(*chunk) for chunk in chunks))
    assert caught.value.exit_code == 2
    assert all(word in str(caught.value) for word in words)


@pytest.mark.parametrize(
    ("name", "other"),
    [("events", "another"), ("responses", ["r", "t"]), ("sources", {"halo": "another"})],
)
def test_chunks_of_different_inputs_are_refused_with_both_digests(name, other):
    with pytest.raises(InputError) as caught:
        gather(make_marginals(0, 2), make_marginals(1, 2, **{name: other}))
    text = str(caught.value)
    assert name in text
    assert str(other) in text
    assert str(make_marginals().digests[name]) in text
    assert "1.h5" in text


def test_chunks_of_different_data_are_refused():
    with pytest.raises(InputError, match="set-001"):
        gather(make_marginals(0, 2), replace(make_marginals(1, 2), data="set-001"))


@pytest.mark.parametrize("rows", [0, 1, 4096, 4097, 100_000])
@pytest.mark.parametrize("count", [1, 2, 7, 64])
def test_chunks_are_whole_blocks_and_cover_every_row_once(rows, count):
    ranges = [chunk_range(rows, number, count) for number in range(count)]
    assert ranges[0][0] == 0
    assert ranges[-1][1] == rows
    assert all(stop == start for (_, stop), (start, _) in pairwise(ranges))
    assert all(start % ROWS_PER_BLOCK == 0 or start == rows for start, _ in ranges)
    sizes = [-(-(stop - start) // ROWS_PER_BLOCK) for start, stop in ranges]
    assert max(sizes) - min(sizes) <= 1


def test_light_without_points_adds_up():
    one = Light(np.ones((2, 3)))
    both = one + Light(np.zeros((2, 3)), np.array([[0.1, 0.2]]), np.array([[5.0, 6.0]]))
    assert both.total.tolist() == [8.0, 9.0]

"""Event lists: simulated numbers, and files of their own."""

import numpy as np
import pytest
from scipy import stats
from tests.instruments.ctao.small_field import (
    SEEN,
    background,
    disc_of_light,
    irf,
    make_observation,
    make_response,
    point,
)

from skysift.errors import InputError
from skysift.instruments.ctao import simulation
from skysift.instruments.ctao.event_list import read_events, write_events
from skysift.instruments.ctao.event_observation import read_event_observation, write_event_observation
from skysift.instruments.ctao.simulation import Numbers, simulate_events
from skysift.sky.light import Light
from skysift.storage.hdf5 import collect
from skysift.streams import numpy_stream

COLUMNS = ("energy", "lon", "lat", "true_energy", "true_lon", "true_lat")
COUNTS = {"disc": 300, "background": 200, "point": 100}
TWO = ((0.0, 0.0, 180000.0), (0.5, 0.2, 90000.0))


def simulate(values, seed, *, names=("run",), observation=None, parts=("disc", "point", "background"), **flags):
    observation = observation or make_observation()
    makers = {"disc": disc_of_light, "point": point, "background": lambda observation: None}
    lights = {name: makers[name](observation) for name in parts}

    def streams(*more):
        return numpy_stream(seed, *names, *more)

    irfs = [irf()] * len(observation.pointings)
    numbers = Numbers(values, **flags)
    return simulate_events("set-000", observation, irfs, lights, background(observation), numbers, streams, {"a": 1.0})


def of(events, name):
    """The events of one component, sorted: energies and places."""
    own = events.component == events.components.index(name)
    return np.sort(np.stack([getattr(events, column)[own] for column in ("energy", "lon", "lat")]), axis=1)


def test_numbers_are_exact(seed):
    events = simulate(COUNTS, seed)
    assert len(events) == 600
    assert {name: of(events, name).shape[1] for name in events.components} == COUNTS
    assert dict(events.truth["counts"]) == COUNTS
    assert events.truth["fractions"] == pytest.approx({"disc": 0.5, "background": 1 / 3, "point": 1 / 6})
    assert events.truth["parameters"] == {"a": 1.0}
    assert (SEEN.find(events.energy, events.lon, events.lat) >= 0).all()
    known = events.component != events.components.index("background")
    for column in ("true_energy", "true_lon", "true_lat"):
        assert (np.isfinite(getattr(events, column)) == known).all()
    # in no order of components
    assert len(np.unique(events.component[:60])) == 3


def test_what_fell_outside_is_counted(seed):
    observation = make_observation()
    light = disc_of_light(observation)
    counts = 8_000
    events = simulate({"disc": counts}, seed, parts=("disc",))
    response = make_response(observation)
    expected = response.detected((light.cube * response.area_cm2 * 180000.0)[:, :, None])[0]
    from skysift.instruments.ctao.drawing import Source

    source = Source.of(light, irf(), observation.true, observation.pointings[0])
    share = expected / (source.total * 180000.0)
    assert stats.binomtest(counts, counts + events.outside["disc"], share).pvalue > 1e-4


def test_components_without_events_have_a_truth_of_zero(seed):
    events = simulate({"disc": 5}, seed)
    assert dict(events.truth["counts"]) == {"disc": 5, "point": 0, "background": 0}
    assert dict(events.truth["fractions"]) == {"disc": 1, "point": 0, "background": 0}


@pytest.mark.statistics
def test_poisson_numbers_scatter_as_they_should(seed):
    means = {"disc": 30.0, "background": 40.0}
    drawn = [
        simulate(means, seed, names=("poisson", str(k)), is_poisson=True, parts=("disc", "background")).truth["counts"]
        for k in range(25)
    ]
    for name, mean in means.items():
        numbers = np.array([counts[name] for counts in drawn])
        assert stats.poisson.cdf(numbers.sum(), 25 * mean) == pytest.approx(0.5, abs=0.49995)
        assert stats.chi2.cdf(((numbers - mean) ** 2 / mean).sum(), 25) == pytest.approx(0.5, abs=0.49995)


@pytest.mark.statistics
def test_physical_numbers_are_flux_times_area_times_live_time(seed):
    observation = make_observation(TWO)
    lights = {"disc": disc_of_light(observation), "background": None}
    expected = {"disc": 0.0, "background": 0.0}
    for number, pointing in enumerate(observation.pointings):
        response, time = make_response(observation, number), pointing.live_time_s
        expected["disc"] += 40 * response.detected((lights["disc"].cube * response.area_cm2 * time)[:, :, None])[0]
        expected["background"] += 0.5 * response.background_counts().sum() * time
    norms = {"disc": 40.0, "background": 0.5}
    events = simulate(norms, seed, observation=observation, parts=("disc", "background"), is_physical=True)
    for name, mean in expected.items():
        assert stats.poisson.cdf(events.truth["counts"][name], mean) == pytest.approx(0.5, abs=0.49995)
    assert events.truth["norms"] == norms
    # a pointing of half the time sees half the background, a little less of a source farther away
    share = np.mean(events.pointing[events.component == 1] == 1)
    rates = [part.sum() for part in background(observation)]
    wanted = 0.5 * rates[1] / (rates[0] + 0.5 * rates[1])
    assert abs(share - wanted) < 4 * np.sqrt(wanted * (1 - wanted) / expected["background"])


def test_a_component_does_not_depend_on_the_others(seed):
    whole, alone = simulate(COUNTS, seed), simulate({"point": 100}, seed, parts=("point",))
    assert np.array_equal(of(whole, "point"), of(alone, "point"))
    other = simulate(COUNTS, seed, names=("another",))
    assert not np.array_equal(of(whole, "point"), of(other, "point"))


@pytest.mark.parametrize("is_physical", [False, True])
def test_the_list_does_not_depend_on_the_block_in_which_events_are_drawn(seed, monkeypatch, is_physical):
    values = {"disc": 1.0, "background": 0.005, "point": 0.3} if is_physical else COUNTS
    observation = make_observation(TWO)
    whole = simulate(values, seed, observation=observation, is_physical=is_physical)
    for block in (41, 130):
        monkeypatch.setattr(simulation, "BLOCK", block)
        events = simulate(values, seed, observation=observation, is_physical=is_physical)
        assert len(events) > 2 * block
        assert events.outside == whole.outside
        for column in (*COLUMNS, "pointing", "component"):
            assert np.array_equal(getattr(events, column), getattr(whole, column), equal_nan=True)


def test_a_longer_list_begins_as_the_shorter_one(seed):
    few, many = (simulate({"disc": count}, seed, parts=("disc",)) for count in (100, 250))
    assert np.isin(few.energy, many.energy).all()


def test_the_same_list_every_time(seed):
    first, again = simulate(COUNTS, seed), simulate(COUNTS, seed)
    for column in (*COLUMNS, "pointing", "component"):
        assert np.array_equal(getattr(first, column), getattr(again, column), equal_nan=True)


def test_a_source_out_of_sight_is_refused(seed):
    observation = make_observation()
    dark = disc_of_light(observation)
    lights = {"disc": Light(np.zeros_like(dark.cube))}
    with pytest.raises(InputError, match="no event of it"):
        simulate_events(
            "x", observation, [irf()], lights, [], Numbers({"disc": 5}), lambda *n: numpy_stream(seed, *n), {}
        )


def test_no_event_is_refused(seed):
    with pytest.raises(InputError, match="no event"):
        simulate({"disc": 1e-6}, seed, is_poisson=True)


@pytest.fixture(scope="module")
def events():
    return simulate(COUNTS, 5, observation=make_observation(TWO))


@pytest.fixture(scope="module")
def provenance():
    return collect("test", 1, b"", [])


def test_list_is_read_back_as_it_was_written(tmp_path, events, provenance):
    write_events(tmp_path / "events.h5", events, provenance, {"responses": []})
    again = read_events(tmp_path / "events.h5")
    for column in (*COLUMNS, "pointing", "component"):
        assert np.array_equal(getattr(again, column), getattr(events, column), equal_nan=True)
        assert (
            getattr(again.rows(10, 20), column).tolist() == getattr(again, column)[10:20].tolist() or "true" in column
        )
    for name in ("name", "components", "outside", "truth", "warnings"):
        assert getattr(again, name) == getattr(events, name)


def test_a_damaged_list_is_refused(tmp_path, events, provenance):
    path = tmp_path / "events.h5"
    write_events(path, events, provenance, {})
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(InputError):
        read_events(path)


def test_observation_is_read_back_as_it_was_written(tmp_path, provenance):
    from dataclasses import replace

    observation = make_observation(TWO)
    lights = {"disc": disc_of_light(observation), "point": point(observation)}
    observation = replace(observation, lights=lights, warnings=("odd",))
    write_event_observation(tmp_path / "observation.h5", observation, provenance)
    again = read_event_observation(tmp_path / "observation.h5")
    assert (again.pointings, again.responses) == (observation.pointings, observation.responses)
    assert (again.psf_empty, again.warnings) == ("nearest", ("odd",))
    for kind in ("true", "reconstructed"):
        one, other = getattr(again, kind), getattr(observation, kind)
        assert np.array_equal(one.energy.edges_tev, other.energy.edges_tev)
        assert np.array_equal(one.grid.lon_edges_deg, other.grid.lon_edges_deg)
        assert np.array_equal(one.grid.lat_edges_deg, other.grid.lat_edges_deg)
    for name, light in lights.items():
        for part in ("cube", "points_deg", "point_flux"):
            assert np.array_equal(getattr(again.lights[name], part), getattr(light, part))

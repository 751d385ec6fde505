"""Observed events in a configuration: lists, data stores, responses of several zenith angles, and what contradicts."""

import copy

import pytest

from skysift.config import ConfigurationError, resolve, yaml_text
from skysift.config.loading import verify_round_trip

AXIS = {"range": ["-1 deg", "1 deg"], "step": "0.5 deg"}
PLACE = {"lon": "0 deg", "lat": "0 deg", "time": "50 h"}
ZENITHS = [{"zenith": "20 deg", "file": "a.fits"}, {"zenith": "40 deg", "file": "b.fits"}]
BASE = {
    "run": "test",
    "observation": {
        "instrument": "ctao",
        "reconstructed": {"energy": {"range": ["0.2 TeV", "20 TeV"], "points": 8}, "lon": AXIS, "lat": AXIS},
    },
    "model": {"components": {"diffuse": {"sky": "synthetic_diffuse"}, "background": {"instrument": "background"}}},
    "fits": {"quick": ["laplace"]},
}


def observed(**keys):
    data = copy.deepcopy(BASE)
    data["observation"] |= keys
    if "events" not in keys:
        data["simulate"] = {"events": {"background": 5}}
    return data


@pytest.mark.parametrize(
    "keys",
    [
        {"irf": "analytic", "events": ["a.fits", "b.fits"]},
        {"irf": "analytic", "events": ["a.fits"], "pointings": [PLACE]},
        {"events": {"store": "folder"}},
        {"events": {"store": "folder", "observations": [3, 1]}, "irf": "analytic"},
        {"events": {"store": "folder"}, "irf": ZENITHS},
        {"irf": ZENITHS, "pointings": [{**PLACE, "zenith": "25 deg"}, {**PLACE, "irf": "analytic"}]},
        {"pointings": [{**PLACE, "irf": "analytic"}]},
    ],
)
def test_what_is_observed_survives_a_round_trip(keys):
    analysis = resolve(observed(**keys))
    verify_round_trip(analysis)
    assert resolve(observed(**keys)) == analysis
    text = yaml_text(analysis)
    assert ("zenith: 20 deg" in text) == ("irf" in keys and keys["irf"] is ZENITHS)


def test_chunks_of_observed_events_follow_their_number():
    data = observed(irf="analytic", events=["a.fits"])
    analysis = resolve(data)
    assert analysis.expected_events("observed", 2_500_000) == 2_500_000
    assert analysis.chunk_count("observed", 2_500_000) == 3
    assert resolve(data | {"chunks": 7}).chunk_count("observed", 2_500_000) == 7
    binned = data | {"model": data["model"] | {"binned": True}}
    assert resolve(binned).chunk_count("observed", 2_500_000) == 1


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"irf": "analytic"}, "pointings"),
        ({"pointings": [PLACE]}, "irf"),
        ({"pointings": [PLACE, {**PLACE, "irf": "analytic"}]}, "irf"),
        ({"events": ["a.fits"]}, "irf"),
        ({"events": {"store": "folder"}, "pointings": [PLACE]}, "leave pointings out"),
        ({"events": {"stroe": "folder"}}, "did you mean 'store'"),
        ({"events": {"store": "folder", "observations": [1.5]}}, "1.5"),
        ({"events": {"store": "folder", "files": ["a.fits"]}}, "both"),
        ({"events": {"files": ["a.fits"], "observations": [1]}, "irf": "analytic"}, "store"),
        ({"irf": "analytic", "events": ["a.fits"], "pointings": [PLACE, PLACE]}, "1 lists for 2 pointings"),
        ({"irf": ZENITHS, "pointings": [PLACE]}, "zenith"),
        ({"irf": ZENITHS, "pointings": [{**PLACE, "zenith": "50 deg"}]}, "between 20 and 40 deg"),
        ({"irf": ZENITHS[:1], "pointings": [{**PLACE, "zenith": "20 deg"}]}, "two or more"),
        ({"irf": [ZENITHS[0], ZENITHS[0]], "pointings": [{**PLACE, "zenith": "20 deg"}]}, "20 deg, 20 deg"),
        ({"irf": "analytic", "pointings": [{**PLACE, "zenith": "95 deg"}]}, "zenith"),
    ],
)
def test_contradictions_are_told(keys, words):
    with pytest.raises(ConfigurationError) as caught:
        resolve(observed(**keys))
    assert words in str(caught.value)
    assert caught.value.exit_code == 2

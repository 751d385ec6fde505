"""Parameters of sources: shared or separate, recovered from events; maps between nodes are maps made anew."""

import numpy as np
import pytest
import torch
from tests.statistics.event_analyses import BACKGROUND, EventAnalysis, field

from skysift.inference.engine import Stream
from skysift.inference.result import flatten, resample
from skysift.models.events import build, columns

pytestmark = pytest.mark.statistics

LISTS = 8
INDEX = {"index": {"uniform": [1.5, 3.5]}}
WEST = {"sky": "gaussian", "center": ["-0.6 deg", "0 deg"], "size": "0.25 deg", "spectrum": INDEX}
EAST = WEST | {"center": ["0.6 deg", "0.2 deg"]}
TWIN = EAST | {"spectrum": {"index": 2}, "share": {"index": "west"}}
EVENTS = {"west": 400, "east": 400, "background": 400}


def read(analysis, fit, events, names, seed):
    """Return mean and sd of parameters."""
    model = analysis.bind(events, fit)
    z, weights = flatten(analysis.fit(model, Stream(seed, (fit, events.name)), fit))
    values = model.parameters.values(z)
    draws = torch.stack([values[name] for name in names], 1)
    mean = weights @ draws
    return np.stack([mean.numpy(), (weights @ (draws - mean) ** 2).sqrt().numpy()])


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Two sources with an index each; a fit in which they share one."""
    components = {"west": WEST, "east": EAST, "background": BACKGROUND}
    shared = {"sequence": ["laplace"], "model": {"components": {"east": TWIN}}}
    observation = {"reconstructed": field(1.2, 0.4, ("0.3 TeV", "20 TeV"), 10)}
    folder = tmp_path_factory.mktemp("run")
    return EventAnalysis(folder, components, {"events": EVENTS}, {"shared": shared}, observation)


@pytest.fixture(scope="module")
def indices(pair, seed):
    """Means and sds (list, 2, parameter) by truth and fit."""
    found = {}
    for name, (west, east) in {"equal": (2.3, 2.3), "different": (2.0, 2.6)}.items():
        truth = {"west_index": west, "east_index": east}
        lists = [
            pair.draw(f"{name}-{k:03d}", seed, events=EVENTS, parameters=truth, poisson=True) for k in range(LISTS)
        ]
        for fit, names in (("quick", ["west_index", "east_index"]), ("shared", ["west_index"])):
            found[name, fit] = np.array([read(pair, fit, one, names, seed) for one in lists])
    return found


def pulls_of(found, truth):
    return (found[:, 0] - truth) / found[:, 1]


def test_separate_indices_are_recovered(indices):
    """Five errors of the mean pull, and no pull beyond five."""
    for name, truth in (("equal", (2.3, 2.3)), ("different", (2.0, 2.6))):
        pulls = pulls_of(indices[name, "quick"], np.array(truth))
        assert (np.abs(pulls.mean(0)) < 5 / LISTS**0.5).all()
        assert np.abs(pulls).max() < 5


def test_a_shared_index_is_recovered_and_better_known(indices):
    pulls = pulls_of(indices["equal", "shared"], 2.3)
    assert abs(pulls.mean()) < 5 / LISTS**0.5
    assert np.abs(pulls).max() < 5
    ratio = indices["equal", "shared"][:, 1, 0] / indices["equal", "quick"][:, 1].mean(1)
    assert ratio.mean() == pytest.approx(0.5**0.5, rel=0.1)


def test_sharing_what_differs_is_wrong(indices):
    """The control: one index for two sources lies between them, far from either."""
    for truth in (2.0, 2.6):
        assert abs(pulls_of(indices["different", "shared"], truth).mean()) > 10 / LISTS**0.5


SLOPE = {"gamma": {"uniform": [0.5, 1.45]}}
PROFILES = {"slope": SLOPE, "slope and radius": SLOPE | {"r_s": {"uniform": [10, 40]}}}


@pytest.mark.parametrize(("name", "likelihood"), [("slope", "mixture"), ("slope and radius", "extended")])
def test_polynomials_between_nodes_are_near_the_map(name, likelihood, tmp_path, seed, monkeypatch):
    """Within 0.05 of ln L at draws of the posterior; with four nodes they are not."""
    dark = {
        "sky": "dark_matter", "profile": {"kind": "gnfw", **PROFILES[name]},
        "spectrum": {"kind": "annihilation", "channel": "bergstrom", "mass": {"loguniform": ["0.5 TeV", "50 TeV"]}},
    }  # fmt: skip
    components = {"diffuse": {"sky": "synthetic_diffuse"}, "background": BACKGROUND, "dark_matter": dark}
    numbers = {"diffuse": 600, "background": 1000, "dark_matter": 1000}
    simulate = {"events": numbers}
    if likelihood == "extended":
        norms = {"diffuse": {"lognormal": [1, 1]}, "background": 1, "dark_matter": {"lognormal": [50, 2]}}
        components = {part: one | {"norm": norms[part]} for part, one in components.items()}
        simulate = {"events": "physical", "truth": {"dark_matter": 200}}
    simulate["parameters"] = {"dark_matter_mass": 4.0, "dark_matter_gamma": 1.1}
    observation = {
        "reconstructed": field(1.0, 0.4, ("0.3 TeV", "20 TeV"), 6),
        "pointings": [{"lon": "0 deg", "lat": "0 deg", "time": "0.3 h"}],
    }
    analysis = EventAnalysis(tmp_path, components, simulate, None, observation, likelihood=likelihood)
    events = analysis.draw("simulated-000", seed)
    nodes = analysis.bind(events)
    z, _ = resample(analysis.fit(nodes, Stream(seed)), 60, Stream(seed).generator("kept"))
    values = nodes.parameters.values(z)

    def away(find_nodes):
        """Largest change of ln L over draws, up to a constant, with other nodes."""
        analysis.columns.clear()
        for module in (build, columns):
            monkeypatch.setattr(module, "find_nodes", find_nodes)
        change = (analysis.bind(events).log_likelihood(values) - nodes.log_likelihood(values)).numpy()
        return np.abs(change).max()

    shipped = build.find_nodes
    assert away(lambda component: {}) < 0.05
    few = {key: slice(None, None, 4) for key in PROFILES[name]}
    assert away(lambda component: {key: at[few[key]] for key, at in shipped(component).items()}) > 0.05

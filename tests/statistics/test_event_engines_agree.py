"""Engines that share nothing but the likelihood find the same posterior of one event list."""

import numpy as np
import pytest
from tests.statistics.event_analyses import BACKGROUND, EventAnalysis, moments

from skysift.inference.engine import Stream
from skysift.models.mixture import MixtureModel

pytestmark = [pytest.mark.statistics, pytest.mark.slow]

SKY = {
    "diffuse": {"sky": "synthetic_diffuse"},
    "catalogue": {"sky": "synthetic_catalogue"},
    "cloud": {"sky": "gaussian", "center": ["0.4 deg", "0.2 deg"], "size": "0.3 deg",
              "spectrum": {"norm": "1e-11 TeV-1 cm-2 s-1", "index": 2.1}},
    "star": {"sky": "point", "center": ["-0.5 deg", "-0.3 deg"], "spectrum": {"index": 2.5}},
    "dark_matter": {"sky": "dark_matter", "profile": {"kind": "nfw"},
                    "spectrum": {"kind": "annihilation", "channel": "bergstrom", "mass": "3 TeV"}},
}  # fmt: skip
#: two, three and six components; one source that sends an event in a thousand
WORLDS = {
    "two": {"background": 200, "diffuse": 300},
    "three": {"background": 500, "diffuse": 170, "catalogue": 330},
    "six": {"background": 300, "diffuse": 200, "catalogue": 200, "cloud": 100, "star": 50, "dark_matter": 150},
    "rare": {"background": 1000, "diffuse": 998, "star": 2},
}


@pytest.mark.parametrize("world", WORLDS)
def test_laplace_and_nested_find_the_same_fractions(world, tmp_path, seed):
    """Means within 0.1 sd, sds within 5 %, correlations within 0.05: four scatters of 2000 live points."""
    numbers = WORLDS[world]
    components = {name: SKY[name] for name in numbers if name in SKY} | {"background": BACKGROUND}
    fits = {"quick": [{"laplace": {"importance": 20000}}], "reference": [{"nested": {"live": 2000}}]}
    analysis = EventAnalysis(tmp_path, components, {"events": numbers}, fits)
    model = analysis.bind(analysis.draw("simulated-000", seed))
    first, second = (analysis.fit(model, Stream(seed, (fit,)), fit) for fit in fits)
    assert abs(first.log_z - second.log_z) < 5.0 * second.log_z_error < 0.6
    assert disagree(moments(model, first), moments(model, second)) == []
    # the control: the same list, every fifth row of it away
    few = MixtureModel(model.shares, *drop(model, 5))
    assert disagree(moments(few, analysis.fit(few, Stream(seed))), moments(model, second))


def disagree(first, second):
    """Say where two posteriors (mean, sd, correlations) differ."""
    (mean, sd, correlation), (other, spread, correlations) = first, second
    found = {
        "means, sd": (np.abs(mean - other) / spread).max() / 0.1,
        "sds": np.abs(sd / spread - 1).max() / 0.05,
        "correlations": np.abs(correlation - correlations).max() / 0.05,
    }
    return [f"{name}: {size:.2f} of what is allowed" for name, size in found.items() if size > 1]


def drop(model, every):
    """Return densities and counts without every n-th row."""
    kept = np.arange(len(model.counts)) % every > 0
    table = model.densities
    return table._replace(scaled=table.scaled[kept], offsets=table.offsets[kept]), model.counts[kept]

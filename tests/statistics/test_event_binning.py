"""Events one by one say at least as much as events in bins; ever smaller bins say the same."""

import numpy as np
import pytest
from tests.statistics.ensembles import FIXED_SEED
from tests.statistics.event_analyses import BACKGROUND, EventAnalysis, field, moments

from skysift.inference.engine import Stream

pytestmark = pytest.mark.statistics

SMALL = {"sky": "gaussian", "center": ["0.12 deg", "0.1 deg"], "size": "0.1 deg", "spectrum": {"index": 2.2}}
STAR = {"sky": "point", "center": ["-0.2 deg", "-0.1 deg"], "spectrum": {"index": 2.6}}
EVENTS = {"cloud": 150, "star": 60, "background": 400}
COMPONENTS = {"cloud": SMALL, "star": STAR, "background": BACKGROUND}
PRECISE = {"quick": [{"laplace": {"importance": 20000}}]}


def look(analysis, events, *, binned):
    """Return mean and sd of the fractions, and the logarithm of their posterior's volume."""
    model = analysis.bind(events, binned=binned)
    mean, sd, correlation = moments(model, analysis.fit(model, Stream(1)))
    # of all fractions but the last
    volume = np.log(sd[:-1]).sum() + 0.5 * np.linalg.slogdet(correlation[:-1, :-1])[1]
    return mean, sd, volume


def test_bins_of_the_quick_start_lose_what_lies_within_them(tmp_path, seed):
    """The posterior of 5 lists is a third smaller without bins of 0.4 deg; no list prefers the bins."""
    analysis = EventAnalysis(tmp_path, COMPONENTS, {"events": EVENTS})
    volumes = []
    for k in range(5):
        events = analysis.draw(f"simulated-{k:03d}", seed)
        volumes.append([look(analysis, events, binned=binned)[2] for binned in (True, False)])
    binned, unbinned = np.array(volumes).T
    assert (unbinned < binned).all()
    assert (binned - unbinned).mean() > np.log(1.5)


@pytest.mark.slow
def test_small_bins_say_what_events_say(tmp_path, seed):
    """On 1 deg, in bins of 0.02 deg and 5 % in energy: means within 0.1 sd (rms), sds within 2 %.

    Bins narrower than the PSF by 1.5 lose a hundredth of what events say, which moves means by a tenth of their sd.
    """
    gaps = {}
    for step, points in ((0.02, 40), (0.2, 6)):
        observation = {
            "reconstructed": field(0.5 - step / 2, step, ("1.2 TeV", "9 TeV"), points),
            "true": {"refine": max(1, round(step / 0.05)), "margin": "0.25 deg"},
        }
        analysis = EventAnalysis(tmp_path / f"{points}", COMPONENTS, {"events": EVENTS}, PRECISE, observation)
        lists = [analysis.draw(f"simulated-{k:03d}", seed) for k in range(3)]
        found = [[look(analysis, events, binned=binned) for binned in (True, False)] for events in lists]
        gaps[step] = np.array([[np.abs(a[0] - b[0]) / b[1], np.abs(a[1] / b[1] - 1)] for a, b in found])
    assert np.sqrt((gaps[0.02][:, 0] ** 2).mean()) < (0.1 if seed == FIXED_SEED else 0.2)
    assert gaps[0.02][:, 1].max() < 0.02
    assert np.sqrt((gaps[0.2][:, 0] ** 2).mean()) > 0.2 or gaps[0.2][:, 1].max() > 0.1

"""The shipped quick start, 20 times: true fractions within their intervals, events where the response sends them."""

import numpy as np
import pytest
import yaml
from scipy import stats
from tests.statistics.ensembles import FIXED_SEED
from tests.statistics.event_analyses import EventAnalysis, moments

from skysift.inference.engine import Stream
from skysift.models.events.prediction import predict_cube

pytestmark = pytest.mark.statistics

LISTS = 20


@pytest.fixture(scope="module")
def quick_start(tmp_path_factory, repository, data_folder):
    """`config/ctao_quickstart.yaml`, and its lists."""
    data = yaml.safe_load((repository / "config/ctao_quickstart.yaml").read_text())
    ctao = data_folder / "ctao"
    observation = data["observation"] | {"irf": str(ctao / data["observation"]["irf"]), "true": {}}
    components = data["model"]["components"]
    components["diffuse"] |= {"file": str(ctao / "gll_iem_v06_gc.fits.gz")}
    components["catalogue"] |= {"file": str(ctao / "hgps_catalog_v1.fits.gz")}
    return EventAnalysis(tmp_path_factory.mktemp("run"), components, data["simulate"], data["fits"], observation)


@pytest.fixture(scope="module")
def lists(quick_start, seed):
    return [quick_start.draw(f"simulated-{k:03d}", seed) for k in range(LISTS)]


def test_fractions_are_recovered(quick_start, lists, seed):
    """19 of 20 lists within 3 sd in every fraction, mean pull below 0.7; with another seed 17 of 20, and 1."""
    pulls = []
    for k, events in enumerate(lists):
        model = quick_start.bind(events)
        mean, sd, _ = moments(model, quick_start.fit(model, Stream(seed, (str(k),))))
        truth = np.array([events.truth["fractions"][name] for name in model.names])
        pulls.append((truth - mean) / sd)
    pulls = np.array(pulls)
    good, limit = (19, 0.7) if seed == FIXED_SEED else (17, 1.0)
    assert (np.abs(pulls) < 3).all(1).sum() >= good
    assert (np.abs(pulls.mean(0)) < limit).all()
    # the control: intervals of a fifth of the width
    assert (np.abs(5 * pulls) < 3).all(1).sum() < 17


@pytest.mark.slow
def test_nested_agrees(quick_start, lists, seed):
    """One list: means within 0.2 sd, and the evidence within five claimed errors."""
    model = quick_start.bind(lists[0])
    first, second = (quick_start.fit(model, Stream(seed), fit) for fit in ("quick", "reference"))
    (mean, sd, _), (other, _, _) = moments(model, first), moments(model, second)
    assert (np.abs(mean - other) < 0.2 * sd).all()
    assert abs(first.log_z - second.log_z) < 5 * second.log_z_error


@pytest.mark.parametrize("name", ["background", "diffuse", "catalogue"])
def test_events_fall_where_the_fold_says(quick_start, lists, name, seed):
    """Chi square of all lists together in bins of 20 events or more; a shift by one energy or latitude is seen."""
    axes, component = quick_start.looked_at.reconstructed, quick_start.slices["marginalise"].sources[name]
    light = quick_start.looked_at.lights.get(name)
    expected = predict_cube(component, light, quick_start.looked_at, quick_start.folds)
    seen = np.zeros(expected.size)
    for events in lists:
        own = events.component == events.components.index(name)
        bins = axes.find(events.energy[own], events.lon[own], events.lat[own])
        seen += np.bincount(bins, minlength=expected.size)
    assert compare(seen, expected) > (1e-3 if seed == FIXED_SEED else 1e-5)
    for axis, step in ((0, 1), (1, axes.grid.shape[1])):
        assert compare(seen, np.roll(expected, step, axis)) < 1e-6


def compare(seen, expected):
    """Return the p-value of counts (n,) against expected shares, rare bins joined."""
    wanted = expected.ravel() / expected.sum() * seen.sum()
    order = np.argsort(-wanted)
    groups = np.minimum(np.cumsum(wanted[order]) // 20, wanted.sum() // 20 - 1)
    _, group = np.unique(groups, return_inverse=True)
    both = [np.bincount(group, part[order]) for part in (seen, wanted)]
    return stats.chisquare(*both).pvalue

"""Diffuse emission that differs from its map by exp(Gaussian process): seen in events, harmless once it is fitted."""

import numpy as np
import pytest
import torch
from tests.statistics.ensembles import FIXED_SEED
from tests.statistics.event_analyses import BACKGROUND, EventAnalysis, field, moments

from skysift.inference.engine import Stream
from skysift.inference.result import resample
from skysift.models.events.fields import make_field

pytestmark = pytest.mark.statistics

RIGID = {"sky": "synthetic_diffuse"}
MODULATED = {**RIGID, "modulate": {"lengthscale": "1 deg", "variance": 0.5, "inducing": {"spacing": 0.6}}}
EVENTS = {"background": 4000, "diffuse": 4000, "catalogue": 2000}
SETS = 32


@pytest.fixture(scope="module")
def clouds(tmp_path_factory):
    """A map that is modulated, and a fit that takes it as it is."""
    components = {"diffuse": MODULATED, "catalogue": {"sky": "synthetic_catalogue"}, "background": BACKGROUND}
    rigid = {"sequence": ["laplace"], "model": {"components": {"diffuse": RIGID}}}
    simulate = {"events": EVENTS, "modulate": True}
    observation = {"reconstructed": field(1.4, 0.4, points=6)}
    return EventAnalysis(tmp_path_factory.mktemp("run"), components, simulate, {"rigid": rigid}, observation)


def pull(analysis, events, fit, seed):
    """Return the pulls of the fractions, the model and the result."""
    model = analysis.bind(events, fit)
    result = analysis.fit(model, Stream(seed, (fit, events.name)), fit)
    mean, sd, _ = moments(model, result)
    truth = np.array([events.truth["fractions"][name] for name in model.names])
    return (truth - mean) / sd, model, result


def modulation(analysis):
    """Return the map from whitened numbers to log modulation in the pixels of the field."""
    grid = analysis.looked_at.true.grid
    inside = analysis.looked_at.reconstructed.grid.find(grid.lon_deg, grid.lat_deg) >= 0
    return make_field(analysis.slices["marginalise"].sources["diffuse"].modulate, grid)[inside]


def test_fields_are_drawn_and_known(clouds, seed):
    """Two lists, two fields; where the field is high there are more events than the map alone has."""
    lists = [clouds.draw(f"simulated-{k:03d}", seed) for k in range(2)]
    fields = [np.array(events.truth["parameters"]["diffuse_field"]) for events in lists]
    assert np.abs(np.corrcoef(*fields)[0, 1]) < 0.5
    assert all(abs(part.std() - 1) < 0.5 for part in fields)
    change = modulation(clouds)
    shares = clouds.looked_at.lights["diffuse.rigid"].cube[0]
    grid = clouds.looked_at.true.grid
    places = np.flatnonzero(clouds.looked_at.reconstructed.grid.find(grid.lon_deg, grid.lat_deg) >= 0)
    high = {}
    for events, whitened in zip(lists, fields, strict=True):
        own = events.component == events.components.index("diffuse")
        at = grid.find(events.true_lon[own], events.true_lat[own])
        counts = np.bincount(at[np.isin(at, places)], minlength=grid.size)[places]
        log_modulation = change @ whitened
        bright = log_modulation > np.median(log_modulation)
        modulated = shares[places] * np.exp(log_modulation)
        expected = modulated[bright].sum() / modulated.sum()
        flat = shares[places][bright].sum() / shares[places].sum()
        found, error = counts[bright].sum() / counts.sum(), 0.5 / counts.sum() ** 0.5
        assert abs(found - expected) < 5 * error
        high[events.name] = (found - flat) / error
    assert max(high.values()) > 5


@pytest.mark.slow
def test_modulated_skies_bias_rigid_fits_and_no_others(clouds, seed):
    """32 lists: without the process fractions are off by more than 2 sd (rms), with it their pulls are those of draws.

    68 % bands of exp(f) hold 60 to 76 % of the pixels; with another seed, five scatters of what 32 skies hold. Bands
    of 0.7 the width, in ln, do not.
    """
    change = modulation(clouds)
    rigid, free, held, narrow = [], [], [], []
    for k in range(SETS):
        events = clouds.draw(f"simulated-{k:03d}", seed)
        rigid.append(pull(clouds, events, "rigid", seed)[0])
        pulls, model, result = pull(clouds, events, "quick", seed)
        free.append(pulls)
        z, _ = resample(result, 400, torch.Generator().manual_seed(seed + k))
        draws = model.parameters.values(z)["diffuse_field"].numpy() @ change.T
        truth = change @ np.array(events.truth["parameters"]["diffuse_field"])
        low, middle, high = np.quantile(draws, [0.16, 0.5, 0.84], axis=0)
        held.append(((truth >= low) & (truth <= high)).mean())
        inside = (truth >= middle - 0.7 * (middle - low)) & (truth <= middle + 0.7 * (high - middle))
        narrow.append(inside.mean())
    rigid, free = np.array(rigid), np.array(free)
    assert (np.sqrt((rigid**2).mean(0)) > 2).all()
    assert (np.abs(free.mean(0)) < 5 / SETS**0.5).all()
    assert (np.sqrt((free**2).mean(0)) < 1 + 5 / (2 * SETS) ** 0.5).all()
    assert (np.abs(free) < 2).mean() > 0.85
    scatter = np.std(held) / SETS**0.5
    assert abs(np.mean(held) - 0.68) < (0.08 if seed == FIXED_SEED else 0.08 + 3 * scatter)
    assert np.mean(narrow) < 0.6

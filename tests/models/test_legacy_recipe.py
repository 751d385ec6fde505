"""The published recipe does what it is said to do wrong, and its parts are as described."""

import healpy
import numpy as np
import pytest
import torch

from skysift.models.legacy import LABEL, LegacySettings, LegacySky, make_projection, run_legacy, snap_lattice
from skysift.parameters import Parameter, Parameters
from skysift.parameters.priors import Normal, Uniform

NSIDE = 32
BRIEF = {"steps": 800, "lr": 0.02, "inducing": 12, "draws": 300, "lengthscale_rad": 0.3}


@pytest.fixture(scope="module")
def sky():
    """A disc of 10 deg with one flat and one peaked template on a flat diffuse glow."""
    inside = np.sort(healpy.query_disc(NSIDE, (1.0, 0.0, 0.0), np.radians(10.0)))
    pixels = torch.as_tensor(np.stack(healpy.pix2vec(NSIDE, inside), 1))
    distance = torch.arccos(pixels[:, 0].clamp(-1.0, 1.0))
    templates = torch.stack([torch.full_like(distance, 5.0), 30.0 * torch.exp(-0.5 * (distance / 0.06) ** 2)])
    diffuse = torch.full_like(distance, 20.0)
    mean = 0.5 * templates[0] + 0.9 * templates[1] + diffuse
    counts = torch.poisson(mean, generator=torch.Generator().manual_seed(3))
    names = Parameters([Parameter("flat_norm", Normal(0.5, 0.1)), Parameter("peak_norm", Uniform(0.0, 1.5))])
    return LegacySky(counts, templates, diffuse, pixels, NSIDE, names)


def test_lattice_snaps_to_pixel_centres_of_the_region(sky):
    points = snap_lattice(40, sky.pixels.numpy(), NSIDE)
    assert 25 <= len(points) <= 55
    apart = np.linalg.norm(points[:, None] - sky.pixels.numpy(), axis=-1).min(1)
    assert apart.max() < 1e-12
    assert len(np.unique(points, axis=0)) == len(points)


def test_distance_is_along_great_circles(sky):
    projection = make_projection(sky.pixels, NSIDE, 12, 0.3)
    assert projection.distance == "geodesic"


@pytest.mark.parametrize("guide", ["mvn", "iaf", "conditional_iaf"])
def test_every_published_guide_trains_and_repeats(sky, guide, seed):
    settings = LegacySettings(guide=guide, batch=50, **{**BRIEF, "steps": 200, "draws": 20})
    found, again = run_legacy(sky, settings, seed), run_legacy(sky, settings, seed)
    assert found.label == LABEL
    assert found.norms.shape == (20, 2)
    assert found.loss.shape == (2,)
    assert bool(torch.isfinite(found.loss).all())
    assert torch.equal(found.norms, again.norms)
    assert torch.equal(found.field, again.field)


def test_an_unscaled_minibatch_tempers(sky, seed):
    """A sum over B of N pixels targets likelihood^(B/N): the field stays wide. Scaled (the control) it is narrow."""
    batch = len(sky.counts) // 8
    spread = {
        scaled: run_legacy(sky, LegacySettings(batch=batch, scaled=scaled, **BRIEF), seed).field.std(0)
        for scaled in (False, True)
    }
    # of a number that the data determine well, the sd grows by the square root of eight; of all, by less
    assert float((spread[False] / spread[True]).max()) > 1.5
    assert float(spread[False].mean()) > 1.15 * float(spread[True].mean())


def test_the_whole_map_needs_no_scale(sky, seed):
    settings = {**BRIEF, "steps": 100}
    whole = len(sky.counts)
    plain, scaled = (
        run_legacy(sky, LegacySettings(batch=whole, scaled=one, **settings), seed) for one in (False, True)
    )
    assert torch.equal(plain.field, scaled.field)

"""A small field in the analytic response: axes, pointings, sources, and histograms of events in its bins."""

from functools import cache

import numpy as np
import torch
from scipy import stats

from skysift.geometry import EnergyAxis, LonLatGrid
from skysift.instruments.ctao import Axes, Pointing, Response, analytic_irf, make_true_axes
from skysift.instruments.ctao.event_observation import EventObservation, ResponseFile
from skysift.sky.light import Light
from skysift.sky.shapes import Gaussian
from skysift.sky.spectra import PowerLaw

__all__ = [
    "SEEN",
    "background",
    "chi_square",
    "disc_of_light",
    "irf",
    "make_observation",
    "make_response",
    "point",
    "spectrum",
]

SEEN = Axes(EnergyAxis.from_bins(0.4, 20.0, 6), LonLatGrid.from_step(-0.6, 0.6, -0.6, 0.6, 0.3))


@cache
def irf():
    return analytic_irf()


@cache
def make_observation(pointings=((0.0, 0.0, 180000.0),)):
    pointings = tuple(Pointing(*numbers) for numbers in pointings)
    true = make_true_axes(irf(), SEEN, pointings, refine=3)
    responses = (ResponseFile("analytic", irf().sha256),) * len(pointings)
    return EventObservation(SEEN, true, pointings, responses)


@cache
def make_response(observation, number=0):
    return Response.build(irf(), observation.true, SEEN, observation.pointings[number])


def spectrum(observation, index=2.4, norm=1e-12):
    return PowerLaw(norm, index, 1.0).integrals(torch.tensor(observation.true.energy.edges_tev)).numpy()


def disc_of_light(observation, lon=0.2, lat=-0.15):
    """A Gaussian of 0.25 deg."""
    return Light(Gaussian(lon, lat, 0.25).integrate(observation.true.grid)[None]).with_spectrum(spectrum(observation))


def point(observation, lon=-0.31, lat=0.22):
    """A point source, not at the centre of a pixel."""
    empty = np.zeros((1, observation.true.grid.size))
    return Light(empty, np.array([[lon, lat]]), np.ones((1, 1))).with_spectrum(spectrum(observation, 2.0))


def background(observation):
    from skysift.instruments.ctao.background_counts import integrate_background

    return [integrate_background(irf(), SEEN, pointing) for pointing in observation.pointings]


def chi_square(events, expected, axes=SEEN):
    """Return the p-value of events (energy, lon, lat attributes) against expected shares (K, J), bins of 10 or more."""
    seen = np.bincount(axes.find(events.energy, events.lon, events.lat), minlength=expected.size)
    wanted = (expected / expected.sum()).ravel() * len(events.energy)
    order = np.argsort(-wanted)
    # bins of few events are joined
    _, group = np.unique(np.minimum(np.cumsum(wanted[order]) // 10, wanted.sum() // 10 - 1), return_inverse=True)
    both = [np.bincount(group, part[order]) for part in (seen, wanted)]
    return stats.chisquare(*both).pvalue

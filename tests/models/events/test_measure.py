"""Light in pixels that shine evenly is as wide as the shape that they stand for."""

import numpy as np
import pytest
from tests.models.events.sources import component

from skysift.geometry import EnergyAxis, LonLatGrid
from skysift.instruments.ctao import Axes, Pointing, read_irf
from skysift.instruments.ctao.pointing import make_true_axes
from skysift.instruments.ctao.response import Response
from skysift.models.events import lights
from skysift.models.events.columns import fold_light
from skysift.models.events.measure import narrow
from skysift.sky.shapes import Disk, Gaussian

GRID = LonLatGrid.from_step(-2.0, 2.0, -2.0, 2.0, 0.1)


def variances(share):
    """Return the variance of longitude and latitude of light that each pixel sends out evenly, deg2."""
    image = share.reshape(GRID.shape) / share.sum()
    found = []
    for axis, edges in ((0, GRID.lon_edges_deg), (1, GRID.lat_edges_deg)):
        centre, step = 0.5 * (edges[1:] + edges[:-1]), np.diff(edges)
        weight = image.sum(axis)
        mean = weight @ centre
        found.append(weight @ ((centre - mean) ** 2 + step**2 / 12.0))
    return np.array(found)


@pytest.mark.parametrize("lon", [0.0, 0.03, -0.05])
def test_a_gaussian_is_as_wide_as_it_should_be(lon):
    share = Gaussian(lon, 0.02, 0.16).integrate(GRID)
    assert variances(narrow(share, GRID)) == pytest.approx([0.16**2, 0.16**2], rel=5e-3)
    # the control: without it, a sixth of a squared pixel too much
    assert variances(share) == pytest.approx([0.16**2 + 0.1**2 / 6.0] * 2, rel=1e-3)


def test_a_sharp_edge_stays_light_and_loses_nothing():
    share = Disk(0.04, -0.02, 0.33).integrate(GRID)
    moved = narrow(share, GRID)
    assert moved.sum() == pytest.approx(share.sum(), rel=1e-14)
    assert (moved >= 0.0).all()
    excess = [variances(light) / (0.33**2 / 4.0) - 1.0 for light in (share, moved)]
    assert (excess[0] > 0.05).all()
    # pixels cut by the edge have little to give
    assert (excess[1] < 0.75 * excess[0]).all()


def test_a_single_pixel_takes_nothing_from_empty_ones():
    share = np.zeros(GRID.size)
    share[GRID.size // 2] = 1.0
    assert (narrow(share, GRID) == share).all()


@pytest.mark.slow
def test_refining_moves_the_survey_little(data_folder, monkeypatch):
    """As many pixels again along each side: bins of the quick start move as little as its diffuse sky does."""
    south = read_irf(data_folder / "ctao/Prod5-South-20deg-AverageAz-14MSTs37SSTs.180000s-v0.1.fits.gz")
    seen = Axes(EnergyAxis.from_points(0.1, 100.0, 6), LonLatGrid.from_step(-1.2, 1.2, -1.2, 1.2, 0.4))
    pointing, survey = Pointing(0.0, 0.0, 180000.0), component({"sky": "hgps"})
    coarse = make_true_axes(south, seen, [pointing])
    edges = coarse.grid.lon_edges_deg, coarse.grid.lat_edges_deg
    halved = LonLatGrid(*(np.sort(np.concatenate((x, 0.5 * (x[1:] + x[:-1])))) for x in edges))
    trues = coarse, Axes(coarse.energy, halved)
    responses = [Response.build(south, true, seen, pointing) for true in trues]

    def change():
        made = [
            lights.make_light(survey, true, seen.grid, lambda *_: data_folder / "ctao/hgps_catalog_v1.fits.gz")
            for true in trues
        ]
        few, many = (fold_light(light, response, 1.0) for light, response in zip(made, responses, strict=True))
        lit = few > 1e-4 * few.sum()
        apart = np.abs(np.log(many[lit] / few[lit]))
        return np.median(apart), apart.max()

    middle, worst = change()
    assert middle < 2e-3
    assert worst < 2e-2
    monkeypatch.setattr(lights, "narrow", lambda share, grid: share)
    assert change()[1] > 5e-2, "the control: wider by what pixels add"

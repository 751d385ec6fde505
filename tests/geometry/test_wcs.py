"""Pixels of tangent-plane and plate carrée maps against astropy."""

import numpy as np
import pytest
import torch

from skysift.errors import InputError
from skysift.geometry.wcs import WcsGrid, turn_frame

GRIDS = {
    "tangent": WcsGrid.around((83.6, 22.0), (7, 9), 0.5, "icrs"),
    "across zero": WcsGrid.around((359.9, -0.2), (6, 5), 0.3),
    "plate": WcsGrid.around((359.9, 4.2), (6, 5), 0.3, projection="CAR"),
}


def astropy_wcs(grid):
    from astropy.wcs import WCS

    wcs = WCS(naxis=2)
    names = ("RA--", "DEC-") if grid.frame == "icrs" else ("GLON", "GLAT")
    wcs.wcs.ctype = [f"{name}-{grid.projection}" for name in names]
    wcs.wcs.crval, wcs.wcs.cdelt = grid.reference_deg, grid.step_deg
    wcs.wcs.crpix = [place + 1 for place in grid.reference_pixel]
    return wcs


@pytest.mark.parametrize("name", GRIDS)
def test_centres_and_back(name):
    grid = GRIDS[name]
    rows, columns = np.mgrid[: grid.shape[0], : grid.shape[1]].astype(float)
    lon, lat = astropy_wcs(grid).all_pix2world(columns, rows, 0)
    mine = grid.lonlat_deg
    assert np.abs((mine[0] - lon + 180) % 360 - 180).max() < 1e-10
    assert np.abs(mine[1] - lat).max() < 1e-10
    x, y = grid.to_pixel(torch.tensor(lon), torch.tensor(lat))
    assert np.abs(x.numpy() - columns).max() < 1e-9
    assert np.abs(y.numpy() - rows).max() < 1e-9


def test_frames():
    from astropy.coordinates import SkyCoord

    grid = GRIDS["tangent"]
    galactic = SkyCoord(*grid.lonlat_deg, unit="deg").galactic
    lon, lat = grid.lonlat_in("galactic")
    assert np.abs((lon - galactic.l.deg + 180) % 360 - 180).max() < 1e-6
    assert np.abs(lat - galactic.b.deg).max() < 1e-6
    x, _ = grid.to_pixel(torch.tensor(lon), torch.tensor(lat), "galactic")
    assert np.abs(x.numpy() - np.arange(9)).max() < 1e-9
    assert np.allclose(turn_frame("icrs", "galactic") @ turn_frame("galactic", "icrs"), np.eye(3), atol=1e-12)


@pytest.mark.parametrize("name", GRIDS)
def test_pixels_tile_the_sky(name):
    """The areas of four pixels are that of the whole that they make."""
    grid = GRIDS[name]
    fine = WcsGrid(
        grid.projection, grid.frame, grid.reference_deg, tuple(step / 2 for step in grid.step_deg),
        tuple(2 * (place + 0.5) - 0.5 for place in grid.reference_pixel), tuple(2 * count for count in grid.shape),
    )  # fmt: skip
    rows, columns = grid.shape
    joined = fine.areas_sr.reshape(rows, 2, columns, 2).sum((1, 3))
    assert np.abs(joined / grid.areas_sr - 1).max() < 2e-5
    assert grid.areas_sr[rows // 2, columns // 2] == pytest.approx(
        np.radians(grid.scale_deg) ** 2 * (np.cos(np.radians(grid.lonlat_deg[1][rows // 2, 0])) ** (name == "plate")),
        rel=1e-3,
    )


def test_a_window_is_a_part():
    grid = GRIDS["tangent"]
    assert np.array_equal(grid.window(2, 3, 4, 5).lonlat_deg[0], grid.lonlat_deg[0][2:6, 3:8])


def test_an_oblique_plate_is_refused():
    with pytest.raises(InputError, match="CRVAL2"):
        WcsGrid("CAR", "galactic", (0.0, 3.0), (-0.1, 0.1), (0.0, 0.0), (2, 2))

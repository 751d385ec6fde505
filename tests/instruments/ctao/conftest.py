"""Real response files."""

import pytest

from skysift.instruments.ctao import read_irf

SOUTH_50H = "Prod5-South-20deg-AverageAz-14MSTs37SSTs.180000s-v0.1.fits.gz"
SOUTH_5H = "Prod5-South-20deg-SouthAz-14MSTs37SSTs.18000s-v0.1.fits.gz"
NORTH_50H = "Prod5-North-20deg-AverageAz-4LSTs09MSTs.180000s-v0.1.fits.gz"


@pytest.fixture(scope="session")
def south(data_folder):
    """The southern response for 50 h."""
    return read_irf(data_folder / "ctao" / SOUTH_50H)


@pytest.fixture(scope="session", params=[SOUTH_50H, SOUTH_5H, NORTH_50H])
def response_path(request, data_folder):
    """Each response file in turn."""
    return data_folder / "ctao" / request.param

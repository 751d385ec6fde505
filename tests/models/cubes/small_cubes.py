"""A small cube on the analytic response, and model files beside it."""

import textwrap
from pathlib import Path

import numpy as np

from skysift.config.models import interpret_models, order_expressions
from skysift.config.reader import read_yaml_text
from skysift.geometry import EnergyAxis
from skysift.geometry.wcs import WcsGrid
from skysift.instruments.ctao.analytic import analytic_irf
from skysift.instruments.ctao.pointing import Pointing
from skysift.instruments.cubes.files import CubeCounts, CubeObservation
from skysift.instruments.cubes.making import make_dataset
from skysift.models.cubes.build import Options, build_cube_model

REPOSITORY = Path(__file__).parents[3]


def observe(width=20, energies=4, name="cube"):
    """Return one cube of 2 deg x 2 deg, or of another number of pixels of 0.1 deg."""
    grid = WcsGrid.around((0.0, 0.0), (width, width), 0.1)
    axes = EnergyAxis.from_bins(0.5, 20.0, energies), EnergyAxis.from_bins(0.3, 40.0, energies + 3)
    return CubeObservation((make_dataset(name, [analytic_irf()], [Pointing(0.2, 0.1, 36000.0)], grid, *axes),))


def declare(text):
    """Return what a model file in YAML declares, in natural units."""
    return interpret_models(read_yaml_text(textwrap.dedent(text), "models.yaml")).natural()


def shipped():
    """Return the three sources that the smallest run has."""
    return declare((REPOSITORY / "config/models/three_sources.yaml").read_text())


def bind(declared, observation, counts=None, quadrature="exact"):
    """Return the model of one cube; without counts those are zero."""
    data = None if counts is None else CubeCounts("data", {observation.datasets[0].name: np.asarray(counts)})
    return build_cube_model(declared, order_expressions(declared), observation, data, Options(quadrature))

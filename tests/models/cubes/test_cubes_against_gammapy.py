"""Cubes are read, and sources predicted, as Gammapy has them: exposure, kernels, dispersion, images, counts, Cash."""

import warnings
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tests.peers import import_peer

from skysift.config.models import order_expressions, read_models
from skysift.instruments.cubes.files import CubeCounts, CubeObservation
from skysift.instruments.cubes.map_dataset import read_map_dataset
from skysift.instruments.cubes.response import respond_at
from skysift.models.cubes.build import Options, build_cube_model
from skysift.storage import registry

IRF = "Prod5-South-20deg-AverageAz-14MSTs37SSTs.180000s-v0.1.fits.gz"
AMPLITUDE = "2e-13 cm-2 s-1 TeV-1"
#: Of a component, in units of its maximum, and of its sum, relative; Gammapy convolves in single precision.
IN_EVERY_BIN, IN_SUM = 1e-6, 2e-7
PIXELS = {
    "plate 0.05": (0.05, "CAR", "kernel"),
    "tangent 0.05": (0.05, "TAN", "migra"),
    "tangent 0.02": (0.02, "TAN", "kernel"),
}
SOURCES = {
    "point": ("point", "pl", {"lon_0": "0.33 deg", "lat_0": "-0.21 deg"}),
    "gauss": ("gauss", "lp", {"lon_0": "-0.37 deg", "lat_0": "0.33 deg", "sigma": "0.17 deg"}),
    "ellipse": (
        "gauss", "ecpl", {"lon_0": "-0.13 deg", "lat_0": "0.33 deg", "sigma": "0.2 deg", "e": 0.8, "phi": "40 deg"}
    ),
    "disk": ("disk", "bpl", {"lon_0": "0.43 deg", "lat_0": "0.33 deg", "r_0": "0.3 deg"}),
    "oval": ("disk", "sbpl", {"lon_0": "0.43 deg", "lat_0": "0.33 deg", "r_0": "0.3 deg", "e": 0.7, "phi": "-30 deg"}),
    "shell": ("shell", "pl-2", {"lon_0": "-0.43 deg", "lat_0": "-0.47 deg", "radius": "0.25 deg", "width": "0.1 deg"}),
    "shell2": ("shell2", "ecpl-3fgl", {"lon_0": "-0.43 deg", "lat_0": "-0.47 deg", "r_0": "0.35 deg", "eta": 0.3}),
    "general": (
        "gauss-general", "secpl-4fgl-dr3", {"lon_0": "0.23 deg", "lat_0": "0.57 deg", "r_0": "0.1 deg", "eta": 0.7}
    ),
    "turned": ("gauss", "pl", {"lon_0": "266.4 deg", "lat_0": "-29.1 deg", "sigma": "0.1 deg", "frame": "icrs"}),
    "everywhere": ("const", "pl", {}),
}  # fmt: skip
#: Two equal indices are no number to Gammapy.
NUMBERS = {"bpl": {"index1": 1.8, "index2": 2.8}, "sbpl": {"index1": 1.8, "index2": 2.8}}


@pytest.fixture(scope="module")
def gammapy():
    names = {
        "maps": "maps",
        "irf": "irf",
        "data": "data",
        "datasets": "datasets",
        "makers": "makers",
        "models": "modeling.models",
    }
    return SimpleNamespace(**{name: import_peer(f"gammapy.{path}") for name, path in names.items()})


@pytest.fixture(
    scope="module", params=["plate 0.05", *(pytest.param(name, marks=pytest.mark.slow) for name in list(PIXELS)[1:])]
)
def theirs(request, gammapy):
    """A data set of Gammapy with a pointing beside its middle, and without counts."""
    from astropy import units as u
    from astropy.coordinates import SkyCoord

    step, projection, kind = PIXELS[request.param]
    entry = next(one for one in registry.entries("ctao") if one.file == IRF)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        irfs = gammapy.irf.load_irf_dict_from_file(registry.locate(entry))
        middle = SkyCoord(0.0, 0.0, unit="deg", frame="galactic")
        pointing = gammapy.data.FixedPointingInfo(fixed_icrs=SkyCoord(0.3, 0.2, unit="deg", frame="galactic").icrs)
        seen = gammapy.data.Observation.create(pointing=pointing, livetime=10 * u.h, irfs=irfs)
        axis = gammapy.maps.MapAxis
        energy = axis.from_energy_bounds("0.1 TeV", "50 TeV", nbin=6)
        true = axis.from_energy_bounds("0.05 TeV", "100 TeV", nbin=9, name="energy_true")
        geometry = gammapy.maps.WcsGeom.create(
            skydir=middle, width=2.0, binsz=step, frame="galactic", proj=projection, axes=[energy]
        )
        migra = {"migra_axis": axis.from_bounds(0.2, 5, nbin=150, node_type="edges", name="migra")}
        empty = gammapy.datasets.MapDataset.create(
            geometry, energy_axis_true=true, name="seen", **(migra if kind == "migra" else {})
        )
        return gammapy.makers.MapDatasetMaker(selection=["exposure", "background", "psf", "edisp"]).run(empty, seen)


@pytest.fixture(scope="module")
def models(gammapy):
    """One source of every kind of shape and spectrum, and a background; all frozen but its norm."""
    listed = []
    for name, (shape, spectrum, numbers) in SOURCES.items():
        spatial = gammapy.models.Model.create(shape, "spatial", **({"frame": "galactic"} | numbers if numbers else {}))
        spectral = gammapy.models.Model.create(spectrum, "spectral", **NUMBERS.get(spectrum, {}))
        spectral.amplitude.quantity = "1e-12 cm-2 s-1" if spectrum == "pl-2" else AMPLITUDE
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            listed.append(gammapy.models.SkyModel(spectral_model=spectral, spatial_model=spatial, name=name))
    norm = gammapy.models.PowerLawNormSpectralModel(norm=1.1, tilt=0.05)
    listed.append(gammapy.models.FoVBackgroundModel(dataset_name="seen", spectral_model=norm))
    made = gammapy.models.Models(listed)
    made.freeze()
    background = made["seen-bkg"].spectral_model.norm
    background.frozen, background.min, background.max = False, 0.5, 2.0
    return made


@pytest.fixture(scope="module")
def both(theirs, models, tmp_path_factory):
    """Gammapy's data set with its evaluators made anew, and ours from its files."""
    folder = tmp_path_factory.mktemp("cubes")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs.models = models
        theirs.counts = theirs.npred()
        theirs.counts.data = np.random.default_rng(1).poisson(theirs.counts.data).astype(float)
        theirs.models = None
        theirs.models = models
        theirs.write(folder / "seen.fits", overwrite=True)
        models.write(folder / "models.yaml", full_output=True)
    cube, counts = read_map_dataset(folder / "seen.fits", "seen")
    return SimpleNamespace(
        theirs=theirs, cube=cube, counts=counts, declared=read_models(folder / "models.yaml").natural()
    )


def bind(both, declared, cube, counts=None):
    data = None if counts is None else CubeCounts("data", {"seen": counts})
    return build_cube_model(declared, order_expressions(declared), CubeObservation((cube,)), data, Options("gammapy"))


def predict(model):
    start = {name: torch.tensor([value], dtype=torch.float64) for name, value in model.tree.starts.items()}
    with torch.no_grad():
        return model.expected(start)[0].reshape(model.cubes[0].base.shape).numpy(), model.log_likelihood(start)


def test_the_file_says_what_gammapy_says(both):
    cube, theirs = both.cube, both.theirs
    assert np.array_equal(cube.exposure_cm2_s, theirs.exposure.quantity.to_value("cm2 s"))
    assert np.array_equal(cube.background, theirs.background.data)
    assert np.array_equal(both.counts, theirs.counts.data)
    assert np.allclose(cube.energy.edges_tev, theirs.counts.geom.axes["energy"].edges.to_value("TeV"), rtol=1e-14)
    sky = theirs.counts.geom.to_image().get_coord().skycoord
    assert np.abs(cube.grid.lonlat_deg[1] - sky.b.deg).max() < 1e-10
    assert np.abs(cube.grid.areas_sr / theirs.counts.geom.to_image().solid_angle().to_value("sr") - 1).max() < 1e-6


def test_kernels_and_matrices(both):
    from astropy.coordinates import SkyCoord

    place = SkyCoord(0.33, -0.21, unit="deg", frame="galactic")
    ours = respond_at(both.cube, 0.33, -0.21, "galactic", "gammapy")
    kernel = both.theirs.psf.get_psf_kernel(position=place, geom=both.theirs.exposure.geom).data
    assert ours.kernel.shape == kernel.shape
    assert np.abs(ours.kernel - kernel).max() < 1e-6 * kernel.max()
    matrix = both.theirs.edisp.get_edisp_kernel(position=place, energy_axis=both.theirs.counts.geom.axes["energy"])
    assert np.abs(ours.shares - matrix.pdf_matrix).max() < 1e-12


@pytest.mark.parametrize("name", SOURCES)
def test_each_source(both, name):
    kept = tuple(item for item in both.declared.components if item.name in (name, "seen-bkg"))
    cube = replace(both.cube, background=np.zeros_like(both.cube.background))
    ours, _ = predict(bind(both, replace(both.declared, components=kept), cube))
    theirs = both.theirs.npred_signal(model_names=[name]).data
    assert np.abs(ours - theirs).max() < IN_EVERY_BIN * theirs.max()
    assert ours.sum() == pytest.approx(theirs.sum(), rel=IN_SUM)


def test_all_together_and_their_statistic(both):
    model = bind(both, both.declared, both.cube, both.counts)
    ours, likelihood = predict(model)
    theirs = both.theirs.npred().data
    where = both.theirs.background.data > 0
    assert np.abs(ours / theirs - 1)[where].max() < (2e-5 if both.cube.grid.scale_deg < 0.03 else 1e-5)
    cash = -2 * float(likelihood + model.cubes[0].constant)
    assert abs(cash - both.theirs.stat_sum()) < 1e-3
    # control: what another quadrature does is seen
    other = build_cube_model(
        both.declared, {}, CubeObservation((both.cube,)), CubeCounts("data", {"seen": both.counts}), Options("exact")
    )
    assert 2 * abs(float(predict(other)[1] - likelihood)) > 5e-3

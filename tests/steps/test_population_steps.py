"""Populations through every step: from the shipped smoke configuration, at reduced size, to tables and figures."""

import numpy as np
import pytest

from skysift.config import load, yaml_text
from skysift.instruments.fermi import read_counts, read_observation
from skysift.steps import diagnose, fit, prepare, simulate
from skysift.steps.gather import find_prior, find_truth, gather_fits
from skysift.steps.report_maps import plan_fit
from skysift.steps.report_pictures import Run
from skysift.steps.tables import posterior_rows
from skysift.storage.hdf5 import read

SMALL = {
    "observation": {"nside": 32, "psf": {"gaussian": "0.6 deg"}},
    "simulate": {"truth": {"isotropic": 0.1, "diffuse": 0.5}},
    "model": {"components": {"diffuse": {"norm": {"lognormal": [0.5, 0.5]}}}},
    "fits": {
        "field": None,
        "smooth": None,
        "laplace": [{"map": {"starts": 1}}, {"laplace": {"draws": 50, "importance": 50}}],
    },
}
DATA = "simulated-000"


@pytest.fixture(scope="module")
def run(repository, tmp_path_factory):
    """A folder with the results of each step, and the slice of the report."""
    folder = tmp_path_factory.mktemp("populations")
    analysis = load([repository / "config/smoke/nptf.yaml"], SMALL)
    slices = {}
    for name, part in analysis.slices().items():
        slices[name] = folder / f"{name}.yaml"
        slices[name].write_text(yaml_text(part))
    sky, data = folder / "observation.h5", folder / "data.h5"
    prepare.run(slices["observation"], sky)
    simulate.run(slices["simulate-simulated"], sky, DATA, data)
    for kind, ending in (("fits", "nc"), ("predictive", "h5")):
        (folder / kind / "laplace").mkdir(parents=True)
        place = folder / kind / "laplace" / f"{DATA}.{ending}"
        if kind == "fits":
            fit.run(slices["fit-laplace"], sky, data, place)
            posterior = place
        else:
            diagnose.run(slices["fit-laplace"], sky, data, posterior, place)
    return folder, analysis.make_slices()["report"]


def test_sources_are_drawn_beyond_the_region_too(run):
    folder, _ = run
    sky, counts = read_observation(folder / "observation.h5"), read_counts(folder / "data.h5")
    assert sky.region.sum() < len(sky.pixels)
    assert sky.shares.fractions @ sky.shares.pixels == pytest.approx(1)
    true = counts.populations["gce_sources"]
    assert true.counts[:, sky.region].sum() == pytest.approx(2000)
    assert true.parameters == {"norm": 2000.0, "slope_1": 4.0, "slope_2": 0.5, "break_1": 12.0}
    smooth = 0.1 * sky.templates["isotropic"] + 0.5 * sky.templates["diffuse"]
    np.testing.assert_allclose(counts.expected, smooth + true.counts)


def test_every_number_has_its_truth_and_prior(run):
    folder, settings = run
    records = gather_fits(folder, settings)
    rows = {row["parameter"]: row for row in posterior_rows(settings, records)}
    truths = {"norm": 2000, "slope_1": 4, "slope_2": 0.5, "break_1": 12}
    assert {key: rows[f"gce_sources_{key}"]["truth"] for key in truths} == truths
    assert all(rows[f"gce_sources_{key}"]["prior_sd"] > 0 for key in truths)
    assert rows["gce_sources_norm"]["unit"] == "counts"
    assert rows["gce_norm"]["truth"] is None
    assert rows["gce_sources_counts"]["truth"] == pytest.approx(2000)
    assert rows["gce_counts"]["truth"] == pytest.approx(0, abs=1e-6)
    shares = [rows[f"{name}_fraction"]["mean"] for name in ("diffuse", "isotropic", "gce", "gce_sources")]
    assert sum(shares) == pytest.approx(1)
    norm = rows["gce_sources_norm"]
    assert abs(norm["mean"] - 2000) < 5 * norm["sd"] + 0.2 * 2000
    assert find_prior(settings, "laplace", "gce_sources_slope_3") is None
    assert find_truth(settings, "laplace", DATA, "gce_sources_norm") is None


def test_what_is_predicted_is_not_poisson(run):
    folder, settings = run
    file = read(folder / "predictive/laplace" / f"{DATA}.h5", format="predictive")
    assert (file["log_likelihood"] < 0).all()
    assert ((file["pit"] > 0) & (file["pit"] < 1)).all()
    flux, density = file["source_counts/gce_sources/flux"], file["source_counts/gce_sources/density"]
    assert (np.diff(density, axis=0) >= 0).all()
    # light of all sources per deg2 is the integral over ln F of F^2 dN/dF
    sky = read_observation(folder / "observation.h5")
    area_deg2 = sky.region.sum() * sky.pixel_area_sr * (180 / np.pi) ** 2
    light = np.trapezoid(file["source_counts/gce_sources/true_density"], np.log(flux)) * area_deg2
    assert light * sky.exposure_cm2_s[0, sky.region].mean() == pytest.approx(2000, rel=0.01)
    records = gather_fits(folder, settings)
    pictures = {picture.name: picture for picture, _ in plan_fit(Run(folder, settings, records, []), records[0])}
    assert f"sources-gce_sources-laplace-{DATA}" in pictures
    assert len(density) == 5
    assert "point-spread function" in pictures[f"checks-laplace-{DATA}"].caption
    assert "log probability" in pictures[f"likelihood-laplace-{DATA}"].caption


def test_neighbours_share_the_photons_of_a_source(run):
    """Residuals of touching pixels go together more than in replicas, whose pixels are independent."""
    folder, _ = run
    file = read(folder / "predictive/laplace" / f"{DATA}.h5", format="predictive")
    observed, high = file["autocorrelation/observed"], file["autocorrelation/high"]
    assert observed[0] > 1.2 * high[0]
    assert (observed[1:] < 1.5 * high[1:]).all()

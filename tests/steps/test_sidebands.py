"""``skysift sidebands``: no signal where the model is right, a spurious one where it is wrong."""

import dataclasses

import numpy as np
import pytest
from tests.steps.small_run import SMALL, SmallRun, modulated

from skysift.errors import InputError
from skysift.instruments.fermi import read_counts, read_observation
from skysift.steps import sidebands
from skysift.storage.hdf5 import read

LONGITUDES = {"l+60": "60 deg", "l-60": "-60 deg", "l+90": "90 deg", "l-90": "-90 deg"}
SETS = {
    "matched": {"replicates": 1, "truth": {"diffuse": 11.0, "isotropic": 0.1, "gce": 0.0}},
    "wrong": {"replicates": 1, "truth": {"diffuse_gas": 8.0, "diffuse_ics": 4.0, "isotropic": 0.1, "gce": 0.0}},
}
FITS = {
    "rigid": [{"map": SMALL}, "laplace"],
    "gp": {"model": modulated(variance={"lognormal": [0.005, 1.0]}), "sequence": [{"map": SMALL}, "laplace"]},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    chosen = {"sidebands": {"fits": ["rigid", "gp"], "signal": "gce", "longitudes": list(LONGITUDES.values())}}
    return SmallRun(tmp_path_factory.mktemp("sidebands"), fits=FITS, sets=SETS, systematics=chosen)


def spurious(run, fit, data, region):
    """The file of one sideband."""
    out = run.folder / "sidebands" / fit / data / f"{region}.h5"
    if not out.exists():
        config = run.slice(f"sidebands-{fit}")
        sidebands.run(config=config, observation=run.observation, data=run.data(data), region=region, out=out)
    return read(out, format="spurious")


def pulls(run, fit, data):
    rows = [spurious(run, fit, data, region).attributes for region in LONGITUDES]
    return np.array([row["norm"] / row["norm_sd"] for row in rows])


@pytest.mark.statistics
def test_the_right_template_leaves_nothing_and_the_wrong_one_does(run):
    """Four spurious norms within 4.7 of their errors (1e-5); with another diffuse sky the control must exceed that."""
    assert np.abs(pulls(run, "rigid", "matched-000")).max() < 4.7
    assert np.abs(pulls(run, "rigid", "wrong-000")).max() > 4.7, "the control passed: the test is blind"


def test_norms_become_norms_of_the_fit_region_by_counts(run):
    row = spurious(run, "rigid", "wrong-000", "l+60").attributes
    observation, counts = read_observation(run.observation), read_counts(run.data("wrong-000"))
    band = observation.sidebands["l+60"]
    moved, seen = band.template[:, band.region].sum(), counts.counts[:, band.region].sum()
    unit = observation.templates["nfw_squared"][:, observation.region].sum()
    centre = counts.counts[:, observation.region].sum()
    assert row["fraction"] == pytest.approx(row["norm"] * moved / seen)
    assert row["central_norm"] == pytest.approx(row["fraction"] * centre / unit)
    for name in ("fraction", "central_norm"):
        assert row[f"{name}_sd"] / abs(row[name]) == pytest.approx(row["norm_sd"] / abs(row["norm"]))
    assert (row["counts"], row["central_counts"]) == (seen, centre)
    assert (row["fit"], row["data"], row["region"], row["signal"]) == ("rigid", "wrong-000", "l+60", "gce")


def test_the_marginal_peaks_at_the_norm_and_goes_negative(run):
    found = [spurious(run, "rigid", "wrong-000", region) for region in LONGITUDES]
    for file in found:
        norm, log_likelihood = (file.datasets[name].array for name in ("norm", "log_likelihood"))
        assert norm[log_likelihood.argmax()] == pytest.approx(file.attributes["norm"])
        density = np.exp(log_likelihood)
        density /= density.sum()
        mean = density @ norm
        assert np.sqrt(density @ (norm - mean) ** 2) == pytest.approx(file.attributes["norm_sd"])
    assert min(file.datasets["norm"].array.min() for file in found) < 0.0


@pytest.mark.statistics
def test_an_injected_signal_is_found(run, tmp_path):
    """The moved profile itself added at norm 1: the peak rises by 1 within 5 errors of the added counts."""
    from skysift.instruments.fermi import write_counts
    from skysift.storage.hdf5 import collect

    observation, counts = read_observation(run.observation), read_counts(run.data("matched-000"))
    band = observation.sidebands["l-60"]
    added = np.random.default_rng(5).poisson(np.where(band.region, band.template, 0.0))
    brighter = dataclasses.replace(counts, counts=counts.counts + added)
    write_counts(tmp_path / "counts.h5", brighter, observation, collect())
    config, out = run.slice("sidebands-rigid"), tmp_path / "spurious.h5"
    sidebands.run(config=config, observation=run.observation, data=tmp_path / "counts.h5", region="l-60", out=out)
    before, after = spurious(run, "rigid", "matched-000", "l-60").attributes, read(out, format="spurious").attributes
    assert abs(after["norm"] - before["norm"] - 1.0) < 5 * after["norm_sd"]
    assert after["norm"] > 3 * after["norm_sd"], "the control passed: the test is blind"


def test_a_gaussian_process_widens_the_answer(run):
    rigid, gp = (spurious(run, fit, "wrong-000", "l+60").attributes for fit in ("rigid", "gp"))
    assert gp["norm_sd"] > 1.2 * rigid["norm_sd"]
    assert abs(gp["norm"] / gp["norm_sd"]) < abs(rigid["norm"] / rigid["norm_sd"])


def test_an_unknown_sideband_is_answered_with_the_nearest(run, tmp_path):
    config, data = run.slice("sidebands-rigid"), run.data("matched-000")
    with pytest.raises(InputError, match="did you mean 'l") as caught:
        sidebands.run(config=config, observation=run.observation, data=data, region="l+61", out=tmp_path / "a.h5")
    assert caught.value.exit_code == 2

"""Posteriors survive storage, and ArviZ opens them."""

import time
from dataclasses import replace

import numpy as np
import pytest

from skysift.errors import InputError
from skysift.storage.hdf5 import collect, write
from skysift.storage.posterior import CheckRow, Posterior, Stage, Variable, read_posterior, write_posterior


@pytest.fixture
def posterior():
    draw = np.random.default_rng(5)
    return Posterior(
        variables={
            "gce_norm": Variable(draw.normal(size=(2, 50)), "", "GCE", (), np.array(0.9), {"low": 0.0, "high": 1.5}),
            "disk_norm": Variable(draw.normal(size=(2, 50, 3)), "ph / cm2", "disk", ("energy",), np.ones(3)),
            "diffuse_field": Variable(draw.normal(size=(2, 50, 7))),
        },
        sample_stats={
            "log_density": Variable(draw.normal(size=(2, 50))),
            "diverging": Variable(draw.uniform(size=(2, 50)) < 0.1),
        },
        prior={"gce_norm": Variable(draw.normal(size=(1, 20)))},
        observed_data={"counts": Variable(np.arange(6).reshape(3, 2), "counts", "", ("energy", "pixel"))},
        weighted={"gce_norm": Variable(draw.normal(size=30)), "log_weight": Variable(draw.normal(size=30))},
        arrays={"marginal": Variable(draw.normal(size=(2, 9)), "", "density", ("what", "grid"))},
        coordinates={"energy": np.array(["soft", "hard", "ν"]), "grid": np.linspace(0, 1, 9)},
        checks=(CheckRow("k_hat", 0.3, "0.5", "green"), CheckRow("modes", 1.0, "yes", "red", "run nested")),
        stages=(
            Stage("map", cost={"calls": 3.0}, checks=(CheckRow("starts", 3.0, "2", "green"),)),
            Stage("svi", -12.5, 0.1, "elbo", {"seconds": 1.5}, (), {"elbo": draw.normal(size=(4, 5))}),
        ),
        log_z=-12.25,
        log_z_error=0.05,
        log_z_method="importance",
        converged=False,
        cost={"calls": 3.0},
        warnings=("few draws",),
        attributes={"fit": "mvn", "data": "observed", "truth": {"gce": 0.9}},
        provenance=collect("run", 3),
    )


def same(first, second):
    for name, variable in first.items():
        found = second[name]
        np.testing.assert_array_equal(found.array, variable.array, strict=True)
        assert (found.unit, found.label, found.prior_summary) == (variable.unit, variable.label, variable.prior_summary)
        assert variable.dims in {(), found.dims}
        np.testing.assert_array_equal(found.truth, variable.truth)
    assert list(first) == list(second)


def test_round_trip(tmp_path, posterior):
    write_posterior(tmp_path / "a.nc", posterior)
    found = read_posterior(tmp_path / "a.nc")
    for group in ("variables", "sample_stats", "prior", "observed_data", "weighted", "arrays"):
        same(getattr(posterior, group), getattr(found, group))
    for name in ("checks", "log_z", "log_z_error", "log_z_method", "converged", "cost", "warnings", "attributes"):
        assert getattr(found, name) == getattr(posterior, name), name
    assert [replace(stage, traces={}) for stage in found.stages] == [
        replace(stage, traces={}) for stage in posterior.stages
    ]
    np.testing.assert_array_equal(found.stages[1].traces["elbo"], posterior.stages[1].traces["elbo"])
    assert found.provenance == posterior.provenance.as_dict()
    assert found.flat("disk_norm").shape == (100, 3)
    np.testing.assert_array_equal(found["gce_norm"], posterior["gce_norm"])
    for name, values in posterior.coordinates.items():
        np.testing.assert_array_equal(found.coordinates[name], values)


def test_read_and_written_again_is_the_same_file(tmp_path, posterior):
    write_posterior(tmp_path / "a.nc", posterior)
    time.sleep(1.05)
    write_posterior(tmp_path / "b.nc", read_posterior(tmp_path / "a.nc"))
    assert (tmp_path / "a.nc").read_bytes() == (tmp_path / "b.nc").read_bytes()


def test_smallest_posterior(tmp_path):
    write_posterior(tmp_path / "a.nc", Posterior({"x": Variable(np.zeros((1, 1)))}))
    found = read_posterior(tmp_path / "a.nc")
    assert (found.log_z, found.converged, found.stages, found.checks) == (None, None, (), ())


def test_arviz_opens_it(tmp_path, posterior):
    import arviz

    write_posterior(tmp_path / "a.nc", posterior)
    data = arviz.from_netcdf(tmp_path / "a.nc")
    assert {"posterior", "sample_stats", "prior", "observed_data", "weighted", "checks"} <= set(data.groups())
    np.testing.assert_array_equal(data.posterior["disk_norm"], posterior["disk_norm"])
    assert data.posterior["disk_norm"].dims == ("chain", "draw", "energy")
    assert data.posterior["energy"].values.tolist() == ["soft", "hard", "ν"]
    assert data.posterior["disk_norm"].attrs["units"] == "ph / cm2"
    assert data.sample_stats["diverging"].dtype == bool
    assert data.attrs["log_z"] == -12.25
    assert list(arviz.summary(data, var_names=["disk_norm"]).index) == [
        f"disk_norm[{n}]" for n in ("soft", "hard", "ν")
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"variables": {"x": Variable(np.zeros(5))}},
        {"variables": {"x": Variable(np.zeros((2, 5, 3)), dims=("a", "b"))}},
        {"variables": {"x": Variable(np.zeros((2, 5))), "y": Variable(np.zeros((2, 6)))}},
        {"coordinates": {"energy": np.zeros(4)}},
        {"attributes": {"log_z": 1.0}},
    ],
)
def test_axes_that_do_not_fit_are_refused(tmp_path, posterior, change):
    with pytest.raises(ValueError, match=r"ax(is|es)|place of their own|coordinate"):
        write_posterior(tmp_path / "a.nc", replace(posterior, **change))
    assert list(tmp_path.iterdir()) == []


def test_another_file_is_refused(tmp_path):
    write(tmp_path / "a.nc", format="counts", datasets={})
    with pytest.raises(InputError, match="wanted  posterior 1"):
        read_posterior(tmp_path / "a.nc")

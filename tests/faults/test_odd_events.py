"""Events outside the axes, events that no source allows, outliers, damaged files of events, and a single event."""

from dataclasses import replace

import numpy as np
import pytest
from tests.faults.event_words import FITS, marginalise_words
from tests.steps.small_event_run import SmallEventRun

from skysift.instruments.ctao.event_list import read_events, write_events
from skysift.models.events.marginals import read_marginals
from skysift.steps.events import fit, gather, marginalise
from skysift.storage.posterior import read_posterior
from skysift.storage.provenance import collect


def spoil(run, tmp_path, **changes):
    """Write the run's events with some columns changed at row 7."""
    events = read_events(run.simulate())
    columns = {}
    for name, value in changes.items():
        columns[name] = getattr(events, name).copy()
        columns[name][7] = value
    path = tmp_path / "events.h5"
    write_events(path, replace(events, **columns), collect("test", 1, b"", []), {})
    return path


@pytest.mark.parametrize(("column", "value"), [("energy", 99.0), ("energy", 0.01), ("lon", 1.3), ("lat", -1.01)])
def test_an_event_outside_the_axes_is_named(run, tmp_path, refuse, column, value):
    path = spoil(run, tmp_path, **{column: value})
    parts = refuse(marginalise_words(run, path, tmp_path), file=path)
    assert "1 outside the axes, the first is row 7" in parts["found"]
    assert f"{value:g}" in parts["found"]


@pytest.fixture(scope="module")
def wide(tmp_path_factory, repository):
    """A field that is larger than the response: nothing can be seen in its corners."""
    axis = {"range": ["-8 deg", "8 deg"], "step": "2 deg"}
    observation = {"reconstructed": {"energy": {"range": ["0.5 TeV", "20 TeV"], "points": 4}, "lon": axis, "lat": axis},
                   "true": {"refine": 2, "margin": "0.2 deg"}}  # fmt: skip
    outlier = {"components": {"outlier": {"instrument": "outlier"}}}
    fits_of_both = {"quick": ["laplace"], "robust": {"sequence": ["laplace"], "model": outlier}}
    made = {}
    for name, binned, own in (("plain", False, FITS), ("binned", True, FITS), ("robust", True, fits_of_both)):
        keys = {"observation": observation, "model": {"binned": binned}, "fits": own}
        made[name] = SmallEventRun(tmp_path_factory.mktemp(name), repository, **keys)
    return made


@pytest.mark.parametrize("kind", ["plain", "binned"])
def test_an_event_that_no_source_allows_is_named(wide, tmp_path, refuse, kind):
    run = wide[kind]
    path = spoil(run, tmp_path, lon=7.9, lat=-7.9, energy=1.234)
    parts = refuse(marginalise_words(run, path, tmp_path), file=path)
    assert "1 that no source allows, the first is row 7: 1.234 TeV, l 7.9000, b -7.9000 deg" in parts["found"]
    assert "from the pointing; its tables end at" in parts["found"]
    assert "instrument: outlier" in parts["do"]


def test_outliers_take_what_no_source_allows(wide, tmp_path, refuse):
    """With the component the run goes on; a fit without it names the row of the marginals."""
    run, out = wide["robust"], tmp_path / "marginals.h5"
    path = spoil(run, tmp_path, lon=7.9, lat=-7.9)
    marginalise.run(run.slice("marginalise"), run.observation, run.responses, path, "0/1", tmp_path / "000.h5")
    gather.run(run.slice("marginalise"), [tmp_path / "000.h5"], out)
    column = read_marginals(out).columns["outlier.robust"]
    assert column.totals == 1
    assert (column.density > 0).all()
    words = ["fit", "--observation", run.observation, "--data", out, "--out", tmp_path / "out.nc"]
    parts = refuse([*words, "--config", run.slice("fit-quick")], file=out)
    assert "1 rows that no component allows, the first is row" in parts["found"]
    fit.run(run.slice("fit-robust"), run.observation, out, tmp_path / "robust.nc")
    found = read_posterior(tmp_path / "robust.nc").flat("outlier_fraction")
    assert 0 < found.mean() < 0.05


def test_outliers_are_flat_in_the_region_and_the_logarithm(wide):
    from skysift.instruments.ctao.event_observation import read_event_observation
    from skysift.models.events.background import outlier_density

    looked_at = read_event_observation(wide["robust"].observation)
    axes = looked_at.reconstructed
    per_bin = outlier_density(looked_at)
    assert np.sum(per_bin[:, None] * axes.volumes_tev_deg2) == pytest.approx(1.0, rel=1e-12)
    low, high = axes.energy.edges_tev[:2]
    at = outlier_density(looked_at, np.geomspace(low, high, 2001))
    mean = np.trapezoid(at, np.geomspace(low, high, 2001)) / (high - low)
    assert mean == pytest.approx(per_bin[0], rel=1e-5)
    assert at[0] / at[-1] == pytest.approx(high / low)
    discrete = replace(axes, is_discrete=True)
    centres = outlier_density(replace(looked_at, reconstructed=discrete))
    assert np.sum(centres[:, None] * discrete.volumes_tev_deg2) == pytest.approx(1.0, rel=1e-12)


def test_a_list_of_events_that_is_cut_stops_the_step(run, tmp_path, refuse):
    path = tmp_path / "events.h5"
    path.write_bytes(run.simulate().read_bytes()[:-2000])
    refuse(marginalise_words(run, path, tmp_path), file=path)


def test_a_single_event_is_enough(tmp_path, repository):
    """One event says little: fractions keep nearly their prior, and nothing breaks."""
    events = {"events": {"catalogue": 1, "diffuse": None, "background": None}}
    single = SmallEventRun(
        tmp_path / "run", repository, simulate=events, fits={"quick": ["laplace"], "reference": None}
    )
    assert read_marginals(single.gather()).counts.tolist() == [1.0]
    fit.run(**vars(single.arguments("quick")), out=tmp_path / "fit.nc")
    posterior = read_posterior(tmp_path / "fit.nc")
    share = posterior.flat("catalogue_fraction")
    assert np.isfinite(posterior.log_z)
    assert 1 / 3 - 0.05 < share.mean() < 0.55  # the prior's mean, or that of Dir(1, 1, 2) at most
    assert 0.15 < share.std() < 0.3

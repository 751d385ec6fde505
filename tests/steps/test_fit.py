"""``skysift fit``: from files to one posterior, the same bytes each time, refusals before any work."""

import math

import numpy as np
import pytest
import torch
from tests.steps.small_run import COMPONENTS, SMALL, SmallRun, modulated

from skysift.cli import main
from skysift.config import yaml_text
from skysift.errors import InputError
from skysift.instruments.fermi import read_counts, read_observation
from skysift.steps import fit
from skysift.steps.results import Region
from skysift.storage.text import write_text

TRUTH = {"diffuse": 11.0, "isotropic": 0.1, "gce": 0.9}
FREE = {"variance": {"lognormal": [0.01, 1.0]}, "grid": 3}
QUICK = [{"map": SMALL}, {"laplace": {"importance": 300}}]
FITS = {
    "rigid": QUICK,
    "gp": {"model": modulated(**FREE), "sequence": QUICK},
    "maximised": {"model": modulated(variance=FREE["variance"], hyper="maximised"), "sequence": QUICK},
    "grid": [{"map": SMALL}, {"grid": {"parameter": "gce_norm", "values": 6, "importance": 0, "draws": 500}}],
    "published": {
        "model": {"components": {"diffuse": {**modulated()["components"]["diffuse"], "norm": {"fixed": "rigid_fit"}}}},
        "sequence": QUICK,
    },
    "hmc": {"model": modulated(), "sequence": ["map", {"hmc": {"chains": 4}}]},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return SmallRun(tmp_path_factory.mktemp("fit"), fits=FITS, truth=TRUTH)


def test_a_rigid_posterior_is_complete(run):
    posterior = run.posterior("rigid")
    norms = {f"{name}_norm" for name in COMPONENTS}
    derived = {f"{name}_{what}" for name in COMPONENTS for what in ("counts", "fraction", "intensity")}
    assert set(posterior.variables) == norms | derived
    for name, norm in TRUTH.items():
        assert posterior.variables[f"{name}_norm"].truth == pytest.approx(norm)
    assert posterior.variables["gce_norm"].prior_summary["family"] == "Uniform"
    assert posterior.variables["gce_norm"].prior_summary["mean"] == pytest.approx(1.5, abs=1e-3)
    assert [stage.engine for stage in posterior.stages] == ["map", "laplace"]
    assert posterior.attributes["fit"] == "rigid"
    assert posterior.attributes["data"] == "simulated-000"
    assert posterior.attributes["engine"] == "laplace"
    assert "marginal_of" not in posterior.attributes
    assert math.isfinite(posterior.log_z)
    assert posterior.cost["cpu_s"] > 0
    assert posterior["gce_norm"].shape == (1, 600), "300 as asked, and 300 from a better place: the first were poor"


def test_derived_numbers_are_those_of_the_templates(run):
    posterior = run.posterior("rigid")
    observation, counts = read_observation(run.observation), read_counts(run.data())
    inside = observation.region
    exposure, area = observation.exposure_cm2_s[:, inside], observation.pixel_area_sr
    expected = counts.expected[:, inside].sum()
    total = sum(posterior.flat(f"{name}_counts") for name in COMPONENTS)
    for name, part in COMPONENTS.items():
        template = observation.templates[part["template"]][:, inside]
        norm = posterior.flat(f"{name}_norm")
        np.testing.assert_allclose(posterior.flat(f"{name}_counts"), norm * template.sum(), rtol=1e-9)
        np.testing.assert_allclose(posterior.flat(f"{name}_fraction"), norm * template.sum() / total, rtol=1e-9)
        mean = (template / exposure / area).mean()
        np.testing.assert_allclose(posterior.flat(f"{name}_intensity"), norm * mean, rtol=1e-9)
        truth = TRUTH[name] * template.sum()
        assert posterior.variables[f"{name}_counts"].truth == pytest.approx(truth)
        assert posterior.variables[f"{name}_fraction"].truth == pytest.approx(truth / expected)


@pytest.mark.statistics
def test_norms_are_recovered(run):
    """Each of three norms within 5 of its posterior sd of the truth: false failures below 2e-6."""
    posterior = run.posterior("rigid")
    for name, norm in TRUTH.items():
        draws = posterior.flat(f"{name}_norm")
        assert abs(draws.mean() - norm) < 5 * draws.std()
    diffuse = posterior.flat("diffuse_norm")
    assert abs(diffuse.mean() - 1.3 * TRUTH["diffuse"]) > 5 * diffuse.std(), "the control passed: the test is blind"


def test_same_seed_same_bytes(run, monkeypatch, tmp_path):
    """Everything but measured time is a function of inputs and seed."""
    monkeypatch.setattr("time.process_time", lambda: 1.0)
    monkeypatch.setattr("time.perf_counter", lambda: 1.0)
    for name in ("gp", "grid"):
        first, again = (run.fit(name, out=tmp_path / part / "simulated-000.nc") for part in (f"{name}-1", f"{name}-2"))
        assert first.read_bytes() == again.read_bytes()


def test_hyper_parameters_are_stored_with_the_node_of_each_draw(run):
    posterior = run.posterior("gp")
    variance = posterior.flat("diffuse_variance")
    nodes = posterior.arrays["node_diffuse_variance"].array
    assert len(nodes) == 3
    assert set(np.unique(variance)) <= set(nodes)
    variant = posterior.sample_stats["variant"].array.ravel()
    np.testing.assert_array_equal(nodes[variant], variance)
    assert np.exp(posterior.arrays["node_log_weight"].array).sum() == pytest.approx(1.0)
    assert posterior["diffuse_field"].shape[2] == len(posterior.flat("diffuse_field")[0])


def test_counts_of_a_modulated_component_follow_its_draws(run):
    """Recompute three draws with the model of their own hyper-parameters."""
    from skysift.config import load_slice
    from skysift.models import build

    posterior = run.posterior("gp")
    files = run.files("gp")
    model = build(load_slice(files.config, "fit"), read_observation(files.observation), read_counts(files.data))
    for row in (0, 57, 211):
        values = {name: torch.as_tensor(posterior.flat(name)[row : row + 1]) for name in model.parameters.names}
        member = model.at({"diffuse_variance": torch.tensor(posterior.flat("diffuse_variance")[row])})
        parts = member.component_counts(values)
        for name in COMPONENTS:
            assert float(parts[name].sum()) == pytest.approx(posterior.flat(f"{name}_counts")[row], rel=1e-9)


def test_maximised_hyper_parameters_are_noted(run):
    posterior = run.posterior("maximised")
    assert set(posterior.attributes["hyper"]) == {"diffuse_variance"}
    assert 1e-4 < posterior.attributes["hyper"]["diffuse_variance"] < 0.3
    assert any("maximum of their evidence" in text for text in posterior.warnings)


def test_a_grid_names_its_parameter(run):
    posterior = run.posterior("grid")
    assert posterior.attributes["marginal_of"] == "gce_norm"
    marginal = posterior.arrays["marginal_log_likelihood"].array
    assert marginal.max() == pytest.approx(0.0, abs=1e-12)
    assert posterior.arrays["marginal_grid"].array.shape == marginal.shape
    assert set(posterior.arrays) >= {"flat_gce_norm", "flat_diffuse_norm", "flat_isotropic_norm"}
    assert posterior.flat("gce_norm").shape == (500,)


def test_a_norm_fixed_by_the_rigid_fit_is_announced(run):
    posterior = run.posterior("published")
    assert any("fixed at the rigid fit" in text and "twice" in text for text in posterior.warnings)
    assert "diffuse_norm" not in posterior.variables
    fixed = posterior.flat("diffuse_counts")
    assert posterior.variables["diffuse_counts"].truth == pytest.approx(fixed.mean(), rel=0.1)


def leave(*words):
    with pytest.raises(SystemExit) as caught:
        main([str(word) for word in words])
    return caught.value.code or 0


def words(run, name, out):
    files = {"config": run.slice(f"fit-{name}"), "observation": run.observation, "data": run.data(), "out": out}
    return ["fit", *(part for key, path in files.items() for part in (f"--{key}", path))]


def test_hmc_refuses_hyper_parameters_to_marginalise(run, tmp_path, capsys):
    slices = run.analysis.slices()
    path = tmp_path / "fit-hmc.yaml"  # the configuration refuses it, a slice written by hand comes as far as the step
    write_text(path, yaml_text(slices["fit-hmc"] | {"model": slices["fit-gp"]["model"]}))
    typed = words(run, "hmc", tmp_path / "a.nc")
    assert leave(*(path if word == run.slice("fit-hmc") else word for word in typed)) == 2
    message = capsys.readouterr().err
    assert "hmc with hyper: marginalised" in message
    assert "sampled or maximised" in message
    assert not (tmp_path / "a.nc").exists()


def test_a_gpu_that_is_not_there(run, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    text = run.slice("fit-rigid").read_text().replace("device: cpu", "device: cuda")
    assert "device: cuda" in text
    (tmp_path / "fit.yaml").write_text(text)
    arguments = words(run, "rigid", tmp_path / "a.nc")
    arguments[2] = tmp_path / "fit.yaml"
    assert leave(*arguments) == 2
    message = capsys.readouterr().err
    assert "profiles/gpu" in message
    assert "no CUDA device is visible" in message
    (tmp_path / "fit.yaml").write_text(text.replace("device: cuda", "device: auto"))
    assert leave(*arguments) == 0
    assert (tmp_path / "a.nc").exists()


def test_counts_of_another_observation(run, tmp_path):
    other = SmallRun(tmp_path, fits={"rigid": QUICK}, truth=TRUTH, nside=8)
    with pytest.raises(InputError) as caught:
        fit.run(run.slice("fit-rigid"), run.observation, other.data(), tmp_path / "a.nc")
    assert caught.value.exit_code == 2


def test_threads_are_those_of_the_configuration(run, tmp_path, monkeypatch):
    (tmp_path / "fit.yaml").write_text(run.slice("fit-rigid").read_text().replace("threads: 1", "threads: 2"))
    seen = []
    monkeypatch.setattr(fit, "set_threads", seen.append)
    fit.run(tmp_path / "fit.yaml", run.observation, run.data(), tmp_path / "a.nc")
    assert seen == [2]


def test_true_counts_include_the_modulation_that_was_drawn(tmp_path):
    """A component drawn with a Gaussian process has the counts of norm x template x exp(f)."""
    glow = {"diffuse": {"lengthscale": "0.3 rad", "variance": 0.2}}
    sets = {"drawn": {"replicates": 1, "truth": TRUTH, "modulate": glow}}
    run = SmallRun(tmp_path, fits={"rigid": QUICK}, sets=sets)
    observation, counts = read_observation(run.observation), read_counts(run.data("drawn-000"))
    field = counts.fields["diffuse"]
    assert field.std() > 0.1
    inside = observation.region
    light = observation.templates["diffuse"] * np.exp(field)
    truth = TRUTH["diffuse"] * light[:, inside].sum()
    region = Region.of(observation, counts, {"diffuse": "diffuse", "gce": "nfw_squared"})
    assert region.drawn["diffuse"] == pytest.approx(truth, rel=1e-12)
    assert region.truth["diffuse"] == TRUTH["diffuse"]
    assert sum(region.drawn.values()) == pytest.approx(counts.expected[:, inside].sum(), rel=1e-12)
    posterior = run.posterior("rigid", "drawn-000")
    assert posterior.variables["diffuse_counts"].truth == pytest.approx(truth, rel=1e-9)
    assert posterior.variables["diffuse_norm"].truth == TRUTH["diffuse"]

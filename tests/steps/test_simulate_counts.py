"""Simulated counts: published expectation, Poisson scatter, named streams, modulation."""

import json

import numpy as np
import pytest
from scipy.stats import chi2

from skysift.cli import main
from skysift.errors import InputError
from skysift.instruments.fermi import read_counts, read_observation
from skysift.instruments.fermi.drawing import simulate_counts
from skysift.steps import prepare, simulate

# Published truth: norm, template, share of the expected counts in per cent.
TRUTH = {
    "bubbles": (0.5, "bubbles", 3.670),
    "isotropic": (0.1, "isotropic", 0.635),
    "point_sources": (0.5, "point_sources", 0.016),
    "gce": (0.9, "nfw_squared", 8.476),
    "model_o_gas": (8.0, "model_o_gas", 57.354),
    "model_o_ics": (4.0, "model_o_ics", 29.850),
}
TEMPLATES = sorted({template for _, template, _ in TRUTH.values()})


def write_slices(folder, data="synthetic", nside=16, truth=None, **observation):
    region = {"radius": "20 deg", "mask_plane": "2 deg", "mask": {"name": "mask_3fgl_0p8deg"}}
    sky = {"data": data, "region": region, **observation}
    if nside:
        sky["nside"] = nside
    head = {"run": "test", "seed": 3}
    (folder / "observation.yaml").write_text(json.dumps({**head, "observation": sky, "templates": TEMPLATES}))
    parts = {name: {"norm": norm, "template": template} for name, (norm, template, _) in TRUTH.items()}
    content = {**head, "name": "model_o", "truth": truth or parts}
    (folder / "simulate.yaml").write_text(json.dumps(content))


def draw(folder, number=0, name=None):
    data = f"model_o-{number:03d}"
    out = folder / f"{name or data}.h5"
    simulate.run(folder / "simulate.yaml", folder / "observation.h5", data, out)
    return out


@pytest.fixture
def small(tmp_path):
    write_slices(tmp_path)
    prepare.run(tmp_path / "observation.yaml", tmp_path / "observation.h5")
    return tmp_path


def test_published_expectation(data_folder, tmp_path):
    write_slices(tmp_path, "fermi", None)
    prepare.run(tmp_path / "observation.yaml", tmp_path / "observation.h5")
    counts = read_counts(draw(tmp_path))
    observation = read_observation(tmp_path / "observation.h5")
    total = counts.expected[:, observation.region].sum()
    assert total == pytest.approx(67583.4, abs=0.06)
    for name, (norm, template, share) in TRUTH.items():
        part = norm * observation.templates[template][:, observation.region].sum()
        assert 100 * part / total == pytest.approx(share, abs=6e-4), name
    assert counts.truth == {name: norm for name, (norm, _, _) in TRUTH.items()}
    assert counts.components == {name: template for name, (_, template, _) in TRUTH.items()}
    drawn = counts.counts[:, observation.region].sum()
    assert abs(drawn - total) < 4.5 * np.sqrt(total)


@pytest.mark.statistics
def test_counts_scatter_as_poisson_counts_do(small, seed):
    """Pearson's sum over pixels and replicates follows chi-square; 1e-5 on either side. Two controls must fail."""
    observation = read_observation(small / "observation.h5")
    norms = {name: norm for name, (norm, _, _) in TRUTH.items()}
    templates = {name: template for name, (_, template, _) in TRUTH.items()}
    stream = np.random.Generator(np.random.PCG64(seed))
    draws = [simulate_counts("x", observation, norms, templates, {}, stream, seed) for _ in range(300)]
    mean = draws[0].expected
    counts = np.stack([draw.counts for draw in draws])

    def tail(counts):
        freedom = counts.size
        statistic = ((counts - mean) ** 2 / mean).sum()
        return 2 * min(chi2.cdf(statistic, freedom), chi2.sf(statistic, freedom))

    assert mean.min() > 20  # so that the chi-square law holds
    assert tail(counts) > 2e-5
    assert abs((counts.sum() - 300 * mean.sum()) / np.sqrt(300 * mean.sum())) < 4.42
    assert tail(mean + 0.9 * (counts - mean)) < 1e-9
    assert tail(mean + 1.1 * (counts - mean)) < 1e-9


def test_same_seed_same_bytes_and_other_name_other_draw(small):
    first, again, other = draw(small), draw(small, name="again"), draw(small, 1)
    assert first.read_bytes() == again.read_bytes()
    assert (read_counts(first).counts != read_counts(other).counts).any()
    np.testing.assert_array_equal(read_counts(first).expected, read_counts(other).expected)


def test_the_command_does_what_the_function_does(small):
    files = ["--config", "simulate.yaml", "--observation", "observation.h5", "--out", "c.h5"]
    arguments = [str(small / item) if item.endswith(("yaml", "h5")) else item for item in files]
    with pytest.raises(SystemExit) as stop:
        main(["simulate", *arguments, "--data", "model_o-002"])
    assert not stop.value.code
    assert (small / "c.h5").read_bytes() == draw(small, 2).read_bytes()


def test_modulated_components_keep_their_field(small):
    field = {"lengthscale": "0.2 rad", "variance": 0.1}
    truth = {
        "gas": {"template": "model_o_gas", "norm": 8.0, "modulate": [field]},
        "twin": {"template": "bubbles", "norm": 1.0, "modulate": [{"shared": "gas", "coefficient": 2.0}]},
        "plain": {"template": "isotropic", "norm": 1.0},
    }
    write_slices(small, truth=truth)
    counts = read_counts(draw(small))
    assert sorted(counts.fields) == ["gas", "twin"]
    np.testing.assert_allclose(counts.fields["twin"], 2 * counts.fields["gas"])
    templates = read_observation(small / "observation.h5").templates
    mean = (
        8 * templates["model_o_gas"] * np.exp(counts.fields["gas"])
        + templates["bubbles"] * np.exp(counts.fields["twin"])
        + templates["isotropic"]
    )
    np.testing.assert_allclose(counts.expected, mean)
    assert 0.02 < counts.fields["gas"].var() < 0.5
    assert (read_counts(draw(small, 1)).fields["gas"] != counts.fields["gas"]).any()


def test_unknown_data_set_and_template_are_refused(small):
    with pytest.raises(InputError, match="model_o-000, model_o-001"):
        simulate.run(small / "simulate.yaml", small / "observation.h5", "model_o-01", small / "x.h5")
    write_slices(small, truth={"gce": {"template": "disk", "norm": 1.0}})
    with pytest.raises(InputError, match=r"simulate.truth.gce[\s\S]*'disk'"):
        simulate.run(small / "simulate.yaml", small / "observation.h5", "model_o-000", small / "x.h5")
    assert not (small / "x.h5").exists()

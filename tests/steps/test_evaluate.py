"""``skysift evaluate``: a model at given values, checked with other libraries on the maps themselves."""

import csv

import numpy as np
import pytest
from scipy import stats
from scipy.linalg import cholesky, solve_triangular
from tests.steps.small_run import COMPONENTS, SmallRun, modulated

from skysift.cli import main
from skysift.errors import InputError
from skysift.geometry import pixel_vectors
from skysift.instruments.fermi import read_counts, read_observation
from skysift.sky.gaussian_process import inducing_points
from skysift.steps import evaluate
from skysift.storage.hdf5 import read

TRUTH = {"diffuse": 11.0, "isotropic": 0.1, "gce": 0.9}
FITS = {
    "rigid": ["map"],
    "gp": {"model": modulated(), "sequence": ["map"]},
    "open": {"model": modulated(variance={"lognormal": [0.02, 1.0]}), "sequence": ["map", "laplace"]},
}
ROWS = [
    {"diffuse_norm": 11.0, "isotropic_norm": 0.1, "gce_norm": 0.9},
    {"diffuse_norm": 9.3, "isotropic_norm": 1.7, "gce_norm": 0.0},
    {"diffuse_norm": 12.0, "isotropic_norm": 0.3, "gce_norm": -0.2},
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return SmallRun(tmp_path_factory.mktemp("evaluate"), fits=FITS, truth=TRUTH)


def write(path, rows):
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def look(run, fit, rows, folder):
    """Evaluate rows and return the table as floats, and expected counts, (row, E, P)."""
    table, out = write(folder / "values.csv", rows), folder / "out.csv"
    evaluate.run(run.folder / "config.yaml", run.observation, run.data(), fit, table, out)
    with out.open() as stream:
        found = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(stream)]
    return found, read(out.with_suffix(".h5"), format="expected").datasets["expected"].array


def maps(run):
    """Templates by component and counts of the region, and the unit vectors of its pixels."""
    observation, counts = read_observation(run.observation), read_counts(run.data())
    inside = observation.region
    templates = {name: observation.templates[part["template"]][:, inside] for name, part in COMPONENTS.items()}
    vectors = pixel_vectors(observation.nside, observation.pixels[inside])
    return templates, counts.counts[:, inside], vectors


def test_rigid_likelihood_is_a_sum_of_poisson_probabilities(run, tmp_path):
    found, expected = look(run, "rigid", ROWS, tmp_path)
    templates, counts, _ = maps(run)
    for row, result, mean in zip(ROWS, found, expected, strict=True):
        parts = {name: row[f"{name}_norm"] * template for name, template in templates.items()}
        exact = sum(parts.values())
        np.testing.assert_allclose(mean, exact, rtol=1e-12)
        assert result["log_likelihood"] == pytest.approx(stats.poisson.logpmf(counts, exact).sum(), rel=1e-12)
        assert result["expected_total"] == pytest.approx(exact.sum(), rel=1e-12)
        for name, part in parts.items():
            assert result[f"{name}_counts"] == pytest.approx(part.sum(), rel=1e-12)
        for name in TRUTH:
            assert result[f"{name}_norm"] == row[f"{name}_norm"]


def test_log_prior_is_the_priors_own(run, tmp_path):
    found, _ = look(run, "rigid", ROWS, tmp_path)
    for row, result in zip(ROWS, found, strict=True):
        exact = stats.lognorm(0.5, scale=12.0).logpdf(row["diffuse_norm"])
        exact += stats.lognorm(1.0, scale=0.1).logpdf(row["isotropic_norm"])
        exact += stats.uniform(0.0, 3.0).logpdf(row["gce_norm"])
        assert result["log_prior"] == pytest.approx(exact, rel=1e-10)


def test_a_field_multiplies_its_template(run, tmp_path):
    """Against a projection made with NumPy and SciPy alone."""
    templates, counts, vectors = maps(run)
    points = inducing_points(vectors, 0.3)

    def kernel(x, y):
        r = np.linalg.norm(x[:, None] - y, axis=-1) * 5**0.5 / 0.3
        return (1 + r + r**2 / 3) * np.exp(-r)

    lower = cholesky(kernel(points, points) + 1e-8 * np.eye(len(points)), lower=True)
    phi = solve_triangular(lower, kernel(points, vectors), lower=True).T
    field = np.random.default_rng(1).normal(size=len(points))
    row = ROWS[0] | {f"diffuse_field[{k}]": value for k, value in enumerate(field)}
    found, expected = look(run, "gp", [row], tmp_path)
    mean = sum(ROWS[0][f"{name}_norm"] * template for name, template in templates.items() if name != "diffuse")
    mean = mean + 11.0 * templates["diffuse"] * np.exp(0.1 * phi @ field)
    np.testing.assert_allclose(expected[0], mean, rtol=1e-8)
    assert found[0]["log_likelihood"] == pytest.approx(stats.poisson.logpmf(counts, mean).sum(), rel=1e-9)


def test_a_field_left_out_is_zero_and_a_hyper_parameter_stands_at_its_median(run, tmp_path):
    plain, _ = look(run, "rigid", ROWS[:1], tmp_path)
    for fit in ("gp", "open"):
        found, _ = look(run, fit, ROWS[:1], tmp_path)
        assert found[0]["log_likelihood"] == pytest.approx(plain[0]["log_likelihood"], rel=1e-12)
    first = {"diffuse_field[0]": 1.5}
    size = len(inducing_points(maps(run)[2], 0.3 * np.exp(-0.0)))
    row = ROWS[0] | first | {f"diffuse_field[{k}]": 0.0 for k in range(1, size)}
    totals = [look(run, "open", [row | extra], tmp_path)[0][0]["diffuse_counts"]
              for extra in ({}, {"diffuse_variance": 0.02}, {"diffuse_variance": 0.2})]  # fmt: skip
    assert totals[0] == pytest.approx(totals[1], rel=1e-12)
    assert totals[2] != pytest.approx(totals[0], rel=1e-4)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"diffuse_norm": 1, "isotropic_norm": 1}, "no column gce_norm"),
        ({**ROWS[0], "gce_norms": 1}, "did you mean 'gce_norm'"),
        ({**ROWS[0], "gce_norm": "many"}, "gce_norm, row 1"),
        ({**ROWS[0], "gce_norm[0]": 1}, "gce_norm"),
    ],
)
def test_tables_that_do_not_fit_are_refused(run, tmp_path, row, message):
    with pytest.raises(InputError, match=message.replace("[", r"\[")):
        look(run, "rigid", [row], tmp_path)
    assert not (tmp_path / "out.csv").exists()


def test_an_unknown_fit_and_an_empty_table(run, tmp_path, capsys):
    table = write(tmp_path / "values.csv", ROWS)
    files = {"config": run.folder / "config.yaml", "observation": run.observation, "data": run.data(), "table": table}
    words = ["evaluate", *(str(part) for key, path in files.items() for part in (f"--{key}", path))]
    with pytest.raises(SystemExit) as caught:
        main([*words, "--fit", "rigit", "--out", str(tmp_path / "out.csv")])
    assert caught.value.code == 2
    assert "did you mean 'rigid'" in capsys.readouterr().err
    table.write_text("gce_norm\n")
    with pytest.raises(InputError, match="one or more rows"):
        evaluate.run(files["config"], files["observation"], files["data"], "rigid", table, tmp_path / "out.csv")

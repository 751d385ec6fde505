"""The standard calibration, `make calibrate`, with few simulations: from configuration to ranks and their verdict."""

import csv
import re
import shlex
from pathlib import Path

import pytest

from skysift.config import load

ROOT = Path(__file__).resolve().parents[2]
CONFIGURATION = "config/calibrate/fermi.yaml"
SOUND = ("grid", "marginalised", "hmc")
SIMULATIONS = 24


def command_of_make():
    """Return the words after `snakemake` in the recipe, with its variables filled in."""
    text = (ROOT / "Makefile").read_text().replace("\\\n", " ")
    line = re.search(r"snakemake (--cores [^\n]*config/calibrate/[^\n]*?);", text).group(1)
    filled = line.replace("$$family", "fermi").replace("$(CORES)", "1").replace("$(SIMULATIONS)", str(SIMULATIONS))
    return shlex.split(filled)


def calibrate(checkout, fits):
    """Run the command of make with some of the fits; return the rows of its table that hold ranks, and the others."""
    checkout.use_real_steps()
    others = [name for name in load([checkout.folder / CONFIGURATION]).fits if name not in fits]
    fewer = checkout.folder / "fewer.yaml"
    fewer.write_text("fits: {" + ", ".join(f"{name}: null" for name in others) + "}\ncalibrate: {fewer: null}\n")
    words = command_of_make()
    place = words.index(CONFIGURATION)
    done = checkout.snakemake(*words[: place + 1], str(fewer), *words[place + 1 :])
    assert done.returncode == 0, done.stderr[-4000:]
    folder = checkout.folder / "results/calibrate-fermi"
    with (folder / "tables/ranks.csv").open() as file:
        ranks = list(csv.DictReader(file))
    assert {path.stem for path in (folder / "figures").glob("ranks_*.png")} == {f"ranks_{name}" for name in fits}
    ranked = [row for row in ranks if row["verdict"] != "not ranked"]
    assert {row["fit"] for row in ranked} == set(fits)
    assert {(row["n"], row["n_failed"]) for row in ranked} == {(str(SIMULATIONS), "0")}
    return ranked, [row for row in ranks if row["verdict"] == "not ranked"]


def test_few_simulations_go_through_the_whole_workflow(checkout):
    ranked, others = calibrate(checkout, ("grid",))
    # so few cannot show every control: the verdict may say so, but nothing fails
    assert {row["verdict"] for row in ranked} <= {"calibrated", "undecided"}
    assert {row["quantity"] for row in ranked} == {"diffuse_norm", "gce_norm", "diffuse_counts", "log_density", "joint"}
    assert {row["quantity"] for row in others} == {"diffuse_field"}


@pytest.mark.slow
def test_every_sound_engine_passes_or_is_undecided(checkout):
    ranked, others = calibrate(checkout, SOUND)
    assert {row["verdict"] for row in ranked} <= {"calibrated", "undecided"}
    assert ("marginalised", "diffuse_variance") in {(row["fit"], row["quantity"]) for row in ranked}
    assert ("marginalised", "log_density") in {(row["fit"], row["quantity"]) for row in others}

"""What Snakemake plans: every shipped configuration and profile, from a fresh clone."""

from pathlib import Path

import pytest

from skysift.config import load

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = (path.relative_to(ROOT) for path in ROOT.glob("config/**/*.yaml"))
CONFIGURATIONS = sorted(path.as_posix() for path in SHIPPED if path.parts[1] != "models")
MINE = {
    "write_config": 6,  # observation, simulate-simulated, fit-first, fit-second, sidebands-second, report
    "write_whole_config": 1,
    "prepare": 1,
    "simulate": 2,
    "fit": 4,
    "sidebands": 4,
    "systematics": 2,
    "diagnose": 4,
    "tables": 1,
    "report": 1,
}


EVENTS = {
    "write_config": 6,  # observation, marginalise, simulate-simulated, fit-first, fit-second, report
    "write_whole_config": 1,
    "prepare": 1,
    "response": 2,
    "simulate": 2,
    "marginalise": 6,
    "gather": 2,
    "fit": 4,
    "diagnose": 4,
    "tables": 1,
    "report": 1,
}


def expected_jobs(analysis):
    """Count the jobs of each rule from the configuration alone."""
    fits = analysis.fit_data()
    data = {name for names in fits.values() for name in names}
    pairs = sum(map(len, fits.values()))
    sets = {name.rsplit("-", 1)[0] for name in data - {"observed"}}
    jobs = {
        "write_config": 2 + len(sets) + len(fits) + len(analysis.calibrated_fits()),
        "write_whole_config": 1,
        "prepare": 1,
        "observe": int("observed" in data),
        "simulate": len(data - {"observed"}),
        "fit": pairs,
        "diagnose": pairs,
        "calibrate": sum(analysis.calibrate.of(fit).batches for fit in analysis.calibrated_fits()),
        "tables": 1,
        "report": 1,
    }
    if analysis.kind == "events":
        more = expected_events(analysis, data)
    else:
        more = {"write_config": 0} if analysis.kind == "cubes" else expected_sidebands(analysis, fits)
    more["write_config"] += jobs["write_config"]
    return {rule: count for rule, count in (jobs | more).items() if count}


def expected_sidebands(analysis, fits):
    """Count the jobs that only analyses of maps have."""
    pairs = sum(len(fits[name]) for name in analysis.sideband_fits())
    return {
        "write_config": len(analysis.sideband_fits()),
        "sidebands": pairs * len(analysis.sideband_regions()),
        "systematics": pairs,
    }


def expected_events(analysis, data):
    """Count the jobs that only analyses of events have."""
    observation = analysis.observation
    places = {(p.lon_deg, p.lat_deg, p.irf or observation.irf) for p in observation.pointings}
    chunks = sum(map(analysis.chunk_count, data))
    return {"write_config": 1, "response": len(places), "marginalise": chunks, "gather": len(data)}


def test_configurations_are_shipped():
    assert "config/demo.yaml" in CONFIGURATIONS


@pytest.mark.parametrize(
    "words", [(), ("--profile", "slurm"), ("--profile", "profiles/gpu"), ("--profile", "profiles/ci")]
)
def test_demonstration_with_every_profile(checkout, words):
    wanted = expected_jobs(load([ROOT / "config/demo.yaml"]))
    assert min(wanted[rule] for rule in ("prepare", "fit", "diagnose", "report")) > 0
    assert checkout.plan(*words) == wanted


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_every_shipped_configuration(checkout, name, request, monkeypatch):
    if name.startswith("config/ctao_"):
        # responses are named by the bytes of their files
        monkeypatch.setenv("SKYSIFT_DATA", str(request.getfixturevalue("data_folder")))
    # the worlds extend the published experiment: both files are given, the second merged over the first
    names = ["config/fermi_gp.yaml", name] if name.endswith("worlds.yaml") else [name]
    assert checkout.plan("--configfile", *names) == expected_jobs(load([ROOT / part for part in names]))


def test_count_of_jobs_by_hand(checkout, mine):
    assert checkout.plan("--configfile", mine) == MINE


def test_count_of_jobs_of_events_by_hand(checkout, events):
    assert checkout.plan("--configfile", events) == EVENTS


def write_list(path, rows):
    """An event list that says in its header all that a plan needs."""
    import numpy as np
    from astropy.io import fits

    table = fits.BinTableHDU.from_columns([fits.Column("X", "B", array=np.zeros(rows, np.uint8))], name="EVENTS")
    table.header.update(RA_PNT=266.4, DEC_PNT=-28.9, LIVETIME=180000.0)
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(path)


def test_observed_events_are_planned_from_the_headers_of_their_lists(checkout, events):
    checkout.edit(events, "simulate: {replicates: 2, events: {background: 60, diffuse: 40}}\n", "")
    checkout.edit(events, "chunks: 3\n", "")
    checkout.edit(events, "  components:\n", "  binned: false\n  components:\n")
    checkout.edit(events, "  irf: analytic\n", "  irf: analytic\n  events: [a.fits, b.fits.gz]\n")
    done = checkout.snakemake("-n", "--configfile", events)
    assert done.returncode == 2
    assert "a.fits" in done.stderr
    assert "Traceback" not in done.stderr
    write_list(checkout.folder / "a.fits", 1_800_000)
    write_list(checkout.folder / "b.fits.gz", 700_000)
    plan = checkout.plan("--configfile", events)
    assert "simulate" not in plan
    assert {rule: plan[rule] for rule in ("observe", "response", "marginalise", "gather", "fit")} == {
        "observe": 1, "response": 2, "marginalise": 3, "gather": 1, "fit": 2,
    }  # fmt: skip
    # without pointings in the configuration those of the lists: here twice the same
    text = events.read_text()
    events.write_text("".join(line for line in text.splitlines(True) if "pointings:" not in line))
    assert checkout.plan("--configfile", events)["response"] == 1


def test_missing_response_file_is_told_before_any_job(checkout, events):
    checkout.edit(events, "irf: analytic", "irf: nowhere.fits")
    done = checkout.snakemake("-n", "--configfile", events)
    assert done.returncode == 2
    assert "nowhere.fits" in done.stderr
    assert "Traceback" not in done.stderr


def test_entry_through_the_workflow_folder(checkout, mine):
    assert checkout.plan("-s", "workflow/Snakefile", "--configfile", mine) == MINE


def test_observed_counts_in_place_of_simulated_ones(checkout, mine):
    checkout.edit(mine, "simulate: {replicates: 2, truth: {smooth: 8, gce: 0.9}}\n", "")
    plan = checkout.plan("--configfile", mine)
    assert plan["observe"] == 1
    assert "simulate" not in plan
    assert plan["fit"] == 2


def test_values_of_the_command_line_lie_over_the_file(checkout, mine):
    plan = checkout.plan("--configfile", mine, "--config", "simulate={replicates: 3}")
    assert plan["simulate"] == 3


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("guide: mvn", "guied: mvn", "guide"),
        ("fits:", "fist:", "fits"),
        ("run: mine", "run: ../mine", "run"),
        ("run: mine\n", "run: mine\nrun: mine\n", "line"),
        ("nside: 32", "nside: 032", "032"),
    ],
)
def test_wrong_configuration_is_told_before_any_job(checkout, mine, old, new, says):
    checkout.edit(mine, old, new)
    done = checkout.snakemake("-n", "--configfile", mine)
    assert done.returncode == 2
    assert "mine.yaml" in done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert not (checkout.folder / "results").exists()


def test_missing_package_is_told_in_one_line(checkout, mine):
    (checkout.folder / "src/skysift/config/code.py").unlink()
    done = checkout.snakemake("-n", "--configfile", mine)
    assert done.returncode == 2
    assert "make .venv" in done.stderr


def test_lint_finds_nothing(checkout):
    done = checkout.snakemake("--lint")
    assert done.returncode == 0
    assert "good condition" in done.stdout + done.stderr


def test_rules_are_formatted(repository):
    import subprocess
    import sys

    command = [sys.executable, "-m", "snakefmt", "--check", "Snakefile", "workflow"]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

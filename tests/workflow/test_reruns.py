"""What Snakemake does again, and what it leaves alone; each with the wrong form as a control that must fail."""

import re

import pytest
import yaml

CODE_OF_FIT = "src/skysift/contract.py"
AFTER_FIRST = {"write_config": 1, "write_whole_config": 1, "fit": 2, "diagnose": 2, "tables": 1, "report": 1}


def make_ancient(checkout):
    """Mark the configuration slice of a fit as ancient, although a rule makes it."""
    checkout.edit(
        "workflow/rules/fit.smk",
        'config=f"{RUN}/config/fit-{{fit}}.yaml"',
        'config=ancient(f"{RUN}/config/fit-{{fit}}.yaml")',
    )


def test_second_run_plans_nothing_and_a_changed_guide_its_fit_and_what_follows(checkout, mine):
    checkout.run("--configfile", mine)
    before = checkout.results("mine")
    assert checkout.plan("--configfile", mine) == {}
    checkout.edit(mine, "guide: mvn", "guide: iaf")
    assert checkout.plan("--configfile", mine) == AFTER_FIRST
    checkout.run("--configfile", mine)
    after = checkout.results("mine")
    assert "guide: iaf" in after["fits/first/simulated-000.nc"]
    changed = {name for name in after if after[name] != before[name]}
    assert not [
        name for name in changed if re.match(r"data/|observation|fits/second|sidebands/|config/fit-second", name)
    ]
    assert checkout.plan("--configfile", mine) == {}


@pytest.mark.parametrize("is_ancient", [False, True], ids=["shipped", "control"])
def test_one_call_after_a_change_ends_with_a_fit_of_that_change(checkout, mine, is_ancient):
    if is_ancient:
        make_ancient(checkout)
    fit = "fits/first/simulated-000.nc"
    checkout.run("--configfile", mine, "--", f"results/mine/{fit}")
    checkout.edit(mine, "guide: mvn", "guide: iaf")
    checkout.run("--configfile", mine, "--", f"results/mine/{fit}")
    results = checkout.results("mine")
    assert "guide: iaf" in results["config/fit-first.yaml"]
    assert ("guide: iaf" in results[fit]) is not is_ancient


@pytest.mark.parametrize("always", [False, True], ids=["shipped", "control"])
def test_demonstration_does_not_leak_into_another_run(checkout, mine, always):
    if always:
        head = (checkout.folder / "workflow/Snakefile").read_text()
        wrong = re.sub(r"if not workflow.overwrite_configfiles:\n\n    configfile", "configfile", head)
        assert wrong != head
        wrong = wrong.replace(
            "load(workflow.configfiles, workflow.config_settings.config)",
            "resolve(config)",
        ).replace("import load,", "import resolve,")
        (checkout.folder / "workflow/Snakefile").write_text(wrong)
    done = checkout.snakemake("--cores", "1", "--configfile", mine, "--", "results/mine/config.yaml")
    written = checkout.folder / "results/mine/config.yaml"
    components = list(yaml.safe_load(written.read_text())["model"]["components"]) if done.returncode == 0 else None
    assert (components == ["smooth", "gce"]) is not always


def test_changed_code_redoes_the_steps_that_run_it(checkout, mine):
    checkout.run("--configfile", mine)
    with (checkout.folder / "src/skysift/plots/__init__.py").open("a") as file:
        file.write("# changed\n")
    assert checkout.plan("--configfile", mine) == {"report": 1}
    with (checkout.folder / "src/skysift/steps/fit.py").open("a") as file:
        file.write("# changed\n")
    plan = checkout.plan("--configfile", mine)
    assert plan["fit"] == 4
    assert "simulate" not in plan
    assert "sidebands" not in plan


def test_changed_engine_of_events_redoes_its_fit_alone(checkout, events):
    checkout.run("--configfile", events)
    assert checkout.plan("--configfile", events) == {}
    checkout.edit(events, "first: [laplace]", "first: [map, laplace]")
    assert checkout.plan("--configfile", events) == AFTER_FIRST
    checkout.edit(events, "first: [map, laplace]", "first: [laplace]")
    checkout.edit(events, "chunks: 3", "chunks: 4")
    assert checkout.plan("--configfile", events).keys() == {
        "write_whole_config", "marginalise", "gather", "fit", "diagnose", "tables", "report",
    }  # fmt: skip


def test_a_new_source_finds_the_columns_that_are_there(checkout, events):
    chunk = "marginals/simulated-000/000.h5"
    checkout.run("--configfile", events, "--", f"results/events/{chunk}")
    before = checkout.results("events")[chunk]
    checkout.edit(events, "    background: {", "    further: {sky: synthetic_catalogue}\n    background: {")
    checkout.run("--configfile", events, "--", f"results/events/{chunk}")
    after = checkout.results("events")[chunk]
    # the stand-in writes what it was given to read, and the earlier result is part of that
    assert "synthetic_catalogue" in after
    assert before in after


def test_runs_on_events_share_their_responses(checkout, events):
    checkout.run("--configfile", events)
    before = checkout.results("events")
    cache = {path: path.stat().st_mtime_ns for path in (checkout.folder / "results/cache").iterdir()}
    assert len(cache) == 2
    other = events.with_name("other.yaml")
    other.write_text(events.read_text().replace("run: events", "run: other"))
    assert "response" not in checkout.plan("--configfile", other)
    checkout.edit(other, "sky: synthetic_diffuse", "sky: synthetic_catalogue")
    checkout.run("--configfile", other)
    assert {path: path.stat().st_mtime_ns for path in (checkout.folder / "results/cache").iterdir()} == cache
    assert checkout.results("events") == before
    # another pointing has another response, that of the first one stays in use
    checkout.edit(other, "{lon: 1 deg, lat: 0 deg, time: 50 h}", "{lon: 1 deg, lat: 0 deg, time: 10 h}")
    assert "response" not in checkout.plan("--configfile", other)
    checkout.edit(other, "{lon: 1 deg, lat: 0 deg, time: 10 h}", "{lon: 2 deg, lat: 0 deg, time: 50 h}")
    assert checkout.plan("--configfile", other)["response"] == 2


def test_changed_code_of_events_leaves_maps_alone(checkout, mine, events):
    checkout.run("--configfile", mine)
    checkout.run("--configfile", events)
    with (checkout.folder / "src/skysift/steps/events/fit.py").open("a") as file:
        file.write("# changed\n")
    assert checkout.plan("--configfile", mine) == {}
    plan = checkout.plan("--configfile", events)
    assert plan == {"fit": 4, "diagnose": 4, "tables": 1, "report": 1}


def test_two_runs_share_no_file(checkout, mine):
    other = mine.with_name("other.yaml")
    other.write_text(mine.read_text().replace("run: mine", "run: other"))
    checkout.run("--configfile", mine)
    before = checkout.results("mine")
    checkout.run("--configfile", other)
    assert checkout.results("mine") == before
    assert sorted(path.name for path in (checkout.folder / "results").iterdir()) == ["mine", "other"]
    assert set(checkout.results("other")) == set(before)


def test_page_exists_also_when_a_fit_failed(checkout, mine):
    done = checkout.snakemake("--cores", "2", "-k", "--configfile", mine, STAND_IN_FAILS="fits/first/simulated-001.nc")
    assert done.returncode == 1
    results = checkout.results("mine")
    assert "report.html" in results
    assert "fits/first/simulated-001.nc" not in results
    assert "fits/second/simulated-001.nc" in results


def test_page_exists_also_when_the_tables_failed(checkout, mine):
    done = checkout.snakemake("--cores", "2", "--configfile", mine, STAND_IN_FAILS="tables --config")
    assert done.returncode == 1
    assert "report.html" in checkout.results("mine")


def test_sideband_job_reads_the_model_of_its_fit(checkout, mine):
    checkout.run("--configfile", mine, "--", "results/mine/sidebands/second/simulated-000/l+30.h5")
    read = checkout.results("mine")["sidebands/second/simulated-000/l+30.h5"]
    assert "template: nfw_squared" in read
    assert "signal: gce" in read


def test_report_of_snakemake_has_captions_tables_and_figures(checkout, mine):
    checkout.run("--configfile", mine)
    checkout.run("--configfile", mine, "--report", "jobs.html")
    page = (checkout.folder / "jobs.html").read_text()
    assert "The page of the run <strong>mine</strong>" in page
    assert all(name in page for name in ("posterior.csv", "calibration.csv", "fractions"))

"""Environments say the same thing everywhere: pyproject.toml, requirements.txt, envs/, CITATION.cff."""

import re
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement

import skysift

CONDA_NAMES = {"torch": "pytorch", "matplotlib": "matplotlib-base"}


@pytest.fixture(scope="module")
def project(repository):
    return tomllib.loads((repository / "pyproject.toml").read_text())["project"]


def wanted(requirements):
    """The lines of a conda environment for these requirements."""
    for line in requirements:
        requirement = Requirement(line)
        if requirement.name != "skysift":
            yield CONDA_NAMES.get(requirement.name, requirement.name) + line[len(requirement.name) :]


def found(repository, name):
    environment = yaml.safe_load((repository / "envs" / f"{name}.yaml").read_text())
    assert environment["channels"] == ["conda-forge", "bioconda", "nodefaults"]
    return environment["dependencies"]


def test_conda_environment_of_the_steps(project, repository):
    python = f"python{project['requires-python']}"
    assert sorted(found(repository, "skysift")) == sorted([python, *wanted(project["dependencies"])])


def test_conda_environment_of_developers(project, repository):
    extras = [line for lines in project["optional-dependencies"].values() for line in lines]
    python = f"python{project['requires-python']}"
    expected = [python, *wanted(project["dependencies"]), *wanted(extras)]
    assert sorted(found(repository, "skysift-dev")) == sorted(expected)


def test_pins_are_exact_and_satisfy_the_bounds(project, repository):
    lines = (repository / "requirements.txt").read_text().splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    versions = {re.sub(r"[-_.]+", "-", pin.name).lower(): str(pin.specifier) for pin in pins}
    assert pins[0].name == "torch"
    assert all(re.fullmatch(r"==[0-9][0-9a-z.]*", version) for version in versions.values())
    extras = [line for lines in project["optional-dependencies"].values() for line in lines]
    for line in [*project["dependencies"], *extras]:
        requirement = Requirement(line)
        if requirement.name != "skysift":
            assert requirement.specifier.contains(versions[requirement.name.lower()].removeprefix("=="))


def test_citation_has_the_version_of_the_package(repository):
    assert yaml.safe_load((repository / "CITATION.cff").read_text())["version"] == skysift.__version__

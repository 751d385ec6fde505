"""Environments say the same thing everywhere: pyproject.toml, requirements.txt, envs/, CITATION.cff."""

import ast
import re
import sys
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement

import skysift

CONDA_NAMES = {"torch": "pytorch", "matplotlib": "matplotlib-base"}
IMPORT_NAMES = {"pyyaml": "yaml", "pyro-ppl": "pyro", "pillow": "PIL", "nautilus-sampler": "nautilus"}
PARTS_OF_PYDANTIC = {"pydantic_core", "annotated_types"}
FOR_USERS = {"arviz", "h5netcdf"}  # the posteriors are made to be opened with these
BY_HAND = {"NPTFit"}  # needs a numpy that nothing else here runs with: its numbers are stored beside what prints them


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


def imported(folder):
    """The names of outside packages that the modules of a folder import, at any depth of a function."""
    names = set()
    for file in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                names.add(node.module.split(".")[0])
    return names - set(sys.stdlib_module_names) - {"skysift", "tests"}


def distributions(requirements):
    names = {Requirement(line).name for line in requirements}
    return {IMPORT_NAMES.get(name, name.replace("-", "_")) for name in names}


def test_package_imports_what_it_declares_and_nothing_else(project, repository):
    declared = distributions(project["dependencies"])
    found = imported(repository / "src")
    # imported only where a setting asks for it
    optional = distributions(project["optional-dependencies"]["minuit"])
    assert optional <= found
    assert found - declared - optional - PARTS_OF_PYDANTIC == set()
    assert declared - found <= FOR_USERS


def test_tests_import_only_what_is_declared(project, repository):
    extras = project["optional-dependencies"]
    declared = distributions([*project["dependencies"], *extras["test"], *extras["workflow"]])
    benchmarks = {path.stem for path in (repository / "benchmarks").glob("*.py")}
    assert imported(repository / "tests") - declared - PARTS_OF_PYDANTIC - BY_HAND - benchmarks == set()

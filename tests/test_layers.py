"""Imports point one way, and cheap commands stay cheap."""

import subprocess
import sys
import tomllib

import pytest

HEAVY = ("torch", "pyro", "gpytorch", "zuko", "healpy", "astropy", "matplotlib", "pandas", "arviz", "scipy", "numpy")


@pytest.fixture
def lint(tmp_path, repository):
    """Run import-linter with the contracts of pyproject.toml, and further ones appended."""

    def run(extra=""):
        settings = tmp_path / "pyproject.toml"
        settings.write_text((repository / "pyproject.toml").read_text() + extra)
        program = "from importlinter.cli import lint_imports_command; lint_imports_command()"
        command = [sys.executable, "-c", program, "--config", settings, "--no-cache"]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)

    return run


def test_every_contract_is_kept(lint, repository):
    done = lint()
    contracts = tomllib.loads((repository / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    assert done.returncode == 0, done.stdout
    assert f"Contracts: {len(contracts)} kept, 0 broken." in done.stdout


def test_linter_sees_a_forbidden_import(lint):
    """Negative control: an import that exists, declared forbidden, must break the run."""
    done = lint(
        '[[tool.importlinter.contracts]]\nname = "control"\ntype = "forbidden"\n'
        'source_modules = ["skysift.cli"]\nforbidden_modules = ["skysift.errors"]\n'
    )
    assert done.returncode == 1
    assert "control BROKEN" in done.stdout


@pytest.mark.parametrize(
    "statement",
    ["import skysift", "import skysift.cli", "from skysift.config.code import code_digest; code_digest('fit')"],
)
def test_cheap_imports_stay_cheap(statement):
    probe = f"import sys; {statement}; print([name for name in {HEAVY} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True).stdout
    assert found.strip() == "[]"


def test_importing_skysift_takes_less_than_a_third_of_a_second():
    probe = "import time; start = time.process_time(); import skysift.cli; print(time.process_time() - start)"
    took_s = [
        float(subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True).stdout)
        for _ in range(3)
    ]
    assert min(took_s) < 0.3

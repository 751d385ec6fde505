"""What the repository holds: no large files, no leftovers of merges, readable YAML and TOML."""

import subprocess
import tomllib

import pytest
import yaml

LARGEST_KB = 500
MARKERS = ("<" * 7 + " ", ">" * 7 + " ")


@pytest.fixture(scope="module")
def files(repository):
    """Every file that git knows or would add."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=True).stdout
    found = [repository / name for name in names.split("\0") if name]
    return [file for file in found if file.is_file()]


def test_no_file_is_large(files, repository):
    sizes_kb = {str(file.relative_to(repository)): file.stat().st_size / 1000 for file in files}
    assert sizes_kb
    assert {name: size for name, size in sizes_kb.items() if size > LARGEST_KB} == {}


def test_no_merge_markers(files):
    texts = [file for file in files if file.suffix in (".py", ".smk", ".md", ".yaml", ".toml", ".rst")]
    assert [file for file in texts for line in file.read_text().splitlines() if line.startswith(MARKERS)] == []


def test_yaml_and_toml_can_be_read(files):
    for file in files:
        if file.suffix in (".yaml", ".yml", ".cff"):
            assert yaml.safe_load(file.read_text()) is not None, file
        elif file.suffix == ".toml":
            assert tomllib.loads(file.read_text()), file

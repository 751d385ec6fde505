"""Copies of the repository, and Snakemake in them."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

__all__ = ["Checkout", "copy_repository"]

PARTS = ("Snakefile", "workflow", "profiles", "slurm", "config", "envs", "src")

# Writes, as the result, the command and everything that it was given to read; fails where it is told to.
STAND_IN = r"""#!/usr/bin/env bash
set -euo pipefail
line="$*"
if [[ -n "${STAND_IN_FAILS:-}" && $line == *"$STAND_IN_FAILS"* ]]; then echo "told to fail: $line" >&2; exit 1; fi
read_files() { for word in $line; do if [[ -f $word ]]; then cat "$word"; fi; done; }
text="$line"$'\n'"$(read_files)"
out="${line##*--out}"
out="${out#-dir}"
out="${out# }"
out="${out%% *}"
if [[ $1 == tables ]]; then
  mkdir -p "$out"
  for name in posterior evidence cost calibration; do printf '%s\n' "$line" > "$out/$name.csv"; done
else
  mkdir -p "$(dirname "$out")"
  printf '%s\n' "$text" > "$out"
fi
if [[ $1 == report ]]; then
  mkdir -p "$(dirname "$out")/figures"
  printf 'no picture' > "$(dirname "$out")/figures/fractions.png"
fi
"""


class Checkout:
    """A folder like a fresh clone, and Snakemake in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tools = folder.parent / f"{folder.name}-bin"
        if not self.tools.exists():
            self.tools.mkdir()
            (self.tools / "python").symlink_to(sys.executable)
        stand_in = self.tools / "skysift"
        stand_in.write_text(STAND_IN)
        stand_in.chmod(0o755)

    def use_real_steps(self):
        """Replace the stand-in by skysift itself."""
        (self.tools / "skysift").write_text(f'#!/bin/sh\nexec "{self.tools}/python" -m skysift.cli "$@"\n')

    def environment(self, **variables):
        """Return the environment in which Snakemake runs the skysift of this folder."""
        packages = [place for place in sys.path if place.endswith("-packages")]
        paths = os.pathsep.join([str(self.folder / "src"), *packages])
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SNAKEMAKE")}
        return {**kept, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1", **variables}

    def command(self, *words):
        """Return the command that starts Snakemake with the Python that sits beside the stand-in."""
        return [str(self.tools / "python"), "-m", "snakemake", *map(str, words)]

    def snakemake(self, *words, **variables):
        """Run Snakemake."""
        return subprocess.run(
            self.command(*words), cwd=self.folder, env=self.environment(**variables), capture_output=True, text=True,
            check=False, timeout=900,
        )  # fmt: skip

    def run(self, *words, **variables):
        """Run the workflow to its end."""
        done = self.snakemake("--cores", "2", *words, **variables)
        assert done.returncode == 0, done.stderr[-4000:]
        return done

    def plan(self, *words):
        """Return how many jobs of each rule a dry run plans; empty when there is nothing to be done."""
        done = self.snakemake("-n", *words)
        assert done.returncode == 0, done.stderr[-4000:] + done.stdout[-2000:]
        text = done.stdout + done.stderr
        if "Nothing to be done" in text:
            return {}
        table = re.search(r"^job +count\n-[- ]+\n((?:\w+ +\d+\n)+)", text, re.MULTILINE)
        assert table, text[-4000:]
        counts = dict(line.split() for line in table[1].splitlines())
        return {rule: int(count) for rule, count in counts.items() if rule not in ("all", "total")}

    def edit(self, path, old, new):
        """Replace text that must be there in one of the files."""
        file = self.folder / path
        text = file.read_text()
        assert old in text, f"{old!r} is not in {path}"
        file.write_text(text.replace(old, new))

    def results(self, run):
        """Return the files of a run with their content, logs and benchmarks left out."""
        root = self.folder / "results" / run
        files = {file.relative_to(root).as_posix(): file for file in root.rglob("*") if file.is_file()}
        return {
            name: file.read_text()
            for name, file in files.items()
            if not name.startswith(("logs/", "benchmarks/")) and file.name != ".snakemake_timestamp"
        }


def copy_repository(repository: Path, folder: Path) -> Path:
    """Copy what the workflow needs, without results, to a new folder and return it."""
    folder.mkdir()
    for name in PARTS:
        source = repository / name
        if source.is_symlink():
            (folder / name).symlink_to(source.readlink())
        elif source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        else:
            shutil.copy(source, folder / name)
    return folder

"""The table of rooms that each step imports, held against the imports themselves; and the digest's cost."""

import re
import time
from pathlib import Path

import grimp
import pytest

import skysift
from skysift.config.code import ROOMS, code_digest

PACKAGE = Path(skysift.__file__).parent


@pytest.fixture(scope="module")
def imports():
    return grimp.build_graph("skysift", exclude_type_checking_imports=True, cache_dir=None)


def rooms_of(imports, step):
    """Return the rooms of every module that a step imports, at any depth, lazily or not."""
    module = f"skysift.steps.{step.replace('/', '.')}"
    modules = imports.find_upstream_modules(module) | {"skysift"}
    return {room_of(name) for name in modules}


def room_of(module):
    parts = module.split(".")[1:]
    if not parts:
        return "__init__.py"
    if parts[0] == "steps" and len(parts) > 1:
        return f"{'/'.join(parts)}.py"
    return parts[0] if (PACKAGE / parts[0]).is_dir() else f"{parts[0]}.py"


@pytest.mark.parametrize("step", sorted(ROOMS))
def test_table_names_exactly_the_rooms_that_a_step_imports(imports, step):
    really = rooms_of(imports, step) - {"steps", "steps/__init__.py"}
    assert set(ROOMS[step]) == really


def test_table_has_every_step_of_the_workflow():
    rules = (PACKAGE.parent.parent / "workflow" / "rules").glob("*.smk")
    digests = [part for file in rules for part in re.findall(r'code_digest\(f?"([^"]+)"\)', file.read_text())]
    used = {part.replace("{KIND}", kind) for part in digests for kind in ("", "events/", "cubes/")}
    # the workflow leaves this rule out for counts cubes
    assert used - {"cubes/calibrate"} == set(ROOMS)


def test_digest_takes_milliseconds():
    start = time.process_time()
    digests = {step: code_digest(step) for step in ROOMS}
    assert time.process_time() - start < 0.2
    assert len(set(digests.values())) == len(ROOMS)


def test_room_that_is_gone_is_an_error(monkeypatch):
    monkeypatch.setitem(ROOMS, "prepare", ("steps/gone.py",))
    with pytest.raises(FileNotFoundError):
        code_digest("prepare")

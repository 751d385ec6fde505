"""Which code a step runs, as one digest: the reason to run it again after an edit."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

__all__ = ["ROOMS", "code_digest"]

_PACKAGE = Path(__file__).parent.parent
_BASE = ("__init__.py", "errors.py", "config", "storage")
_MODEL = ("streams.py", "contract.py", "geometry", "parameters", "sky", "instruments", "likelihoods", "models")
_EVENTS = (*_MODEL, "steps/events/sources.py")
_CUBES = (*_MODEL, "steps/cubes/sources.py", "steps/model_files.py")
_RESPONSE = ("geometry", "sky", "instruments", "steps/events/sources.py")
_DENSITY = ("contract.py", "parameters", "likelihoods", "models")
_RECIPE = ("inference", "steps/progress.py", "steps/recipe.py", "steps/results.py")
_GATHERING = (
    "streams.py",
    "diagnostics",
    "steps/agreement.py",
    "steps/gather.py",
    "steps/ranks.py",
    "steps/replicates.py",
    "steps/trials.py",
)
_PAGE = (
    "plots", "steps/report_answers.py", "steps/report_events.py", "steps/report_figures.py", "steps/report_maps.py",
    "steps/report_page.py", "steps/report_pictures.py", "steps/report_verdicts.py", "steps/tables.py",
)  # fmt: skip

#: What each step of the workflow imports, by room of the package; a test compares it with the imports themselves.
ROOMS: dict[str, tuple[str, ...]] = {
    "prepare": (*_BASE, "streams.py", "geometry", "sky", "instruments", "steps/observations.py"),
    "observe": (*_BASE, "streams.py", "geometry", "sky", "instruments", "steps/observations.py"),
    "simulate": (*_BASE, "streams.py", "geometry", "sky", "instruments", "steps/observations.py"),
    "fit": (*_BASE, *_MODEL, *_RECIPE, "steps/checkpoints.py", "steps/device.py"),
    "diagnose": (*_BASE, *_MODEL, *_RECIPE, "diagnostics", "steps/diagnose_sources.py"),
    "calibrate": (
        *_BASE,
        *_MODEL,
        *_RECIPE,
        "steps/checkpoints.py",
        "steps/device.py",
        "steps/fit.py",
        "steps/trials.py",
    ),
    "sidebands": (*_BASE, *_MODEL, "inference", "steps/checkpoints.py", "steps/device.py"),
    "events/prepare": (*_BASE, *_RESPONSE, "models"),
    "events/observe": (*_BASE, *_RESPONSE),
    "events/simulate": (*_BASE, *_EVENTS),
    "events/marginalise": (*_BASE, *_RESPONSE, *_DENSITY),
    "events/gather": (*_BASE, "models"),
    "events/fit": (
        *_BASE,
        *_EVENTS,
        "inference",
        "steps/checkpoints.py",
        "steps/progress.py",
        "steps/results.py",
        "steps/device.py",
    ),
    "events/calibrate": (
        *_BASE,
        *_EVENTS,
        "inference",
        "steps/events/simulate.py",
        "steps/results.py",
        "steps/device.py",
        "steps/trials.py",
    ),
    "events/diagnose": (*_BASE, *_EVENTS, "diagnostics"),
    "cubes/prepare": (*_BASE, "geometry", "instruments"),
    "cubes/observe": (*_BASE, "geometry", "instruments"),
    "cubes/simulate": (*_BASE, *_CUBES),
    "cubes/fit": (
        *_BASE,
        *_CUBES,
        "inference",
        "steps/checkpoints.py",
        "steps/progress.py",
        "steps/results.py",
        "steps/device.py",
    ),
    "cubes/diagnose": (*_BASE, *_CUBES, "diagnostics"),
    "systematics": ("__init__.py", "errors.py", "storage", "streams.py", "parameters"),
    "tables": (*_BASE, *_GATHERING),
    "report": (*_BASE, "geometry", "sky", "instruments", *_GATHERING, *_PAGE),
}


def code_digest(step: str) -> str:
    """Return a digest of every file of the package that ``step`` may read or import.

    Parameters
    ----------
    step : a key of `ROOMS`

    Examples
    --------
    >>> code_digest("fit") == code_digest("tables")
    False
    """
    digest = hashlib.sha256()
    for room in sorted({*ROOMS[step], f"steps/{step}.py"}):
        digest.update(_room_digest(room))
    return digest.hexdigest()[:16]


@cache
def _room_digest(room: str) -> bytes:
    digest = hashlib.sha256()
    place = _PACKAGE / room
    files = sorted(file for file in place.rglob("*") if file.is_file()) if place.is_dir() else [place]
    for file in files:
        if "__pycache__" not in file.parts:
            digest.update(f"{file.relative_to(_PACKAGE).as_posix()}\0{file.stat().st_size}\0".encode())
            digest.update(file.read_bytes())
    return digest.digest()

"""Where a file comes from: versions, commit, configuration, inputs and seed; never a clock time."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import skysift

__all__ = ["Provenance", "collect", "digest_bytes", "digest_file"]

_LIBRARIES = (
    "arviz", "astropy", "dynesty", "gpytorch", "h5py", "healpy", "nautilus-sampler", "numpy", "pydantic", "pyro-ppl",
    "scikit-learn", "scipy", "torch", "xarray", "zuko",
)  # fmt: skip


@dataclass(frozen=True)
class Provenance:
    """What made a file; equal provenance and equal content give equal bytes."""

    run: str = ""
    seed: int | None = None
    configuration: str = ""
    inputs: Mapping[str, str] = field(default_factory=dict)
    package: str = ""
    commit: str = ""
    python: str = ""
    libraries: Mapping[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as plain values."""
        return asdict(self)


def collect(
    run: str = "", seed: int | None = None, configuration: bytes | str = "", inputs: Iterable[str | Path] = ()
) -> Provenance:
    """Return the provenance of what is being made now.

    Parameters
    ----------
    run : name of the run
    seed : seed of the run
    configuration : text of the configuration slice that the step reads; its sha256 is kept
    inputs : files that the step reads; their sha256 are kept under their names

    Raises
    ------
    OSError : an input cannot be read
    """
    text = configuration.encode() if isinstance(configuration, str) else configuration
    return Provenance(
        run=run,
        seed=seed,
        configuration=digest_bytes(text) if text else "",
        inputs=_digest_inputs([Path(path) for path in inputs]),
        package=skysift.__version__,
        commit=_commit(),
        python=platform.python_version(),
        libraries={name: _version(name) for name in _LIBRARIES if _version(name)},
    )


def _digest_inputs(paths: list[Path]) -> dict[str, str]:
    """Name inputs by as few last parts of their paths as tell them apart: the place of a run leaves no trace."""
    depth = 1
    while len({path.parts[-depth:] for path in paths}) < len(set(paths)) and depth < 8:
        depth += 1
    return {"/".join(path.parts[-depth:]): digest_file(path) for path in sorted(set(paths))}


def digest_bytes(content: bytes) -> str:
    """Return the sha256 of ``content`` as hexadecimal text."""
    return hashlib.sha256(content).hexdigest()


def digest_file(path: str | Path) -> str:
    """Return the sha256 of a file's content as hexadecimal text."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@cache
def _version(name: str) -> str:
    """Return the installed version of a distribution, "" when it is absent; imports nothing."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


@cache
def _commit() -> str:
    """Return the git commit of a source checkout, "" for an installed package."""
    package = Path(__file__).resolve().parents[1]
    root = package.parents[1]
    git = root / ".git"
    if package.parent.name != "src" or not (git / "HEAD").is_file():
        return ""
    head = (git / "HEAD").read_text(encoding="utf-8").strip()
    if not head.startswith("ref: "):
        return head
    name = head[5:]
    if (git / name).is_file():
        return (git / name).read_text(encoding="utf-8").strip()
    packed = git / "packed-refs"
    lines = packed.read_text(encoding="utf-8").splitlines() if packed.is_file() else []
    return next((line.split()[0] for line in lines if line.endswith(f" {name}")), "")

"""Options of the command line: checked before any work, the same wherever they stand."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import click

from skysift.errors import InputError

__all__ = [
    "BATCH", "CHUNK", "CONFIG", "DATA", "DATA_NAME", "EVERY", "FILES", "FIT", "MARGINALS", "MORE", "NAMES",
    "OBSERVATION", "OUT", "OUT_DIR", "POINTING", "POSTERIOR", "POSTERIORS", "REGION", "RESPONSE", "RESPONSES",
    "RESTART", "RUN", "SPURIOUS", "STRICT", "TABLE", "TABLE_OUT", "THREADS", "THREAD_VARIABLES", "WRITE",
    "ReadableFile", "WritablePath",
]  # fmt: skip

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


class ReadableFile(click.ParamType[Path]):
    """A file that exists, is an ordinary file and may be read."""

    name = "file"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Return the path, or raise InputError before any work."""
        path, field = Path(str(value)), _field(param)
        if not path.exists():
            raise InputError(path, field, "no such file", "an existing file", "check the path, or make the file first")
        if not stat.S_ISREG(path.stat().st_mode):
            kind = "a folder" if path.is_dir() else "a device or pipe"
            raise InputError(path, field, kind, "an ordinary file", "name the file itself")
        if not os.access(path, os.R_OK):
            raise InputError(path, field, "no permission to read", "a readable file", "chmod u+r the file")
        return path


class WritablePath(click.ParamType[Path]):
    """A place where a result may be written; missing folders above it are made by the step."""

    name = "path"

    def __init__(self, *, folder: bool = False) -> None:
        self.folder = folder

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Return the path, or raise InputError before any work."""
        path, field = Path(str(value)), _field(param)
        if path.exists() and path.is_dir() != self.folder:
            found, wanted = ("a folder", "a file") if path.is_dir() else ("a file", "a folder")
            raise InputError(path, field, found, wanted, "choose another name")
        start = path.absolute() if self.folder else path.absolute().parent
        above = next(place for place in (start, *start.parents) if place.exists())
        if not (above.is_dir() and os.access(above, os.W_OK)):
            raise InputError(path, field, f"cannot write in {above}", "a writable folder", "choose another place")
        return path


def _field(param: click.Parameter | None) -> str:
    return "argument" if param is None or isinstance(param, click.Argument) else param.opts[0]


def _set_threads(ctx: click.Context, param: click.Parameter, count: int | None) -> None:
    """Tell every numerical library how many threads it may use, before it is imported."""
    if count is None:
        return
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(count)))
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(count)


def _option(flags: str, kind: click.ParamType[object], text: str) -> click.Option:
    return click.Option(flags.split(), type=kind, help=text, required=True)


CONFIG = _option("--config", ReadableFile(), "What this step reads of the configuration, as in the example (YAML).")
OBSERVATION = _option("--observation", ReadableFile(), "Axes, exposure, sources, made by `prepare` (HDF5).")
DATA = _option(
    "--data", ReadableFile(), "Counts or events, made by `observe` or `simulate`; marginals of events (HDF5)."
)
POINTING = _option("--pointing", click.IntRange(0), "Number of the pointing, from 0.")
RESPONSE = _option("--response", ReadableFile(), "Responses made by `response`, one per pointing (HDF5).")
RESPONSES = click.Option(
    ["--response"],
    type=ReadableFile(),
    multiple=True,
    help="For events: responses made by `response`, one per pointing (HDF5).",
)
BATCH = _option("--batch", click.STRING, "Batch of simulations and number of batches, such as 0/10.")
CHUNK = _option("--chunk", click.STRING, "Chunk of the events and number of chunks, such as 0/8.")
MARGINALS = _option("--marginals", ReadableFile(), "Files made by `marginalise`, one per chunk (HDF5).")
DATA_NAME = _option("--data", click.STRING, "Name of the simulated data set, such as simulated-000.")
FIT = _option("--fit", click.STRING, "Name of the fit whose model is evaluated.")
POSTERIOR = _option("--posterior", ReadableFile(), "Posterior, made by `fit` (NetCDF).")
REGION = _option("--region", click.STRING, "Name of the control region, as `validate` lists them.")
RUN = _option("--run run_dir", click.Path(exists=True, file_okay=False, path_type=Path), "Folder of the run.")
SPURIOUS = _option("--spurious", ReadableFile(), "Files made by `sidebands`, one or several (HDF5).")
MORE = click.Argument(["more"], nargs=-1, type=ReadableFile(), metavar="")
TABLE = _option("--table", ReadableFile(), "Parameter values, one row per point (CSV).")
THREADS = click.Option(
    ["--threads"],
    type=click.IntRange(1),
    callback=_set_threads,
    expose_value=False,
    help="Threads of the numerical libraries (otherwise $OMP_NUM_THREADS decides).",
)
EVERY = click.Option(
    ["--checkpoint-every"],
    type=click.FloatRange(0.0),
    default=60.0,
    show_default=True,
    envvar="SKYSIFT_CHECKPOINT_EVERY",
    show_envvar=True,
    help="Seconds between two checkpoints, from which a stopped run goes on.",
)
RESTART = click.Option(
    ["--restart"],
    is_flag=True,
    envvar="SKYSIFT_RESTART",
    show_envvar=True,
    help="Begin anew, whatever a stopped run has left.",
)
STRICT = click.Option(
    ["--strict"],
    is_flag=True,
    envvar="SKYSIFT_STRICT",
    show_envvar=True,
    help="Refuse to begin anew where a stopped run had other versions of libraries.",
)
OUT = _option("--out", WritablePath(), "The file to write; it appears whole or not at all.")
OUT_DIR = _option("--out-dir", WritablePath(folder=True), "The folder to write to.")
POSTERIORS = click.Argument(["posteriors"], nargs=-1, required=True, type=ReadableFile())
TABLE_OUT = click.Option(["--out"], type=WritablePath(), help="A table to write as well (CSV).")
FILES = click.Argument(["files"], nargs=-1, required=True, type=ReadableFile())
NAMES = click.Argument(["names"], nargs=-1)
WRITE = click.Option(["--write"], is_flag=True, help="Write them in place of comparing; run in the repository.")

"""The command line: ``skysift <step> …``, one sub-command per rule of the workflow."""

from __future__ import annotations

import importlib
import os
import signal
import stat
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from skysift import __version__
from skysift.errors import InputError, InterruptedRunError, SkysiftError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["cli", "main"]

STOPPED_BY_HAND = 130
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


def _run(step: str, /, **options: object) -> None:
    """Import the module of a step, and only now what it needs, and run it."""
    importlib.import_module(f"skysift.steps.{step}").run(**options)


def _run_kind(step: str, /, **options: object) -> None:
    """Run the step of the kind of analysis that the configuration is of."""
    from skysift.config import kind_of

    kind = kind_of(options["config"])  # type: ignore[arg-type]  # a path
    if kind == "maps":
        options.pop("response", None)
    _run(step if kind == "maps" else f"{kind}.{step}", **options)


def _run_listed(step: str, name: str, /, **options: object) -> None:
    """Run a step whose option ``name`` takes several files: those after the first are arguments."""
    more = options.pop("more")
    _run(step, **{**options, name: [options[name], *more]})  # type: ignore[misc]  # a tuple of paths


#: Steps whose module depends on the kind of analysis, and steps with an option that takes several files.
OF_KIND = ("prepare", "observe", "simulate", "fit", "diagnose", "calibrate", "evaluate")
LISTED = {"systematics": ("systematics", "spurious"), "marginalise": ("events.marginalise", "response"),
          "gather": ("events.gather", "marginals")}  # fmt: skip


def _command(name: str, text: str, params: list[click.Parameter], example: str) -> click.Command:
    callback = partial(_run_kind if name in OF_KIND else _run, name)
    if name in LISTED:
        callback = partial(_run_listed, *LISTED[name])
    elif name in ("response", "export"):
        callback = partial(_run, f"events.{name}")
    return click.Command(name, params=params, callback=callback, help=_help(text, example))


def _help(text: str, example: str) -> str:
    lines = "\n    ".join(line.strip() for line in example.splitlines())
    return f"{text}\n\n\b\nExample:\n  {lines}"


COMMANDS = (
    _command(
        "prepare",
        "Read maps, cut the region, fold templates.",
        [CONFIG, THREADS, OUT],
        "skysift prepare --config results/R/config/observation.yaml --out results/R/observation.h5",
    ),
    _command(
        "observe",
        "Cut the observed counts to the region.",
        [CONFIG, OBSERVATION, THREADS, OUT],
        """skysift observe --config results/R/config/observation.yaml \\
           --observation results/R/observation.h5 --out results/R/data/observed.h5""",
    ),
    _command(
        "simulate",
        "Draw one set of counts from the truth.",
        [CONFIG, OBSERVATION, DATA_NAME, THREADS, OUT],
        """skysift simulate --config results/R/config/simulate-simulated.yaml \\
           --observation results/R/observation.h5 --data simulated-000 \\
           --out results/R/data/simulated-000.h5""",
    ),
    _command(
        "response",
        "Evaluate an instrument response at the bins of an observation.",
        [CONFIG, OBSERVATION, POINTING, THREADS, OUT],
        """skysift response --config results/R/config/observation.yaml \\
           --observation results/R/observation.h5 --pointing 0 --out results/cache/response-0.h5""",
    ),
    _command(
        "marginalise",
        "Compute the density of every source at events.",
        [CONFIG, OBSERVATION, RESPONSE, DATA, CHUNK, MORE, THREADS, OUT],
        """skysift marginalise --config results/R/config/marginalise.yaml \\
           --observation results/R/observation.h5 --response results/cache/response-0.h5 \\
           --data results/R/data/simulated-000.h5 --chunk 0/1 --out results/R/marginals/simulated-000.h5""",
    ),
    _command(
        "gather",
        "Join the chunks of one event list.",
        [CONFIG, MARGINALS, MORE, THREADS, OUT],
        """skysift gather --config results/R/config/marginalise.yaml \\
           --marginals results/R/marginals/simulated-000/*.h5 --out results/R/marginals/simulated-000.h5""",
    ),
    _command(
        "fit",
        "Run the engines of one fit on one data set.",
        [CONFIG, OBSERVATION, DATA, EVERY, RESTART, STRICT, THREADS, OUT],
        """skysift fit --config results/R/config/fit-mvn.yaml \\
           --observation results/R/observation.h5 --data results/R/data/observed.h5 \\
           --out results/R/fits/mvn/observed.nc""",
    ),
    _command(
        "diagnose",
        "Compare the data with posterior predictions.",
        [CONFIG, OBSERVATION, DATA, POSTERIOR, RESPONSES, THREADS, OUT],
        """skysift diagnose --config results/R/config/fit-mvn.yaml \\
           --observation results/R/observation.h5 --data results/R/data/observed.h5 \\
           --posterior results/R/fits/mvn/observed.nc \\
           --out results/R/predictive/mvn/observed.h5""",
    ),
    _command(
        "sidebands",
        "Fit the signal in a region that has none.",
        [CONFIG, OBSERVATION, DATA, REGION, EVERY, RESTART, STRICT, THREADS, OUT],
        """skysift sidebands --config results/R/config/sidebands-mvn.yaml \\
           --observation results/R/observation.h5 --data results/R/data/observed.h5 \\
           --region l+30 --out results/R/sidebands/mvn/observed/l+30.h5""",
    ),
    _command(
        "systematics",
        "Widen a posterior by spurious signals.",
        [POSTERIOR, SPURIOUS, MORE, THREADS, OUT],
        """skysift systematics --posterior results/R/fits/mvn/observed.nc \\
           --spurious results/R/sidebands/mvn/observed/*.h5 \\
           --out results/R/fits/mvn_sidebands/observed.nc""",
    ),
    _command(
        "export",
        "Write event lists as other tools read them (GADF FITS).",
        [OBSERVATION, DATA, THREADS, OUT_DIR],
        """skysift export --observation results/R/observation.h5 --data results/R/data/simulated-000.h5 \\
           --out-dir events""",
    ),
    _command(
        "calibrate",
        "Fit data drawn from a fit's own model: one batch.",
        [CONFIG, OBSERVATION, BATCH, RESPONSES, THREADS, OUT],
        """skysift calibrate --config results/R/config/calibrate-mvn.yaml \\
           --observation results/R/observation.h5 --batch 0/10 --out results/R/calibration/mvn/000.h5""",
    ),
    _command(
        "tables",
        "Gather the numbers of a run as CSV files.",
        [CONFIG, RUN, OUT_DIR],
        """skysift tables --config results/R/config/report.yaml --run results/R \\
           --out-dir results/R/tables""",
    ),
    _command(
        "compare",
        "Set fits of the same data beside the first one.",
        [POSTERIORS, TABLE_OUT],
        """skysift compare results/R/fits/hmc/observed.nc results/R/fits/mvn/observed.nc \\
           --out compared.csv""",
    ),
    _command(
        "report",
        "Draw the figures and write the page of a run.",
        [CONFIG, RUN, THREADS, OUT],
        "skysift report --config results/R/config.yaml --run results/R --out results/R/report.html",
    ),
    _command(
        "evaluate",
        "Evaluate a model at given parameter values, for comparison with any other code: each line of the table is one "
        "set of values, each column one number (fractions as diffuse_fraction, background_fraction, ..., also with a "
        "tree of them). Written are log prior, log likelihood and expected counts; beside the table, .h5, the expected "
        "counts of every pixel. For events, of which a list (also one in FITS, or hdu-index.fits.gz of several) or its "
        "marginals may be given, that is the log marginal of every event under every component, and the first of them "
        "are printed.",
        [CONFIG, OBSERVATION, DATA, FIT, TABLE, THREADS, OUT],
        """skysift evaluate --config results/R/config.yaml \\
           --observation results/R/observation.h5 --data results/R/data/observed.h5 \\
           --fit mvn --table values.csv --out evaluated.csv""",
    ),
    _command(
        "validate", "Check a configuration, of one file or several.", [FILES], "skysift validate config/demo.yaml"
    ),
    _command(
        "schema",
        "Compare schema and reference with the types.",
        [WRITE],
        "skysift schema --write",
    ),
)

DATA_COMMANDS = tuple(
    click.Command(
        action,
        params=[NAMES],
        callback=partial(_run, "data", action=action),
        help=_help(text, f"skysift data {action} fermi"),
    )
    for action, text in {
        "list": "List the registered files: size, origin, terms.",
        "fetch": "Download data sets into the user's cache, and verify them.",
        "check": "Compare the files at hand with their checksums.",
    }.items()
)

cli = click.Group(
    "skysift",
    commands=[
        *COMMANDS,
        click.Group("data", commands=DATA_COMMANDS, help="List, fetch and check the public files that analyses read."),
    ],
    context_settings={"help_option_names": ["-h", "--help"]},
    help=_help(
        "Turn sky data into calibrated posteriors. Each sub-command is one step of the workflow: it reads files, "
        "works, and writes one result. `snakemake` runs them in order; the same lines can be typed by hand.",
        "snakemake --cores 4 --configfile config/demo.yaml",
    ),
)
cli = click.version_option(__version__, prog_name="skysift")(cli)


def _stop(number: int, frame: object) -> None:
    raise InterruptedRunError("stopped by the system; the same command goes on")


def _stop_again(unraisable: sys.UnraisableHookArgs) -> None:
    """Ask again for what Python dropped: nothing raised while an object is being removed goes further."""
    if isinstance(unraisable.exc_value, InterruptedRunError):
        signal.setitimer(signal.ITIMER_REAL, 0.01)
    else:
        sys.__unraisablehook__(unraisable)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code: 0, 1, 2, 75 or 130."""
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGALRM, _stop)
    sys.unraisablehook = _stop_again
    try:
        code = cli.main(args=arguments, prog_name="skysift", standalone_mode=False)
    except SkysiftError as error:
        click.echo(error, err=True)
        code = error.exit_code
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped by hand; the same command goes on", err=True)
        code = STOPPED_BY_HAND
    sys.exit(code)


if __name__ == "__main__":
    main()

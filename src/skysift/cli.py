"""The command line: ``skysift <step> …``, one sub-command per rule of the workflow."""

from __future__ import annotations

import importlib
import signal
import sys
from functools import partial
from typing import TYPE_CHECKING

import click

from skysift import __version__
from skysift.errors import InterruptedRunError, SkysiftError
from skysift.options import (
    BATCH,
    CHUNK,
    CONFIG,
    DATA,
    DATA_NAME,
    EVERY,
    FILES,
    FIT,
    MARGINALS,
    MORE,
    NAMES,
    OBSERVATION,
    OUT,
    OUT_DIR,
    POINTING,
    POSTERIOR,
    POSTERIORS,
    REGION,
    RESPONSE,
    RESPONSES,
    RESTART,
    RUN,
    SPURIOUS,
    STRICT,
    TABLE,
    TABLE_OUT,
    THREADS,
    WRITE,
)  # fmt: skip

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["cli", "main"]

STOPPED_BY_HAND = 130


def _run(step: str, /, **options: object) -> None:
    """Import the module of a step, and only now what it needs, and run it."""
    importlib.import_module(f"skysift.steps.{step}").run(**options)


def _run_kind(step: str, /, config: Path, **options: object) -> None:
    """Run the step of the kind of analysis that the configuration is of."""
    from skysift.config import kind_of

    kind = kind_of(config)
    if kind == "maps":
        options.pop("response", None)
    _run(step if kind == "maps" else f"{kind}.{step}", config=config, **options)


def _run_listed(step: str, name: str, /, more: Sequence[Path], **options: object) -> None:
    """Run a step whose option ``name`` takes several files: those after the first are arguments."""
    _run(step, **{**options, name: [options[name], *more]})


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

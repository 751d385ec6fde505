"""``skysift evaluate``, events: log likelihoods and log marginals at given parameter values, for comparisons."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from skysift.config import load
from skysift.config.events import EventAnalysis
from skysift.config.events.slices import EventFitSlice, MarginaliseSlice
from skysift.errors import InputError, nearest
from skysift.instruments.ctao.event_list import read_events
from skysift.instruments.ctao.event_observation import read_event_observation
from skysift.steps.evaluate import check_columns, columns_of, read_values
from skysift.steps.events.fit import load_model
from skysift.steps.events.marginalise import marginalise_events
from skysift.steps.events.response import make_response
from skysift.steps.events.sources import open_responses
from skysift.storage.hdf5 import Dataset, check_writable, collect, find_format, write
from skysift.storage.tables import read_table, write_table

if TYPE_CHECKING:
    from skysift.models.events.marginals import Marginals

__all__ = ["run"]

DIGITS = 15
SHOWN_ROWS, SHOWN_EVENTS = 3, 10
FRACTION_TOLERANCE = 1e-6
Row = dict[str, str]


def run(config: Path, observation: Path, data: Path, fit: str, table: Path, out: Path) -> None:
    """Evaluate the model of a fit at each row of a table.

    Fractions may be given as ``<component>_fraction``. The logarithms of the marginal densities (row of the table,
    event or occupied bin, component), 1 / (TeV deg2), are printed for the first events; all of them stand in a file
    beside the table, ``.h5``. Those of an event file are computed on the spot.

    Parameters
    ----------
    config : the whole configuration
    observation : file of format ``event_observation``
    data : file of format ``events`` or ``marginals``
    fit : name of the fit
    table : CSV with a header
    out : CSV; ``log_prior``, ``log_likelihood`` and ``<component>_counts`` beside the values

    Raises
    ------
    InputError : an unknown fit or column, a missing parameter, a cell that is no number
    """
    marginals_out = out.with_suffix(".h5")
    check_writable(out)
    check_writable(marginals_out)
    analysis = load([config])
    assert isinstance(analysis, EventAnalysis)  # noqa: S101 - the command line comes here with nothing else
    if fit not in analysis.fits:
        raise InputError(config, "--fit", fit, "the name of a fit", nearest(fit, analysis.fits))
    settings = analysis.make_slices()[f"fit-{fit}"]
    assert isinstance(settings, EventFitSlice)  # noqa: S101 - narrows the type
    model, marginals, _ = load_model(
        settings, config, observation, data, "cpu", _marginalise(analysis, observation, data)
    )
    rows = [_spread(table, number, row, model.names) for number, row in enumerate(read_table(table))]
    check_columns(table, rows, [column for item in model.parameters for column in columns_of(item.name, item.shape)])
    results, densities = [], []
    for number, row in enumerate(rows):
        values = {name: part[None] for name, part in read_values(table, number, row, model.parameters).items()}
        with torch.no_grad():
            expected, densest = model.expected(values)[0], model.table(values)
            scaled = densest.scaled if densest.scaled.ndim == 2 else densest.scaled[0]
            densities.append((scaled.log() + densest.offsets.reshape(-1, 1)).numpy())
            results.append(
                dict(row)
                | {
                    "log_prior": float(model.parameters.log_prior(values)[0]),
                    "log_likelihood": float(model.log_likelihood(values)[0]),
                }
                | {f"{name}_counts": float(part) for name, part in zip(model.names, expected, strict=True)}
            )
    provenance = collect(analysis.run, analysis.seed, config.read_bytes(), [observation, data, table])
    cube = Dataset(np.stack(densities), "", "ln of density in 1 / (TeV deg2)", ("row", "event", "component"))
    attributes = {"fit": fit, "data": marginals.data, "components": list(model.names)}
    datasets = {"log_density": cube, "counts": Dataset(marginals.counts, "", "events in each row", ("event",))}
    write(marginals_out, format="expected", datasets=datasets, attributes=attributes, provenance=provenance)
    write_table(out, results, digits=DIGITS)
    _print(results, np.stack(densities), model.names)


def _marginalise(analysis: EventAnalysis, observation: Path, data: Path) -> Marginals | None:
    """Return the marginals of an event file, None for a file of marginals."""
    if find_format(data) != "events":
        return None
    settings = analysis.make_slices()["marginalise"]
    assert isinstance(settings, MarginaliseSlice)  # noqa: S101 - narrows the type
    looked_at = read_event_observation(observation)
    irfs = open_responses(looked_at, observation)
    responses = [make_response(irf, looked_at, number) for number, irf in enumerate(irfs)]
    return marginalise_events(settings, looked_at, data, read_events(data), responses)


def _print(results: Sequence[Mapping[str, object]], densities: NDArray[np.float64], names: Sequence[str]) -> None:
    """Print the log likelihood of each row, and what its first events say."""
    for number, (row, density) in enumerate(zip(results, densities, strict=True)):
        print(f"row {number + 1}: log likelihood {row['log_likelihood']:.15g}, log prior {row['log_prior']:.15g}")
        if number < SHOWN_ROWS:
            print("  event  " + "  ".join(f"{'ln p ' + name:>22}" for name in names))
            for event, values in enumerate(density[:SHOWN_EVENTS]):
                print(f"  {event:5d}  " + "  ".join(f"{value:22.15g}" for value in values))


def _spread(table: Path, number: int, row: Row, names: tuple[str, ...]) -> Row:
    """Return a row in which fractions by name of the component are those of the parameter ``fractions``."""
    if not all(f"{name}_fraction" in row for name in names):
        return row
    shares = [_number(row[f"{name}_fraction"]) for name in names]
    if min(shares) < 0 or abs(sum(shares) - 1) > FRACTION_TOLERANCE:
        found = f"{' + '.join(f'{share:g}' for share in shares)} = {sum(shares):g}"
        raise InputError(table, f"row {number + 1}, fractions", found, "numbers >= 0 that sum to 1", "correct the row")
    rest = {column: cell for column, cell in row.items() if column.removesuffix("_fraction") not in names}
    return rest | {f"fractions[{k}]": row[f"{name}_fraction"] for k, name in enumerate(names)}


def _number(cell: str) -> float:
    """Return a cell as a number; NaN for what is none, which is told when the cell is read."""
    try:
        return float(cell)
    except ValueError:
        return math.nan

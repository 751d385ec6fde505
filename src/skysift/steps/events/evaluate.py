"""``skysift evaluate``, events: log likelihoods and log marginals at given parameter values, for comparisons."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from skysift.config import OBSERVED, load
from skysift.config.events import EventAnalysis
from skysift.config.events.slices import EventFitSlice, MarginaliseSlice
from skysift.errors import InputError, nearest
from skysift.instruments.ctao.event_header import read_event_header
from skysift.instruments.ctao.event_list import read_events
from skysift.instruments.ctao.event_observation import read_event_observation
from skysift.instruments.ctao.gadf import import_events, read_gadf
from skysift.instruments.ctao.store import HDU_INDEX, read_store
from skysift.steps.events.fit import load_model
from skysift.steps.events.marginalise import marginalise_events
from skysift.steps.events.parameter_tables import read_points
from skysift.steps.events.response import make_response
from skysift.steps.events.sources import open_responses
from skysift.storage.hdf5 import Dataset, check_writable, collect, find_format, write
from skysift.storage.tables import read_table, write_table

if TYPE_CHECKING:
    from skysift.instruments.ctao.event_list import EventList
    from skysift.instruments.ctao.event_observation import EventObservation
    from skysift.instruments.ctao.irf import Irf
    from skysift.models.events.marginals import Marginals

__all__ = ["run"]

DIGITS = 15
SHOWN_ROWS, SHOWN_EVENTS = 3, 10


def run(config: Path, observation: Path, data: Path, fit: str, table: Path, out: Path) -> None:
    """Evaluate the model of a fit at each row of a table.

    Fractions are given as ``<component>_fraction``, also those of a tree, or by the numbers of their parameters. The
    logarithms of the marginal densities (row of the table, event or occupied bin, component), 1 / (TeV deg2), are
    printed for the first events; all of them stand in a file beside the table, ``.h5``. Those of event lists are
    computed on the spot.

    Parameters
    ----------
    config : the whole configuration
    observation : file of format ``event_observation``
    data : file of format ``events`` or ``marginals``, an event list as GADF has it (FITS), or for several pointings
        the index of a data store that holds their lists
    fit : name of the fit
    table : CSV with a header
    out : CSV; ``log_prior``, ``log_likelihood`` and ``<component>_counts`` beside the values

    Raises
    ------
    InputError : an unknown fit or column, a missing parameter, a cell that is no number, lists of other pointings
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
    rows = read_table(table)
    results, densities = [], []
    for row, values in zip(rows, read_points(table, rows, model), strict=True):
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
    """Return the marginals of an event list, None for a file of marginals."""
    kind = find_format(data)
    if kind not in {"events", ""}:
        return None
    settings = analysis.make_slices()["marginalise"]
    assert isinstance(settings, MarginaliseSlice)  # noqa: S101 - narrows the type
    looked_at = read_event_observation(observation)
    irfs = open_responses(looked_at, observation)
    events = read_events(data) if kind else _read_fits(data, looked_at, irfs)
    responses = [make_response(irf, looked_at, number) for number, irf in enumerate(irfs)]
    return marginalise_events(settings, looked_at, data, events, responses)


def _read_fits(data: Path, looked_at: EventObservation, irfs: Sequence[Irf]) -> EventList:
    """Return the events within the axes of a list of the only pointing, or of the lists of a data store."""
    if data.name == HDU_INDEX:
        tables = [entry.table("events") for entry in read_store(data.parent)]
        headers = [read_event_header(table.place, table.hdu) for table in tables]
    else:
        headers = [read_event_header(data)]
    if len(headers) != len(looked_at.pointings):
        wanted = f"{len(looked_at.pointings)}, one per pointing"
        remedy = f"name {HDU_INDEX} of a data store that holds them, as `skysift export` writes it"
        raise InputError(data, "event lists", len(headers), wanted, remedy)
    events = import_events([read_gadf(header) for header in headers], looked_at, OBSERVED, irfs)
    print(f"{len(events)} events within the axes, {events.outside[OBSERVED]} outside", file=sys.stderr)
    return events


def _print(results: Sequence[Mapping[str, object]], densities: NDArray[np.float64], names: Sequence[str]) -> None:
    """Print the log likelihood of each row, and what its first events say."""
    for number, (row, density) in enumerate(zip(results, densities, strict=True)):
        beyond = ": outside the prior" if row["log_prior"] == -math.inf else ""
        print(
            f"row {number + 1}: log likelihood {row['log_likelihood']:.15g}, log prior {row['log_prior']:.15g}{beyond}"
        )
        if number < SHOWN_ROWS:
            print("  event  " + "  ".join(f"{'ln p ' + name:>22}" for name in names))
            for event, values in enumerate(density[:SHOWN_EVENTS]):
                print(f"  {event:5d}  " + "  ".join(f"{value:22.15g}" for value in values))

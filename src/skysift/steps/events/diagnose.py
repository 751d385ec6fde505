"""``skysift diagnose``, events: what each component looks like, and whether the data look like their sum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from skysift.config import load_slice
from skysift.diagnostics.predictive import draw_replicas, measure_deviance, predictive_p_value
from skysift.errors import InputError
from skysift.instruments.ctao.event_observation import read_event_observation
from skysift.models.events.marginals import read_marginals
from skysift.models.events.prediction import find_efficiency, light_at, predict_cube
from skysift.steps.events.sources import Finder, open_responses, read_responses
from skysift.storage.hdf5 import Dataset, check_writable, collect, write
from skysift.storage.posterior import read_posterior
from skysift.streams import numpy_stream

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from skysift.config.events.slices import EventFitSlice
    from skysift.instruments.ctao.discrete import AnyResponse
    from skysift.instruments.ctao.event_observation import EventObservation
    from skysift.sky.light import Light
    from skysift.storage.posterior import Posterior

    Array = NDArray[np.float64]

__all__ = ["run"]

DRAWS = 400
QUANTILES = (0.025, 0.16, 0.5, 0.84, 0.975)


def run(config: Path, observation: Path, data: Path, posterior: Path, out: Path, response: Sequence[Path] = ()) -> None:
    """Write expected events of every component in bins of energy and on the sky, and predictive p-values.

    Parameters
    ----------
    config : slice ``fit-<fit>`` of the configuration
    observation : file of format ``event_observation``
    data : file of format ``marginals``
    posterior : of this fit and data
    out : file of format ``predictive``
    response : files of format ``response``, one per pointing

    Raises
    ------
    InputError : inputs that do not belong together
    """
    check_writable(out)
    settings = load_slice(config, "events/fit")
    looked_at, marginals, fitted = read_event_observation(observation), read_marginals(data), read_posterior(posterior)
    if len(response) != len(looked_at.pointings):
        wanted = f"{len(looked_at.pointings)}, one per pointing"
        raise InputError(config, "--response", f"{len(response)} files", wanted, "name the response of each pointing")
    irfs = open_responses(looked_at, observation)
    responses = read_responses(response, irfs, looked_at)
    lights = _find_lights(settings, fitted, looked_at, Finder(config))
    cubes = {
        name: predict_cube(component, lights[name], looked_at, responses)
        for name, component in settings.model.components.items()
    }
    counts = {name: fitted.flat(f"{name}_counts") for name in cubes}
    stream = numpy_stream(settings.seed, "diagnose", settings.name, marginals.data)
    datasets = _axes(looked_at)
    p_values = {}
    for view, axis in (("energy", 1), ("image", 0)):
        seen = marginals.seen.sum(axis)
        shares = {name: cube.sum(axis) / cube.sum() for name, cube in cubes.items()}
        predicted, p_values[view] = _compare(seen, shares, counts, stream)
        datasets[f"{view}/observed"] = Dataset(seen, "", f"events seen, {view}")
        datasets[f"{view}/expected"] = Dataset(predicted, "", f"quantiles {QUANTILES} of events, {view}")
        for name, share in shares.items():
            datasets[f"{view}/components/{name}"] = Dataset(share * counts[name].mean(), "", f"{name}, mean")
    datasets |= _true_events(looked_at, responses, lights)
    attributes = {
        "fit": settings.name,
        "data": marginals.data,
        "kind": "events",
        "draws": min(DRAWS, len(next(iter(counts.values())))),
        "p_values": p_values,
        "quantiles": list(QUANTILES),
        "counts": {name: np.quantile(drawn, QUANTILES).tolist() for name, drawn in counts.items()},
    }
    provenance = collect(settings.run, settings.seed, config.read_bytes(), [observation, data, posterior, *response])
    write(out, format="predictive", datasets=datasets, attributes=attributes, provenance=provenance)


def _axes(looked_at: EventObservation) -> dict[str, Dataset]:
    axes = looked_at.reconstructed
    return {
        "energy/edges": Dataset(axes.energy.edges_tev, "TeV", "edges of reconstructed energy"),
        "image/lon_edges": Dataset(axes.grid.lon_edges_deg, "deg", "edges of Galactic longitude"),
        "image/lat_edges": Dataset(axes.grid.lat_edges_deg, "deg", "edges of Galactic latitude"),
    }


def _find_lights(
    settings: EventFitSlice, fitted: Posterior, looked_at: EventObservation, find: Finder
) -> dict[str, Light | None]:
    """Return the light of each component in the sky, its parameters at their posterior means."""
    values = {name: fitted.flat(name).mean(0) for name in fitted.variables}
    lights: dict[str, Light | None] = {}
    for name, component in settings.model.components.items():
        prepared = looked_at.lights.get(settings.sources[name])
        known = component.sky is None
        lights[name] = None if known else light_at(name, component, prepared, values, looked_at, find)
    return lights


def _true_events(
    looked_at: EventObservation, responses: Sequence[AnyResponse], lights: Mapping[str, Light | None]
) -> dict[str, Dataset]:
    """Return events of each source at true energies, and the share of them that the response puts within the axes."""
    datasets = {"true/edges": Dataset(looked_at.true.energy.edges_tev, "TeV", "edges of true energy")}
    for name, light in lights.items():
        if light is not None:
            arriving, share = find_efficiency(light, looked_at, responses)
            datasets[f"true/arriving/{name}"] = Dataset(arriving, "", f"{name}, events before any cut")
            datasets[f"true/efficiency/{name}"] = Dataset(share, "", f"{name}, share within the axes")
    return datasets


def _compare(
    seen: Array, shares: dict[str, Array], counts: dict[str, Array], stream: np.random.Generator
) -> tuple[Array, float]:
    """Return quantiles of predicted events in each bin (5, bins), and the p-value of the Poisson deviance."""
    total = len(next(iter(counts.values())))
    rows = stream.choice(total, size=min(DRAWS, total), replace=False)
    mean = np.sum([counts[name][rows, None] * share for name, share in shares.items()], axis=0)
    replica = draw_replicas(mean, stream)
    quantiles = np.quantile(replica, QUANTILES, axis=0)
    # a bin that no source reaches has a mean of nothing
    expected = np.maximum(mean, 1e-300)
    observed, replicated = (measure_deviance(events, expected).sum(-1) for events in (seen.astype(np.int64), replica))
    return quantiles, predictive_p_value(observed, replicated)

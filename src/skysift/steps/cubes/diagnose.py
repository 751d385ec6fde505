"""``skysift diagnose``, counts cubes: what each source looks like, and whether the data look like their sum."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from skysift.config import load_slice
from skysift.diagnostics.predictive import draw_replicas, measure_deviance, predictive_p_value
from skysift.errors import InputError
from skysift.steps.cubes.sources import load_fit
from skysift.storage.hdf5 import Dataset, check_writable, collect, write
from skysift.storage.posterior import read_posterior
from skysift.streams import numpy_stream

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from skysift.models.cubes.model import CubeModel

    Array = NDArray[np.float64]
    Views = dict[str, Array]

__all__ = ["run"]

DRAWS = 100
QUANTILES = (0.025, 0.16, 0.5, 0.84, 0.975)


def run(config: Path, observation: Path, data: Path, posterior: Path, out: Path, response: Sequence[Path] = ()) -> None:
    """Write expected counts of every component by energy and on the sky, and predictive p-values.

    Parameters
    ----------
    config : slice ``fit-<fit>`` of the configuration
    observation : file of format ``cubes``
    data : file of format ``cube_counts``
    posterior : of this fit and data
    out : file of format ``predictive``
    response : none

    Raises
    ------
    InputError : inputs that do not belong together
    """
    check_writable(out)
    settings = load_slice(config, "cubes/fit")
    model, looked_at, counts, path = load_fit(settings, config, observation, data)
    fitted = read_posterior(posterior)
    if set(model.parameters.names) - set(fitted.variables):
        missing = min(set(model.parameters.names) - set(fitted.variables))
        raise InputError(posterior, "parameters", f"no {missing}", "the parameters of this fit", "fit again")
    stream = numpy_stream(settings.seed, "diagnose", settings.name, counts.name)
    draws = {name: fitted.flat(name) for name in model.parameters.names}
    rows = stream.permutation(len(next(iter(draws.values()))))[:DRAWS]
    values = {name: torch.as_tensor(part[rows]) for name, part in draws.items()}
    cube, shape = model.cubes[0], looked_at.datasets[0]
    edges = {
        "energy/edges": Dataset(shape.energy.edges_tev, "TeV", "edges of reconstructed energy"),
        "image/lon_edges": Dataset(_offsets(shape.grid.shape[1], shape.grid.step_deg[0]), "deg", "offset edges"),
        "image/lat_edges": Dataset(_offsets(shape.grid.shape[0], shape.grid.step_deg[1]), "deg", "offset edges"),
    }
    seen = _views((cube.counts * cube.weights).numpy(), shape.grid.step_deg)
    means, components, totals = _predict(model, values, shape.grid.step_deg)
    datasets, p_values = edges, {}
    for view in ("energy", "image"):
        replica = draw_replicas(means[view], stream)
        expected = np.maximum(means[view], 1e-300)
        measured = [measure_deviance(some, expected).sum(-1) for some in (seen[view].astype(np.int64), replica)]
        p_values[view] = predictive_p_value(*measured)
        datasets[f"{view}/observed"] = Dataset(seen[view], "", f"counts, {view}")
        predicted = np.quantile(replica, QUANTILES, axis=0)
        datasets[f"{view}/expected"] = Dataset(predicted, "", f"quantiles {QUANTILES} of counts, {view}")
        for name, part in components.items():
            datasets[f"{view}/components/{name}"] = Dataset(part[view], "", f"{name}, mean")
    levels = {name: np.quantile(part, QUANTILES).tolist() for name, part in totals.items()}
    attributes = {
        "fit": settings.name, "data": counts.name, "kind": "cubes", "draws": len(rows), "p_values": p_values,
        "quantiles": list(QUANTILES), "counts": levels,
        "coordinates": f"offsets from the middle of the map in deg, {shape.grid.frame} frame",
    }  # fmt: skip
    provenance = collect(settings.run, settings.seed, config.read_bytes(), [observation, data, posterior, path])
    write(out, format="predictive", datasets=datasets, attributes=attributes, provenance=provenance)


def _offsets(count: int, step_deg: float) -> Array:
    """Return rising edges around zero."""
    return np.asarray(abs(step_deg) * (np.arange(count + 1) - count / 2), dtype=np.float64)


def _views(cube: Array, step_deg: tuple[float, float]) -> Views:
    """Return sums (..., energy) and (..., pixel) of a cube (..., energy, rows, columns), coordinates rising."""
    image = cube.sum(-3)[..., :: int(np.sign(step_deg[1])), :: int(np.sign(step_deg[0]))]
    return {"energy": cube.sum((-2, -1)), "image": image.reshape(*image.shape[:-2], -1)}


def _predict(
    model: CubeModel, values: Mapping[str, Tensor], step_deg: tuple[float, float]
) -> tuple[Views, dict[str, Views], dict[str, Array]]:
    """Return views of expected counts at each draw, (draw, ...), mean views by component, and its totals (draw,)."""
    whole: list[Views] = []
    parts: dict[str, Views] = {}
    totals: dict[str, list[float]] = {}
    count = len(next(iter(values.values())))
    with torch.no_grad():
        for row in range(count):
            some = {name: part[row : row + 1] for name, part in values.items()}
            total, components = model.predict(some)
            whole.append(_views(total[0].numpy(), step_deg))
            for name, part in components.items():
                views = _views(part[0].numpy(), step_deg)
                totals.setdefault(name, []).append(float(views["energy"].sum()))
                known = parts.setdefault(name, {view: np.zeros_like(array) for view, array in views.items()})
                for view, array in views.items():
                    known[view] += array / count
    means = {view: np.stack([one[view] for one in whole]) for view in whole[0]}
    return means, parts, {name: np.asarray(part) for name, part in totals.items()}

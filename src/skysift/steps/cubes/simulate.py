"""``skysift simulate``, counts cubes: draw counts from the truth of the configuration."""

from __future__ import annotations

from pathlib import Path

import torch

from skysift.config import check_own, load_slice
from skysift.instruments.cubes.files import CubeCounts, read_cubes, write_cube_counts
from skysift.steps.cubes.sources import bind_model, read_declared
from skysift.storage.hdf5 import check_writable, collect
from skysift.streams import torch_stream

__all__ = ["run"]


def run(config: Path, observation: Path, data: str, out: Path) -> None:
    """Write one simulated data set.

    Parameters
    ----------
    config : slice ``simulate-<set>`` of the configuration
    observation : file of format ``cubes``
    data : name of the data set, such as ``simulated-000``; its random streams are derived from it
    out : file of format ``cube_counts``, with the truth

    Raises
    ------
    InputError : a name that the set does not have, or a model file without meaning
    """
    check_writable(out)
    settings = load_slice(config, "cubes/simulate")
    check_own(settings.name, data, config)
    looked_at = read_cubes(observation)
    declared, path = read_declared(settings.truth.file or settings.model.file, config, settings.truth.parameters)
    model = bind_model(declared, looked_at, None, settings.model.quadrature)
    start = {name: torch.tensor([value], dtype=torch.float64) for name, value in model.tree.starts.items()}
    with torch.no_grad():
        drawn = model.simulate(start, torch_stream(settings.seed, "simulate", data))[0]
        truth = {name: float(part.reshape(())) for name, part in model.tree.resolve(start).items()}
    parts = torch.split(drawn, [cube.base.numel() for cube in model.cubes])
    counts = {cube.name: part.reshape(cube.base.shape).numpy() for cube, part in zip(model.cubes, parts, strict=True)}
    provenance = collect(settings.run, settings.seed, config.read_bytes(), [observation, path])
    write_cube_counts(out, CubeCounts(data, counts, truth), provenance)

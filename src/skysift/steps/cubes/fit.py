"""``skysift fit``, counts cubes: one posterior of one data set."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from skysift.config import load_slice
from skysift.inference import sequence
from skysift.inference.engine import Stream
from skysift.inference.progress import observe
from skysift.steps.checkpoints import EVERY_S, keep
from skysift.steps.cubes.sources import load_fit
from skysift.steps.device import set_threads
from skysift.steps.progress import Progress
from skysift.steps.results import Origin, gather_engines
from skysift.storage.hdf5 import check_writable, collect
from skysift.storage.posterior import Variable, write_posterior

if TYPE_CHECKING:
    from skysift.models.cubes.model import CubeModel
    from skysift.storage.posterior import Posterior

__all__ = ["run"]

#: Draws whose counts are computed; those of a source differ little between more.
_DRAWS = 200
_BATCH = 8


def run(
    config: Path,
    observation: Path,
    data: Path,
    out: Path,
    checkpoint_every: float = EVERY_S,
    restart: bool = False,
    strict: bool = False,
) -> None:
    """Fit one data set and write its posterior; a fit that was stopped goes on from its checkpoint.

    Parameters
    ----------
    config : slice ``fit-<fit>`` of the configuration
    observation : file of format ``cubes``
    data : file of format ``cube_counts``
    out : ArviZ NetCDF
    checkpoint_every : seconds between two checkpoints
    restart : begin anew, whatever an earlier attempt has left
    strict : refuse, rather than begin anew, where libraries have other versions since

    Raises
    ------
    InputError : inputs that do not belong together
    ResumeError : an earlier attempt had other inputs
    InterruptedRunError : stopped by the system
    """
    check_writable(out)
    settings = load_slice(config, "cubes/fit")
    set_threads(settings.threads)
    model, _, counts, path = load_fit(settings, config, observation, data)
    origin = Origin(settings.name, counts.name, settings.run, settings.seed)
    stream = Stream(settings.seed, ("fit", settings.name, counts.name))
    steps = [(step.name, {k: v for k, v in step.settings.model_dump().items() if v is not None})
             for step in settings.sequence]  # fmt: skip
    provenance = collect(settings.run, settings.seed, config.read_bytes(), [observation, data, path])
    with (
        keep(
            out, provenance, "cubes/fit", every_s=checkpoint_every, restart=restart, strict=strict, device="cpu"
        ) as kept,
        observe(Progress),
    ):
        results = sequence.run(model, steps, stream, kept.checkpoint.child("sequence"))
    truths = {name: counts.truth.get(name) for name in model.parameters.names}
    posterior = gather_engines(model, results, origin, stream, kept.spent(), truths)
    posterior = _with_counts(posterior, model)
    attributes = {**posterior.attributes, "model": str(settings.model.file), "quadrature": settings.model.quadrature}
    warnings = [*posterior.warnings, *kept.warnings]
    write_posterior(out, replace(posterior, warnings=warnings, attributes=attributes, provenance=provenance))
    kept.remove()


def _with_counts(posterior: Posterior, model: CubeModel) -> Posterior:
    """Add the counts that each component is expected to send into compared bins."""
    values = {
        name: torch.as_tensor(np.asarray(posterior.variables[name].array)).flatten(0, 1)
        for name in model.parameters.names
    }
    chains, total = next(iter(posterior.variables.values())).array.shape[:2]
    every = max(1, chains * total // _DRAWS)
    parts = []
    with torch.no_grad():
        thinned = {name: part[::every] for name, part in values.items()}
        for start in range(0, len(next(iter(thinned.values()))), _BATCH):
            some = {name: part[start : start + _BATCH] for name, part in thinned.items()}
            parts.append(model.component_counts(some))
    arrays = {
        f"{name}_counts": Variable(
            torch.cat([part[name] for part in parts]).numpy(), "counts", f"{name} counts", ("thinned",)
        )
        for name in parts[0]
    }
    return replace(posterior, arrays={**posterior.arrays, **arrays})

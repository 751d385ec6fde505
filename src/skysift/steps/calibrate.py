"""``skysift calibrate``: simulations and fits of one fit's own model, one batch of them."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from skysift.config import load_slice
from skysift.steps.trials import LOG_DENSITY, Trial, parse_batch, pick_draws, run_trials, write_trials
from skysift.storage.hdf5 import check_writable, collect

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from skysift.config.slices import CalibrateSlice
    from skysift.inference.engine import Stream
    from skysift.instruments.fermi import Counts, Observation
    from skysift.models import TemplateModel
    from skysift.storage.posterior import Posterior

__all__ = ["run"]


def run(config: Path, observation: Path, batch: str, out: Path) -> None:
    """Draw truths from the prior and counts from the model, fit them, and write truths and draws.

    A truth and its data depend on the seed and on the truth's number alone, not on how truths are cut into batches.

    Parameters
    ----------
    config : slice ``calibrate-<fit>`` of the configuration
    observation : file of format ``observation``
    batch : ``3/10``: the fourth of ten batches
    out : file of format ``trials``

    Raises
    ------
    InputError : no such batch, or inputs that do not belong together
    """
    check_writable(out)
    settings = load_slice(config, "calibrate")
    chosen = settings.calibrate
    numbers = chosen.numbers(parse_batch(batch, chosen.batches))
    from skysift.instruments.fermi import read_observation
    from skysift.steps.device import choose_device, set_threads

    device = choose_device(settings.device, config)
    set_threads(settings.threads)
    experiment = _Experiment(settings, read_observation(observation), device)
    found = run_trials(numbers, experiment.attempt, lambda number: experiment.draw(number).quantities)
    provenance = collect(settings.run, settings.seed, config.read_bytes(), [observation])
    write_trials(out, settings.name, replace(found, unranked=experiment.unranked), provenance)


@dataclass(frozen=True)
class _Sky:
    """One truth: values (1, ...) by parameter, the model that they belong to, its quantities, and drawn counts.

    ``hyper``: hyper-parameters that the fit integrates, by name.
    """

    values: Mapping[str, Tensor]
    hyper: Mapping[str, Tensor]
    member: TemplateModel
    quantities: Mapping[str, float]
    counts: Counts


@dataclass(frozen=True)
class _Experiment:
    """The model of a fit, to draw from and to fit again."""

    settings: CalibrateSlice
    observation: Observation
    device: str

    @cached_property
    def flat(self) -> TemplateModel:
        """The model of a flat sky: neither its parameters nor its maps know any counts."""
        return self._bind(np.ones(self.observation.exposure_cm2_s.shape, dtype=np.int64), "flat")[0]

    def _bind(self, counts: NDArray[np.int64], name: str) -> tuple[TemplateModel, Counts]:
        from skysift.instruments.fermi import Counts
        from skysift.models import build

        drawn = Counts(name, counts)
        return build(self.settings, self.observation, drawn, device=self.device), drawn

    def _stream(self, number: int) -> Stream:
        from skysift.inference.engine import Stream

        return Stream(self.settings.seed, ("calibrate", self.settings.name, str(number)), self.device)

    def draw(self, number: int) -> _Sky:
        """Draw one truth from the prior, hyper-parameters too, and its counts."""
        from skysift.instruments.fermi import Counts

        stream, flat = self._stream(number), self.flat
        hyper: Mapping[str, Tensor] = {}
        if flat.hyper is not None:
            hyper = {name: part[0] for name, part in flat.hyper.draw(1, stream.generator("hyper")).items()}
        member = flat.at(hyper) if hyper else flat
        values = member.parameters.draw(1, stream.generator("truth"))
        seen = np.zeros(self.observation.exposure_cm2_s.shape, dtype=np.int64)
        sky = member.simulate(values, stream.generator("counts"))[0].cpu().numpy()
        seen[:, self.observation.region] = np.rint(sky).astype(np.int64).reshape(len(seen), -1)
        quantities = self._quantities(member, values)
        if flat.hyper_nodes > 1:
            quantities |= {name: float(part) for name, part in hyper.items()}
        return _Sky(values, hyper, member, quantities, Counts(f"trial-{number:03d}", seen))

    def _quantities(self, member: TemplateModel, values: Mapping[str, Tensor]) -> dict[str, float]:
        """Return the true norms, sampled hyper-parameters and counts under a field, by the names of single numbers."""
        named: dict[str, float] = {}
        for item in member.parameters:
            if item.block != "field":
                named |= _split(item.name, values[item.name][0].cpu().numpy())
        bands = member.counts.shape[0]
        bent = {item.name for item in member.components if item.field is not None}  # others: their norm says the same
        for name, part in member.component_counts(values).items():
            if name in bent:
                named |= _split(f"{name}_counts", part.reshape(bands, -1).sum(-1).squeeze(0).cpu().numpy())
        return named

    @property
    def unranked(self) -> tuple[str, ...]:
        """What has no rank of its own, with the reason."""
        flat, told = self.flat, []
        for item in flat.parameters:
            if item.block == "field":
                own = f"{item.name.split('_field')[0]}_counts"
                also = " and the log density" if flat.hyper is None else ""
                told.append(f"{item.name}: {math.prod(item.shape)} numbers, seen through {own}{also}")
        if flat.hyper is not None:
            maximised = flat.hyper_nodes == 1
            if maximised:
                told += [f"{item.name}: set to the maximum of its evidence, so without draws" for item in flat.hyper]
            reason = "set to their maximum" if maximised else "known at the nodes of a quadrature alone"
            told.append(f"{LOG_DENSITY}: that of draws belongs to hyper-parameters {reason}")
        return tuple(told)

    def attempt(self, number: int) -> Trial:
        """Simulate and fit one truth."""
        import torch

        from skysift.inference import sequence
        from skysift.inference.target import Target
        from skysift.steps.fit import engine_settings, prepare_model
        from skysift.steps.results import Origin, gather_posterior

        sky, stream, began = self.draw(number), self._stream(number), time.process_time()
        model, counts = self._bind(sky.counts.counts, sky.counts.name)
        model, _, fixed = prepare_model(model, self.settings, stream)
        steps = [(step.name, engine_settings(step)) for step in self.settings.sequence]
        results = sequence.run(model, steps, stream)
        origin = Origin(self.settings.name, counts.name, self.settings.run, self.settings.seed)
        posterior = gather_posterior(model, results, self.observation, counts, origin, stream, {})
        spent, count = time.process_time() - began, self.settings.calibrate.draws
        single = _single_numbers(posterior) | _hyper_draws(model, posterior, stream)
        draws = {name: pick_draws(array, count) for name, array in single.items() if name in sky.quantities}
        truth = dict(sky.quantities)
        if model.hyper is None and not fixed:
            z = torch.stack([torch.as_tensor(pick_draws(column, count)) for column in _columns(model, posterior)], 1)
            both = torch.cat([model.parameters.unconstrain(dict(sky.values)), z.to(self.device)])
            density = Target(model, device=self.device).log_density(both).cpu().numpy()
            truth[LOG_DENSITY], draws[LOG_DENSITY] = float(density[0]), density[1:]
        return Trial(truth, draws, posterior.converged, spent)


def _split(name: str, array: NDArray[np.float64]) -> dict[str, float]:
    if array.ndim == 0:
        return {name: float(array)}
    return {f"{name}[{k}]": float(value) for k, value in enumerate(array.ravel())}


def _single_numbers(posterior: Posterior) -> dict[str, NDArray[np.float64]]:
    """Return draws (chain, draw) of every single number but those of fields."""
    found: dict[str, NDArray[np.float64]] = {}
    for name, variable in posterior.variables.items():
        array = np.asarray(variable.array, dtype=np.float64)
        if array.ndim == 2:
            found[name] = array
        elif not name.endswith("_field") and "_field_" not in name:
            cells = array.reshape(*array.shape[:2], -1)
            found |= {f"{name}[{k}]": cells[:, :, k] for k in range(cells.shape[2])}
    return found


def _hyper_draws(model: TemplateModel, posterior: Posterior, stream: Stream) -> dict[str, NDArray[np.float64]]:
    """Return draws (chain, draw) of hyper-parameters that were integrated, spread between the nodes."""
    import torch

    from skysift.inference.hyper_draws import spread_draws

    if model.hyper is None:
        return {}
    nodes = {item.name: np.asarray(posterior.arrays[f"node_{item.name}"].array) for item in model.hyper}
    theta = model.hyper.unconstrain({name: torch.as_tensor(column) for name, column in nodes.items()}).numpy()
    weight = np.asarray(posterior.arrays["node_log_weight"].array)
    variant = np.asarray(posterior.sample_stats["variant"].array)
    spread = spread_draws(theta, weight, variant.ravel(), stream.numpy("nodes"))
    values = model.hyper.values(torch.as_tensor(spread))
    return {name: part.numpy().reshape(variant.shape) for name, part in values.items()}


def _columns(model: TemplateModel, posterior: Posterior) -> list[NDArray[np.float64]]:
    """Return the draws in z, one (chain, draw) for each coordinate."""
    import torch

    values = {item.name: torch.as_tensor(np.asarray(posterior.variables[item.name].array)) for item in model.parameters}
    z = model.parameters.unconstrain(values).numpy()
    return [z[:, :, k] for k in range(z.shape[2])]

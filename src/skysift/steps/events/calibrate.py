"""``skysift calibrate``, events: lists drawn from one fit's own model, and fitted again, one batch of them."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from skysift.config import load_slice
from skysift.config.events.simulate import EventSet
from skysift.config.events.slices import EventSimulateSlice
from skysift.inference import sequence
from skysift.inference.engine import Stream
from skysift.inference.target import Target
from skysift.instruments.ctao.event_observation import read_event_observation
from skysift.models.events.build import build_mixture
from skysift.models.events.columns import marginalise
from skysift.models.events.fields import weigh_fields
from skysift.models.events.marginals import Marginals
from skysift.models.events.rows import Column, Rows
from skysift.steps.device import choose_device, set_threads
from skysift.steps.events.simulate import draw_events
from skysift.steps.events.sources import Finder, open_responses, read_responses
from skysift.steps.results import Origin, gather_engines
from skysift.steps.trials import LOG_DENSITY, Trial, parse_batch, pick_draws, run_trials, write_trials
from skysift.storage.hdf5 import check_writable, collect

if TYPE_CHECKING:
    from torch import Tensor

    from skysift.config.events.slices import EventCalibrateSlice
    from skysift.instruments.ctao.discrete import AnyResponse
    from skysift.instruments.ctao.event_list import EventList
    from skysift.instruments.ctao.event_observation import EventObservation
    from skysift.instruments.ctao.irf import Irf
    from skysift.models.mixture import MixtureModel

__all__ = ["run"]

Values = Mapping[str, "Tensor"]


def run(config: Path, observation: Path, batch: str, out: Path, response: Sequence[Path] = ()) -> None:
    """Draw truths from the prior and event lists from the model, fit them, and write truths and draws.

    A truth and its events depend on the seed and on the truth's number alone, not on how truths are cut into batches.

    Parameters
    ----------
    config : slice ``calibrate-<fit>`` of the configuration
    observation : file of format ``event_observation``
    batch : ``3/10``: the fourth of ten batches
    out : file of format ``trials``
    response : files of format ``response``, one per pointing

    Raises
    ------
    InputError : no such batch, or inputs that do not belong together
    """
    check_writable(out)
    settings = load_slice(config, "events/calibrate")
    chosen = settings.calibrate
    numbers = chosen.numbers(parse_batch(batch, chosen.batches))
    device = choose_device(settings.device, config)
    set_threads(settings.threads)
    looked_at = read_event_observation(observation)
    # a source that a fit changed has a name of its own
    lights = {name: looked_at.lights[source] for name, source in settings.sources.items() if source in looked_at.lights}
    looked_at = replace(looked_at, lights=lights)
    irfs = open_responses(looked_at, observation)
    experiment = _Experiment(
        settings, looked_at, irfs, read_responses(response, irfs, looked_at), Finder(config), device
    )
    found = run_trials(numbers, experiment.attempt, experiment.truth)
    provenance = collect(settings.run, settings.seed, config.read_bytes(), [observation, *response])
    write_trials(out, settings.name, replace(found, unranked=experiment.unranked), provenance)


@dataclass(frozen=True)
class _Experiment:
    """The model of a fit, to draw from and to fit again."""

    settings: EventCalibrateSlice
    looked_at: EventObservation
    irfs: Sequence[Irf]
    responses: Sequence[AnyResponse]
    find: Finder
    device: str

    @cached_property
    def _background(self) -> dict[int, Any]:
        pairs = zip(self.responses, self.looked_at.pointings, strict=True)
        return {k: response.background_counts() * at.live_time_s for k, (response, at) in enumerate(pairs)}

    @cached_property
    def _bins(self) -> Rows:
        """Rows of all bins of all pointings."""
        size, pointings = int(np.prod(self.looked_at.reconstructed.shape)), len(self.looked_at.pointings)
        every = np.arange(size * pointings)
        return Rows(np.ones(len(every)), every // size, every % size, whole=len(every))

    @cached_property
    def _whole(self) -> dict[str, Column]:
        """Columns in every bin: marginalised once for all lists."""
        return {name: self._column(name, self._bins) for name in self.settings.sources}

    def _column(self, name: str, rows: Rows) -> Column:
        component, light = self.settings.model.components[name], self.looked_at.lights.get(name)
        return marginalise(component, light, rows, self.looked_at, self.responses, self._background)

    @cached_property
    def drawn_from(self) -> MixtureModel:
        """The model without a look at any event: of one in every bin."""
        return self._bind(self._bins, self._whole, "bins")

    def _bind(self, rows: Rows, columns: Mapping[str, Column], name: str) -> MixtureModel:
        marginals = Marginals(name, rows.counts, rows.pointing, columns, np.zeros((1, 1)))
        own = {component: component for component in columns}
        weights = weigh_fields(self.settings.model.components, own, self.looked_at)
        return build_mixture(self.settings.model, own, marginals, self.looked_at.true, self.find, self.device, weights)

    def _stream(self, number: int) -> Stream:
        return Stream(self.settings.seed, ("calibrate", self.settings.name, str(number)), self.device)

    def _draw_values(self, number: int) -> Values:
        return self.drawn_from.parameters.draw(1, self._stream(number).generator("truth"))

    def truth(self, number: int) -> dict[str, float]:
        """Return the quantities of one truth."""
        values = self._draw_values(number)
        return {name: float(part[0]) for name, part in _measure(self.drawn_from, values).items()}

    @property
    def unranked(self) -> tuple[str, ...]:
        """What has no rank of its own, with the reason."""
        many = {item.name: item for item in self.drawn_from.parameters if item.block == "field" or item.shape != ()}
        own = {item.name for item in self.drawn_from.shares.parameters}
        told = [f"{name}: {math.prod(item.shape)} numbers, each with a truth for every list"
                for name, item in many.items() if name not in own]  # fmt: skip
        if any(item.block == "field" for item in many.values()):
            told.append(f"{LOG_DENSITY}: the truth of a field is drawn with each list and not kept")
        return tuple(told)

    def _draw_events(self, number: int, values: Values) -> EventList:
        model = self.drawn_from
        own = {item.name: values[item.name][0].tolist() for item in model.further if item.block != "field"}
        shares = model.shares.shares(values)[0] if model.is_extended else model.component_fractions(values)[0]
        truth = dict(zip(model.names, shares.tolist(), strict=True))
        keys: dict[str, Any] = {"truth": truth, "parameters": own, "modulate": True}
        keys |= {"events": "physical"} if model.is_extended else {"events": self.settings.events, "poisson": True}
        drawn = EventSimulateSlice.model_construct(
            kind="events", run=self.settings.run, seed=self.settings.seed, name="trial",
            events=EventSet.model_validate(keys), components=self.settings.model.components,
        )  # fmt: skip
        return draw_events(drawn, self.looked_at, self.irfs, self.find, f"{self.settings.name}/trial-{number:03d}")

    def attempt(self, number: int) -> Trial:
        """Simulate and fit one truth."""
        values, began = self._draw_values(number), time.process_time()
        events = self._draw_events(number, values)
        rows = Rows.of(events, self.looked_at, binned=self.settings.model.binned)
        if self.settings.model.binned:
            places = rows.pointing * int(np.prod(self.looked_at.reconstructed.shape)) + rows.bins
            columns = {k: Column(one.kind, one.density[places], one.totals) for k, one in self._whole.items()}
        else:
            columns = {name: self._column(name, rows) for name in self.settings.sources}
        model, stream = self._bind(rows, columns, events.name), self._stream(number)
        steps = [(step.name, {k: v for k, v in step.settings.model_dump().items() if v is not None})
                 for step in self.settings.sequence]  # fmt: skip
        results = sequence.run(model, steps, stream)
        origin = Origin(self.settings.name, events.name, self.settings.run, self.settings.seed)
        posterior = gather_engines(model, results, origin, stream, {}, {})
        count = self.settings.calibrate.draws
        kept = {
            item.name: torch.as_tensor(_pick(posterior.variables[item.name].array, count)) for item in model.parameters
        }
        draws = {name: part.cpu().numpy() for name, part in _measure(model, kept).items()}
        truth = {name: float(part[0]) for name, part in _measure(self.drawn_from, values).items()}
        if not any(item.block == "field" for item in model.parameters):  # a field's truth is that of the list
            parameters, target = model.parameters, Target(model, device=self.device)
            at_truth, at_draws = (
                target.log_density(parameters.unconstrain(dict(some)).to(self.device)).cpu().numpy()
                for some in (values, kept)
            )
            truth[LOG_DENSITY], draws[LOG_DENSITY] = float(at_truth[0]), at_draws
        return Trial(truth, draws, posterior.converged, time.process_time() - began)


def _pick(array: Any, count: int) -> Any:  # noqa: ANN401 - numbers of any shape
    """Return ``count`` draws spread over all of them, (chain, draw, ...) to (count, ...)."""
    whole = np.asarray(array, dtype=np.float64)
    index = pick_draws(np.arange(whole.shape[0] * whole.shape[1], dtype=np.float64), count).astype(int)
    return whole.reshape(-1, *whole.shape[2:])[index]


def _measure(model: MixtureModel, values: Values) -> dict[str, Tensor]:
    """Return fractions or norms, and every single parameter of a source, each (n,)."""
    with torch.no_grad():
        further = {item.name: values[item.name] for item in model.further if item.shape == ()}
        if model.is_extended:
            return {item.name: values[item.name] for item in model.shares.parameters} | further
        fractions = model.component_fractions(values)
        return {f"{name}_fraction": fractions[:, k] for k, name in enumerate(model.names)} | further

"""Event analyses as a configuration describes them: observation and response once, then many lists, each fitted."""

from functools import cached_property

import numpy as np
import torch
from tests.statistics.ensembles import Ensemble
from tests.steps.small_event_run import SmallEventRun

from skysift.config import resolve
from skysift.config.events.simulate import EventSet
from skysift.inference import sequence
from skysift.inference.engine import Stream
from skysift.inference.result import flatten, resample
from skysift.instruments.ctao.event_observation import read_event_observation
from skysift.models.events.build import build_mixture
from skysift.models.events.columns import Column, Rows, marginalise
from skysift.models.events.fields import weigh_fields
from skysift.models.events.marginals import Marginals
from skysift.steps.events.simulate import draw_events
from skysift.steps.events.sources import Finder, open_responses, read_responses

__all__ = ["BACKGROUND", "EventAnalysis", "field", "moments"]

BACKGROUND = {"instrument": "background"}
KEPT = 100


def field(half_deg, step_deg, energy=("0.5 TeV", "20 TeV"), points=8):
    """Return reconstructed axes: a square about the Galactic centre, to the middle of its outermost pixels."""
    axis = {"range": [f"{-half_deg} deg", f"{half_deg} deg"], "step": f"{step_deg} deg"}
    return {"energy": {"range": list(energy), "points": points}, "lon": axis, "lat": axis}


def moments(model, result):
    """Return weighted means (S,), sds (S,) and correlations (S, S) of the fractions."""
    z, weights = flatten(result)
    fractions = model.component_fractions(model.parameters.values(z))
    mean = weights @ fractions
    covariance = (weights[:, None] * (fractions - mean)).T @ (fractions - mean)
    sd = covariance.diagonal().sqrt()
    return mean.numpy(), sd.numpy(), (covariance / sd / sd[:, None]).numpy()


class EventAnalysis(SmallEventRun):
    """What the steps `prepare` and `response` made of a configuration; `simulate` to `fit` are done in memory."""

    def __init__(self, folder, components, simulate, fits=None, observation=None, **model):
        pointings = [{"lon": "0 deg", "lat": "0 deg", "time": "50 h"}]
        looked_at = {"instrument": "ctao", "irf": "analytic", "pointings": pointings, "true": {"refine": 4}}
        self.make(
            folder,
            resolve(
                {
                    "run": "test",
                    "observation": looked_at | {"reconstructed": field(1.2, 0.4)} | (observation or {}),
                    "simulate": simulate,
                    "model": {"binned": True, "components": components} | model,
                    "fits": {"quick": ["laplace"]} | (fits or {}),
                }
            ),
        )
        self.slices = self.analysis.make_slices()
        self.looked_at, self.find = read_event_observation(self.observation), Finder(folder)
        self.irfs = open_responses(self.looked_at, self.observation)
        self.folds = read_responses(self.responses, self.irfs, self.looked_at)
        pairs = zip(self.folds, self.looked_at.pointings, strict=True)
        self.background = {k: fold.background_counts() * at.live_time_s for k, (fold, at) in enumerate(pairs)}
        self.columns = {}

    def draw(self, data, seed=1, chosen="simulated", **events):
        """Return an event list, as of a set with other ``events`` where they are given."""
        settings = self.slices[f"simulate-{chosen}"].model_copy(update={"seed": seed})
        if events:
            settings = settings.model_copy(update={"events": EventSet.model_validate(events)})
        return draw_events(settings, self.looked_at, self.irfs, self.find, data)

    @cached_property
    def bins(self):
        """Rows of all bins of all pointings."""
        size, pointings = int(np.prod(self.looked_at.reconstructed.shape)), len(self.looked_at.pointings)
        every = np.arange(size * pointings)
        return Rows(np.ones(len(every)), every // size, every % size)

    def column(self, source, rows):
        """Return the column of a source; bins are marginalised once for all lists."""
        arguments = self.looked_at, self.folds, self.background
        component, light = self.slices["marginalise"].sources[source], self.looked_at.lights.get(source)
        if rows.energy is not None:
            return marginalise(component, light, rows, *arguments)
        if source not in self.columns:
            self.columns[source] = marginalise(component, light, self.bins, *arguments)
        whole = self.columns[source]
        places = rows.pointing * int(np.prod(self.looked_at.reconstructed.shape)) + rows.bins
        return Column(whole.kind, whole.density[places], whole.totals)

    def bind(self, events, fit="quick", *, binned=None):
        """Return the model of a list."""
        binned = self.slices["marginalise"].binned if binned is None else binned
        rows, settings = Rows.of(events, self.looked_at, binned=binned), self.slices[f"fit-{fit}"]
        columns = {source: self.column(source, rows) for source in settings.sources.values()}
        marginals = Marginals(events.name, rows.counts, rows.pointing, columns, np.zeros((1, 1)))
        weights = weigh_fields(settings.model.components, settings.sources, self.looked_at)
        return build_mixture(
            settings.model, settings.sources, marginals, self.looked_at.true, self.find, weights=weights
        )

    def fit(self, model, stream, fit="quick"):
        """Return the last result of the engines of a fit."""
        engines = self.slices[f"fit-{fit}"].sequence
        steps = [(one.name, {k: v for k, v in one.settings.model_dump().items() if v is not None}) for one in engines]
        return sequence.run(model, steps, stream)[-1]

    def ensemble(self, count, seed, fit="quick", simulate=None, *, total=600, binned=None):
        """Draw parameters from the prior of the fit ``simulate``, a list with each, and fit it with ``fit``.

        ``total`` is the mean number of events where their fractions are fitted.
        """
        drawn_from = self.bind(self.draw("prior", seed), simulate or fit)
        truths = drawn_from.parameters.draw(count, Stream(seed, ("truth",)).generator())
        names, rows, draws = (), [], []
        for k in range(count):
            truth = {name: value[k : k + 1] for name, value in truths.items()}
            events = self.draw(f"simulated-{k:03d}", seed, **self.truth_of(drawn_from, truth, total))
            model, stream = self.bind(events, fit, binned=binned), Stream(seed, ("ensemble", str(k)))
            z, _ = resample(self.fit(model, stream, fit), KEPT, stream.generator("kept"))
            names, found = measure(model, model.parameters.values(z))
            rows.append(measure(drawn_from, truth)[1][0])
            draws.append(found)
        return Ensemble(names, np.stack(rows), np.stack(draws))

    @staticmethod
    def truth_of(model, values, total):
        """Return the keys of a simulated set at values (1, ...) of the parameters."""
        own = {item.name: float(values[item.name][0]) for item in model.further if item.block == "norm"}
        if model.is_extended:
            norms = model.shares.shares(values)[0].tolist()
            return {"events": "physical", "truth": dict(zip(model.names, norms, strict=True)), "parameters": own}
        shares = dict(zip(model.names, model.component_fractions(values)[0].tolist(), strict=True))
        return {"events": total, "truth": shares, "parameters": own, "poisson": True}


def measure(model, values):
    """Return names and values (n, quantity): fractions or norms, and every parameter of a source, ln of a mass."""
    further = [item.name for item in model.further if item.block == "norm"]
    # posteriors of masses are so skewed that the scatter of their pulls is hardly known
    values = {name: value.log() if name.endswith("_mass") else value for name, value in values.items()}
    if model.is_extended:
        free = [item.name for item in model.shares.parameters]
        return (*free, *further), torch.stack([values[name] for name in (*free, *further)], 1).numpy()
    columns = [*model.component_fractions(values).unbind(1), *(values[name] for name in further)]
    return (*(f"{name}_fraction" for name in model.names), *further), torch.stack(columns, 1).numpy()

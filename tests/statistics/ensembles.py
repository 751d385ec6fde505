"""Many skies drawn from a model itself, each fitted by an engine: what the fits say about truths that are known."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy import stats

from skysift.diagnostics.calibration import check_calibration
from skysift.diagnostics.coverage import LEVELS
from skysift.inference import sequence
from skysift.inference.engine import Stream
from skysift.inference.result import resample
from skysift.inference.target import Target
from skysift.streams import numpy_stream

__all__ = ["FIXED_SEED", "Ensemble", "list_faults", "run_ensemble"]

FIXED_SEED = 20200929
KEPT = 100
# 1e-4 shared by about fifty numbers: 2e-6 each, which is 4.75 sigma of a Gaussian
ROAMING_P_VALUE, ROAMING_SIGMAS = 2e-6, 4.75


@dataclass(frozen=True)
class Ensemble:
    """Truths (simulation, quantity) and posterior draws (simulation, draw, quantity) of named quantities."""

    names: tuple
    truths: np.ndarray
    draws: np.ndarray

    def distort(self, scale=1.0, shift=0.0):
        """Return the ensemble of a wrong engine: draws narrowed by ``scale`` and moved by ``shift`` of their sd."""
        mean, sd = self.draws.mean(1, keepdims=True), self.draws.std(1, keepdims=True)
        return replace(self, draws=mean + scale * (self.draws - mean) + shift * sd)

    def check(self):
        """Return the verdict of the checker that users get."""
        return check_calibration(self.names, self.truths, self.draws, numpy_stream(0, "ties"))


def run_ensemble(analysis, steps, count, seed, alter=lambda model: model):
    """Draw norms, field and counts from the model ``count`` times, and fit each sky with the engines ``steps``.

    ``alter`` turns the model that is fitted into a wrong one.
    """
    stream = Stream(seed, ("calibration", steps[-1][0]))
    drawn_from = analysis.bind_flat()
    truths = drawn_from.parameters.draw(count, stream.generator("truth"))
    skies = drawn_from.simulate(truths, stream.generator("counts"))
    names, rows, draws = (), [], []
    for k in range(count):
        model = analysis.bind(skies[k])
        here = stream.child(str(k))
        result = sequence.run(alter(model), steps, here)[-1]
        z, _ = resample(result, KEPT, here.generator("kept"))
        truth = model.parameters.unconstrain({name: value[k : k + 1] for name, value in truths.items()})
        names, values = _measure(model, torch.cat([truth, z]))
        rows.append(values[0])
        draws.append(values[1:])
    return Ensemble(names, np.stack(rows), np.stack(draws))


def _measure(model, z):
    """Return names and values (n, quantity): every norm, the signal's counts, the joint log density."""
    values = model.parameters.values(z)
    norms = [item.name for item in model.parameters if item.block == "norm"]
    counts = model.component_counts(values)["gce"].sum(-1)
    density = Target(model).log_density(z)
    columns = [*(values[name] for name in norms), counts, density]
    return (*norms, "gce_counts", "log_density"), torch.stack(columns, 1).numpy()


def list_faults(found, seed):
    """Return what is wrong with a calibration, as `check_calibration` sees it.

    Its thresholds (99 % band, p > 0.01, 3 sigma) sound a false alarm in one ensemble of five: they hold for the fixed
    seed, where nothing is left to chance. A roaming seed is judged by the same numbers at a rate below 1e-4.
    """
    if seed == FIXED_SEED:
        return list(found.failures)
    hits = np.rint(found.coverage * found.count).astype(int)
    faults = [f"{n}: p = {p:.1e}" for n, p in zip(found.names, found.p_values, strict=True) if p < 50 * ROAMING_P_VALUE]
    for k, name in enumerate(found.names):
        for row, level in zip(hits, LEVELS, strict=True):
            if stats.binomtest(int(row[k]), found.count, level).pvalue < ROAMING_P_VALUE:
                faults.append(f"{name}: {100 * level:.0f} % intervals hold the truth {row[k]} times")
        if abs(found.pull_mean[k]) * found.count**0.5 > ROAMING_SIGMAS:
            faults.append(f"{name}: mean pull {found.pull_mean[k]:+.2f}")
    return faults

"""Events on a line from a few Gaussians: densities that are known, for tests of mixtures."""

import numpy as np

from skysift.models.mixture import MixtureModel

__all__ = ["NAMES", "draw_events", "integrate_evidence", "line_densities", "make_mixture"]

NAMES = ("background", "diffuse", "catalogue", "shell", "ring", "point")
CENTRES = np.array([0.0, 1.5, 3.0, 5.0, 7.5, 9.0])


def line_densities(x, size=3):
    """Return ln densities of Gaussians of width one, (n, size)."""
    return -0.5 * (x[:, None] - CENTRES[:size]) ** 2 - 0.5 * np.log(2 * np.pi)


def draw_events(fractions, count, random):
    """Return positions of ``count`` events, (n,), and how many came from each component."""
    labels = random.choice(len(fractions), size=count, p=fractions)
    return random.normal(CENTRES[labels]), np.bincount(labels, minlength=len(fractions))


def make_mixture(fractions=(0.5, 1 / 6, 1 / 3), count=1000, seed=1, **settings):
    """Return a mixture fitted to events that were drawn from it."""
    x, _ = draw_events(np.array(fractions), count, np.random.default_rng(seed))
    size = len(fractions)
    return MixtureModel.of(NAMES[:size], line_densities(x, size), **settings)


def integrate_evidence(log_densities, points=161):
    """Return log Z, means and sd of two or three fractions with a flat prior, by a midpoint rule on the simplex.

    The grid covers the simplex twice: coarsely, then eight standard deviations around the mean.
    """
    size = log_densities.shape[1]
    offsets = log_densities.max(1)
    scaled = np.exp(log_densities - offsets[:, None])
    low, high = np.zeros(size - 1), np.ones(size - 1)
    for _ in range(4):
        edges = [np.linspace(a, b, points + 1) for a, b in zip(low, high, strict=True)]
        axes = np.meshgrid(*[0.5 * (one[1:] + one[:-1]) for one in edges], indexing="ij")
        free = np.stack([axis.ravel() for axis in axes], -1)
        free = free[free.sum(1) < 1.0]
        fractions = np.concatenate([free, 1.0 - free.sum(1, keepdims=True)], 1)
        logs = np.concatenate([np.log(part @ scaled.T).sum(1) for part in np.array_split(fractions, 40)])
        weights = np.exp(logs - logs.max())
        log_z = np.log(weights.sum()) + logs.max() + offsets.sum() + np.log((high - low) / points).sum()
        mean = weights @ fractions / weights.sum()
        sd = np.sqrt(weights @ (fractions - mean) ** 2 / weights.sum())
        low = np.clip(mean - 9.0 * sd, 0.0, 1.0)[:-1]
        high = np.clip(mean + 9.0 * sd, 0.0, 1.0)[:-1]
    return log_z + np.log(float(size - 1)), mean, sd

"""Random values of every mass and light profile, for tests, and the names that lenstronomy has for them."""

import torch

__all__ = ["CENTRE_PRIORS", "LIGHT_RANGES", "MASS_RANGES", "draw_values", "lift", "tensor"]

CENTRE_PRIORS = {"x": (-0.08, 0.08), "y": (-0.08, 0.08)}
ELLIPSE = {"e1": (-0.25, 0.25), "e2": (-0.25, 0.25)}
MASS_RANGES = {
    "epl": {"theta_e": (0.7, 1.6), "gamma": (1.4, 2.6), **ELLIPSE, **CENTRE_PRIORS},
    "sie": {"theta_e": (0.7, 1.6), **ELLIPSE, **CENTRE_PRIORS},
    "sis": {"theta_e": (0.7, 1.6), **CENTRE_PRIORS},
    "shear": {"g1": (-0.1, 0.1), "g2": (-0.1, 0.1)},
    "nfw": {"scale_radius": (0.5, 8.0), "alpha_rs": (0.5, 2.0), **CENTRE_PRIORS},
    "truncated_nfw": {
        "scale_radius": (0.5, 8.0),
        "alpha_rs": (0.5, 2.0),
        "truncation_radius": (1.0, 30.0),
        **CENTRE_PRIORS,
    },
}
SERSIC = {"radius": (0.2, 1.2), "index": (0.6, 5.0)}
LIGHT_RANGES = {
    "sersic": {**SERSIC, **CENTRE_PRIORS},
    "sersic_ellipse": {**SERSIC, **ELLIPSE, **CENTRE_PRIORS},
    "core_sersic": {
        **SERSIC,
        "break_radius": (0.05, 0.3),
        "sharpness": (1.5, 4.0),
        "slope": (0.0, 0.8),
        **ELLIPSE,
        **CENTRE_PRIORS,
    },
    "shapelets": {"beta": (0.15, 0.5), **CENTRE_PRIORS},
}


def tensor(*numbers):
    return torch.tensor(numbers, dtype=torch.float64)


def draw_values(ranges, count, seed):
    """Uniform values within ranges, {name: (count,)}."""
    generator = torch.Generator().manual_seed(seed)
    found = {}
    for name, (low, high) in ranges.items():
        found[name] = low + (high - low) * torch.rand(count, generator=generator, dtype=torch.float64)
    return found


def lift(values):
    """Each value as (batch, 1, 1)."""
    return {name: value[:, None, None] for name, value in values.items()}

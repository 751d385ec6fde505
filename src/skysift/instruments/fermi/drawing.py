"""Simulated counts: Poisson draws of any mix of templates."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from skysift.errors import InputError, nearest
from skysift.instruments.fermi.observation import Counts, Observation

__all__ = ["expected_counts", "simulate_counts"]

Map = NDArray[np.float64]


def expected_counts(
    observation: Observation,
    truth: Mapping[str, float],
    components: Mapping[str, str],
    fields: Mapping[str, Map] | None = None,
) -> Map:
    r"""Return the mean counts of a sky.

    .. math:: \mu_{ep} = \sum_j A_j T_{jep} \exp(f_{jep})

    Parameters
    ----------
    observation : has the templates
    truth : norm of each component
    components : template of each component
    fields : log modulation (E, P) of some components

    Returns
    -------
    (E, P), counts

    Raises
    ------
    InputError : the observation lacks a template
    """
    mean = np.zeros_like(observation.exposure_cm2_s)
    for name, norm in truth.items():
        template = components[name]
        if template not in observation.templates:
            raise InputError(
                "configuration", f"simulate.truth.{name}", f"template '{template}'",
                f"a template of the observation; {nearest(template, observation.templates)}",
                "correct the name, or make the observation again with this configuration",
            )  # fmt: skip
        part = norm * observation.templates[template]
        mean += part * np.exp(fields[name]) if fields and name in fields else part
    return mean


def simulate_counts(
    name: str,
    observation: Observation,
    truth: Mapping[str, float],
    components: Mapping[str, str],
    fields: Mapping[str, Map],
    stream: np.random.Generator,
    seed: int,
) -> Counts:
    """Draw counts on all stored pixels.

    Parameters
    ----------
    name : of the data set
    observation, truth, components, fields : see `expected_counts`
    stream : random numbers
    seed : of the run, kept with the counts
    """
    mean = expected_counts(observation, truth, components, fields)
    counts = stream.poisson(mean).astype(np.int64)
    return Counts(name, counts, seed, dict(truth), dict(components), mean, dict(fields))

"""What a fit leaves behind: draws, sample statistics, evidence, checks, and what each engine did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np

    from skysift.storage.provenance import Provenance

__all__ = ["Check", "CheckRow", "Posterior", "Stage", "Variable"]


@dataclass(frozen=True)
class Variable:
    """A named array with its axes.

    Parameters
    ----------
    array : (chain, draw, ...) in the groups posterior, sample statistics and prior; any shape elsewhere
    unit : "" for a pure number
    label : for figures
    dims : names of the axes after chain and draw; of all axes outside of these groups
    truth : the simulated value, shape of one draw
    prior_summary : numbers that describe the prior, such as its mean and standard deviation
    """

    array: np.ndarray
    unit: str = ""
    label: str = ""
    dims: tuple[str, ...] = ()
    truth: Any = None
    prior_summary: Mapping[str, Any] | None = None


class Check(Protocol):
    """What counts as a check: any object with these names."""

    @property
    def name(self) -> str:
        """What was looked at."""

    @property
    def value(self) -> float | None:
        """The number found; 1 or 0 for a verdict."""

    @property
    def threshold(self) -> object:
        """What it is compared with, kept as text."""

    @property
    def colour(self) -> str:
        """One of green, amber, red."""

    @property
    def advice(self) -> str:
        """What to do if it is not green."""


@dataclass(frozen=True)
class CheckRow:
    """One check as stored: its value, the threshold, green, amber or red, and what to do."""

    name: str
    value: float
    threshold: str
    colour: str
    advice: str = ""


@dataclass(frozen=True)
class Stage:
    """What one engine of a sequence did.

    Parameters
    ----------
    engine : its name
    log_z, log_z_error, log_z_method : its evidence; None for an engine that gives none
    cost : calls, gradients, seconds
    checks : its checks
    traces : named series, such as the loss per step
    """

    engine: str
    log_z: float | None = None
    log_z_error: float | None = None
    log_z_method: str = ""
    cost: Mapping[str, float] = field(default_factory=dict)
    checks: Sequence[Check] = ()
    traces: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Posterior:
    """All that a fit leaves behind.

    Parameters
    ----------
    variables : equally weighted draws, (chain, draw, ...)
    sample_stats : per draw, such as ``log_density`` and ``log_weight``, (chain, draw, ...)
    prior : draws from the prior, (chain, draw, ...)
    observed_data : what was fitted
    weighted : raw weighted draws, first axis ``sample``
    arrays : further named arrays, such as a marginal density on a grid
    coordinates : values or labels along named axes
    checks : of the fit as a whole; each stage has its own
    stages : one per engine, in order
    log_z, log_z_error, log_z_method : the evidence that counts
    converged : whether no check is red; None when nobody looked
    cost : calls, gradients, seconds
    warnings : what a reader of the result must know
    attributes : fit, data, run, seed and the like
    provenance : what made the file
    """

    variables: Mapping[str, Variable]
    sample_stats: Mapping[str, Variable] = field(default_factory=dict)
    prior: Mapping[str, Variable] = field(default_factory=dict)
    observed_data: Mapping[str, Variable] = field(default_factory=dict)
    weighted: Mapping[str, Variable] = field(default_factory=dict)
    arrays: Mapping[str, Variable] = field(default_factory=dict)
    coordinates: Mapping[str, np.ndarray] = field(default_factory=dict)
    checks: Sequence[Check] = ()
    stages: Sequence[Stage] = ()
    log_z: float | None = None
    log_z_error: float | None = None
    log_z_method: str = ""
    converged: bool | None = None
    cost: Mapping[str, float] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] | Provenance = field(default_factory=dict)

    def __getitem__(self, name: str) -> np.ndarray:
        """Return the draws of the variable ``name``, (chain, draw, ...)."""
        return self.variables[name].array

    def flat(self, name: str) -> np.ndarray:
        """Return the draws of the variable ``name`` with the chains joined, (chain * draw, ...)."""
        array = self.variables[name].array
        return array.reshape(-1, *array.shape[2:])

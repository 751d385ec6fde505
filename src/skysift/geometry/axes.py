"""Energy axes: bins between rising edges."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skysift.errors import InputError

__all__ = ["EnergyAxis", "check_edges"]


def check_edges(edges: ArrayLike, field: str, wanted: str) -> NDArray[np.float64]:
    """Return a read-only float64 copy of bin edges that rise, are finite and number at least two.

    Raises
    ------
    InputError : they are not; ``field`` and ``wanted`` go into the message
    """
    array = np.array(edges, dtype=np.float64)
    if array.ndim != 1 or array.size < 2 or not np.isfinite(array).all() or not (np.diff(array) > 0).all():
        raise InputError("axis", field, array, wanted, "give finite edges in rising order")
    array.flags.writeable = False
    return array


@dataclass(frozen=True, eq=False)
class EnergyAxis:
    """Energy bins.

    Parameters
    ----------
    edges_tev : (bins + 1,), TeV; positive and rising

    Raises
    ------
    InputError : edges that do not rise, are not finite or not positive

    Examples
    --------
    >>> EnergyAxis.from_points(0.1, 100.0, 4).centres_tev.round(6)
    array([  0.1,   1. ,  10. , 100. ])
    >>> EnergyAxis.from_bins(0.1, 100.0, 3).find([0.05, 0.2, 100.0])
    array([-1,  0, -1])
    """

    edges_tev: NDArray[np.float64]

    def __post_init__(self) -> None:
        wanted = "at least two rising energies > 0, TeV"
        edges = check_edges(self.edges_tev, "energy edges", wanted)
        if edges[0] <= 0:
            raise InputError("axis", "energy edges", edges[0], wanted, "start above zero")
        object.__setattr__(self, "edges_tev", edges)

    @classmethod
    def from_points(cls, low_tev: float, high_tev: float, points: int) -> EnergyAxis:
        """Return bins whose geometric centres are ``points`` log-spaced energies from low to high, both included.

        Raises
        ------
        InputError : fewer than two points, or energies that are not positive and rising
        """
        _check_range(low_tev, high_tev, points, 2)
        step = np.log(high_tev / low_tev) / (points - 1)
        return cls(low_tev * np.exp(step * (np.arange(points + 1) - 0.5)))

    @classmethod
    def from_bins(cls, low_tev: float, high_tev: float, bins: int) -> EnergyAxis:
        """Return ``bins`` log-spaced bins between two outer edges, TeV.

        Raises
        ------
        InputError : no bin, or energies that are not positive and rising
        """
        _check_range(low_tev, high_tev, bins, 1)
        return cls(np.geomspace(low_tev, high_tev, bins + 1))

    @property
    def size(self) -> int:
        """Number of bins."""
        return len(self.edges_tev) - 1

    @property
    def centres_tev(self) -> NDArray[np.float64]:
        """Geometric centres, (bins,), TeV."""
        return np.sqrt(self.edges_tev[1:] * self.edges_tev[:-1])

    @property
    def widths_tev(self) -> NDArray[np.float64]:
        """Widths, (bins,), TeV."""
        return np.diff(self.edges_tev)

    def find(self, energy_tev: ArrayLike) -> NDArray[np.int64]:
        """Return the bin of each energy (...), TeV; -1 outside. A bin holds its lower edge and not its upper one."""
        return find_bins(self.edges_tev, np.asarray(energy_tev, dtype=np.float64))


def find_bins(edges: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the bin [lower, upper) of each value (...), -1 outside and for NaN."""
    bins = np.searchsorted(edges, values, side="right") - 1
    return np.where((values >= edges[0]) & (values < edges[-1]), bins, -1).astype(np.int64)


def _check_range(low_tev: float, high_tev: float, count: int, fewest: int) -> None:
    """Refuse a range or a number of bins that makes no axis."""
    if not (0 < low_tev < high_tev < np.inf) or count < fewest:
        raise InputError(
            "axis", "energy", f"{low_tev} .. {high_tev} TeV, {count}", f"0 < low < high, at least {fewest}",
            "give a rising range of positive energies and enough points",
        )  # fmt: skip

"""Light curves of model files: their mean over the time that was observed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from skysift.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from skysift.sky.components.spectra import Part, Values

__all__ = ["CURVES", "average_curve"]

_NODES, _PIECES = 16, 32
Columns = Mapping[str, Tensor]


def _gaussian(time: Tensor, p: Columns) -> Tensor:
    return (-0.5 * ((time - p["t_ref"]) / p["sigma"]) ** 2).exp()


def _lopsided(time: Tensor, p: Columns) -> Tensor:
    """Return exp(-(|t - t_ref| / t)^(1 / eta) / 2), with the rise before t_ref and the decay after it."""
    apart = time - p["t_ref"]
    ratio = apart.abs() / torch.where(apart < 0, p["t_rise"], p["t_decay"])
    # At the peak the gradient of the power is that of zero.
    power = torch.where(ratio > 0, ratio, 1.0) ** (1 / p["eta"])
    return torch.where(ratio > 0, (-0.5 * power).exp(), 1.0)


#: Times in days of the modified Julian date; all have the value one at their reference, but for `linear` and `sinus`.
CURVES: dict[str, Callable[[Tensor, Columns], Tensor]] = {
    "const": lambda time, p: torch.ones_like(time),
    "linear": lambda time, p: p["alpha"] + p["beta"] * (time - p["t_ref"]),
    "exp-decay": lambda time, p: (-(time - p["t_ref"]) / p["t0"]).exp(),
    "gauss": _gaussian,
    "gengauss": _lopsided,
    "powerlaw": lambda time, p: ((time - p["t_ref"]) / p["t0"]) ** p["alpha"],
    "sinus": lambda time, p: 1 + p["amp"] * (p["omega"] * (time - p["t_ref"])).sin(),
}


@cache
def _make_rule() -> tuple[Tensor, Tensor]:
    """Return points between 0 and 1 and their weights, in equal pieces."""
    import numpy as np

    points, weights = np.polynomial.legendre.leggauss(_NODES)
    places = (np.arange(_PIECES)[:, None] + 0.5 * (1 + points)).ravel() / _PIECES
    return torch.as_tensor(places), torch.as_tensor(np.tile(0.5 * weights, _PIECES) / _PIECES)


def average_curve(part: Part, values: Values, start_mjd: ArrayLike, stop_mjd: ArrayLike) -> Tensor:
    r"""Return the mean of a light curve over good time intervals, () or (batch,).

    .. math:: \bar{f} = \sum_k \int_{a_k}^{b_k} f(t)\, dt \Big/ \sum_k (b_k - a_k)

    A normalised phase curve has a mean of one over many periods, and one is returned.

    Parameters
    ----------
    part : declared light curve
    values : of its parameters by name, () or (batch,), in days, rad per day
    start_mjd, stop_mjd : (K,), of the intervals, days

    Raises
    ------
    InputError : a curve from a file that is not normalised, no time, intervals that end before they begin
    """
    begin, end = (torch.as_tensor(one, dtype=torch.float64) for one in (start_mjd, stop_mjd))
    if not len(begin) or not bool((end > begin).all()):
        raise InputError(
            "times", "good time intervals", "none, or an end before its start", "intervals", "mend the file"
        )
    if part.tag == "template-phase" and part.settings.get("normalize", True):
        return torch.ones((), dtype=torch.float64)
    if part.tag not in CURVES:
        found = f"{part.tag} with {part.file}"
        raise InputError(
            part.file or "model", "temporal.type", found, f"one of {', '.join(CURVES)}", "write its mean into the norm"
        )
    places, weights = _make_rule()
    width = end - begin
    time = (begin[:, None] + width[:, None] * places).reshape(-1)
    columns = {}
    for name, value in values.items():
        tensor = torch.as_tensor(value, dtype=torch.float64)
        columns[name] = tensor[..., None] if tensor.ndim else tensor
    curve = CURVES[part.tag](time, columns)
    share = (width[:, None] * weights / width.sum()).reshape(-1)
    return (curve * share).sum(-1)

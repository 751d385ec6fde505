"""``skysift systematics``: let the spurious signal of the sidebands enter a posterior."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from skysift.errors import InputError
from skysift.storage.hdf5 import check_writable, collect, read
from skysift.storage.posterior import Posterior, Variable, read_posterior, write_posterior
from skysift.streams import numpy_stream

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["run", "spurious_sd"]

COPIES = 8
KEPT = 4000


def spurious_sd(norms: NDArray[np.float64], sds: NDArray[np.float64]) -> float:
    r"""Return the spurious-signal error: rms over sidebands with the statistical part removed.

    .. math:: \sigma_\mathrm{sys}^2 = \max(0, \langle A_s^2 \rangle - \langle \sigma_s^2 \rangle)

    Parameters
    ----------
    norms, sds : (regions,), spurious norms in the fit region and their statistical errors

    Examples
    --------
    >>> spurious_sd(np.array([0.5, -0.5]), np.array([0.3, 0.3]))
    0.4
    """
    return math.sqrt(max(0.0, float(np.mean(norms**2) - np.mean(sds**2))))


def run(posterior: Path, spurious: Sequence[Path], out: Path) -> None:
    """Write the posterior with eps added to the signal's norm, eps ~ N(0, sigma_sys).

    Parameters
    ----------
    posterior : NetCDF made by `fit`
    spurious : files of format ``spurious`` of the same fit and data
    out : NetCDF

    Raises
    ------
    InputError : files that do not belong together
    """
    check_writable(out)
    fitted = read_posterior(posterior)
    rows = [(path, dict(read(path, format="spurious").attributes)) for path in spurious]
    for path, row in rows:
        for field in ("fit", "data"):
            if row[field] != fitted.attributes[field]:
                wanted = f"{fitted.attributes[field]}, as in {posterior}"
                raise InputError(path, field, row[field], wanted, "hand in the files of one fit and data set")
    table = {
        key: np.array([row[key] for _, row in rows], dtype=np.float64)
        for key in ("central_norm", "central_norm_sd", "fraction", "fraction_sd")
    }
    sigma = spurious_sd(table["central_norm"], table["central_norm_sd"])
    seed, name = int(fitted.attributes["seed"]), rows[0][1]["signal"] + "_norm"
    random = numpy_stream(seed, "systematics", str(fitted.attributes["fit"]), str(fitted.attributes["data"]))
    widened = _widen(fitted, name, sigma, random)
    unit, total = rows[0][1]["central_counts_per_norm"], rows[0][1]["central_counts"]
    arrays = dict(widened.arrays) | {
        f"sideband_{key}": Variable(part, dims=("sideband",)) for key, part in table.items()
    }
    signal = rows[0][1]["signal"]
    norm = widened.variables[name]
    variables = dict(widened.variables) | {
        f"{signal}_{what}": replace(fitted.variables[f"{signal}_{what}"], array=norm.array * factor)
        for what, factor in (("counts", unit), ("fraction", unit / total))
    }
    attributes = {
        **fitted.attributes,
        "fit": f"{fitted.attributes['fit']}_sidebands",
        "sigma_systematic": sigma,
        "sigma_statistical": float(np.std(fitted.flat(name))),
        "systematic_of": name,
        "sidebands": [row["region"] for _, row in rows],
    }
    provenance = collect(str(fitted.attributes["run"]), seed, "", [posterior, *spurious])
    write_posterior(
        out, replace(widened, variables=variables, arrays=arrays, attributes=attributes, provenance=provenance)
    )


def _widen(fitted: Posterior, name: str, sigma: float, random: np.random.Generator) -> Posterior:
    """Return the posterior of the scalar norms when eps is added to one of them.

    Draws of the marginal likelihood without the norm's prior, A + eps, are moved by -eps and weighted by the prior at
    A: the convolution of the marginal, times the prior. Without a grid over this norm, posterior draws divided by the
    prior stand for the likelihood.
    """
    prior = fitted.variables[name].prior_summary or {}
    notes = list(fitted.warnings)
    from_grid = f"flat_{name}" in fitted.arrays and fitted.attributes.get("marginal_of", name) == name
    if from_grid:
        flat = {key.removeprefix("flat_"): item for key, item in fitted.arrays.items() if key.startswith("flat_")}
    else:
        flat = {key: replace(item, array=fitted.flat(key)) for key, item in _scalars(fitted).items()}
        notes.append(
            f"{name}: the fit does not end in grid over {name}, so its draws inside the prior's support stand for the "
            "likelihood"
        )
    draws = {key: np.tile(item.array, COPIES) for key, item in flat.items()}
    moved = draws[name] - sigma * random.standard_normal(len(draws[name]))
    log_weight = _log_prior(prior, moved) - (0.0 if from_grid else _log_prior(prior, draws[name]))
    if not np.isfinite(log_weight).any():
        raise InputError(
            fitted.attributes["fit"], name, "no draw inside the prior", "a prior that overlaps", "widen it"
        )
    weight = np.exp(log_weight - log_weight.max())
    edges = np.cumsum(weight) / weight.sum()
    # one offset for all strata would pick the same draws from every copy
    index = np.searchsorted(edges, (np.arange(KEPT) + random.random(KEPT)) / KEPT).clip(max=len(edges) - 1)
    index = random.permutation(index)
    variables = {
        key: replace(fitted.variables[key], array=(moved if key == name else draws[key])[index][None])
        for key in flat
        if key in fitted.variables
    }
    stored = fitted.arrays if from_grid else _without(fitted.arrays, "marginal_")
    arrays, gain = _convolve(_without(stored, "flat_", "node_"), prior, sigma)
    log_z = None if fitted.log_z is None or gain is None else fitted.log_z + gain
    return replace(
        fitted, variables=variables, arrays=arrays, log_z=log_z, sample_stats={}, coordinates={}, warnings=notes
    )


def _without(arrays: Mapping[str, Variable], *heads: str) -> dict[str, Variable]:
    return {key: item for key, item in arrays.items() if not key.startswith(heads)}


def _scalars(fitted: Posterior) -> dict[str, Variable]:
    return {key: item for key, item in fitted.variables.items() if key.endswith("_norm") and item.array.ndim == 2}


def _log_prior(prior: Mapping[str, Any], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the log density of a stored prior."""
    import torch

    from skysift.parameters import priors

    family = getattr(priors, str(prior["family"]))(**prior["numbers"])
    density: NDArray[np.float64] = family.log_density(torch.as_tensor(values)).numpy()
    return density


def _convolve(
    arrays: Mapping[str, Variable], prior: Mapping[str, Any], sigma: float
) -> tuple[dict[str, Variable], float | None]:
    """Return the arrays with the marginal likelihood convolved by N(0, sigma), and the change of log Z."""
    if "marginal_grid" not in arrays:
        return dict(arrays), None
    grid, log_l = arrays["marginal_grid"].array, arrays["marginal_log_likelihood"].array
    step = grid[1] - grid[0]
    extra = math.ceil(5 * sigma / step)
    wide = grid[0] + step * np.arange(-extra, len(grid) + extra)
    padded = np.pad(np.exp(log_l - log_l.max()), extra)
    if sigma > 0:
        kernel = np.exp(-0.5 * (step * np.arange(-extra, extra + 1) / sigma) ** 2)
        padded = np.convolve(padded, kernel / kernel.sum(), mode="same")
    with np.errstate(divide="ignore"):
        smooth = np.log(np.maximum(padded, 1e-300))
    before = np.logaddexp.reduce(log_l - log_l.max() + _log_prior(prior, grid))
    gain = float(np.logaddexp.reduce(smooth + _log_prior(prior, wide)) - before)
    changed = {
        "marginal_grid": replace(arrays["marginal_grid"], array=wide),
        "marginal_log_likelihood": replace(arrays["marginal_log_likelihood"], array=smooth - smooth.max()),
    }
    return dict(arrays) | changed, gain

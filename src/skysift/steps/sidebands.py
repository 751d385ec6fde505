"""``skysift sidebands``: fit the signal's profile where there is no signal."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from skysift.config import load_slice
from skysift.errors import InputError, nearest
from skysift.steps.checkpoints import EVERY_S, keep
from skysift.storage.hdf5 import Dataset, check_writable, collect, write

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from skysift.config import SidebandsSlice
    from skysift.inference.checkpoint import Checkpoint
    from skysift.inference.engine import Stream
    from skysift.models import TemplateModel

__all__ = ["run"]

VALUES = 9


def run(
    config: Path,
    observation: Path,
    data: Path,
    region: str,
    out: Path,
    checkpoint_every: float = EVERY_S,
    restart: bool = False,
    strict: bool = False,
) -> None:
    r"""Write the spurious signal of one sideband.

    The moved profile S' is fitted with the fit's own model, its norm free to be negative, hyper-parameters at the
    maximum of their evidence. Its counts, as a share of all counts of the sideband, become a norm in the fit region:
    :math:`A_s = (\hat A \sum S' / \sum d') \sum d / \sum S`.

    Parameters
    ----------
    config : slice ``sidebands-<fit>`` of the configuration
    observation : file of format ``observation``, with the sidebands
    data : file of format ``counts``
    region : name of the sideband
    out : file of format ``spurious``
    checkpoint_every : seconds between two checkpoints
    restart : begin anew, whatever an earlier attempt has left
    strict : refuse, rather than begin anew, where libraries have other versions since

    Raises
    ------
    InputError : an unknown sideband, or inputs that do not belong together
    ResumeError : an earlier attempt had other inputs
    InterruptedRunError : stopped by the system
    """
    check_writable(out)
    settings = load_slice(config, "sidebands")
    from skysift.inference.engine import Stream
    from skysift.instruments.fermi import read_counts, read_observation
    from skysift.models import build
    from skysift.steps.device import choose_device, set_threads

    device = choose_device(settings.device, config)
    set_threads(settings.threads)
    looked_at, counts = read_observation(observation), read_counts(data)
    if region not in looked_at.sidebands:
        remedy = nearest(region, looked_at.sidebands)
        raise InputError(config, "--region", region, "the name of a sideband of the observation", remedy)
    band = looked_at.sidebands[region]
    stream = Stream(settings.seed, ("sidebands", settings.name, counts.name, region), device)
    model = build(
        settings, looked_at, counts, region=band.region, templates={settings.signal: band.template}, device=device
    )
    provenance = collect(settings.run, settings.seed, config.read_bytes(), [observation, data])
    with keep(
        out, provenance, "sidebands", every_s=checkpoint_every, restart=restart, strict=strict, device=device
    ) as kept:
        peak, sd, grid, log_likelihood = _spurious(model, settings, stream, kept.checkpoint)
    seen = float(counts.counts[:, band.region].sum())
    if not seen > 0:
        raise InputError(data, region, "no photons", "a sideband with photons", "choose other systematics.longitudes")
    centre = float(counts.counts[:, looked_at.region].sum())
    template = looked_at.templates[settings.model.components[settings.signal].template]
    unit = float(template[:, looked_at.region].sum())
    share = float(band.template[:, band.region].sum()) / seen
    attributes = {
        "fit": settings.name, "data": counts.name, "region": region, "signal": settings.signal,
        "norm": peak, "norm_sd": sd, "fraction": peak * share, "fraction_sd": sd * share,
        "central_norm": peak * share * centre / unit, "central_norm_sd": sd * share * centre / unit,
        "counts": seen, "central_counts": centre, "central_counts_per_norm": unit,
    }  # fmt: skip
    datasets = {
        "norm": Dataset(grid, "", "norm of the moved profile", ("norm",)),
        "log_likelihood": Dataset(log_likelihood, "", "marginal log likelihood, peak at zero", ("norm",)),
    }
    write(out, format="spurious", datasets=datasets, attributes=attributes, provenance=provenance)
    kept.remove()


def _spurious(
    model: TemplateModel, settings: SidebandsSlice, stream: Stream, checkpoint: Checkpoint
) -> tuple[float, float, NDArray[np.float64], NDArray[np.float64]]:
    """Return peak and sd of the marginal likelihood of the signal's norm, and the likelihood on its grid."""
    from skysift.inference import grid
    from skysift.inference.engine import Start
    from skysift.inference.marginal import Marginal

    chosen = grid.Settings(f"{settings.signal}_norm", values=VALUES, importance=0, draws=1)
    result = grid.run(replace(model, hyper_nodes=1), chosen, Start(), stream, checkpoint.child("grid"))
    marginal = Marginal(
        result.traces["marginal_grid"].numpy(), result.traces["marginal_log_likelihood"].numpy(), np.ones((1, 1))
    )
    peak, _, sd = marginal.moments()
    return peak, sd, marginal.grid, marginal.log_likelihood

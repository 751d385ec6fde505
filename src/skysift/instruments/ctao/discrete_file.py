"""Discrete responses as files: sums, kernels and effective area at bin centres."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from skysift.errors import InputError
from skysift.geometry.axes import EnergyAxis
from skysift.geometry.grids import LonLatGrid
from skysift.instruments.ctao.discrete import DiscreteFactors, DiscreteResponse, window_limits, window_of
from skysift.instruments.ctao.operator import FoldOperator
from skysift.instruments.ctao.pointing import Axes, Pointing

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from skysift.instruments.ctao.irf import Irf
    from skysift.instruments.ctao.migration import Band
    from skysift.storage.provenance import Provenance
    from skysift.storage.schema import File

__all__ = ["read_discrete_response", "write_discrete_response"]

FORMAT = "discrete_response"


def write_discrete_response(path: Path, response: DiscreteResponse, provenance: Provenance | None = None) -> None:
    """Write a response (format ``discrete_response``), whole or not at all."""
    from skysift.storage.hdf5 import Dataset, write

    factors, axes, plane = response.factors, response.reconstructed, ("energy", "pixel")
    spreads, bands = factors.operator.spreads, factors.operator.bands
    sizes = np.array([spread.nnz for spread in spreads])
    datasets = {
        "energy_edge": Dataset(axes.energy.edges_tev, "TeV", "edges of energy, true and reconstructed"),
        "lon_edge": Dataset(axes.grid.lon_edges_deg, "deg", "edges of Galactic longitude"),
        "lat_edge": Dataset(axes.grid.lat_edges_deg, "deg", "edges of Galactic latitude"),
        "area": Dataset(factors.area_cm2, "cm2", "effective area at bin centres", plane),
        "psf/norm": Dataset(factors.psf_norm, "", "sum of the PSF over pixels", plane),
        "psf/size": Dataset(sizes, "", "numbers of the kernel at each true energy", ("energy",)),
        "psf/start": Dataset(np.stack([spread.indptr for spread in spreads]).astype(np.int64), "", "starts of columns"),
        "psf/row": Dataset(np.concatenate([spread.indices for spread in spreads]).astype(np.int64), "", "rows"),
        "psf/share": Dataset(np.concatenate([spread.data for spread in spreads]), "", "kernel, by columns"),
        "dispersion/norm": Dataset(factors.dispersion_norm, "", "sum of the dispersion over energies", plane),
        "dispersion/first": Dataset(np.array([first for first, _ in bands]), "", "first energy reached", ("energy",)),
        "dispersion/width": Dataset(
            np.array([part.shape[1] for _, part in bands]), "", "energies reached", ("energy",)
        ),
        "dispersion/share": Dataset(np.concatenate([part.ravel() for _, part in bands]), "", "kernel (pixel, energy)"),
    }
    pointing = response.pointing
    attributes = {
        "digest": response.digest,
        "irf": response.irf.name,
        "irf_sha256": response.irf.sha256,
        "window": window_limits(response.window),
        "pointing_deg": [pointing.lon_deg, pointing.lat_deg, pointing.vertical_deg],
    }
    write(path, format=FORMAT, datasets=datasets, attributes=attributes, provenance=provenance)


def read_discrete_response(path: Path, irf: Irf, pointing: Pointing) -> DiscreteResponse:
    """Read a response.

    Parameters
    ----------
    path : of `write_discrete_response`
    irf : the response functions that it was made from
    pointing : where it looked; its live time is free

    Raises
    ------
    InputError : damaged, another kind of file, or made from other inputs than those given
    """
    from skysift.storage.hdf5 import Field, read

    wanted = {
        "energy_edge": Field("TeV", "f", 1), "lon_edge": Field("deg", "f", 1), "lat_edge": Field("deg", "f", 1),
        "area": Field("cm2", "f", 2), "psf/norm": Field("", "f", 2), "psf/size": Field("", "i", 1),
        "psf/start": Field("", "i", 2), "psf/row": Field("", "i", 1), "psf/share": Field("", "f", 1),
        "dispersion/norm": Field("", "f", 2), "dispersion/first": Field("", "i", 1),
        "dispersion/width": Field("", "i", 1), "dispersion/share": Field("", "f", 1),
    }  # fmt: skip
    file = read(path, format=FORMAT, wanted=wanted)
    edges = EnergyAxis(file["energy_edge"]), LonLatGrid(file["lon_edge"], file["lat_edge"])
    axes = Axes(*edges, is_discrete=True)
    if not {file[name].shape for name in ("area", "psf/norm", "dispersion/norm")} == {axes.shape}:
        raise InputError(path, "area", file["area"].shape, f"shape {axes.shape}", "make the file again")
    operator = FoldOperator(_spreads(file, axes), _bands(file, axes), axes.shape)
    factors = DiscreteFactors(file["area"], file["psf/norm"], file["dispersion/norm"], operator)
    response = DiscreteResponse(irf, axes, pointing, window_of(file.attributes["window"]), factors)
    stored = str(file.attributes["digest"])
    if response.digest != stored:
        remedy = "remove the file, or name the response, axes and pointing that it was made from"
        raise InputError(path, "digest", stored, response.digest, remedy)
    return response


def _spreads(file: File, axes: Axes) -> tuple[NDArray[np.float64], ...]:
    from scipy.sparse import csc_array

    ends = np.cumsum(file["psf/size"])
    shape = (axes.grid.size, axes.grid.size)
    parts = []
    for start, end, columns in zip(ends - file["psf/size"], ends, file["psf/start"], strict=True):
        numbers = (file["psf/share"][start:end], file["psf/row"][start:end], columns)
        parts.append(csc_array(numbers, shape=shape))
    return tuple(parts)


def _bands(file: File, axes: Axes) -> tuple[Band, ...]:
    sizes = file["dispersion/width"] * axes.grid.size
    ends = np.cumsum(sizes)
    rows = zip(file["dispersion/first"], file["dispersion/width"], ends - sizes, ends, strict=True)
    shares = file["dispersion/share"]
    return tuple((int(first), shares[start:end].reshape(axes.grid.size, width)) for first, width, start, end in rows)

"""Responses as files: the tables at true bins, from which the fold is rebuilt faster than it is read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from skysift.errors import InputError
from skysift.geometry.axes import EnergyAxis
from skysift.geometry.grids import LonLatGrid
from skysift.instruments.ctao.factors import Factors
from skysift.instruments.ctao.migration import EnergyNodes, Migration
from skysift.instruments.ctao.pointing import Axes, Pointing
from skysift.instruments.ctao.response import Response
from skysift.instruments.ctao.spread import PsfFactors

if TYPE_CHECKING:
    from skysift.instruments.ctao.irf import Irf
    from skysift.storage.provenance import Provenance
    from skysift.storage.schema import File

__all__ = ["read_response", "write_response"]

_AXES = ("energy_edge", "lon_edge", "lat_edge")


def write_response(path: Path, response: Response, provenance: Provenance | None = None) -> None:
    """Write a response (format ``response``), whole or not at all; two jobs that write the same one do no harm."""
    from skysift.storage.hdf5 import Dataset, write

    factors = response.factors
    migration, plane = factors.migration, ("true_energy", "true_pixel")
    datasets = {
        "area": Dataset(factors.area_cm2, "cm2", "effective area, mean over each true bin of energy", plane),
        "psf/weight": Dataset(factors.psf.weights, "", "weights of the Gaussians of the PSF", (*plane, "term")),
        "psf/sigma": Dataset(factors.psf.sigmas_deg, "deg", "widths of the Gaussians of the PSF", (*plane, "term")),
        "migration/energy": Dataset(migration.nodes.energies_tev, "TeV", "points within true bins"),
        "migration/weight": Dataset(migration.nodes.weights, "", "weights of these points"),
        "migration/offset": Dataset(migration.offsets_deg, "deg", "offsets between which tables are linear"),
        "migration/filled": Dataset(migration.filled, "", "integral of the table over reconstructed bins"),
        "migration/total": Dataset(migration.totals, "", "integral of the table over all mu"),
    }
    for name, axes in (("true", response.true), ("reconstructed", response.reconstructed)):
        edges = (axes.energy.edges_tev, axes.grid.lon_edges_deg, axes.grid.lat_edges_deg)
        for axis, array in zip(_AXES, edges, strict=True):
            unit = "TeV" if axis == "energy_edge" else "deg"
            datasets[f"{name}/{axis}"] = Dataset(array, unit, f"{name} bins")
    pointing = response.pointing
    attributes = {
        "digest": response.digest,
        "irf": response.irf.name,
        "irf_sha256": response.irf.sha256,
        "cut": response.cut,
        "pointing_deg": [pointing.lon_deg, pointing.lat_deg, pointing.vertical_deg],
    }
    write(path, format="response", datasets=datasets, attributes=attributes, provenance=provenance)


def read_response(path: Path, irf: Irf, pointing: Pointing, digest: str | None = None) -> Response:
    """Read a response.

    Parameters
    ----------
    path : of `write_response`
    irf : the response functions that it was made from
    pointing : where it looked; its live time is free
    digest : of the response that is wanted

    Raises
    ------
    InputError : damaged, another kind of file, or made from other inputs than those given
    """
    from skysift.storage.hdf5 import Field, read

    wanted = {
        "area": Field("cm2", "f", 2), "psf/weight": Field("", "f", 3), "psf/sigma": Field("deg", "f", 3),
        "migration/energy": Field("TeV", "f", 2), "migration/weight": Field("", "f", 2),
        "migration/offset": Field("deg", "f", 1), "migration/filled": Field("", "f", 4),
        "migration/total": Field("", "f", 3),
        **{f"{name}/{axis}": Field(None, "f", 1) for name in ("true", "reconstructed") for axis in _AXES},
    }  # fmt: skip
    file = read(path, format="response", wanted=wanted)
    nodes = EnergyNodes(file["migration/energy"], file["migration/weight"])
    migration = Migration(nodes, file["migration/offset"], file["migration/filled"], file["migration/total"])
    factors = Factors(file["area"], PsfFactors(file["psf/weight"], file["psf/sigma"]), migration)
    cut = float(file.attributes["cut"])
    response = Response(irf, _axes(file, "true"), _axes(file, "reconstructed"), pointing, factors, cut)
    stored = str(file.attributes["digest"])
    if response.digest != stored or (digest is not None and digest != stored):
        remedy = "remove the file, or name the response, axes and pointing that it was made from"
        raise InputError(path, "digest", stored, digest or response.digest, remedy)
    _check_shapes(path, response)
    return response


def _axes(file: File, name: str) -> Axes:
    energy, lon, lat = (file[f"{name}/{axis}"] for axis in _AXES)
    return Axes(EnergyAxis(energy), LonLatGrid(lon, lat))


def _check_shapes(path: Path, response: Response) -> None:
    """Refuse tables that do not belong to the axes."""
    factors, true = response.factors, response.true.shape
    points, offsets = factors.migration.nodes.energies_tev.shape, factors.migration.offsets_deg.size
    shapes = {
        "area": (factors.area_cm2.shape, true),
        "psf/weight": (factors.psf.weights.shape, factors.psf.sigmas_deg.shape),
        "psf/sigma": (factors.psf.sigmas_deg.shape[:2], true),
        "migration/energy": (points[:1], true[:1]),
        "migration/total": (factors.migration.totals.shape, (*points, offsets)),
        "migration/filled": (factors.migration.filled.shape, (*points, offsets, response.reconstructed.shape[0])),
    }
    for name, (found, expected) in shapes.items():
        if tuple(found) != tuple(expected) or not np.isfinite(factors.area_cm2).all():
            raise InputError(path, name, found, f"shape {expected}", "make the file again")

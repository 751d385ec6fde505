"""Responses written as FITS tables, in the format that they are read from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from skysift.instruments.ctao.background import Background2D, Background3D
from skysift.instruments.ctao.psf import GaussianPsf, KingPsf
from skysift.instruments.ctao.psf_table import TablePsf
from skysift.instruments.ctao.tables import Array, Axis
from skysift.storage.fits_writing import write_fits

if TYPE_CHECKING:
    from astropy.io import fits

    from skysift.instruments.ctao.irf import Irf

__all__ = ["write_irf"]

_TERMS = (1, 2, 3)
#: Column to values, slowest axis first, and unit.
Columns = dict[str, tuple[Array, str]]


def write_irf(path: Path, irf: Irf) -> None:
    """Write effective area, point-spread function, energy dispersion and background, float64.

    Parameters
    ----------
    path : FITS file
    irf : what `skysift.instruments.ctao.irf.read_irf` gives back
    """
    from astropy.io import fits

    area, dispersion = irf.area, irf.energy_dispersion
    effective = {"EFFAREA": (1e-4 * area.values_cm2.T, "m2")}
    matrix = {"MATRIX": (dispersion.values.transpose(1, 2, 0), "")}
    dispersed = (dispersion.energy, dispersion.offset, dispersion.migra)
    tables = [
        _make("EFFECTIVE AREA", ("EFF_AREA", "AEFF_2D"), (area.energy, area.offset), effective),
        _make_psf(irf.psf_model),
        _make("ENERGY DISPERSION", ("EDISP", "EDISP_2D"), dispersed, matrix),
        _make_background(irf.background_model),
    ]
    primary = fits.PrimaryHDU()
    if irf.live_time_s is not None:
        primary.header["LIVETIME"] = irf.live_time_s
    write_fits(path, tables, primary)


def _make_psf(psf: Any) -> fits.BinTableHDU:  # noqa: ANN401 - of any kind
    name = "POINT SPREAD FUNCTION"
    if isinstance(psf, KingPsf):
        columns: Columns = {"SIGMA": (psf.sigma_deg.T, "deg"), "GAMMA": (psf.gamma.T, "")}
        return _make(name, ("RPSF", psf.kind), (psf.energy, psf.offset), columns)
    if isinstance(psf, TablePsf):
        columns = {"RPSF": (psf.values.transpose(2, 1, 0), "deg-2")}
        return _make(name, ("RPSF", psf.kind), (psf.energy, psf.offset, psf.radius), columns)
    assert isinstance(psf, GaussianPsf)  # noqa: S101 - there are three kinds
    shape = psf.is_filled.T.shape
    columns = {"SCALE": (psf.is_filled.T, "sr-1")}
    for term in _TERMS:
        is_there = term <= len(psf.sigmas_deg)
        columns[f"SIGMA_{term}"] = (psf.sigmas_deg[term - 1].T if is_there else np.zeros(shape), "deg")
        if term > 1:
            columns[f"AMPL_{term}"] = (psf.amplitudes[term - 1].T if is_there else np.zeros(shape), "")
    return _make(name, ("RPSF", psf.kind), (psf.energy, psf.offset), columns)


def _make_background(background: Any) -> fits.BinTableHDU:  # noqa: ANN401 - of two kinds
    axes: tuple[Axis, ...]
    if isinstance(background, Background2D):
        axes, values = (background.energy, background.offset), background.values.T
    else:
        assert isinstance(background, Background3D)  # noqa: S101 - there are two kinds
        axes, values = (background.energy, background.x, background.y), background.values.transpose(2, 1, 0)
    columns = {"BKG": (values, "s-1 MeV-1 sr-1")}
    table = _make("BACKGROUND", ("BKG", background.kind), axes, columns)
    if background.alignment != "none":
        table.header["FOVALIGN"] = background.alignment
    return table


def _make(name: str, classes: tuple[str, str], axes: tuple[Axis, ...], columns: Columns) -> fits.BinTableHDU:
    from astropy.io import fits

    units = {"ENERG": "TeV", "MIGRA": ""}
    whole: Columns = {}
    for axis in axes:
        # a table between two nodes alone may reach below zero: its nodes tell as much
        is_nodes = axis.edges[0] < 0 and axis.name == "THETA"
        low, high = (axis.nodes, axis.nodes) if is_nodes else (axis.edges[:-1], axis.edges[1:])
        unit = units.get(axis.name, "deg")
        whole |= {f"{axis.name}_LO": (low, unit), f"{axis.name}_HI": (high, unit)}
    made = []
    for label, (values, unit) in (whole | columns).items():
        shape = str(values.shape[::-1]) if values.ndim > 1 else None
        form = f"{values.size}D"
        made.append(fits.Column(label, form, unit=unit or None, dim=shape, array=np.ascontiguousarray(values)[None]))
    table = fits.BinTableHDU.from_columns(made, name=name)
    table.header.update(
        HDUCLASS="GADF", HDUDOC="https://gamma-astro-data-formats.readthedocs.io", HDUVERS="0.3",
        HDUCLAS1="RESPONSE", HDUCLAS2=classes[0], HDUCLAS3="FULL-ENCLOSURE", HDUCLAS4=classes[1],
    )  # fmt: skip
    return table

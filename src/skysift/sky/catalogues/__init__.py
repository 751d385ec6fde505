"""Catalogues of gamma-ray sources as model files: plain data that is read like those."""

from skysift.sky.catalogues.fermi import EXTENDED_COLUMNS, FERMI_CATALOGUES, declare_fermi
from skysift.sky.catalogues.gammacat import GAMMACAT_COLUMNS, declare_gammacat
from skysift.sky.catalogues.hgps import declare_hgps

__all__ = [
    "EXTENDED_COLUMNS", "FERMI_CATALOGUES", "GAMMACAT_COLUMNS", "declare_fermi", "declare_gammacat", "declare_hgps",
]  # fmt: skip

"""CTAO, or any instrument with response files in the common gamma-ray format: responses and what follows from them."""

from skysift.instruments.ctao.analytic import analytic_irf
from skysift.instruments.ctao.irf import READER_VERSION, Irf, read_irf

__all__ = ["READER_VERSION", "Irf", "analytic_irf", "read_irf"]

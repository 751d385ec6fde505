"""CTAO, or any instrument with response files in the common gamma-ray format: responses and what follows from them."""

from skysift.instruments.ctao.analytic import analytic_irf
from skysift.instruments.ctao.irf import READER_VERSION, Irf, read_irf
from skysift.instruments.ctao.pointing import Axes, Pointing, make_true_axes
from skysift.instruments.ctao.response import Response

__all__ = [
    "READER_VERSION",
    "Axes",
    "Irf",
    "Pointing",
    "Response",
    "analytic_irf",
    "make_true_axes",
    "read_irf",
]

"""Elliptical coordinates without angles: smooth for circles and, softened, at the centre."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

__all__ = ["Ellipse", "squeeze"]


class Ellipse(NamedTuple):
    """Squeezed offsets ``w1`` and ``w2`` (arcsec), their softened ``square``, and k = 1 - e1^2 - e2^2."""

    w1: Tensor
    w2: Tensor
    square: Tensor
    k: Tensor


def squeeze(x: Tensor, y: Tensor, e1: Tensor, e2: Tensor, soft: float) -> Ellipse:
    r"""Return coordinates in which ellipses of a given ellipticity are circles.

    .. math:: w_1 = (1 - e_1) x - e_2 y, \quad w_2 = (1 + e_1) y - e_2 x, \quad R^2 = (w_1^2 + w_2^2 + s^2) / k

    With axis ratio q and :math:`e_1 + i e_2 = \frac{1-q}{1+q} e^{2 i \phi}`, R is the product average of the axes,
    :math:`R^2 = q x'^2 + y'^2 / q` in the ellipse's own frame. No ellipse has k <= 0: R is then infinite or no number.

    Parameters
    ----------
    x, y : offsets from the centre, arcsec; everything broadcasts
    e1, e2 : components of the ellipticity
    soft : s, arcsec
    """
    w1 = (1.0 - e1) * x - e2 * y
    w2 = (1.0 + e1) * y - e2 * x
    return Ellipse(w1, w2, w1 * w1 + w2 * w2 + soft**2, 1.0 - e1 * e1 - e2 * e2)

"""Separations and directions on the sphere whose gradients stay finite at the centre and at the antipode."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Seen", "look_from"]

_RADIAN = torch.pi / 180
# Square of half a separation of 2e-15 rad, and of one short of half a turn.
_NEAREST, _FARTHEST = 1e-30, 1 - 1e-12


class Seen(NamedTuple):
    """Directions seen from a centre.

    Parameters
    ----------
    haversine : (batch, n), sin^2 of half the separation
    east, north : (batch, n), components along rising longitude and latitude; they vanish at the centre
    """

    haversine: Tensor
    east: Tensor
    north: Tensor

    @property
    def apart(self) -> Tensor:
        """Separation (batch, n), rad."""
        return 2 * self.haversine.clamp(_NEAREST, _FARTHEST).sqrt().asin()

    def stretch(self, minor_share: Tensor, angle_deg: Tensor) -> Tensor:
        r"""Return the radius (batch, n) of an ellipse of major axis 1 in these directions.

        .. math:: r = (\cos^2\psi + \sin^2\psi / q^2)^{-1/2}

        Parameters
        ----------
        minor_share : q, minor over major axis
        angle_deg : position angle of the major axis, from north towards east
        """
        sine, cosine = (angle_deg * _RADIAN).sin(), (angle_deg * _RADIAN).cos()
        along, across = self.north * cosine + self.east * sine, self.east * cosine - self.north * sine
        size = along**2 + across**2
        is_centre = size < _NEAREST
        size = torch.where(is_centre, 1.0, size)
        # At the centre every direction is as good; the major axis is taken.
        inverse = torch.where(is_centre, 1.0, (along**2 + (across / minor_share) ** 2) / size)
        return inverse.rsqrt()


def look_from(lon_0_deg: Tensor, lat_0_deg: Tensor, lon_deg: Tensor, lat_deg: Tensor) -> Seen:
    """Return directions as seen from a centre.

    Parameters
    ----------
    lon_0_deg, lat_0_deg : (batch, 1) or (), centre, deg
    lon_deg, lat_deg : (n,), directions, deg
    """
    # Differences before radians: longitudes near a full turn would lose digits.
    half = (torch.remainder(lon_deg - lon_0_deg + 180.0, 360.0) - 180.0) * (0.5 * _RADIAN)
    step, lat_0, lat = (lat_deg - lat_0_deg) * _RADIAN, lat_0_deg * _RADIAN, lat_deg * _RADIAN
    sine = half.sin()
    haversine = (0.5 * step).sin() ** 2 + lat_0.cos() * lat.cos() * sine**2
    east = 2 * lat.cos() * sine * half.cos()
    north = step.sin() + 2 * lat.cos() * lat_0.sin() * sine**2
    return Seen(haversine, east, north)

"""Shapes of sources on the sky: density per solid angle, exact shares of pixels, random positions."""

from skysift.sky.shapes.disk import Disk
from skysift.sky.shapes.gaussian import Gaussian
from skysift.sky.shapes.hollow import Ring, Shell
from skysift.sky.shapes.point import Point
from skysift.sky.shapes.shape import Shape, place_on_sphere

__all__ = ["Disk", "Gaussian", "Point", "Ring", "Shape", "Shell", "place_on_sphere"]

"""Cameras: pixels, point spread function and noise of images."""

from skysift.instruments.camera.camera import Camera, Psf
from skysift.instruments.camera.grid import PixelGrid
from skysift.instruments.camera.noise import BackgroundNoise, Noise, NoiseMap, PhotonNoise

__all__ = ["BackgroundNoise", "Camera", "Noise", "NoiseMap", "PhotonNoise", "PixelGrid", "Psf"]

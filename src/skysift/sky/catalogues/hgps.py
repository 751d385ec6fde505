"""The H.E.S.S. Galactic plane survey as a model file."""

from __future__ import annotations

from typing import Any

from skysift.errors import InputError
from skysift.sky.catalogue import CatalogueSource
from skysift.sky.catalogues.entries import Columns, component, document, parameter, part
from skysift.sky.hgps import interpret_hgps
from skysift.sky.shapes import Gaussian, Point, Shape, Shell
from skysift.sky.spectra import ExponentialCutoff, PowerLaw, Spectrum

__all__ = ["declare_hgps"]

_DENSITY = "cm-2 s-1 TeV-1"


def declare_hgps(sources: Columns, components: Columns) -> dict[str, Any]:
    """Return all sources of the survey in the layout of a model file; sums of Gaussians stay sums.

    Parameters
    ----------
    sources, components : as for `skysift.sky.hgps.interpret_hgps`, which decides what the columns mean

    Raises
    ------
    InputError : a table that is not the survey's
    """
    found = interpret_hgps(sources, components)
    return document([_declare(source, sources.place) for source in found], [], [])


def _declare(source: CatalogueSource, place: str) -> dict[str, Any]:
    shapes = [_shape(shape, source.name, place) for _, shape in source.components]
    if len(shapes) == 1:
        return component(source.name, _spectrum(source.spectrum, source.name, place), shapes[0])
    weights = [weight for weight, _ in source.components]
    spatial = {"type": "sum", "weights": weights, "parts": shapes}
    return component(source.name, _spectrum(source.spectrum, source.name, place), spatial)


def _spectrum(spectrum: Spectrum, name: str, place: str) -> dict[str, Any]:
    if isinstance(spectrum, PowerLaw | ExponentialCutoff):
        law = [
            parameter("index", float(spectrum.index)),
            parameter("amplitude", float(spectrum.norm), _DENSITY),
            parameter("reference", float(spectrum.pivot_tev), "TeV"),
        ]
        if isinstance(spectrum, PowerLaw):
            return part("pl", *law)
        cutoff = parameter("lambda_", float(spectrum.cutoff_inverse_tev), "TeV-1")
        return part("ecpl", *law, cutoff, parameter("alpha", 1.0))
    raise InputError(place, name, type(spectrum).__name__, "a power law, with or without cutoff", "write it by hand")


def _shape(shape: Shape, name: str, place: str) -> dict[str, Any]:
    at = [parameter("lon_0", shape.lon_deg, "deg"), parameter("lat_0", shape.lat_deg, "deg")]
    if isinstance(shape, Point):
        return part("point", *at, frame="galactic")
    if isinstance(shape, Gaussian):
        size = parameter("sigma", shape.sigma_deg, "deg")
        return part("gauss", *at, size, parameter("e", 0.0), parameter("phi", 0.0, "deg"), frame="galactic")
    if isinstance(shape, Shell):
        inner = parameter("radius", shape.inner_deg, "deg")
        width = parameter("width", shape.outer_deg - shape.inner_deg, "deg")
        return part("shell", *at, inner, width, frame="galactic")
    raise InputError(place, name, type(shape).__name__, "a point, Gaussian or shell", "write it by hand")

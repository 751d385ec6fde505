"""From components of a configuration to their light on the grid of true coordinates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from skysift.errors import InputError, nearest
from skysift.geometry import LonLatGrid
from skysift.models.events.measure import measure_map, measure_shape, measure_spectrum, narrow
from skysift.sky import shapes
from skysift.sky.light import Light
from skysift.sky.spectra import BrokenPowerLaw, ExponentialCutoff, LogParabola, PowerLaw, Spectrum, TableSpectrum

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from skysift.config.events import EventComponent
    from skysift.config.events.diffuse import Patch
    from skysift.config.events.spectra import Spectrum as SpectrumSettings
    from skysift.instruments.ctao.pointing import Axes
    from skysift.sky.sky_maps import SkyMap

__all__ = ["Finder", "list_shapes", "make_light", "make_share", "make_spectrum"]

#: From the name of a file, and what it is for, to its place.
Finder = Callable[[str | None, str], Path]
Values = Mapping[str, "Tensor | float"]
#: A shape, and its flux in bins of energy (E,), cm-2 s-1.
Emission = tuple[shapes.Shape, "NDArray[np.float64]"]
DEG2_PER_SR = (180.0 / np.pi) ** 2
SHELL_INNER = 0.95
#: Flux density of a source that states none, TeV-1 cm-2 s-1.
_USUAL_NORM = 1e-12
#: Gaussians of fewer pixels than this, sigma, are points.
COMPACT = 0.25


def make_light(
    component: EventComponent, axes: Axes, window: LonLatGrid, find: Finder, middle: Values | None = None
) -> Light:
    """Return the light of a component whose parameters are known.

    Parameters
    ----------
    component : its settings
    axes : of true coordinates
    window : field over which diffuse shapes have mean one
    find : where files are
    middle : values of its free parameters, by their short name

    Raises
    ------
    InputError : a file that is absent or wrong, a source that the catalogue lacks, a map that does not cover the grid
    """
    if component.sky in ("hgps", "synthetic_catalogue"):
        return _catalogue_light(component, axes, find)
    if component.sky == "template" and component.spectrum is None:
        from skysift.models.events.maps import measure_template_cube

        return Light(measure_template_cube(find(component.file, "template"), component, axes))
    share = make_share(component, axes, window, find, middle or {})
    spectrum = make_spectrum(component, middle or {}, find)
    return share.with_spectrum(measure_spectrum(spectrum, axes).numpy())


def make_share(component: EventComponent, axes: Axes, window: LonLatGrid, find: Finder, values: Values) -> Light:
    """Return where a component shines, as one row: shares of its flux, or for dark matter J-factors in GeV2 cm-5."""
    sky = component.sky
    if sky == "isotropic":
        return Light(axes.areas_deg2[None] / DEG2_PER_SR)
    if sky in ("fermi_diffuse", "synthetic_diffuse"):
        return Light(_diffuse(component, axes, window, find)[None])
    if sky == "template":
        from skysift.models.events.maps import measure_template_map

        return Light(measure_template_map(find(component.file, "template"), component, axes)[None])
    if sky == "dark_matter":
        from skysift.models.events.dark_matter import make_map

        return Light(make_map(component, axes, values).numpy()[None])
    if component.modulate:
        return Light(_shine(_shape(component), axes)[None])
    return _shape_light(_shape(component), axes)


def list_shapes(component: EventComponent, axes: Axes, find: Finder, values: Values) -> tuple[Emission, ...]:
    """Return the shapes that a component consists of, each with its flux in bins of energy (E,), cm-2 s-1.

    Parameters
    ----------
    component : its settings; maps consist of no shapes
    axes : of true coordinates
    find : where files are
    values : of its free parameters, by their short name
    """
    if component.sky in ("hgps", "synthetic_catalogue"):
        # the band is no shape: with it events are drawn from pixels
        return () if component.large_scale else tuple(_catalogue_shapes(component, axes, find))
    if component.sky in ("point", "gaussian", "disk", "ring", "shell"):
        spectrum = make_spectrum(component, values, find)
        return ((_shape(component), measure_spectrum(spectrum, axes).numpy().reshape(-1)),)
    return ()


def _shape_light(shape: shapes.Shape, axes: Axes) -> Light:
    """Return the share of a shape's flux in each pixel.

    A point keeps its exact place unless bins are points too, and so does a Gaussian much smaller than pixels, which a
    few points stand for: area and the edge of the field differ from one side of a pixel to the other.
    """
    nothing = np.zeros((1, axes.grid.size))
    if isinstance(shape, shapes.Point) and not axes.is_discrete:
        return Light(nothing, np.array([[shape.lon_deg, shape.lat_deg]]), np.ones((1, 1)))
    step = float(np.diff(axes.grid.lat_edges_deg).min())
    if isinstance(shape, shapes.Gaussian) and not axes.is_discrete and shape.sigma_deg < COMPACT * step:
        weights, lon, lat = shape.stand_in()
        held = axes.grid.find(lon, lat) >= 0
        return Light(nothing, np.stack((lon, lat), axis=1)[held], weights[held, None])
    return Light(_shine(shape, axes)[None])


def _shine(shape: shapes.Shape, axes: Axes) -> NDArray[np.float64]:
    """Return the share of a shape's flux that each pixel sends out evenly (J,)."""
    share = measure_shape(shape, axes)
    return share if axes.is_discrete else narrow(share, axes.grid)


def _shape(component: EventComponent) -> shapes.Shape:
    lon, lat = component.center_deg or (0.0, 0.0)
    size = component.size_deg or 0.0
    inner = component.inner_deg if component.inner_deg is not None else SHELL_INNER * size
    if component.sky == "point":
        return shapes.Point(lon, lat)
    if component.sky == "gaussian":
        return shapes.Gaussian(lon, lat, size, component.elongation, component.angle_deg)
    if component.sky == "disk":
        return shapes.Disk(lon, lat, size, component.elongation, component.angle_deg)
    return (shapes.Ring if component.sky == "ring" else shapes.Shell)(lon, lat, inner, size)


def make_spectrum(component: EventComponent, values: Values, find: Finder) -> Spectrum:
    """Return the spectrum of a component at values of its free parameters (batch,), by short name.

    That of a diffuse model without settings is its own; dark matter's is photons TeV-1 per J-factor.
    """
    from skysift.sky.diffuse import GAGGERO_INDEX, GAGGERO_NORM

    settings = component.spectrum
    if settings is None:
        return PowerLaw(GAGGERO_NORM, GAGGERO_INDEX, 1.0)
    if settings.kind in ("annihilation", "decay"):
        from skysift.models.events.dark_matter import make_dark_spectrum

        return make_dark_spectrum(settings, values, find)
    norm = settings.norm
    if norm is None and component.sky in ("fermi_diffuse", "synthetic_diffuse"):
        # its own, at the pivot of these settings
        norm = GAGGERO_NORM * settings.pivot_tev**-GAGGERO_INDEX
    return _plain_spectrum(settings, _USUAL_NORM if norm is None else norm, values, find)


def number(settings: object, name: str, values: Values) -> Tensor | float:
    """Return the value of a parameter: the one given, else the fixed one."""
    if name in values:
        return values[name]
    prior = getattr(settings, "break_energy" if name == "break" else name)
    fixed: float = prior.value if hasattr(prior, "value") else prior.numbers[0]
    return fixed


def _plain_spectrum(settings: SpectrumSettings, norm: float, values: Values, find: Finder) -> Spectrum:
    pivot = settings.pivot_tev
    match settings.kind:
        case "power_law":
            return PowerLaw(norm, number(settings, "index", values), pivot)
        case "broken_power_law":
            edge = number(settings, "break", values)
            below, above = number(settings, "index", values), number(settings, "index_2", values)
            # the norm is that at the pivot, below the break
            ratio, slope = (torch.as_tensor(value, dtype=torch.float64) for value in (edge, below))
            at_break = norm * (ratio / pivot) ** (-slope)
            return BrokenPowerLaw(at_break, below, above, edge)
        case "cutoff":
            cutoff = torch.as_tensor(number(settings, "cutoff", values), dtype=torch.float64)
            return ExponentialCutoff(norm, number(settings, "index", values), pivot, 1.0 / cutoff)
        case "log_parabola":
            return LogParabola(norm, number(settings, "index", values), number(settings, "curvature", values), pivot)
    table = _read_table(find(settings.file, "spectrum"))
    return TableSpectrum(table[:, 0], table[:, 1], 1.0)


def _read_table(path: Path) -> NDArray[np.float64]:
    try:
        table = np.loadtxt(path, ndmin=2)
    except (OSError, ValueError) as error:
        raise InputError(path, "table", str(error), "two columns of numbers: TeV, TeV-1 cm-2 s-1", "mend it") from None
    if table.shape[1] != 2:
        raise InputError(path, "columns", table.shape[1], "2: energy in TeV, density in TeV-1 cm-2 s-1", "mend it")
    return table


def _diffuse(component: EventComponent, axes: Axes, window: LonLatGrid, find: Finder) -> NDArray[np.float64]:
    """Return a diffuse shape, mean one over the window, in each pixel, sr."""
    from skysift.sky.diffuse import SyntheticDiffuse

    window = window if component.window is None else _patch(component.window)
    shape: SkyMap = SyntheticDiffuse()
    if component.sky == "fermi_diffuse":
        from skysift.models.events.maps import read_diffuse
        from skysift.sky.diffuse import SHAPE_BAND_TEV

        shape = read_diffuse(find(component.file, "diffuse"), window, component.shape_band_tev or SHAPE_BAND_TEV)
    mean = shape.integrate(window).sum() / window.areas_deg2.sum()
    return np.asarray(measure_map(shape, axes) / (mean * DEG2_PER_SR))


def _patch(window: Patch) -> LonLatGrid:
    """Return a part of the sky as pixels of a degree at most."""
    edges = [np.linspace(low, high, int(np.ceil(high - low)) + 1) for low, high in (window.lon_deg, window.lat_deg)]
    return LonLatGrid(*edges)


def _catalogue_light(component: EventComponent, axes: Axes, find: Finder) -> Light:
    total = Light(np.zeros((axes.energy.size, axes.grid.size)))
    for shape, flux in _catalogue_shapes(component, axes, find):
        if isinstance(shape, shapes.Point) and axes.grid.find(shape.lon_deg, shape.lat_deg) < 0:
            continue
        share = _shape_light(shape, axes)
        if share.total.any():
            total = total + share.with_spectrum(flux)
    if component.large_scale:
        from skysift.models.events.maps import read_large_scale

        band = read_large_scale(find(component.file, "catalogue"))
        at_centres = band.density(axes.grid.lon_deg, axes.grid.lat_deg) * axes.areas_deg2
        flux = at_centres if axes.is_discrete else band.integrate(axes.grid)
        total = total + Light(np.outer(measure_spectrum(band.spectrum, axes).numpy(), flux))
    return total


def _catalogue_shapes(component: EventComponent, axes: Axes, find: Finder) -> list[Emission]:
    """Return the parts of the chosen sources of a catalogue, each with its flux in bins of energy."""
    from skysift.sky.catalogue import synthetic_catalogue

    inner = SHELL_INNER if component.shell_inner is None else component.shell_inner
    if component.sky == "synthetic_catalogue":
        sources = synthetic_catalogue(inner)
        place = "synthetic catalogue"
    else:
        from skysift.models.events.maps import read_catalogue

        path = find(component.file, "catalogue")
        sources, place = read_catalogue(path, inner), str(path)
    names = [source.name for source in sources]
    chosen = names if component.sources is None else component.sources
    for name in chosen:
        if name not in names:
            raise InputError(place, "sources", name, "the name of a source", nearest(name, names))
    found: list[Emission] = []
    for source in sources:
        if source.name in chosen:
            flux = measure_spectrum(source.spectrum, axes).numpy()
            found += [(shape, weight * flux) for weight, shape in source.components]
    return found

"""What was looked at: axes, pointings, responses and the light of every source, and the file that keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from skysift.geometry import EnergyAxis, LonLatGrid
from skysift.instruments.ctao.curves import ResponseCurves, list_curves, read_curves
from skysift.instruments.ctao.discrete import Window, window_limits, window_of
from skysift.instruments.ctao.pointing import Axes, Pointing
from skysift.sky.light import Light
from skysift.storage.hdf5 import Dataset, Field, read, write

if TYPE_CHECKING:
    from skysift.storage.hdf5 import File, Provenance

__all__ = ["EventObservation", "ResponseFile", "read_event_observation", "write_event_observation"]

FORMAT = "event_observation"


@dataclass(frozen=True)
class ResponseFile:
    """The response of one pointing.

    Parameters
    ----------
    name : as the configuration has it
    sha256 : of its bytes
    parts : names and weights of what it is a mixture of; by default itself
    """

    name: str
    sha256: str
    parts: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        """Fill in the parts."""
        if not self.parts:
            object.__setattr__(self, "parts", ((self.name, 1.0),))


@dataclass(frozen=True, eq=False)
class EventObservation:
    """Axes, pointings, responses and lights.

    Parameters
    ----------
    reconstructed, true : axes
    pointings : with their live times
    responses : one per pointing
    lights : light of each source whose parameters are known; of those with a free spectrum its shares (one row)
    psf_empty : what an empty PSF table says
    window : of the discrete normalisation; None where kernels are integrated
    is_smeared : whether the background is taken for one in true coordinates and folded
    is_extended : whether responses go on beyond their energies
    curves : of the first few responses, by name, for whoever looks at them
    warnings : what was adjusted or looked odd
    """

    reconstructed: Axes
    true: Axes
    pointings: tuple[Pointing, ...]
    responses: tuple[ResponseFile, ...]
    lights: Mapping[str, Light] = field(default_factory=dict)
    psf_empty: str = "nearest"
    window: Window | None = None
    is_smeared: bool = False
    is_extended: bool = False
    curves: Mapping[str, ResponseCurves] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def write_event_observation(path: Path, observation: EventObservation, provenance: Provenance) -> None:
    """Write an observation as a file of format ``event_observation``."""
    datasets: dict[str, Dataset] = {}
    for kind, axes in (("reconstructed", observation.reconstructed), ("true", observation.true)):
        datasets[f"{kind}/energy_edges"] = Dataset(axes.energy.edges_tev, "TeV", f"edges of {kind} energy")
        datasets[f"{kind}/lon_edges"] = Dataset(axes.grid.lon_edges_deg, "deg", f"edges of {kind} Galactic longitude")
        datasets[f"{kind}/lat_edges"] = Dataset(axes.grid.lat_edges_deg, "deg", f"edges of {kind} Galactic latitude")
    columns = {"lon": "deg", "lat": "deg", "live_time": "s"}
    values = np.array([[p.lon_deg, p.lat_deg, p.live_time_s] for p in observation.pointings])
    for number, (name, unit) in enumerate(columns.items()):
        datasets[f"pointings/{name}"] = Dataset(values[:, number], unit, axes=("pointing",))
    for name, light in observation.lights.items():
        unit = "cm-2 s-1" if len(light.cube) > 1 else ""
        text = "flux in true bins" if unit else "share of the flux in true pixels"
        datasets[f"lights/{name}/cube"] = Dataset(light.cube, unit, text, ("energy_bin", "pixel"))
        datasets[f"lights/{name}/points"] = Dataset(light.points_deg, "deg", "point sources", ("point", "coordinate"))
        datasets[f"lights/{name}/point_flux"] = Dataset(light.point_flux, unit, "their flux", ("point", "energy_bin"))
    for number, curves in enumerate(observation.curves.values()):
        datasets |= dict(list_curves(f"curves/{number}", curves))
    attributes = {
        "curves": list(observation.curves),
        "responses": [response.name for response in observation.responses],
        "sha256": [response.sha256 for response in observation.responses],
        "parts": [[list(part) for part in response.parts] for response in observation.responses],
        "lights": list(observation.lights),
        "psf_empty": observation.psf_empty,
        "window": None if observation.window is None else window_limits(observation.window),
        "is_smeared": observation.is_smeared,
        "is_extended": observation.is_extended,
        "warnings": list(observation.warnings),
    }
    write(path, format=FORMAT, datasets=datasets, attributes=attributes, provenance=provenance)


def read_event_observation(path: Path) -> EventObservation:
    """Read a file of format ``event_observation``.

    Raises
    ------
    InputError : not such a file, or damaged
    """
    wanted = {f"{kind}/energy_edges": Field("TeV", "f", 1) for kind in ("reconstructed", "true")}
    file = read(path, format=FORMAT, wanted=wanted)
    own = file.attributes
    columns = [file[f"pointings/{name}"] for name in ("lon", "lat", "live_time")]
    window = None if own["window"] is None else window_of(own["window"])
    return EventObservation(
        reconstructed=_axes(file, "reconstructed", is_discrete=window is not None),
        true=_axes(file, "true", is_discrete=window is not None),
        pointings=tuple(Pointing(*(float(value) for value in row)) for row in zip(*columns, strict=True)),
        responses=tuple(
            ResponseFile(name, sha256, tuple((str(part), float(weight)) for part, weight in parts))
            for name, sha256, parts in zip(own["responses"], own["sha256"], own["parts"], strict=True)
        ),
        lights={
            name: Light(file[f"lights/{name}/cube"], file[f"lights/{name}/points"], file[f"lights/{name}/point_flux"])
            for name in own["lights"]
        },
        psf_empty=str(own["psf_empty"]),
        window=window,
        is_smeared=bool(own["is_smeared"]),
        is_extended=bool(own.get("is_extended", False)),
        curves={name: read_curves(file, f"curves/{number}") for number, name in enumerate(own["curves"])},
        warnings=tuple(own["warnings"]),
    )


def _axes(file: File, kind: str, *, is_discrete: bool) -> Axes:
    edges = {name: file[f"{kind}/{name}_edges"] for name in ("energy", "lon", "lat")}
    return Axes(EnergyAxis(edges["energy"]), LonLatGrid(edges["lon"], edges["lat"]), is_discrete)

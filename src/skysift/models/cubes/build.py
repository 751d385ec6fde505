"""From declared models, cubes and counts to the model that engines fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from skysift.errors import InputError
from skysift.instruments.cubes.response import LocalResponse, respond_at
from skysift.models.cubes.background import CubeBackground
from skysift.models.cubes.images import make_image, place_of
from skysift.models.cubes.model import BoundCube, CubeModel
from skysift.models.cubes.source import CubeSource, Folding
from skysift.models.cubes.tree import make_tree
from skysift.models.cubes.window import cut_around
from skysift.parameters.priors import Flat
from skysift.sky.components import build_shape, evaluate_term

if TYPE_CHECKING:
    from skysift.config.models import Expression, ModelFile, SourceDeclaration
    from skysift.geometry.axes import EnergyAxis
    from skysift.geometry.wcs import Frame
    from skysift.instruments.cubes.dataset import CubeDataset
    from skysift.instruments.cubes.files import CubeCounts, CubeObservation
    from skysift.models.cubes.tree import ValueTree

__all__ = ["Options", "build_cube_model", "diagonal_shares"]

Responses = Callable[["CubeDataset", float, float, "Frame", str], LocalResponse]


@dataclass(frozen=True)
class Options:
    """How cubes are predicted.

    Parameters
    ----------
    quadrature : ``exact``: closed forms or Gauss-Legendre rules for spectra, and these rules in pixels; ``gammapy``:
        as Gammapy has it
    device : where tensors live
    respond : gives the response at a direction
    """

    quadrature: str = "exact"
    device: str = "cpu"
    respond: Responses = respond_at


def build_cube_model(
    declared: ModelFile,
    expressions: Mapping[str, Expression],
    observation: CubeObservation,
    data: CubeCounts | None,
    options: Options | None = None,
) -> CubeModel:
    """Return the model of some cubes; without data their counts are zero.

    What must not jump while parameters move is frozen at the values of the file: windows, how finely pixels are cut,
    and which response a source sees.

    Parameters
    ----------
    declared : in natural units
    expressions : full name to expression, in an order in which they can be computed
    observation : the cubes
    data : their counts
    options : how they are predicted

    Raises
    ------
    InputError : nothing is free, a source that shines in no cube, counts where nothing is expected
    """
    chosen = options or Options()
    used = {item.name for item in declared.components if any(item.is_in(cube.name) for cube in observation.datasets)}
    functions = {name: partial(evaluate_term, part.root) for name, part in expressions.items()}
    tree = make_tree(declared, [item.name for item in declared.components if item.name in used], functions)
    start = {name: torch.tensor([value], dtype=torch.float64) for name, value in tree.starts.items()}
    full = {name: part.reshape(()) for name, part in tree.resolve(start).items()}
    cubes = []
    for cube in observation.datasets:
        counts = np.zeros(cube.shape) if data is None else data.counts[cube.name]
        cubes.append(_bind(declared, cube, counts, (tree, full), chosen))
    flat = [item.name for item in tree.parameters if isinstance(item.prior, Flat)]
    told = [f"evidences have no meaning: no prior on {', '.join(flat)}"] if flat else []
    return CubeModel(tree, tuple(cubes), (*observation.warnings, *declared.warnings, *told))


def _bind(
    declared: ModelFile,
    cube: CubeDataset,
    counts: np.ndarray,
    values: tuple[ValueTree, Mapping[str, Tensor]],
    options: Options,
) -> BoundCube:
    tree, full = values
    moving = set(tree.moving)
    base = torch.zeros(cube.shape, dtype=torch.float64, device=options.device)
    sources = []
    for item in declared.sources:
        if not item.is_in(cube.name):
            continue
        source = _make_source(item, cube, full, moving, options)
        if source is None:
            continue  # too far away to shine in
        if any(source.moving.values()):
            sources.append(source)
        else:
            spectral, spatial = _values(item, "spectral", full), _values(item, "spatial", full)
            base[(..., *source.window.slices)] += source.counts(spectral, spatial)[0]
    background = _make_background(declared, cube, moving, options.device)
    if background is not None and not background.moving:
        base, background = base + background.counts(full)[0], None
    elif background is None and cube.background is not None:
        base = base + torch.as_tensor(cube.background, device=options.device)
    compared = None if cube.mask is None or cube.mask.all() else torch.as_tensor(cube.mask, device=options.device)
    own = torch.as_tensor(np.asarray(counts, dtype=np.float64), device=options.device)
    return BoundCube(cube.name, own, compared, base, tuple(sources), background)


def _values(item: SourceDeclaration, role: str, full: Mapping[str, Tensor]) -> dict[str, Tensor]:
    head = f"{item.name}.{role}."
    return {name[len(head) :]: part for name, part in full.items() if name.startswith(head)}


def _make_source(
    item: SourceDeclaration, cube: CubeDataset, full: Mapping[str, Tensor], moving: set[str], options: Options
) -> CubeSource | None:
    if item.spatial is None:
        raise InputError(item.place or item.name, "spatial", "none", "a shape on the sky", "add 'spatial: ...'")
    values = {role: _values(item, role, full) for role in ("spectral", "spatial")}
    frame: Frame = "galactic" if item.spatial.frame == "galactic" else "icrs"
    shape = build_shape(item.spatial, values["spatial"])
    place = place_of(cube.grid, values["spatial"], frame)
    if np.isfinite(place).all() and "lon_0" in values["spatial"]:
        lon, lat = float(values["spatial"]["lon_0"]), float(values["spatial"]["lat_0"])
    else:
        (lon, lat), frame = cube.grid.reference_deg, cube.grid.frame
    response = options.respond(cube, lon, lat, frame, options.quadrature)
    kernel = response.kernel if item.apply_irf["psf"] else None
    window = cut_around(cube.grid, place, 0 if kernel is None else kernel.shape[-1], shape.reach_deg)
    if window is None:
        return None
    shares = response.shares if item.apply_irf["edisp"] else None
    exposure = cube.exposure_cm2_s[(slice(None), *window.slices)] if item.apply_irf["exposure"] else None
    ones = np.ones((cube.true.size, window.rows, window.columns))
    folding = Folding(
        _tensor(ones if exposure is None else exposure, options.device),
        _tensor(diagonal_shares(cube.true, cube.energy) if shares is None else shares, options.device),
        None if kernel is None else _tensor(kernel, options.device),
    )
    free = {role: tuple(k for k in own if f"{item.name}.{role}.{k}" in moving) for role, own in values.items()}
    return CubeSource(
        item.name,
        item.spectral,
        make_image(item.spatial, values["spatial"], cube.grid, window, is_exact=options.quadrature == "exact"),
        folding,
        window,
        torch.as_tensor(cube.true.edges_tev.copy(), device=options.device),
        free,
        options.quadrature,
        values["spatial"],
    )


def _tensor(array: np.ndarray, device: str) -> Tensor:
    return torch.as_tensor(np.ascontiguousarray(array), device=device)


def _make_background(declared: ModelFile, cube: CubeDataset, moving: set[str], device: str) -> CubeBackground | None:
    own = [item for item in declared.backgrounds if item.is_in(cube.name)]
    if not own:
        return None
    if len(own) > 1 or cube.background is None:
        found = " and ".join(item.name for item in own) if len(own) > 1 else f"{own[0].name}, but no background counts"
        raise InputError(cube.name, "background", found, "one model for one cube of background", "leave others out")
    item, head = own[0], f"{own[0].name}.spectral."
    return CubeBackground(
        item.name,
        item.spectral,
        torch.as_tensor(cube.energy.centres_tev, device=device),
        torch.as_tensor(cube.background, device=device),
        tuple(name for name, _ in item.spectral.named_parameters() if head + name in moving),
    )


def diagonal_shares(true: EnergyAxis, energy: EnergyAxis) -> np.ndarray:
    """Return the share of each true bin within each reconstructed one, by width, where energies are known exactly."""
    low = np.maximum(true.edges_tev[:-1, None], energy.edges_tev[:-1])
    high = np.minimum(true.edges_tev[1:, None], energy.edges_tev[1:])
    shares: np.ndarray = np.clip(high - low, 0.0, None) / true.widths_tev[:, None]
    return shares

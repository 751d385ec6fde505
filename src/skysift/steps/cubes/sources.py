"""From the words of a configuration of counts cubes to files, models and the posterior of a fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from skysift.config.models import ModelFile, check_datasets, order_expressions, split_sums
from skysift.config.models.links import map_parameters
from skysift.errors import InputError, nearest
from skysift.instruments.ctao.files import Finder
from skysift.instruments.cubes.files import CubeCounts, CubeObservation, read_cube_counts, read_cubes
from skysift.models.cubes.build import Options, build_cube_model
from skysift.steps.model_files import load_models

if TYPE_CHECKING:
    from skysift.config.cubes.slices import CubeFitSlice
    from skysift.models.cubes.model import CubeModel

__all__ = ["bind_model", "load_fit", "read_declared"]


def read_declared(name: str, config: Path, values: Mapping[str, float] | None = None) -> tuple[ModelFile, Path]:
    """Return a model file in natural units, with some values replaced, and where it lies.

    Parameters
    ----------
    name : of the file, as the configuration has it: YAML, XML or a catalogue; sums of shapes become sources
    config : the configuration, for messages
    values : full name of a parameter to its value in natural units

    Raises
    ------
    InputError : no such file, a file without meaning, parameters that it does not have
    """
    path = Finder(config)(name, "model")
    declared = split_sums(load_models(path)).natural()
    known, changed = declared.parameters(), {}
    for parameter, value in (values or {}).items():
        if parameter not in known:
            raise InputError(config, "parameters", parameter, f"a parameter of {name}", nearest(parameter, known))
        changed[parameter] = replace(known[parameter], value=value)
    components = (
        tuple(map_parameters(item, changed) for item in declared.components) if changed else declared.components
    )
    return replace(declared, components=components), path


def bind_model(
    declared: ModelFile, observation: CubeObservation, data: CubeCounts | None, quadrature: str
) -> CubeModel:
    """Return the model of cubes from what a file declares."""
    check_datasets(declared, [cube.name for cube in observation.datasets])
    for cube in observation.datasets:
        if cube.counts_off is not None:
            wanted, remedy = "a cube with a background model", "give the background as a map in place of an off region"
            raise InputError(cube.name, "COUNTS_OFF", "counts of an off region", wanted, remedy)
    for source in declared.sources:
        if source.temporal is not None and source.temporal.tag != "const":
            wanted, remedy = "a constant light curve", "give the mean flux of the observation, and leave the curve out"
            raise InputError(source.name, "temporal", source.temporal.tag, wanted, remedy)
    options = Options(quadrature)
    return build_cube_model(declared, order_expressions(declared), observation, data, options)


def load_fit(
    settings: CubeFitSlice, config: Path, observation: Path, data: Path
) -> tuple[CubeModel, CubeObservation, CubeCounts, Path]:
    """Return the model of a fit, the cubes, their counts, and the model file that was read.

    Raises
    ------
    InputError : inputs that do not belong together
    """
    looked_at = read_cubes(observation)
    counts = read_cube_counts(data, looked_at)
    declared, path = read_declared(settings.model.file, config)
    return bind_model(declared, looked_at, counts, settings.model.quadrature), looked_at, counts, path

"""``skysift validate``: everything that is wrong with a configuration, or what it describes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from skysift.config import Analysis, ConfigurationError, Observation, load, verify_round_trip
from skysift.config.cubes.model import CubeModel
from skysift.instruments.ctao.files import find_missing
from skysift.steps.observations import verify_files

if TYPE_CHECKING:
    from skysift.config import AnyAnalysis
    from skysift.config.cubes.observation import CubeObservation
    from skysift.config.events import EventObservation

__all__ = ["run"]


def run(files: Sequence[Path]) -> None:
    """Check the analysis that some files describe together, and print a summary.

    Parameters
    ----------
    files : YAML files, later ones over earlier ones

    Raises
    ------
    InputError : everything that is wrong, at once
    """
    analysis = load(files)
    verify_round_trip(analysis)
    if isinstance(analysis, Analysis):
        verify_files(analysis.observation, files[0])
    elif missing := find_missing(analysis.named_files(), files[0]):
        raise ConfigurationError(missing)
    print("\n".join(_summarise(analysis)))


def _summarise(analysis: AnyAnalysis) -> Iterator[str]:
    observation = analysis.observation
    source = observation.data if isinstance(observation, Observation) else _name_response(observation)
    yield f"{analysis.run}: a valid analysis of {observation.instrument} data ({source})"
    for name in analysis.set_names():
        data = analysis.data_of_set(name)
        yield f"  data {name}: {data[0]}" + (f" to {data[-1]}" if len(data) > 1 else "")
    for name, data in analysis.fit_data().items():
        recipe = analysis.fits[name].recipe if isinstance(analysis, Analysis) else None
        engines = f"recipe {recipe.name}" if recipe else " > ".join(step.name for step in analysis.fits[name].sequence)
        model = analysis.model_of(name)
        components = model.file if isinstance(model, CubeModel) else ", ".join(model.components)
        yield f"  fit {name}: {engines} of {components}, on {len(data)} data set{'s' if len(data) > 1 else ''}"
    if isinstance(analysis, Analysis) and analysis.sidebands is not None:
        regions = ", ".join(analysis.sideband_regions())
        yield f"  sidebands of {analysis.sidebands.signal} for {', '.join(analysis.sideband_fits())}: {regions}"


def _name_response(observation: EventObservation | CubeObservation) -> str:
    if isinstance(observation.irf, list):
        return "responses of " + ", ".join(f"{part.zenith_deg:g}" for part in observation.irf) + " deg zenith angle"
    return f"response {observation.irf}" if observation.irf else "a response of each pointing"

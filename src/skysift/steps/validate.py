"""``skysift validate``: everything that is wrong with a configuration, or what it describes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from skysift.config import load, verify_round_trip

if TYPE_CHECKING:
    from skysift.config import Analysis

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
    print("\n".join(_summarise(analysis)))


def _summarise(analysis: Analysis) -> Iterator[str]:
    observation = analysis.observation
    yield f"{analysis.run}: a valid analysis of {observation.instrument} data ({observation.data})"
    for name in analysis.set_names():
        data = analysis.data_of_set(name)
        yield f"  data {name}: {data[0]}" + (f" to {data[-1]}" if len(data) > 1 else "")
    for name, data in analysis.fit_data().items():
        fit = analysis.fits[name]
        engines = " > ".join(step.name for step in fit.sequence) or f"recipe {fit.recipe.name if fit.recipe else ''}"
        components = ", ".join(analysis.model_of(name).components)
        yield f"  fit {name}: {engines} of {components}, on {len(data)} data set{'s' if len(data) > 1 else ''}"
    if analysis.sidebands is not None:
        regions = ", ".join(analysis.sideband_regions())
        yield f"  sidebands of {analysis.sidebands.signal} for {', '.join(analysis.sideband_fits())}: {regions}"

"""From files or plain data to a validated analysis, and from a slice's file to the slice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, overload

from pydantic import ValidationError

from skysift.config.analysis import Analysis
from skysift.config.checks import find_contradictions
from skysift.config.cubes.analysis import CubeAnalysis
from skysift.config.cubes.checks import find_cube_contradictions
from skysift.config.cubes.slices import (
    CUBE_SLICES,
    CubeFitSlice,
    CubeObservationSlice,
    CubeReportSlice,
    CubeSimulateSlice,
)
from skysift.config.events.analysis import EventAnalysis
from skysift.config.events.checks import find_event_contradictions
from skysift.config.events.slices import (
    EVENT_SLICES,
    EventCalibrateSlice,
    EventFitSlice,
    EventObservationSlice,
    EventReportSlice,
    EventSimulateSlice,
    MarginaliseSlice,
)
from skysift.config.merge import merge_documents
from skysift.config.problems import explain, raise_problems
from skysift.config.reader import Document, read_yaml, read_yaml_text
from skysift.config.section import Section
from skysift.config.slices import (
    SLICES,
    CalibrateSlice,
    FitSlice,
    ObservationSlice,
    ReportSlice,
    SidebandsSlice,
    SimulateSlice,
)
from skysift.config.writer import plain, yaml_text
from skysift.errors import InputError, SkysiftError

__all__ = ["AnyAnalysis", "AnyReportSlice", "kind_of", "load", "load_slice", "resolve", "verify_round_trip"]

AnyAnalysis = Analysis | EventAnalysis | CubeAnalysis
AnyReportSlice = ReportSlice | EventReportSlice | CubeReportSlice
#: What ``observation.instrument`` says of an analysis that is not of counts maps, and the slices of each kind.
_KINDS = {"ctao": EventAnalysis.kind, "cube": CubeAnalysis.kind}
_SLICES = {Analysis.kind: SLICES, EventAnalysis.kind: EVENT_SLICES, CubeAnalysis.kind: CUBE_SLICES}
_Part = TypeVar("_Part", bound=Section)


def load(paths: Sequence[Path | str], overrides: Mapping[str, Any] | None = None) -> AnyAnalysis:
    """Return the analysis that some files describe, later files over earlier ones.

    Parameters
    ----------
    paths : YAML files; mappings unite, everything else is replaced, null takes a key away
    overrides : plain data laid over all files, such as values from a command line

    Raises
    ------
    InputError : a file that is not plain YAML, or `ConfigurationError` with everything that is wrong at once
    """
    documents = [read_yaml(Path(path)) for path in paths]
    if overrides:
        documents.append(Document(dict(overrides), "command line"))
    if not documents:
        raise InputError("command line", "configuration", "no file", "at least one YAML file", "name config/demo.yaml")
    return _resolve(merge_documents(documents))


def resolve(data: Mapping[str, Any], source: str = "configuration", files: Sequence[Path | str] = ()) -> AnyAnalysis:
    """Return the analysis that plain data describe.

    Parameters
    ----------
    data : the configuration, merged by somebody else
    source : stands for the file in messages
    files : where the data came from; read again, strictly, and named with their lines in messages

    Raises
    ------
    InputError : a file that is not plain YAML, or `ConfigurationError` with everything that is wrong at once
    """
    documents = [read_yaml(Path(file)) for file in files]
    if not documents:
        return _resolve(Document(dict(data), source))
    merged = merge_documents(documents)
    return _resolve(Document(dict(data), merged.name, merged.lines))


def _resolve(document: Document) -> AnyAnalysis:
    kind = _kind(document)
    if kind == EventAnalysis.kind:
        events = _validate(EventAnalysis, document)
        raise_problems(find_event_contradictions(events), document)
        return events
    if kind == CubeAnalysis.kind:
        cubes = _validate(CubeAnalysis, document)
        raise_problems(find_cube_contradictions(cubes), document)
        return cubes
    analysis = _validate(Analysis, document)
    raise_problems(find_contradictions(analysis), document)
    return analysis


def _kind(document: Document) -> str:
    """Return the kind of a configuration, which its instrument says, or of a slice, which says so itself."""
    data = document.data if isinstance(document.data, dict) else {}
    observation = data.get("observation")
    instrument = observation.get("instrument") if isinstance(observation, dict) else None
    stated = data.get("kind")
    if isinstance(stated, str) and stated in _SLICES:
        return stated
    return _KINDS.get(instrument, Analysis.kind) if isinstance(instrument, str) else Analysis.kind


def _validate(kind: type[_Part], document: Document) -> _Part:
    try:
        return kind.model_validate(document.data)
    except ValidationError as error:
        raise_problems(explain(error, kind, document), document)
        raise


@overload
def load_slice(path: Path | str, kind: type[_Part]) -> _Part: ...
@overload
def load_slice(path: Path | str, kind: Literal["observation"]) -> ObservationSlice: ...
@overload
def load_slice(path: Path | str, kind: Literal["simulate"]) -> SimulateSlice: ...
@overload
def load_slice(path: Path | str, kind: Literal["fit"]) -> FitSlice: ...
@overload
def load_slice(path: Path | str, kind: Literal["calibrate"]) -> CalibrateSlice: ...
@overload
def load_slice(path: Path | str, kind: Literal["sidebands"]) -> SidebandsSlice: ...
@overload
def load_slice(path: Path | str, kind: Literal["report"]) -> ReportSlice: ...
@overload
def load_slice(path: Path | str, kind: Literal["events/observation"]) -> EventObservationSlice: ...
@overload
def load_slice(path: Path | str, kind: Literal["events/simulate"]) -> EventSimulateSlice: ...
@overload
def load_slice(path: Path | str, kind: Literal["events/marginalise"]) -> MarginaliseSlice: ...
@overload
def load_slice(path: Path | str, kind: Literal["events/fit"]) -> EventFitSlice: ...
@overload
def load_slice(path: Path | str, kind: Literal["events/calibrate"]) -> EventCalibrateSlice: ...
@overload
def load_slice(path: Path | str, kind: Literal["events/report"]) -> EventReportSlice: ...
@overload
def load_slice(path: Path | str, kind: Literal["cubes/observation"]) -> CubeObservationSlice: ...
@overload
def load_slice(path: Path | str, kind: Literal["cubes/simulate"]) -> CubeSimulateSlice: ...
@overload
def load_slice(path: Path | str, kind: Literal["cubes/fit"]) -> CubeFitSlice: ...
@overload
def load_slice(path: Path | str, kind: Literal["cubes/report"]) -> CubeReportSlice: ...
def load_slice(path: Path | str, kind: str | type[Section]) -> Section:
    """Return the slice of the configuration that one step reads.

    Parameters
    ----------
    path : file written by the workflow, ``results/<run>/config/<slice>.yaml``
    kind : the class of the slice, or its name: ``observation``, ``simulate``, ``fit``, ``calibrate``, ``sidebands``,
        ``report``; ``events/observation``, ``cubes/observation`` and so on for the other kinds of analysis

    Raises
    ------
    InputError : not the file of such a slice
    """
    known = SLICES | {f"{of}/{name}": part for of in _KINDS.values() for name, part in _SLICES[of].items()}
    return _validate(known[kind] if isinstance(kind, str) else kind, read_yaml(Path(path)))


def kind_of(path: Path | str) -> str:
    """Return of which kind of analysis a configuration, or a slice of one, is: ``maps``, ``events`` or ``cubes``.

    Raises
    ------
    InputError : a file that is not plain YAML
    """
    return _kind(read_yaml(Path(path)))


def verify_round_trip(analysis: AnyAnalysis) -> str:
    """Return the resolved configuration as YAML, after reading it back and comparing.

    Raises
    ------
    SkysiftError : what was read back differs from what was written
    """
    text = yaml_text(analysis)
    again = _resolve(read_yaml_text(text, "resolved configuration"))
    differing = [name for name, value in plain(analysis).items() if plain(again).get(name) != value]
    if again != analysis or differing:
        raise SkysiftError(
            f"the resolved configuration of run {analysis.run!r} changes when it is read back "
            f"({', '.join(differing) or 'values'}): a defect of skysift, please report it with the configuration"
        )
    for name, part in analysis.slices().items():
        kind = _SLICES[analysis.kind][name.split("-", 1)[0]]
        if plain(_validate(kind, read_yaml_text(yaml_text(part), name))) != part:
            raise SkysiftError(
                f"slice {name!r} of run {analysis.run!r} changes when it is read back: a defect of skysift"
            )
    return text

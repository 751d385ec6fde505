"""Engines in a row, each starting where the last one ended."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from skysift.contract import hook
from skysift.errors import InputError, nearest
from skysift.inference.checkpoint import NOWHERE, Checkpoint
from skysift.inference.engine import Check, Start
from skysift.inference.result import factorise_covariance, flatten, pack_result, unpack_result
from skysift.inference.verdict import check_agreement, check_evidence, check_modes

if TYPE_CHECKING:
    from skysift.contract import Model
    from skysift.inference.engine import Engine, Result, Stream

__all__ = ["ENGINES", "continue_from", "load_engine", "read_settings", "run"]

ENGINES = ("map", "optimise", "laplace", "grid", "svi", "hmc", "nuts", "nested")
#: engines whose means are held against those of the key
RIVALS = {"hmc": ("svi",), "nuts": ("svi", "hmc")}


def run(
    model: Model, steps: Sequence[tuple[str, Mapping[str, Any]]], stream: Stream, checkpoint: Checkpoint = NOWHERE
) -> list[Result]:
    """Run engines in a row, such as ``[("map", {}), ("svi", {"guide": "mvn"}), ("hmc", {})]``.

    Each starts from what the earlier ones found. Every result but that of ``map`` gets the check of modes against the
    search of the last ``map`` before it, but ``nested``, which needs none; chains after ``svi``, and ``nuts`` after
    ``hmc``, get the agreement of their means, ``nested`` that of its evidence with the one before.

    Parameters
    ----------
    model : the model
    steps : names and settings of the engines
    stream : random numbers; each step draws from the child with its place and name
    checkpoint : keeps the results of engines that have ended, and how far the one at work has come

    Raises
    ------
    InputError : an engine or one of its settings is unknown
    """
    plan = [(name, load_engine(name), read_settings(name, settings)) for name, settings in steps]
    results: list[Result] = []
    start = Start()
    for place, (name, engine, settings) in enumerate(plan):
        step = partial(engine.run, model, settings, start, stream.child(str(place), name))
        result = checkpoint.child(f"{place}-{name}").once(step, pack_result, unpack_result)
        compared = _compare(result, results, bool(hook(model, "has_one_mode")))
        result = dataclasses.replace(result, checks=[*result.checks, *compared])
        start = continue_from(result, start)
        results.append(result)
    return results


def load_engine(name: str) -> Engine:
    """Return the module of the engine ``name``; only this one is imported."""
    if name not in ENGINES:
        raise InputError("sequence", "engine", name, "the name of an engine", nearest(name, ENGINES))
    engine: Engine = importlib.import_module(f"skysift.inference.{name}")
    return engine


def read_settings(name: str, settings: Mapping[str, Any]) -> Any:  # noqa: ANN401 - each engine has its own class
    """Return the settings of the engine ``name`` from a mapping.

    Raises
    ------
    InputError : a key is unknown
    """
    kind = load_engine(name).Settings  # type: ignore[attr-defined]  # every engine has them
    known = [field.name for field in dataclasses.fields(kind)]
    for key in settings:
        if key not in known:
            raise InputError("sequence", f"{name}.{key}", key, "a setting of this engine", nearest(key, known))
    return kind(**settings)


def continue_from(result: Result, before: Start) -> Start:
    """Return what the next engine may start from: the result's parts, and those found earlier where it has none."""
    points = result.traces.get("optima", before.z)
    mode = before.mode if result.mode is None else result.mode
    if result.engine == "map":
        return Start(z=points, mode=mode, covariance_factor=result.covariance_factor)
    draws, weights = flatten(result)
    factor = result.covariance_factor
    if factor is None and len(draws) > 2 * draws.shape[-1]:
        factor = factorise_covariance(draws, weights)
    factor = before.covariance_factor if factor is None else factor
    # weighted draws are no sample: whoever starts from them must resample first
    sample = draws if result.log_weights is None and len(draws) > 1 else None
    return Start(z=points, mode=mode, covariance_factor=factor, draws=sample)


def _compare(result: Result, earlier: Sequence[Result], has_one_mode: bool = False) -> list[Check]:
    if result.engine in ("map", "optimise"):
        return []
    search = _last(earlier, "map")
    checks = [check_modes(result, search)]
    if result.engine == "nested" and search is None:
        checks = [Check("modes: nested", 1.0, "sampled from the whole prior", "green")]
    elif search is None and has_one_mode:
        checks = [Check("modes: one", 1.0, "the posterior can have no other", "green")]
    rivals = [_last(earlier, name) for name in RIVALS.get(result.engine, ())]
    checks += [check_agreement(rival, result) for rival in rivals if rival is not None]
    other = next((one for one in reversed(earlier) if one.log_z is not None), None)
    if other is not None and (result.engine == "nested") != (other.engine == "nested"):
        agreement = check_evidence(other, result)
        checks += [] if agreement is None else [agreement]
    return checks


def _last(results: Sequence[Result], engine: str) -> Result | None:
    return next((one for one in reversed(results) if one.engine == engine), None)

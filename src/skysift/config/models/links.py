"""Parameters that are one, and parameters that follow others: labels and expressions of a model file resolved."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from skysift.config.models.declarations import ModelFile, ParameterDeclaration, PartDeclaration, SourceDeclaration
from skysift.config.models.entries import Entries
from skysift.config.models.expressions import Expression, ExpressionError, read_expression
from skysift.config.models.units import describe_kind, read_unit
from skysift.errors import InputError, nearest

__all__ = ["check_datasets", "join", "map_parameters", "order_expressions"]


def map_parameters(component: SourceDeclaration, changed: Mapping[str, ParameterDeclaration]) -> SourceDeclaration:
    """Return a component with some parameters, by full name, replaced."""
    return component.with_parts(
        {role: _map_part(part, f"{component.name}.{role}.", changed) for role, part in component.parts()}
    )


def _map_part(part: PartDeclaration, prefix: str, changed: Mapping[str, ParameterDeclaration]) -> PartDeclaration:
    return replace(
        part,
        parameters=tuple(changed.get(prefix + parameter.name, parameter) for parameter in part.parameters),
        parts=tuple(_map_part(inner, f"{prefix}model{number}.", changed) for number, inner in enumerate(part.parts, 1)),
    )


def join(
    entries: Entries, components: tuple[SourceDeclaration, ...], extras: Mapping[str, Any]
) -> tuple[SourceDeclaration, ...]:
    """Return components whose linked parameters are equal and whose dependent ones carry their expression.

    Raises
    ------
    InputError : names that occur twice, links between different kinds of units, unknown parameters
    """
    _check_names(entries, components)
    parameters = dict(pair for component in components for pair in component.parameters())
    changed = _join_links(entries, parameters)
    for name, text in _expressions(entries, extras).items():
        if name not in parameters:
            path = ("skysift", "expressions", name)
            entries.refuse(path, name, "the name of a parameter", nearest(name, parameters))
        label = parameters[name].link
        for other, parameter in parameters.items():
            if other == name or (label is not None and parameter.link == label):
                changed[other] = replace(changed.get(other, parameter), expression=text, is_frozen=False)
    return tuple(map_parameters(component, changed) for component in components) if changed else components


def _check_names(entries: Entries, components: tuple[SourceDeclaration, ...]) -> None:
    seen: set[str] = set()
    for component in components:
        if component.name in seen:
            place = component.place or entries.document.name
            found = f"{component.name!r} a second time"
            raise InputError(place, f"source {component.name!r}", found, "each name once", "rename one of them")
        seen.add(component.name)


def _expressions(entries: Entries, extras: Mapping[str, Any]) -> dict[str, str]:
    path = ("skysift", "expressions")
    found = entries.mapping(extras.get("expressions", {}), path)
    return {
        name: str(text) if isinstance(text, int | float) else entries.text(text, (*path, name), "an expression")
        for name, text in found.items()
    }


def _join_links(entries: Entries, parameters: Mapping[str, ParameterDeclaration]) -> dict[str, ParameterDeclaration]:
    first: dict[str, str] = {}
    changed: dict[str, ParameterDeclaration] = {}
    for name, parameter in parameters.items():
        if parameter.link is None:
            continue
        leader = parameters[first.setdefault(parameter.link, name)]
        one, two = read_unit(leader.natural_unit).powers, read_unit(parameter.natural_unit).powers
        if one != two:
            found = f"{name} ({describe_kind(two)}) linked to {first[parameter.link]} ({describe_kind(one)})"
            raise InputError(
                entries.document.name, f"link {parameter.link!r}", found, "parameters of one unit",
                "write an expression that converts one into the other",
            )  # fmt: skip
        changed[name] = replace(
            leader, name=parameter.name, natural_unit=parameter.natural_unit, hints=parameter.hints
        )  # fmt: skip
    return changed


def order_expressions(models: ModelFile) -> dict[str, Expression]:
    """Return the expressions of all dependent parameters, each after those that it needs.

    Raises
    ------
    InputError : a fault of grammar or dimension, an unknown parameter, a circle

    Examples
    --------
    >>> order_expressions(ModelFile(()))
    {}
    """
    parameters = models.parameters()
    powers = {name: read_unit(parameter.natural_unit).powers for name, parameter in parameters.items()}
    waiting: dict[str, Expression] = {}
    for name, parameter in parameters.items():
        if parameter.expression is not None:
            try:
                waiting[name] = read_expression(parameter.expression, powers, powers[name])
            except ExpressionError as error:
                raise InputError(
                    models.name, f"expression of {name}", f"{parameter.expression!r}: {error}",
                    "an expression of parameters in their units",
                    "write for example \"0.5 * 'other source'.spectral.amplitude\"",
                ) from error  # fmt: skip
    ordered: dict[str, Expression] = {}
    while waiting:
        ready = [name for name, expression in waiting.items() if not set(expression.names) & set(waiting)]
        if not ready:
            raise InputError(
                models.name, "expressions", " -> ".join(waiting), "parameters that follow others, not themselves",
                "leave one of them free",
            )  # fmt: skip
        ordered |= {name: waiting.pop(name) for name in ready}
    return ordered


def check_datasets(models: ModelFile, datasets: Iterable[str], *, has_maps: bool = True) -> None:
    """Refuse components that no data set can use.

    Parameters
    ----------
    models : of a file
    datasets : names of the data sets of the analysis
    has_maps : whether these have pixels, in which every source needs a shape

    Raises
    ------
    InputError : a data set that is not among them, a source without shape
    """
    known = list(datasets)
    for component in models.components:
        field = f"source {component.name!r}"
        for name in component.datasets or ():
            if name not in known:
                raise InputError(
                    component.place, f"{field}: datasets_names", name, "a data set of this analysis",
                    nearest(name, known),
                )  # fmt: skip
        if has_maps and component.spatial is None and component in models.sources:
            raise InputError(
                component.place, f"{field}: spatial", "nothing", "a shape on the sky", "add 'spatial: ...'"
            )  # fmt: skip

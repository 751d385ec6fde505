"""Parameters and priors of a model file: values, units, limits, links, with the defaults of their kind."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from skysift.config.models.declarations import ParameterDeclaration, PriorDeclaration
from skysift.config.models.entries import Entries, KeyPath
from skysift.config.models.tags import ParameterKind
from skysift.config.models.units import read_unit
from skysift.errors import nearest

__all__ = ["PRIORS", "check_limits", "declare_default", "limit_in", "read_parameter", "read_parameters"]

#: Name in files, name here, its numbers.
PRIORS = (
    ("GaussianPrior", "normal", ("mu", "sigma")),
    ("UniformPrior", "uniform", ("min", "max")),
    ("LogUniformPrior", "loguniform", ("min", "max")),
    ("GeneralizedGaussianPrior", "generalised_normal", ("mu", "sigma", "eta")),
)
_PRIOR_DEFAULTS = {
    "normal": (0.0, 1.0), "uniform": (0.0, 1.0), "loguniform": (1e-14, 1e-10), "generalised_normal": (0.0, 1.0, 0.5),
}  # fmt: skip
_HINTS = ("interp", "scale_method", "scale_transform")
_KEYS = ("name", "value", "unit", "error", "min", "max", "frozen", "link", "prior", "is_norm", "factor", "scale")


def read_parameters(
    entries: Entries, data: object, kinds: Sequence[ParameterKind], path: KeyPath
) -> tuple[ParameterDeclaration, ...]:
    """Return the parameters of a part, in the order of its kind.

    Raises
    ------
    InputError : an unknown or double name, a wrong unit, a value outside its limits
    """
    known = {kind.name: kind for kind in kinds}
    found: dict[str, ParameterDeclaration] = {}
    listed = [] if data is None else entries.items(data, path)
    for number, item in enumerate(listed):
        place = (*path, number)
        one = entries.mapping(item, place)
        name = entries.text(one.get("name"), (*place, "name"), "the name of a parameter")
        if name not in known:
            entries.refuse(place, f"parameter {name!r}", "a parameter of this model", nearest(name, known))
        if name in found:
            entries.refuse(place, f"parameter {name!r} a second time", "each parameter once", "remove one of them")
        found[name] = read_parameter(entries, one, known[name], place)
    for name, kind in known.items():
        if name not in found:
            found[name] = declare_default(entries, kind, path)
    return tuple(found[name] for name in known)


def read_parameter(
    entries: Entries, data: Mapping[str, Any], kind: ParameterKind, path: KeyPath
) -> ParameterDeclaration:
    """Return one parameter; what the file leaves out is as the kind says."""
    entries.only(data, (*_KEYS, *_HINTS), path)
    if "value" not in data:
        entries.refuse(path, f"parameter {kind.name!r} without a value", "a value", "add 'value: ...'")
    value = entries.number(data["value"], (*path, "value"))
    unit = entries.unit(data.get("unit", kind.unit), kind.unit, (*path, "unit"))
    low, high = (limit_in(unit, kind, limit) for limit in (kind.low, kind.high))
    error = entries.limit(data.get("error"), (*path, "error"))
    parameter = ParameterDeclaration(
        kind.name,
        value,
        unit,
        error or None,
        entries.limit(data["min"], (*path, "min")) if "min" in data else low,
        entries.limit(data["max"], (*path, "max")) if "max" in data else high,
        entries.flag(data["frozen"], (*path, "frozen")) if "frozen" in data else kind.is_frozen,
        None if data.get("link") is None else str(data["link"]),
        prior=None if data.get("prior") is None else _read_prior(entries, data["prior"], (*path, "prior")),
        natural_unit=kind.unit,
        hints={name: str(data[name]) for name in _HINTS if data.get(name) is not None},
    )
    check_limits(entries, parameter, path)
    return parameter


def limit_in(unit: str, kind: ParameterKind, limit: float | None) -> float | None:
    """Return a limit of a kind in the unit that a file uses.

    Examples
    --------
    >>> limit_in("arcmin", ParameterKind("phi", 0.0, "deg"), 180.0)
    10800.0
    """
    if limit is None or unit == kind.unit:
        return limit
    return limit * (read_unit(kind.unit).factor / read_unit(unit).factor)


def declare_default(entries: Entries, kind: ParameterKind, path: KeyPath) -> ParameterDeclaration:
    """Return a parameter that the file leaves out, with a warning where a fit would use it."""
    value = kind.value
    if value is None:
        entries.refuse(path, f"no parameter {kind.name!r}", "all parameters of the model", f"add {kind.name!r}")
    # Templates come without a place, constants without parameters, and both are whole.
    if kind.name != "value" and not math.isnan(value):
        entries.warn(path, f"no parameter {kind.name!r}; {value:g} {kind.unit} is taken".rstrip(), f"add {kind.name!r}")
    return ParameterDeclaration(
        kind.name, value, kind.unit, None, kind.low, kind.high, kind.is_frozen, natural_unit=kind.unit
    )  # fmt: skip


def check_limits(entries: Entries, parameter: ParameterDeclaration, path: KeyPath) -> None:
    """Refuse limits in the wrong order and values outside them."""
    low, high, value = parameter.low, parameter.high, parameter.value
    if low is not None and high is not None and low > high:
        entries.refuse(path, f"{parameter.name}: limits {low:g}, {high:g}", "min <= max", "exchange them")
    if (low is not None and value < low) or (high is not None and value > high):
        limits = f"between {'-inf' if low is None else low} and {'inf' if high is None else high}"
        entries.refuse(
            path, f"{parameter.name}: {value}", f"a value {limits}, its limits", "change the value or the limits"
        )


def _read_prior(entries: Entries, value: object, path: KeyPath) -> PriorDeclaration:
    data = entries.mapping(value, path)
    entries.only(data, ("type", "parameters", "weight"), path)
    name = entries.text(data.get("type"), (*path, "type"), "the type of a prior")
    row = next((row for row in PRIORS if row[0] == name), None)
    if row is None:
        known = [one[0] for one in PRIORS]
        entries.refuse((*path, "type"), name, f"one of {', '.join(known)}", nearest(name, known))
    _, kind, names = row
    numbers = dict(zip(names, _PRIOR_DEFAULTS[kind], strict=True))
    for number, item in enumerate(entries.items(data.get("parameters", []), (*path, "parameters"))):
        place = (*path, "parameters", number)
        one = entries.mapping(item, place)
        if one.get("name") not in numbers:
            entries.refuse(place, one.get("name"), f"one of {', '.join(names)}", nearest(str(one.get("name")), names))
        numbers[one["name"]] = entries.finite(one.get("value"), (*place, "value"))
    prior = PriorDeclaration(kind, tuple(numbers.values()), entries.finite(data.get("weight", 1.0), (*path, "weight")))
    _check_prior(entries, prior, path)
    return prior


def _check_prior(entries: Entries, prior: PriorDeclaration, path: KeyPath) -> None:
    first, second = prior.numbers[:2]
    is_range = prior.kind in ("uniform", "loguniform")
    if is_range and not first < second:
        entries.refuse(path, f"min {first:g}, max {second:g}", "min below max", "exchange them")
    if prior.kind == "loguniform" and first <= 0:
        entries.refuse(path, f"min {first:g}", "min above 0", "a logarithm needs positive numbers")
    if not is_range and min(prior.numbers[1:]) <= 0:
        entries.refuse(path, f"{prior.numbers[1:]}", "a sigma (and eta) above 0", "correct it")

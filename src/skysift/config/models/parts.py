"""Spectra, shapes and light curves of a model file: their kind, parameters, tables and further entries."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from skysift.config.models.declarations import ParameterDeclaration, PartDeclaration
from skysift.config.models.entries import Entries, KeyPath
from skysift.config.models.parameters import read_parameters
from skysift.config.models.tags import Kind, ParameterKind, find_kind, suggest_kind
from skysift.config.problems import show
from skysift.errors import nearest

__all__ = ["FRAMES", "OPERATORS", "read_part"]

FRAMES = ("icrs", "galactic")
OPERATORS = ("add", "sub", "mul", "truediv", "pow")
_NORM = ParameterKind("norm", 1.0)
_DEEPEST = 20
_COMMON = {"type", "parameters", "frame", "filename", "unit"}
Tables = dict[str, tuple[float, ...]]


def read_part(entries: Entries, role: str, value: object, path: KeyPath, depth: int = 0) -> PartDeclaration:
    """Return a spectrum (``spectral``), a shape (``spatial``) or a light curve (``temporal``).

    Raises
    ------
    InputError : an unknown kind, frame or parameter; tables that do not fit
    """
    data = entries.mapping(value, path)
    name = entries.text(data.get("type"), (*path, "type"), f"the type of a {role} model")
    kind = find_kind(role, name)
    if kind is None:
        entries.refuse((*path, "type"), name, f"a supported {role} model", suggest_kind(role, name))
    if depth > _DEEPEST:
        entries.refuse(path, f"more than {_DEEPEST} models within each other", "fewer", "simplify the sum")
    if kind.tag in ("compound", "sum"):
        return (_read_compound if kind.tag == "compound" else _read_sum)(entries, kind, data, path, depth)
    read = _TABLES.get((role, kind.tag), _no_tables)
    tables, kinds = read(entries, kind, data, path)
    if kind.tag == "piecewise-norm":
        parameters: tuple[ParameterDeclaration, ...] = read_parameters(
            entries, data.get("parameters"), kinds, (*path, "parameters")
        )
    else:
        parameters = read_parameters(entries, data.get("parameters"), kind.parameters, (*path, "parameters"))
    return PartDeclaration(
        kind.tag,
        parameters,
        tables,
        _settings(entries, kind, data, path),
        _frame(entries, kind, data, path),
        _file(entries, kind, data, path),
    )


def _file(entries: Entries, kind: Kind, data: Mapping[str, Any], path: KeyPath) -> str | None:
    if data.get("filename"):
        return entries.find(data["filename"], (*path, "filename"))
    if "filename" in kind.needs:
        entries.refuse(path, "no filename", f"the file that a {kind.tag} model reads", "add 'filename: ...'")
    return None


def _frame(entries: Entries, kind: Kind, data: Mapping[str, Any], path: KeyPath) -> str | None:
    frame = data.get("frame")
    if kind.role != "spatial" or kind.tag in ("const", "const-flux"):
        return None
    if frame is None:
        # Without a frame Gammapy takes this one; a template has its own.
        return None if kind.tag.startswith("template") else "icrs"
    if frame not in FRAMES:
        entries.refuse((*path, "frame"), show(frame), "icrs or galactic", nearest(str(frame), FRAMES))
    return str(frame)


def _settings(entries: Entries, kind: Kind, data: Mapping[str, Any], path: KeyPath) -> dict[str, Any]:
    """Return the other entries of a part, all of which are written again."""
    tables = _TABLE_KEYS.get(kind.tag, ())
    settings = {key: value for key, value in data.items() if key not in (*_COMMON, *tables)}
    if kind.role == "spectral" and kind.tag == "template" and not data["values"].get("unit"):
        settings["is_factor"] = True
    if "unit" in data and isinstance(data["unit"], str):
        settings["unit"] = data["unit"]
    if kind.tag in ("template", "template-phase") and "normalize" in settings:
        entries.flag(settings["normalize"], (*path, "normalize"))
    known = {"interp", "normalize", "scale", "unit", "format", "model", "is_factor"}
    for key in settings:
        if key not in known:
            entries.warn((*path, key), "an entry without meaning here is kept as it is", "remove it")
    return settings


def _read_compound(entries: Entries, kind: Kind, data: Mapping[str, Any], path: KeyPath, depth: int) -> PartDeclaration:
    operator = data.get("operator")
    if operator not in OPERATORS:
        entries.refuse(
            (*path, "operator"), show(operator), f"one of {', '.join(OPERATORS)}", nearest(str(operator), OPERATORS)
        )
    for key in ("model1", "model2"):
        if key not in data:
            entries.refuse(path, f"no {key}", "two models", f"add {key}")
    parts = tuple(read_part(entries, kind.role, data[key], (*path, key), depth + 1) for key in ("model1", "model2"))
    return PartDeclaration("compound", settings={"operator": operator}, parts=parts)


def _read_sum(entries: Entries, kind: Kind, data: Mapping[str, Any], path: KeyPath, depth: int) -> PartDeclaration:
    weights = tuple(
        entries.finite(weight, (*path, "weights", number))
        for number, weight in enumerate(entries.items(data.get("weights"), (*path, "weights")))
    )
    listed = entries.items(data.get("parts"), (*path, "parts"))
    if len(listed) != len(weights) or not listed or min(weights) < 0:
        found = f"{len(weights)} weights, {len(listed)} parts"
        entries.refuse(path, found, "as many weights (>= 0) as parts", "give each part its share")
    parts = tuple(
        read_part(entries, kind.role, part, (*path, "parts", number), depth + 1) for number, part in enumerate(listed)
    )
    return PartDeclaration("sum", tables={"weights": weights}, parts=parts)


def _no_tables(
    entries: Entries, kind: Kind, data: Mapping[str, Any], path: KeyPath
) -> tuple[Tables, list[ParameterKind]]:
    return {}, []


def _read_template(
    entries: Entries, kind: Kind, data: Mapping[str, Any], path: KeyPath
) -> tuple[Tables, list[ParameterKind]]:
    for key in kind.needs:
        if key not in data:
            entries.refuse(path, f"no {key}", "energies and values of the template", f"add '{key}: {{data, unit}}'")
    energy = entries.rising(entries.table(data["energy"], "TeV", (*path, "energy")), (*path, "energy"))
    place = (*path, "values")
    unit = entries.mapping(data["values"], place).get("unit") or ""
    # A template may multiply another spectrum, and has no unit then.
    values = entries.table(data["values"], "cm-2 s-1 TeV-1" if unit else "", place)
    if len(values) != len(energy):
        entries.refuse(place, f"{len(values)} values", f"{len(energy)} values, one per energy", "correct the table")
    for row, number in enumerate(values):
        if number < 0:
            entries.refuse(place, f"{number} (row {row})", "values >= 0", "a template is not negative")
    return {"energy": energy, "values": values}, []


def _read_nodes(
    entries: Entries, kind: Kind, data: Mapping[str, Any], path: KeyPath
) -> tuple[Tables, list[ParameterKind]]:
    if kind.role == "spatial":
        tables = {
            key: entries.table(data.get(key), "deg", (*path, key))
            for key in ("lon", "lat", "energy") if key in data
        }  # fmt: skip
        count = len(entries.items(data.get("parameters"), (*path, "parameters")))
    else:
        tables = {
            "energy": entries.rising(entries.table(data.get("energy"), "TeV", (*path, "energy")), (*path, "energy"))
        }
        count = len(tables["energy"])
    interp = data.get("interp", "log")
    if interp not in ("log", "lin"):
        entries.refuse((*path, "interp"), show(interp), "log or lin", nearest(str(interp), ("log", "lin")))
    return tables, [ParameterKind(f"norm_{number}", 1.0) for number in range(count)]


def _read_absorption(
    entries: Entries, kind: Kind, data: Mapping[str, Any], path: KeyPath
) -> tuple[Tables, list[ParameterKind]]:
    if not all(key in data for key in ("energy", "param", "values")):
        if not data.get("filename"):
            entries.refuse(path, "no table", "filename, or energy, param and values", "name the file of the table")
        return {}, []
    energy = entries.rising(entries.table(data["energy"], "TeV", (*path, "energy")), (*path, "energy"))
    redshift = entries.table(data["param"], "", (*path, "param"))
    values = entries.table(data["values"], "", (*path, "values"))
    if len(values) != len(energy) * len(redshift):
        found = f"{len(values)} values"
        entries.refuse((*path, "values"), found, f"{len(redshift)} rows of {len(energy)}", "correct the table")
    return {"energy": energy, "param": redshift, "values": values}, []


_Reader = Callable[[Entries, Kind, Mapping[str, Any], KeyPath], tuple[Tables, list[ParameterKind]]]
_TABLES: dict[tuple[str, str], _Reader] = {
    ("spectral", "template"): _read_template,
    ("spectral", "piecewise-norm"): _read_nodes,
    ("spatial", "piecewise-norm"): _read_nodes,
    ("spectral", "ebl-norm"): _read_absorption,
}
_TABLE_KEYS = {
    "template": ("energy", "values"),
    "piecewise-norm": ("energy", "lon", "lat"),
    "ebl-norm": ("energy", "param", "values"),
}

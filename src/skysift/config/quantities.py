"""Quantities with units, read from text by a small grammar of our own."""

from __future__ import annotations

import math
import re
from functools import partial
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, PlainValidator, WithJsonSchema

from skysift.config.faults import fault
from skysift.errors import nearest

__all__ = [
    "UNITS",
    "Degrees",
    "Density",
    "EnergyGeV",
    "EnergyTeV",
    "FluxDensity",
    "Kiloparsec",
    "Radians",
    "Seconds",
    "format_density",
    "format_quantity",
    "parse_quantity",
]

UNITS: dict[str, dict[str, float]] = {
    # Each kind lists its units in the first of them.
    "angle": {
        "rad": 1.0,
        "mrad": 1e-3,
        "deg": math.pi / 180,
        "arcmin": math.pi / 10800,
        "arcsec": math.pi / 648000,
    },
    "energy": {
        "GeV": 1.0,
        "eV": 1e-9,
        "keV": 1e-6,
        "MeV": 1e-3,
        "TeV": 1e3,
        "PeV": 1e6,
        "erg": 624.1509074460763,  # exact by the definition of the elementary charge, to double precision
    },
    "length": {"kpc": 1.0, "pc": 1e-3, "Mpc": 1e3},
    "flux density": {"TeV-1 cm-2 s-1": 1.0, "GeV-1 cm-2 s-1": 1e3, "MeV-1 cm-2 s-1": 1e6, "TeV-1 m-2 s-1": 1e-4},
    "intensity": {
        "TeV-1 cm-2 s-1 sr-1": 1.0,
        "GeV-1 cm-2 s-1 sr-1": 1e3,
        "MeV-1 cm-2 s-1 sr-1": 1e6,
        "TeV-1 m-2 s-1 sr-1": 1e-4,
    },
    "time": {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "yr": 31557600.0},
}
_EXAMPLES = {
    "angle": "20 deg",
    "energy": "2 GeV",
    "time": "50 h",
    "length": "8.5 kpc",
    "flux density": "1e-12 TeV-1 cm-2 s-1",
    "intensity": "1e-9 TeV-1 cm-2 s-1 sr-1",
}
_ARTICLES = {
    "angle": "an angle",
    "energy": "an energy",
    "time": "a time",
    "length": "a length",
    "flux density": "a flux density",
    "intensity": "an intensity",
}
_GRAMMAR = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*([A-Za-z]\S*(?: [A-Za-z]\S*)*|)\s*", re.ASCII)


def parse_quantity(text: object, kind: str, unit: str) -> float:
    """Return the number of ``unit`` in ``text``, such as ``20 deg``.

    Parameters
    ----------
    text : what the configuration holds
    kind : ``angle``, ``energy`` or ``time``
    unit : unit of the number returned

    Raises
    ------
    PydanticCustomError : not a number with a unit of this kind; the message holds an example that works

    Examples
    --------
    >>> parse_quantity("20 deg", "angle", "deg")
    20.0
    >>> parse_quantity("0.1 TeV", "energy", "GeV")
    100.0
    """
    number, name = _split(text, kind)
    units = UNITS[kind]
    if name not in units:
        wanted = f"{_ARTICLES[kind]}: a number and one of {', '.join(units)}"
        other = next((_ARTICLES[k] for k, members in UNITS.items() if name in members), None)
        reason = f"{name!r} is the unit of {other}" if other else f"unknown unit {name!r}, {nearest(name, units)}"
        raise fault(wanted, f"{reason}; write for example {_EXAMPLES[kind]}")
    if name == unit:
        return number
    return number * units[name] / units[unit]


def _split(text: object, kind: str) -> tuple[float, str]:
    wanted = f"{_ARTICLES[kind]} with its unit, such as {_EXAMPLES[kind]}"
    match = _GRAMMAR.fullmatch(text) if isinstance(text, str) and len(text) < 100 else None
    bare = isinstance(text, int | float) and not isinstance(text, bool)
    if bare or (match and not match[2]):
        unit = _EXAMPLES[kind].split(maxsplit=1)[1]
        raise fault(wanted, f"add the unit, for example {text} {unit}")
    if not match:
        raise fault(wanted, f"write a number, a space and a unit, for example {_EXAMPLES[kind]}")
    number = float(match[1])
    if not math.isfinite(number):
        raise fault(wanted, f"this number is too large to be represented; write for example {_EXAMPLES[kind]}")
    return number, match[2]


def format_quantity(value: float, unit: str) -> str:
    """Return ``value`` with its unit so that reading it back gives the same number.

    Examples
    --------
    >>> format_quantity(20.0, "deg")
    '20 deg'
    """
    return f"{repr(float(value)).removesuffix('.0')} {unit}"


def _quantity(kind: str, unit: str) -> tuple[BeforeValidator, PlainSerializer, WithJsonSchema]:
    def parse(text: Any) -> float:  # noqa: ANN401 - whatever the file holds
        return parse_quantity(text, kind, unit)

    schema = {
        "type": "string",
        "pattern": rf"^\s*[+-]?[0-9.]+([eE][+-]?[0-9]+)?\s*({'|'.join(UNITS[kind])})\s*$",
        "examples": [_EXAMPLES[kind]],
    }
    return (
        BeforeValidator(parse),
        PlainSerializer(partial(format_quantity, unit=unit), return_type=str),
        WithJsonSchema(schema),
    )


class Density(float):
    """A flux density, TeV-1 cm-2 s-1, of a whole source or per sr."""

    is_per_sr: bool = False

    @classmethod
    def read(cls, text: Any) -> Density:  # noqa: ANN401 - whatever the file holds
        """Return the density that a text states, whichever of the two it is."""
        if isinstance(text, cls):
            return text
        is_per_sr = isinstance(text, str) and text.rstrip().endswith("sr-1")
        kind = "intensity" if is_per_sr else "flux density"
        made = cls(parse_quantity(text, kind, next(iter(UNITS[kind]))))
        if made <= 0:
            raise fault("a flux density above 0", f"write for example {_EXAMPLES[kind]}")
        made.is_per_sr = is_per_sr
        return made


def format_density(value: Density) -> str:
    """Return a density with its unit so that reading it back gives the same."""
    return format_quantity(value, next(iter(UNITS["intensity" if value.is_per_sr else "flux density"])))


_DENSITY_UNITS = "|".join([*UNITS["intensity"], *UNITS["flux density"]])
FluxDensity = Annotated[
    Density,
    PlainValidator(Density.read),
    PlainSerializer(format_density, return_type=str),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": rf"^\s*[+-]?[0-9.]+([eE][+-]?[0-9]+)?\s*({_DENSITY_UNITS})\s*$",
            "examples": [_EXAMPLES["flux density"]],
        }
    ),
]
Degrees = Annotated[float, *_quantity("angle", "deg")]
Radians = Annotated[float, *_quantity("angle", "rad")]
EnergyGeV = Annotated[float, *_quantity("energy", "GeV")]
EnergyTeV = Annotated[float, *_quantity("energy", "TeV")]
Kiloparsec = Annotated[float, *_quantity("length", "kpc")]
Seconds = Annotated[float, *_quantity("time", "s")]

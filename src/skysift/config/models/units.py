"""Units of physical parameters, as FITS and astropy write them, read by a small grammar of our own."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from skysift.config.quantities import UNITS

__all__ = ["Unit", "UnitError", "describe_kind", "read_unit"]

_KINDS = ("energy", "length", "time", "angle")
#: Factor and powers of energy (TeV), length (cm), time (s) and angle (deg).
_KNOWN: dict[str, tuple[float, tuple[int, int, int, int]]] = {
    **{name: (size / UNITS["energy"]["TeV"], (1, 0, 0, 0)) for name, size in UNITS["energy"].items()},
    **{name: (size, (0, 1, 0, 0)) for name, size in {"cm": 1.0, "m": 100.0, "km": 1e5}.items()},
    **{name: (size, (0, 0, 1, 0)) for name, size in UNITS["time"].items()},
    **{name: (size, (0, 0, 1, 0)) for name, size in {"day": 86400.0, "hour": 3600.0, "mjd": 86400.0}.items()},
    **{name: (size / UNITS["angle"]["deg"], (0, 0, 0, 1)) for name, size in UNITS["angle"].items()},
    "sr": (UNITS["angle"]["deg"] ** -2, (0, 0, 0, 2)),
    "Hz": (1.0, (0, 0, -1, 0)),
    # Counted things have no dimension.
    **{name: (1.0, (0, 0, 0, 0)) for name in ("ph", "photon", "count", "ct")},
}
_TOKEN = re.compile(
    r"\s*(?:(?P<name>[A-Za-z]+)(?P<power>(?:\^|\*\*)?(?:[+-]?[0-9]+|\([+-]?[0-9]+\)))?"
    r"|(?P<number>[0-9]+\.?[0-9]*(?:[eE][+-]?[0-9]+)?)|(?P<sign>[*./()]))",
    re.ASCII,
)
_NAMES = {
    (0, 0, 0, 0): "a number without unit",
    (1, 0, 0, 0): "an energy",
    (-1, 0, 0, 0): "one over an energy",
    (0, 0, 0, 1): "an angle",
    (0, 0, 0, -2): "one over a solid angle",
    (0, 0, 1, 0): "a time",
    (-1, -2, -1, 0): "a flux density",
    (-1, -2, -1, -2): "an intensity",
    (0, -2, -1, 0): "a flux",
}


class UnitError(ValueError):
    """Text that is no unit; the message says why."""


@dataclass(frozen=True)
class Unit:
    """A unit as a number of TeV, cm, s, deg to some powers.

    Parameters
    ----------
    factor : of a value in this unit to a value in those
    powers : of energy, length, time and angle
    """

    factor: float
    powers: tuple[int, int, int, int]

    def __mul__(self, other: Unit) -> Unit:
        """Return the unit of a product."""
        return Unit(self.factor * other.factor, _add(self.powers, other.powers, 1))

    def __truediv__(self, other: Unit) -> Unit:
        """Return the unit of a ratio."""
        return Unit(self.factor / other.factor, _add(self.powers, other.powers, -1))


def describe_kind(powers: tuple[int, int, int, int]) -> str:
    """Return what kind of quantity has such powers.

    Examples
    --------
    >>> describe_kind((-1, -2, -1, 0))
    'a flux density'
    """
    plain = " ".join(f"{kind}{power}" for kind, power in zip(_KINDS, powers, strict=True) if power)
    return _NAMES.get(powers, plain)


@lru_cache(maxsize=512)
def read_unit(text: str) -> Unit:
    """Return the unit that a text spells.

    A blank, a dot or a star multiplies; a slash divides by the whole product that follows it.

    Raises
    ------
    UnitError : unknown name, or not of this form

    Examples
    --------
    >>> read_unit("1 / (cm2 s MeV)") == read_unit("cm-2 s-1 MeV-1")
    True
    """
    if len(text) > 200:
        raise UnitError("longer than any unit")
    tokens, place = [], 0
    stripped = text.strip()
    while place < len(stripped):
        match = _TOKEN.match(stripped, place)
        if match is None:
            raise UnitError(f"cannot read {stripped[place : place + 20]!r}")
        tokens.append(match)
        place = match.end()
    if not tokens:
        return Unit(1.0, (0, 0, 0, 0))
    reader = _Reader(tokens)
    unit = reader.ratio(0)
    if reader.place < len(tokens):
        raise UnitError(f"unexpected {tokens[reader.place][0].strip()!r}")
    return unit


class _Reader:
    def __init__(self, tokens: list[re.Match[str]]) -> None:
        self.tokens, self.place = tokens, 0

    def next_sign(self) -> str | None:
        if self.place >= len(self.tokens):
            return ")"
        return self.tokens[self.place]["sign"]

    def ratio(self, depth: int) -> Unit:
        if depth > 5:
            raise UnitError("too many brackets")
        unit = self.product(depth)
        while self.next_sign() == "/":
            self.place += 1
            unit = unit / self.product(depth)
        return unit

    def product(self, depth: int) -> Unit:
        unit = self.single(depth)
        while self.next_sign() not in (")", "/"):
            if self.next_sign() in ("*", "."):
                self.place += 1
            unit = unit * self.single(depth)
        return unit

    def single(self, depth: int) -> Unit:
        if self.place >= len(self.tokens):
            raise UnitError("something is missing at the end")
        token = self.tokens[self.place]
        self.place += 1
        if token["number"]:
            return Unit(float(token["number"]), (0, 0, 0, 0))
        if token["sign"] == "(":
            inner = self.ratio(depth + 1)
            if self.place >= len(self.tokens):
                raise UnitError("a bracket is not closed")
            self.place += 1
            return inner
        if token["sign"]:
            raise UnitError(f"unexpected {token['sign']!r}")
        return _named(token["name"], token["power"])


def _named(name: str, power: str | None) -> Unit:
    if name not in _KNOWN:
        raise UnitError(f"unknown unit {name!r}; known are {', '.join(_KNOWN)}")
    number = int(power.strip("^*()")) if power else 1
    if abs(number) > 9:
        raise UnitError(f"a power of {number}")
    factor, powers = _KNOWN[name]
    energy, length, time, angle = (number * one for one in powers)
    return Unit(factor**number, (energy, length, time, angle))


def _add(first: tuple[int, int, int, int], second: tuple[int, int, int, int], sign: int) -> tuple[int, int, int, int]:
    energy, length, time, angle = (one + sign * two for one, two in zip(first, second, strict=True))
    return energy, length, time, angle

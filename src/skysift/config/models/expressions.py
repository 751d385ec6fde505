"""Expressions that set one parameter from others: a small grammar, checked for dimensions, never executed as code."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from skysift.config.models.units import UnitError, describe_kind, read_unit
from skysift.errors import nearest

__all__ = ["FUNCTIONS", "Expression", "ExpressionError", "Term", "read_expression"]

Powers = tuple[Fraction, ...]
#: Names of functions and how many arguments they take.
FUNCTIONS = {"exp": 1, "log": 1, "sqrt": 1, "sin": 1, "cos": 1, "tan": 1, "min": 2, "max": 2}
_PLAIN: Powers = (Fraction(0),) * 4
_ANGLE: Powers = (Fraction(0), Fraction(0), Fraction(0), Fraction(1))
_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|(?P<unit>\[[^\]]*\])|(?P<quoted>'[^']*'|\"[^\"]*\")"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*)|(?P<dots>(?:\.[A-Za-z_][A-Za-z0-9_]*)+)|(?P<sign>\*\*|[-+*/(),]))",
    re.ASCII,
)
_LONGEST, _DEEPEST = 2000, 50


class ExpressionError(ValueError):
    """Text that is no expression, or one whose dimensions do not fit; the message says why."""


@dataclass(frozen=True)
class Term:
    """A number, a parameter, or an operation on terms.

    Parameters
    ----------
    operation : ``number``, ``name``, ``+``, ``-``, ``*``, ``/``, ``**``, ``negative`` or one of `FUNCTIONS`
    operands : of the operation
    number : in TeV, cm, s, deg
    name : of the parameter
    """

    operation: str
    operands: tuple[Term, ...] = ()
    number: float = 0.0
    name: str = ""


@dataclass(frozen=True)
class Expression:
    """An expression whose dimensions are known.

    Parameters
    ----------
    text : as written
    root : in the units that skysift computes in; angles within trigonometry are in radians
    names : of the parameters it needs
    """

    text: str
    root: Term
    names: tuple[str, ...]


def read_expression(text: str, powers: Mapping[str, tuple[int, ...]], target: tuple[int, ...]) -> Expression:
    """Return what a text such as ``0.5 * a.spectral.amplitude`` says.

    There are ``+ - * / **``, brackets, ``exp log sqrt sin cos tan min max``, numbers with a unit in square brackets
    (``2 [TeV]``), and names of parameters, in quotes where they hold blanks or signs
    (``'LS I 61+303'.spectral.index``).

    Parameters
    ----------
    powers : of energy, length, time and angle of all parameters, by name
    target : of the parameter that is set

    Raises
    ------
    ExpressionError : another grammar, an unknown name, dimensions that do not fit

    Examples
    --------
    >>> read_expression("2 * a + 1", {"a": (0, 0, 0, 0)}, (0, 0, 0, 0)).names
    ('a',)
    """
    if len(text) > _LONGEST:
        raise ExpressionError(f"longer than {_LONGEST} characters")
    dimensions = {name: tuple(Fraction(power) for power in known) for name, known in powers.items()}
    parser = _Parser(_split(text), dimensions)
    root, found = parser.sum(0)
    if parser.place < len(parser.tokens):
        raise ExpressionError(f"unexpected {parser.tokens[parser.place][1]!r}")
    wanted = tuple(Fraction(power) for power in target)
    if found != wanted:
        raise ExpressionError(f"{_describe(found)}, where {_describe(wanted)} is set")
    return Expression(text, root, tuple(dict.fromkeys(parser.names)))


def _describe(powers: Powers) -> str:
    if any(power.denominator != 1 for power in powers):
        return "a quantity with broken powers"
    energy, length, time, angle = (int(power) for power in powers)
    return describe_kind((energy, length, time, angle))


def _split(text: str) -> list[tuple[str, str]]:
    tokens, place, text = [], 0, text.strip()
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            raise ExpressionError(f"cannot read {text[place : place + 20]!r}")
        kind = match.lastgroup or ""
        tokens.append((kind, match[kind]))
        place = match.end()
    return tokens


class _Parser:
    def __init__(self, tokens: list[tuple[str, str]], powers: Mapping[str, Powers]) -> None:
        self.tokens, self.powers, self.place = tokens, powers, 0
        self.names: list[str] = []

    def peek(self) -> tuple[str, str]:
        return self.tokens[self.place] if self.place < len(self.tokens) else ("end", "the end")

    def take(self, *signs: str) -> str | None:
        kind, text = self.peek()
        if kind == "sign" and text in signs:
            self.place += 1
            return text
        return None

    def expect(self, sign: str) -> None:
        if self.take(sign) is None:
            raise ExpressionError(f"{self.peek()[1]!r}, where {sign!r} is needed")

    def sum(self, depth: int) -> tuple[Term, Powers]:
        if depth > _DEEPEST:
            raise ExpressionError(f"more than {_DEEPEST} brackets within each other")
        left, powers = self.product(depth)
        while sign := self.take("+", "-"):
            right, other = self.product(depth)
            if powers != other:
                raise ExpressionError(f"{_describe(powers)} {sign} {_describe(other)}")
            left = Term(sign, (left, right))
        return left, powers

    def product(self, depth: int) -> tuple[Term, Powers]:
        left, powers = self.signed(depth)
        while sign := self.take("*", "/"):
            right, other = self.signed(depth)
            turn = 1 if sign == "*" else -1
            powers = tuple(one + turn * two for one, two in zip(powers, other, strict=True))
            left = Term(sign, (left, right))
        return left, powers

    def signed(self, depth: int) -> tuple[Term, Powers]:
        sign = self.take("-", "+")
        if sign is None:
            return self.power(depth)
        term, powers = self.signed(depth + 1) if depth <= _DEEPEST else self.sum(depth)
        return (Term("negative", (term,)) if sign == "-" else term), powers

    def power(self, depth: int) -> tuple[Term, Powers]:
        base, powers = self.single(depth)
        if self.take("**") is None:
            return base, powers
        exponent, other = self.signed(depth + 1)
        if other != _PLAIN:
            raise ExpressionError("an exponent with a unit")
        if powers == _PLAIN:
            return Term("**", (base, exponent)), _PLAIN
        number = _constant(exponent)
        if number is None:
            raise ExpressionError("a parameter as exponent of something with a unit")
        times = Fraction(number).limit_denominator(100)
        return Term("**", (base, exponent)), tuple(times * power for power in powers)

    def single(self, depth: int) -> tuple[Term, Powers]:
        kind, text = self.peek()
        self.place += 1
        if kind == "number":
            return self.number(float(text))
        if kind == "name" and self.peek() == ("sign", "("):
            return self.call(text, depth)
        if kind in ("name", "quoted"):
            return self.parameter(text.strip("'\"") if kind == "quoted" else text)
        if kind == "sign" and text == "(":
            term, powers = self.sum(depth + 1)
            self.expect(")")
            return term, powers
        raise ExpressionError(f"unexpected {text!r}")

    def number(self, value: float) -> tuple[Term, Powers]:
        kind, text = self.peek()
        if not math.isfinite(value):
            raise ExpressionError("a number that is too large")
        if kind != "unit":
            return Term("number", number=value), _PLAIN
        self.place += 1
        try:
            unit = read_unit(text[1:-1])
        except UnitError as error:
            raise ExpressionError(f"unit {text}: {error}") from error
        return Term("number", number=value * unit.factor), tuple(Fraction(power) for power in unit.powers)

    def parameter(self, name: str) -> tuple[Term, Powers]:
        while self.peek()[0] == "dots":
            name += self.peek()[1]
            self.place += 1
        if name not in self.powers:
            raise ExpressionError(f"unknown parameter {name!r}, {nearest(name, self.powers)}")
        self.names.append(name)
        return Term("name", name=name), self.powers[name]

    def call(self, name: str, depth: int) -> tuple[Term, Powers]:
        if name not in FUNCTIONS:
            raise ExpressionError(f"unknown function {name!r}; known are {', '.join(FUNCTIONS)}")
        self.expect("(")
        operands = [self.sum(depth + 1)]
        while self.take(","):
            operands.append(self.sum(depth + 1))
        self.expect(")")
        if len(operands) != FUNCTIONS[name]:
            raise ExpressionError(f"{name} of {len(operands)} values, not {FUNCTIONS[name]}")
        return _RULES[name](name, [term for term, _ in operands], [powers for _, powers in operands])


def _constant(term: Term) -> float | None:
    if term.operation == "number":
        return term.number
    inner = _constant(term.operands[0]) if term.operation == "negative" else None
    return None if inner is None else -inner


def _plain(name: str, terms: list[Term], powers: list[Powers]) -> tuple[Term, Powers]:
    if powers[0] != _PLAIN:
        raise ExpressionError(f"{name} of {_describe(powers[0])}")
    return Term(name, tuple(terms)), _PLAIN


def _root(name: str, terms: list[Term], powers: list[Powers]) -> tuple[Term, Powers]:
    return Term(name, tuple(terms)), tuple(power / 2 for power in powers[0])


def _turn(name: str, terms: list[Term], powers: list[Powers]) -> tuple[Term, Powers]:
    if powers[0] == _ANGLE:
        radians = Term("number", number=math.pi / 180)
        return Term(name, (Term("*", (terms[0], radians)),)), _PLAIN
    return _plain(name, terms, powers)


def _same(name: str, terms: list[Term], powers: list[Powers]) -> tuple[Term, Powers]:
    if powers[0] != powers[1]:
        raise ExpressionError(f"{name} of {_describe(powers[0])} and {_describe(powers[1])}")
    return Term(name, tuple(terms)), powers[0]


_Rule = Callable[[str, list[Term], list[Powers]], tuple[Term, Powers]]
_RULES: dict[str, _Rule] = {
    **dict.fromkeys(("exp", "log"), _plain),
    **dict.fromkeys(("sin", "cos", "tan"), _turn),
    **dict.fromkeys(("min", "max"), _same),
    "sqrt": _root,
}

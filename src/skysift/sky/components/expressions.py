"""Expressions of parameters as tensors."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor

__all__ = ["evaluate_term"]


class Node(Protocol):
    """A term of an expression: a number, a parameter, or an operation."""

    @property
    def operation(self) -> str:
        """``number``, ``name``, an operator or a function."""

    @property
    def operands(self) -> Sequence[Node]:
        """Of the operation."""

    @property
    def number(self) -> float:
        """Of a number."""

    @property
    def name(self) -> str:
        """Of a parameter."""


_OPERATIONS: dict[str, Callable[..., Tensor]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "**": operator.pow,
    "negative": operator.neg,
    "exp": torch.exp,
    "log": torch.log,
    "sqrt": torch.sqrt,
    "sin": torch.sin,
    "cos": torch.cos,
    "tan": torch.tan,
    "min": torch.minimum,
    "max": torch.maximum,
}


def evaluate_term(term: Node, values: Mapping[str, Tensor]) -> Tensor:
    """Return the value of an expression.

    Parameters
    ----------
    term : root of the expression
    values : of parameters by name, (batch,) or (), in the units of the expression

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> name = SimpleNamespace(operation="name", name="a")
    >>> evaluate_term(SimpleNamespace(operation="exp", operands=[name]), {"a": torch.tensor(0.0)})
    tensor(1., dtype=torch.float64)
    """
    if term.operation == "number":
        return torch.tensor(term.number, dtype=torch.float64)
    if term.operation == "name":
        return values[term.name].to(torch.float64)
    return _OPERATIONS[term.operation](*(evaluate_term(operand, values) for operand in term.operands))

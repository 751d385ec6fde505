"""What a skysift file holds: named datasets with units and axes, and attributes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

__all__ = ["RESERVED", "Dataset", "Field", "File", "decode_attributes", "encode_attributes"]

#: Root attributes that the writer sets itself.
RESERVED = frozenset({"format", "format_version", "complete", "order", "provenance", "json"})


@dataclass(frozen=True)
class Dataset:
    """One array with what a reader must know about it.

    Parameters
    ----------
    array : numbers, booleans or text, any shape
    unit : "" for a pure number
    description : one line
    axes : name of each axis; an axis named like a dataset of the same group (or a group above) is tied to it
    attributes : further text, numbers, lists and mappings
    """

    array: np.ndarray
    unit: str = ""
    description: str = ""
    axes: tuple[str, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Field:
    """What a reader wants of a dataset: its unit (None: any), kind of numbers ("biufU", "": any), number of axes."""

    unit: str | None = None
    kinds: str = ""
    ndim: int | None = None


@dataclass(frozen=True)
class File:
    """The content of one file, in the order in which it was written."""

    datasets: Mapping[str, Dataset]
    attributes: Mapping[str, Any]
    provenance: Mapping[str, Any]

    def __getitem__(self, name: str) -> np.ndarray:
        """Return the array of the dataset ``name``."""
        return self.datasets[name].array

    def __contains__(self, name: object) -> bool:
        """Tell whether there is a dataset ``name``."""
        return name in self.datasets

    def group(self, name: str) -> dict[str, np.ndarray]:
        """Return the arrays of the group ``name`` by their names below it."""
        head = name.rstrip("/") + "/"
        return {key[len(head) :]: data.array for key, data in self.datasets.items() if key.startswith(head)}


def encode_attributes(attributes: Mapping[str, Any]) -> dict[str, str | int | float | bool]:
    """Return attributes as HDF5 keeps them: text, numbers and booleans as they are, the rest as JSON text.

    The names of the latter stand in the attribute ``json``. Sorted by name, as a file gives them back.

    Raises
    ------
    TypeError : a value that JSON does not know

    Examples
    --------
    >>> encode_attributes({"seed": 1, "truth": {"gce": 0.9}})
    {'seed': 1, 'truth': '{"gce": 0.9}', 'json': '["truth"]'}
    """
    encoded: dict[str, str | int | float | bool] = {}
    nested = []
    for name, given in sorted(attributes.items()):
        value = given.tolist() if hasattr(given, "tolist") else given
        if isinstance(value, (str, bool, float)) or (isinstance(value, int) and abs(value) < 2**63):
            encoded[name] = value
        else:
            encoded[name] = json.dumps(_plain(value), ensure_ascii=False)
            nested.append(name)
    if nested:
        encoded["json"] = json.dumps(nested)
    return encoded


def _plain(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Turn arrays, tuples and mappings into what JSON can say."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def decode_attributes(encoded: Mapping[str, Any]) -> dict[str, Any]:
    """Undo `encode_attributes`.

    Examples
    --------
    >>> decode_attributes({'seed': 1, 'truth': '{"gce": 0.9}', 'json': '["truth"]'})
    {'seed': 1, 'truth': {'gce': 0.9}}
    """
    nested = json.loads(encoded["json"]) if "json" in encoded else []
    return {name: json.loads(value) if name in nested else value for name, value in encoded.items() if name != "json"}

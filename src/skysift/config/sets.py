"""Sets of simulated data: replicates of one truth, whatever is drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import model_validator

from skysift.config.scalars import PositiveInteger
from skysift.config.section import Section, key, without_nulls
from skysift.errors import InputError

__all__ = ["DEFAULT_SET", "BaseSet", "BaseSimulation", "check_own"]

DEFAULT_SET = "simulated"


class BaseSet(Section):
    """Replicates of one truth.

    Attributes
    ----------
    replicates : how many data sets
    """

    replicates: PositiveInteger = key(1, "number of data sets drawn", example=20, le=1000)

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, data: Any) -> Any:  # noqa: ANN401 - whatever the file holds
        data = without_nulls(data)
        return {name: without_nulls(value) for name, value in data.items()} if isinstance(data, dict) else data


class BaseSimulation(Section):
    """Sets by name, in ``sets``; the keys of one set may stand in their place."""

    @model_validator(mode="before")
    @classmethod
    def _expand(cls, data: Any) -> Any:  # noqa: ANN401 - whatever the file holds
        if not isinstance(data, dict):
            return data
        data = without_nulls(data)
        if "sets" not in data:
            return {"sets": {DEFAULT_SET: data}}
        return {**data, "sets": without_nulls(data["sets"])}

    def data_of(self, name: str) -> list[str]:
        """Return the names of the data sets of one set: ``<set>-000``, ``<set>-001``, ..."""
        chosen: BaseSet = getattr(self, "sets")[name]  # noqa: B009 - declared by each kind of simulation
        return [f"{name}-{number:03d}" for number in range(chosen.replicates)]


def check_own(name: str, data: str, place: Path) -> None:
    """Refuse the name of a data set that does not belong to a set.

    Parameters
    ----------
    name : of the set
    data : ``<name>-000``, ``<name>-001``, ...
    place : slice of the set, for the message

    Raises
    ------
    InputError : it is another name

    Examples
    --------
    >>> check_own("low", "low-003", Path("simulate-low.yaml"))
    """
    head, _, number = data.rpartition("-")
    if not (head == name and number.isdigit() and len(number) >= 3):
        wanted = f"{name}-000, {name}-001, ..."
        raise InputError(place, "--data", data, wanted, "correct the name, or take the slice of its set")

"""Simulated counts cubes with known truth."""

from __future__ import annotations

from typing import Any, ClassVar

from skysift.config.scalars import Name, Real
from skysift.config.section import REQUIRED, key
from skysift.config.sets import BaseSet, BaseSimulation

__all__ = ["CubeSet", "CubeSimulation"]


class CubeSet(BaseSet):
    """Replicates of one truth.

    Attributes
    ----------
    replicates : how many data sets
    file : model file of the truth, None for that of the model
    parameters : true values that differ from those of the file, by full name, in the units of skysift
    """

    file: str | None = key(None, "model file of the truth", example="truth.yaml", min_length=1, says="`model.file`")
    parameters: dict[str, Real] = key(
        None,
        "true values that differ from those of the file, `<source>.<spectral|spatial>.<parameter>`, in TeV, "
        "cm-2 s-1 TeV-1 and deg",
        example={"crab.spectral.index": 2.3},
        default_factory=dict,
        says="those of the file",
    )


class CubeSimulation(BaseSimulation):
    """Simulated cubes, by name.

    Attributes
    ----------
    sets : name to `CubeSet`; one set alone is named ``simulated``
    """

    shorthands: ClassVar[tuple[dict[str, Any], ...]] = ({"$ref": "#/$defs/CubeSet"},)

    sets: dict[Name, CubeSet] = key(
        REQUIRED,
        "sets of replicates; the keys of one set may stand directly under `simulate`, it is then named `simulated`",
        example={"bright": {"replicates": 20, "parameters": {"crab.spectral.amplitude": 1e-11}}},
        min_length=1,
    )

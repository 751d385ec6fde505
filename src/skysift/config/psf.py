"""The point-spread function of the counts, which decides how a source's photons are shared among pixels."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

from pydantic import model_validator

from skysift.config.faults import fault
from skysift.config.quantities import Degrees
from skysift.config.section import Section, key, without_nulls

__all__ = ["Psf"]


class Psf(Section):
    """Exactly one of three: a name, the width of a Gaussian, or a file.

    Attributes
    ----------
    name : ``king`` or ``none``
    gaussian_deg : standard deviation along each axis
    file : text of two columns, radius in deg and the share of photons within it
    """

    shorthands: ClassVar[tuple[dict[str, Any], ...]] = ({"enum": ["king", "none"]},)

    name: Literal["king", "none"] | None = key(
        None,
        "`king`: the double King function of event type PSF3 at 2 GeV; `none`: all photons of a source in one pixel",
        example="king",
    )
    gaussian_deg: Degrees | None = key(
        None, "standard deviation of a Gaussian along each axis", example="0.1812 deg", unit="angle",
        alias="gaussian", gt=0, le=90,
    )  # fmt: skip
    file: str | None = key(
        None,
        "text file of two columns: radius in deg, and the share of photons within it, both rising from 0",
        example="psf.txt",
        min_length=1,
    )

    @model_validator(mode="before")
    @classmethod
    def _expand(cls, data: Any) -> Any:  # noqa: ANN401 - whatever the file holds
        return {"name": data} if isinstance(data, str) else without_nulls(data)

    @model_validator(mode="after")
    def _check(self) -> Self:
        given = [name for name, value in self if value is not None]
        if len(given) != 1:
            wanted = "exactly one of king, none, gaussian, file"
            raise fault(wanted, "write for example 'king', or {gaussian: 0.1812 deg}", " and ".join(given) or "none")
        return self

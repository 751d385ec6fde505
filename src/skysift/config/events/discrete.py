"""The discrete normalisation: what it sums over, what it implies, and what contradicts it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import model_validator

from skysift.config.faults import fault
from skysift.config.quantities import Degrees
from skysift.config.scalars import PositiveReal
from skysift.config.section import Section, key

if TYPE_CHECKING:
    from skysift.config.events.observation import EventObservation

__all__ = ["Window", "check_discrete", "fill_discrete"]

_WINDOW = {"energy": 1, "lon": "1.3 deg", "lat": "1.3 deg"}
_IMPLIED = {"window": _WINDOW, "psf_empty": "one_degree", "background": "smeared"}


class Window(Section):
    """Which true bins the discrete normalisation sums over, around each event; all limits are strict.

    Attributes
    ----------
    energy : decades, None without limit
    lon_deg, lat_deg : None without limit
    """

    shorthands: ClassVar[tuple[dict[str, Any], ...]] = ({"const": "none"},)

    energy: PositiveReal | None = key(
        None, "most decades between true and reconstructed energy", example=1, says="no limit"
    )
    lon_deg: Degrees | None = key(
        None, "largest difference in longitude", example="1.3 deg", unit="angle", alias="lon", gt=0, says="no limit"
    )
    lat_deg: Degrees | None = key(
        None, "largest difference in latitude", example="1.3 deg", unit="angle", alias="lat", gt=0, says="no limit"
    )

    @model_validator(mode="before")
    @classmethod
    def _expand(cls, data: Any) -> Any:  # noqa: ANN401 - whatever the file holds
        if isinstance(data, str) and data != "none":
            raise fault("none, or a mapping of limits", "write for example 'window: none'")
        return {} if data == "none" else data

    @property
    def limits(self) -> tuple[float, float, float]:
        """Decades, and deg along both axes; infinite without limit."""
        energy, lon, lat = (math.inf if part is None else part for part in (self.energy, self.lon_deg, self.lat_deg))
        return energy, lon, lat


def fill_discrete(data: Any) -> Any:  # noqa: ANN401 - whatever the file holds
    """Return an observation as plain data, with what the discrete normalisation implies where nothing is said."""
    is_discrete = isinstance(data, dict) and data.get("normalise") == "discrete"
    return {**_IMPLIED, **data} if is_discrete else data


def check_discrete(observation: EventObservation) -> None:
    """Refuse settings that belong to the other normalisation."""
    is_discrete = observation.normalise == "discrete"
    if observation.window is not None and not is_discrete:
        raise fault(
            "normalise: discrete with a window",
            "leave window out, or write 'normalise: discrete'",
            "window with normalise: integrated",
        )
    if is_discrete and (observation.true.margin_deg, observation.true.refine) != (None, None):
        raise fault(
            "no margin and no refine with normalise: discrete, whose true axes are the reconstructed ones",
            "leave true out, or write 'normalise: integrated'",
            "true with normalise: discrete",
        )

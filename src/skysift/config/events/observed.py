"""Observed event lists, and responses that were made for several zenith angles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import model_validator

from skysift.config.faults import fault
from skysift.config.quantities import Degrees
from skysift.config.scalars import Integer
from skysift.config.section import REQUIRED, Section, key, without_nulls

if TYPE_CHECKING:
    from skysift.config.events.observation import EventObservation

__all__ = ["ObservedEvents", "ZenithResponse", "check_observed"]


class ObservedEvents(Section):
    """Observed event lists: files, or a folder with index files (GADF data store).

    Attributes
    ----------
    files : one per pointing, empty for a store
    store : the folder, None for files
    observations : OBS_ID of those of the store that are taken, empty for all
    """

    shorthands: ClassVar[tuple[dict[str, Any], ...]] = ({"type": "array", "items": {"type": "string"}},)

    files: list[str] = key(
        None, "event lists, one per pointing; a list stands for them", example=["events_000.fits"], default_factory=list
    )
    store: str | None = key(
        None, "folder with hdu-index.fits.gz and obs-index.fits.gz", example="hess-dl3", min_length=1, says="none"
    )
    observations: list[Integer] = key(
        None, "OBS_ID of the observations that are taken", example=[20136, 20137], default_factory=list, says="all"
    )

    @model_validator(mode="before")
    @classmethod
    def _expand(cls, data: Any) -> Any:  # noqa: ANN401 - whatever the file holds
        return {"files": data} if isinstance(data, list) else without_nulls(data)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.store is not None and self.files:
            raise fault("files or a store", "leave one of them out", "both")
        if self.observations and self.store is None:
            raise fault("observations of a store", "name the store, or leave observations out", "no store")
        return self

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self.files) or self.store is not None


class ZenithResponse(Section):
    """A response that was made for one zenith angle.

    Attributes
    ----------
    zenith_deg : the angle
    file : registered file, or path
    """

    zenith_deg: Degrees = key(
        REQUIRED, "zenith angle that it was made for", example="20 deg", unit="angle", alias="zenith", ge=0, lt=90
    )
    file: str = key(REQUIRED, "a registered file, or a path", example="zenith20.fits.gz", min_length=1)


def check_observed(observation: EventObservation) -> None:
    """Refuse pointings, event lists and responses that do not belong together."""
    events, pointings = observation.events, observation.pointings
    if events.store is not None and pointings:
        raise fault("pointings from the store alone", "leave pointings out", f"{len(pointings)} pointings")
    if not pointings and not events:
        raise fault(
            "a list of pointings", "write for example pointings: [{lon: 0 deg, lat: 0 deg, time: 50 h}]", "none"
        )
    if events.files and pointings and len(events.files) != len(pointings):
        raise fault(
            "one event list per pointing",
            "name as many files in events as there are pointings, or leave pointings out",
            f"{len(events.files)} lists for {len(pointings)} pointings",
        )
    is_complete = bool(pointings) and all(pointing.irf is not None for pointing in pointings)
    if observation.irf is None and events.store is None and not is_complete:
        raise fault("a response", "write irf: <file>, or irf: analytic", "no irf")
    if isinstance(observation.irf, list):
        _check_zeniths(observation, observation.irf)


def _check_zeniths(observation: EventObservation, responses: list[ZenithResponse]) -> None:
    known = [response.zenith_deg for response in responses]
    if len(known) < 2 or len(set(known)) < len(known):
        found = ", ".join(f"{zenith:g} deg" for zenith in known)
        raise fault("responses of two or more zenith angles", "name each angle once, or write irf: <file>", found)
    for pointing in observation.pointings:
        if pointing.irf is None and pointing.zenith_deg is None:
            raise fault("a zenith angle of each pointing", "write for example zenith: 40 deg", "a pointing without")
        if pointing.zenith_deg is not None and not min(known) <= pointing.zenith_deg <= max(known):
            bounds = f"zenith angles between {min(known):g} and {max(known):g} deg"
            raise fault(bounds, "name the response of a further angle", f"{pointing.zenith_deg:g} deg")

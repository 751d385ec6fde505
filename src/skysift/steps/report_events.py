"""Figures of one fit of one event list: energies, sky, components."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from skysift.plots.events import EnergyCounts, ImageCounts, plot_components, plot_energies, plot_images
from skysift.steps.report_pictures import Picture

if TYPE_CHECKING:
    from skysift.steps.gather import FitRecord
    from skysift.steps.report_pictures import Plan
    from skysift.storage.hdf5 import File

__all__ = ["plan_event_fit"]


def plan_event_fit(record: FitRecord, file: File) -> Iterator[Plan]:
    """Plan the figures of one fit of one event list from its predictive file."""
    section, ending = f"fit:{record.fit}:{record.data}", f"{record.fit}-{record.data}"
    note = f" ({record.note})" if record.note else ""
    words = f"of the fit {record.fit} of {record.data}{note}"
    energies = EnergyCounts(
        file["energy/edges"], file["energy/observed"], file["energy/expected"], file.group("energy/components")
    )
    images = ImageCounts(
        file["image/lon_edges"],
        file["image/lat_edges"],
        file["image/observed"],
        file["image/expected"],
        file.group("image/components"),
    )
    yield (
        Picture(f"energies-{ending}", section, f"Events by energy{note}", f"Counts by energy {words}, linear and log."),
        lambda: plot_energies(energies),
    )
    yield (
        Picture(f"sky-{ending}", section, f"Events on the sky{note}", f"Events, model and residual {words}."),
        lambda: plot_images(images),
    )
    yield (
        Picture(f"components-{ending}", section, f"Each component as seen{note}", f"Maps of each component {words}."),
        lambda: plot_components(images),
    )

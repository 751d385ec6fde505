"""Figures of event analyses: the response, and for each fit energies, sky, components and what is left for each."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from skysift.errors import SkysiftError
from skysift.plots.events import EnergyCounts, ImageCounts, plot_components, plot_energies, plot_images
from skysift.plots.excess import plot_energy_excess, plot_image_excess
from skysift.plots.responses import plot_efficiency, plot_migration, plot_response
from skysift.steps.report_pictures import Picture

if TYPE_CHECKING:
    from skysift.steps.gather import FitRecord
    from skysift.steps.report_pictures import Plan, Run
    from skysift.storage.hdf5 import File

__all__ = ["plan_event_fit", "plan_event_response"]

RESPONSE_WORDS = (
    "Effective area in km², radii of the point-spread function in deg, median and half of the central 68 % of "
    "reconstructed over true energy in %; one line per distance from the pointing."
)
MIGRATION_WORDS = (
    "Density per unit of ln E of where events of a true energy (TeV) are reconstructed, and cuts through it."
)


def plan_event_response(path: Path) -> Iterator[Plan]:
    """Plan the figures of the responses that an observation was prepared with; none where its file cannot be read."""
    # analyses of counts maps draw their pages without what this imports
    from skysift.instruments.ctao.event_observation import read_event_observation

    try:
        curves = read_event_observation(path).curves
    except (SkysiftError, OSError, KeyError):
        return  # the page tells of the file itself
    for number, (name, own) in enumerate(curves.items()):
        title = f"Response {name}"
        yield (
            Picture(f"response-{number}", "response", title, f"{title}: {RESPONSE_WORDS}", caption=RESPONSE_WORDS),
            partial(plot_response, own),
        )
        title = f"Energy dispersion of {name}"
        yield (
            Picture(f"dispersion-{number}", "response", title, f"{title}: {MIGRATION_WORDS}", caption=MIGRATION_WORDS),
            partial(plot_migration, own),
        )


def plan_event_fit(run: Run, record: FitRecord, file: File) -> Iterator[Plan]:
    """Plan the figures of one fit of one event list from its predictive file.

    What does not depend on how a model was fitted is drawn for its first fit alone.
    """
    section, ending = f"fit:{record.fit}:{record.data}", f"{record.fit}-{record.data}"
    note = f" ({record.note})" if record.note else ""
    words = f"of the fit {record.fit} of {record.data}{note}"
    counts = {name: np.asarray(levels) for name, levels in file.attributes["counts"].items()}
    energies = EnergyCounts(
        file["energy/edges"], file["energy/observed"], file["energy/expected"], file.group("energy/components"), counts
    )
    images = ImageCounts(
        file["image/lon_edges"],
        file["image/lat_edges"],
        file["image/observed"],
        file["image/expected"],
        file.group("image/components"),
    )

    place = file.attributes.get("coordinates", "Galactic coordinates in deg")

    def picture(stem: str, title: str, alt: str, caption: str) -> Picture:
        return Picture(f"{stem}-{ending}", section, f"{title}{note}", f"{alt} {words}. {caption}", caption=caption)

    yield (
        picture(
            "energies", "Events by energy", "Counts by energy",
            "Events per bin of reconstructed energy (TeV), linear and log; grey: 95 % of predicted counts; below: "
            "(events – model) / √model.",
        ),
        lambda: plot_energies(energies),
    )  # fmt: skip
    yield (
        picture(
            "sky", "Events on the sky", "Maps of events, model and residual",
            f"Events per pixel, {place}, linear and log; right: what the model leaves in squares of "
            "3 × 3 pixels, as events and in units of √model.",
        ),
        lambda: plot_images(images),
    )  # fmt: skip
    if not _is_first_of_its_model(run, record):
        return
    yield (
        picture(
            "components", "Each component as the instrument sees it", "Maps of each component",
            "Expected events per pixel after point-spread function and energy dispersion, each on its own log scale.",
        ),
        lambda: plot_components(images),
    )  # fmt: skip
    yield (
        picture(
            "excess-energies", "What is left for each source, by energy", "Counts minus all other sources by energy",
            "Points: events per bin minus all other sources; line and band: the source, 95 % of its posterior; below: "
            "residuals in σ without the source (open) and with it (filled).",
        ),
        lambda: plot_energy_excess(energies),
    )  # fmt: skip
    yield (
        picture(
            "excess-sky", "What is left for each source, on the sky", "Maps of counts minus all other sources",
            "Events in 3 × 3 pixels minus all other sources, the source on the same scale, and the residual in σ when "
            "it is left out.",
        ),
        lambda: plot_image_excess(images),
    )  # fmt: skip
    arriving = file.group("true/arriving")
    if arriving:
        yield (
            picture(
                "efficiency", "Sources through the response", "Events arriving and share within the axes",
                "Events per bin of true energy (TeV) that each source, as declared, sends onto the effective area, "
                "and the share of them in % that is reconstructed within the axes.",
            ),
            lambda: plot_efficiency(file["true/edges"], arriving, file.group("true/efficiency")),
        )  # fmt: skip


def _is_first_of_its_model(run: Run, record: FitRecord) -> bool:
    """Tell whether no earlier fit of the same events has the same components."""
    models = run.settings.models
    before = [other.fit for other in run.fits_of(record.data)]
    earlier = before[: before.index(record.fit)]
    return all(models[fit] != models[record.fit] for fit in earlier)

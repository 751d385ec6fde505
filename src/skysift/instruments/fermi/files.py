"""Observations and counts as files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from skysift.instruments.fermi.observation import Counts, Observation, Sideband, TrueSources
from skysift.instruments.fermi.photon_shares import PhotonShares

if TYPE_CHECKING:
    from skysift.storage.provenance import Provenance

__all__ = ["read_counts", "read_observation", "write_counts", "write_observation"]

_PLANE = ("energy", "pixel")


def write_observation(path: Path, observation: Observation, provenance: Provenance | None = None) -> None:
    """Write an observation (format ``observation``), whole or not at all."""
    from skysift.storage.hdf5 import Dataset, write

    inside = "True inside, RING, Galactic"
    unit_norm = "counts per pixel at unit norm"
    datasets = {
        "pixel": Dataset(observation.pixels, "", "stored HEALPix pixels, RING, Galactic", ("pixel",)),
        "region": Dataset(observation.region, "", f"fit region; {inside}", ("pixel",)),
        "energy_edges": Dataset(observation.energy_edges_gev, "GeV", "edges of the energy bins", ("energy_edge",)),
        "exposure": Dataset(observation.exposure_cm2_s, "cm2 s", "exposure at pixel centres", _PLANE),
        "exposure_mean": Dataset(observation.exposure_mean_cm2_s, "cm2 s", "mean over the full sky", ("energy",)),
    }
    for name, template in observation.templates.items():
        datasets[f"templates/{name}"] = Dataset(template, "counts", unit_norm, _PLANE)
    for name, mask in observation.read_out.items():
        datasets[f"read_out/{name}"] = Dataset(mask, "", f"read-out region; {inside}", ("pixel",))
    for name, band in observation.sidebands.items():
        center = {"center_deg": list(band.center_deg)}
        head = f"sidebands/{name}"
        datasets[f"{head}/region"] = Dataset(band.region, "", f"sideband; {inside}", ("pixel",), center)
        datasets[f"{head}/template"] = Dataset(band.template, "counts", f"moved signal, {unit_norm}", _PLANE)
    if observation.shares is not None:
        text = "share of a source's photons that a pixel gets"
        datasets["shares/fractions"] = Dataset(observation.shares.fractions, "", text, ("share",))
        datasets["shares/pixels"] = Dataset(observation.shares.pixels, "", "pixels of one source with it", ("share",))
    attributes = {"nside": observation.nside, "warnings": list(observation.warnings)}
    write(path, format="observation", datasets=datasets, attributes=attributes, provenance=provenance)


def read_observation(path: Path) -> Observation:
    """Read an observation.

    Raises
    ------
    InputError : damaged, or another kind of file
    """
    from skysift.storage.hdf5 import Field, read

    wanted = {
        "pixel": Field("", "i", 1), "region": Field("", "b", 1), "energy_edges": Field("GeV", "f", 1),
        "exposure": Field("cm2 s", "f", 2), "exposure_mean": Field("cm2 s", "f", 1),
        "templates/*": Field("counts", "f", 2), "read_out/*": Field("", "b", 1),
        "sidebands/*/region": Field("", "b", 1), "sidebands/*/template": Field("counts", "f", 2),
        "shares/*": Field("", "f", 1),
    }  # fmt: skip
    file = read(path, format="observation", wanted=wanted)
    bands = {}
    for key in file.datasets:
        if key.startswith("sidebands/") and key.endswith("/region"):
            name = key.split("/")[1]
            longitude, latitude = file.datasets[key].attributes["center_deg"]
            bands[name] = Sideband(name, (longitude, latitude), file[key], file[f"sidebands/{name}/template"])
    return Observation(
        nside=int(file.attributes["nside"]),
        pixels=file["pixel"],
        region=file["region"],
        energy_edges_gev=file["energy_edges"],
        exposure_cm2_s=file["exposure"],
        exposure_mean_cm2_s=file["exposure_mean"],
        templates=file.group("templates"),
        read_out=file.group("read_out"),
        sidebands=bands,
        shares=PhotonShares(file["shares/fractions"], file["shares/pixels"]) if file.group("shares") else None,
        warnings=tuple(file.attributes["warnings"]),
    )


def write_counts(path: Path, counts: Counts, observation: Observation, provenance: Provenance | None = None) -> None:
    """Write counts (format ``counts``) on the stored pixels of ``observation``, whole or not at all."""
    from skysift.storage.hdf5 import Dataset, write

    datasets = {
        "pixel": Dataset(observation.pixels, "", "stored HEALPix pixels, RING, Galactic", ("pixel",)),
        "counts": Dataset(np.asarray(counts.counts, dtype=np.int64), "counts", "photons per pixel", _PLANE),
    }
    if counts.expected is not None:
        datasets["expected"] = Dataset(counts.expected, "counts", "mean of the draw", _PLANE)
    for name, field_map in counts.fields.items():
        description = "Gaussian process in the exponent of the component's modulation"
        datasets[f"fields/{name}"] = Dataset(field_map, "", description, _PLANE)
    for name, part in counts.populations.items():
        about = {"template": part.template, "parameters": dict(part.parameters), "settings": dict(part.settings)}
        datasets[f"populations/{name}"] = Dataset(part.counts, "counts", "mean counts of a population", _PLANE, about)
    attributes: dict[str, Any] = {
        "name": counts.name,
        "truth": dict(counts.truth),
        "components": dict(counts.components),
        "warnings": list(counts.warnings),
        "nside": observation.nside,
    }
    if counts.seed is not None:
        attributes["seed"] = counts.seed
    write(path, format="counts", datasets=datasets, attributes=attributes, provenance=provenance)


def read_counts(path: Path) -> Counts:
    """Read counts.

    Raises
    ------
    InputError : damaged, or another kind of file
    """
    from skysift.storage.hdf5 import Field, read

    wanted = {"pixel": Field("", "i", 1), "counts": Field("counts", "i", 2), "fields/*": Field("", "f", 2)}
    wanted["populations/*"] = Field("counts", "f", 2)
    file = read(path, format="counts", wanted=wanted)
    return Counts(
        name=str(file.attributes["name"]),
        counts=file["counts"],
        seed=file.attributes.get("seed"),
        truth=file.attributes["truth"],
        components=file.attributes["components"],
        expected=file["expected"] if "expected" in file.datasets else None,
        fields=file.group("fields"),
        populations={
            name: TrueSources(
                counts=part,
                **{
                    key: file.datasets[f"populations/{name}"].attributes[key]
                    for key in ("template", "parameters", "settings")
                },
            )
            for name, part in file.group("populations").items()
        },
        warnings=tuple(file.attributes["warnings"]),
    )

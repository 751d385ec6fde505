"""The likelihood of unresolved sources: value and gradient of one and of two populations beside a smooth template."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from problems import STREAM
from timing import Clock, Number

from skysift.config import resolve
from skysift.config.slices import make_slices
from skysift.instruments.fermi import Counts
from skysift.instruments.fermi.assembly import assemble
from skysift.instruments.fermi.photon_shares import PhotonShares
from skysift.models import TemplateModel, build
from skysift.steps.observations import layout_of, source_of

__all__ = ["sources"]

HIGH, MIDDLE, LOW = {"uniform": [2.05, 30]}, {"uniform": [-2, 4]}, {"uniform": [-2, 1.95]}
ONE_BREAK = {"slopes": [HIGH, LOW], "breaks": [{"uniform": [0.05, 40]}]}
TWO_BREAKS = {"slopes": [HIGH, MIDDLE, LOW], "breaks": [{"uniform": [8, 40]}, {"uniform": [0.05, 8]}]}
#: Region, populations, largest count.
CASES: dict[str, tuple[dict[str, Any], dict[str, dict[str, Any]], int]] = {
    "two breaks": ({"radius": "20 deg", "mask": "mask_3fgl_0p8deg"}, {"nfw_squared": TWO_BREAKS}, 83),
    "two of one break": ({"radius": "30 deg", "mask": "mask_3fgl"}, {"nfw_squared": ONE_BREAK, "disk": ONE_BREAK}, 164),
}
#: Batches: one point, and as many as chains or particles that go together.
ROWS = (1, 8)


def _make(name: str, nside: int) -> TemplateModel:
    region, laws, largest = CASES[name]
    parts: dict[str, Any] = {"diffuse": {"template": "p6v11", "norm": {"uniform": [0, 30]}}}
    norm = {"loguniform": [0.001, 0.1]}
    parts |= {f"{place}_sources": {"template": place, "norm": norm, "population": law} for place, law in laws.items()}
    analysis = resolve(
        {
            "run": "benchmark",
            "observation": {"data": "synthetic", "nside": nside, "region": {"mask_plane": "2 deg", **region}},
            "model": {"likelihood": "non_poissonian", "exposure": "nptfit", "components": parts},
            "simulate": {"truth": {"diffuse": 12}},
            "fits": {"any": ["map"]},
        }
    )
    slices: dict[str, Any] = make_slices(analysis)
    looked_at, place = slices["observation"], Path("benchmark.yaml")
    seen = assemble(source_of(looked_at.observation, place), layout_of(looked_at, place), looked_at.templates, nside)
    # ten shares of a source's photons, as NPTFit has them
    shares = (np.arange(10) + 0.5) / 10
    seen = replace(seen, shares=PhotonShares(shares, shares**-1.7 / (shares**-0.7).sum()))
    mean = 12 * seen.templates["p6v11"]
    counts = np.minimum(np.random.default_rng(1).poisson(mean), largest)
    counts[0, np.flatnonzero(seen.region)[mean[0, seen.region].argmax()]] = largest
    return build(slices["fit-any"], seen, Counts("drawn", counts))


def _gradient(model: TemplateModel, rows: int) -> Callable[[], object]:
    values = model.parameters.draw(rows, STREAM.generator("points"))
    return lambda: model.log_likelihood_and_gradient(values)


def sources(clock: Clock, sizes: tuple[int, ...]) -> Iterator[Number]:
    """Time value and gradient, each of one point alone and of one in a batch."""
    for name in CASES:
        model = _make(name, sizes[1])
        costs = clock.costs([_gradient(model, rows) for rows in ROWS])
        for rows, cost in zip(ROWS, costs, strict=True):
            yield Number(f"sources {name} {model.pixel_count} pixels batch {rows} cost", cost / rows)

"""``skysift simulate``: draw one set of counts from the truth of the configuration."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from skysift.config import check_own, load_slice
from skysift.instruments.fermi import Counts, Observation, read_observation, write_counts
from skysift.instruments.fermi.drawing import simulate_counts
from skysift.steps.observations import containment_of
from skysift.storage.hdf5 import check_writable, collect
from skysift.streams import numpy_stream

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from skysift.config import Modulation, SimulateSlice
    from skysift.sky.draws import FieldLaw

__all__ = ["run"]


def run(config: Path, observation: Path, data: str, out: Path) -> None:
    """Write one simulated data set.

    Parameters
    ----------
    config : slice ``simulate-<set>`` of the configuration
    observation : file of format ``observation``
    data : name of the data set, such as ``simulated-000``; its random stream is derived from it
    out : file of format ``counts``, with the truth

    Raises
    ------
    InputError : a name that the set does not have, or a template that the observation lacks
    """
    check_writable(out)
    settings = load_slice(config, "simulate")
    check_own(settings.name, data, config)
    looked_at = read_observation(observation)
    counts = simulate_counts(
        data,
        looked_at,
        {name: part.norm for name, part in settings.truth.items()},
        {name: part.template for name, part in settings.truth.items()},
        _draw_fields(settings, looked_at, data),
        numpy_stream(settings.seed, "simulate", data),
        settings.seed,
    )
    if settings.populations:
        counts = _add_populations(counts, settings, looked_at)
    provenance = collect(settings.run, settings.seed, config.read_bytes(), [observation])
    write_counts(out, counts, looked_at, provenance)


def _add_populations(counts: Counts, settings: SimulateSlice, observation: Observation) -> Counts:
    """Return the counts with those of each population's sources."""
    from skysift.instruments.fermi.source_drawing import draw_sources, make_population

    containment = containment_of(settings.psf)
    assert counts.expected is not None  # noqa: S101 - they were drawn
    drawn, mean, true = counts.counts.copy(), counts.expected.copy(), {}
    for name, part in settings.populations.items():
        numbers = {"norm": part.norm, "slopes": part.slopes, "breaks": part.breaks, "limits": part.limits}
        meaning = {"units": part.units, "norm_of": part.norm_of, "template_is": part.template_is}
        made = make_population(observation, str(part.template), numbers, {k: str(v) for k, v in meaning.items()})
        stream = numpy_stream(settings.seed, "simulate", counts.name, "population", name)
        drawn[0] += draw_sources(made, observation, containment, stream)
        mean = mean + made.true.counts
        true[name] = made.true
    return replace(counts, counts=drawn, expected=mean, populations=true)


def _draw_fields(settings: SimulateSlice, observation: Observation, data: str) -> dict[str, NDArray[np.float64]]:
    """Return the log modulation (E, P) of each modulated component."""
    modulated = {name: part.modulate for name, part in settings.truth.items() if part.modulate}
    if not modulated:
        return {}
    from skysift.sky.draws import draw_field

    fields = {}
    for name, kernels in modulated.items():
        own = [_law(kernel) for kernel in kernels if kernel.shared is None]
        stream = numpy_stream(settings.seed, "simulate", data, "field", name)
        fields[name] = draw_field(own, observation.nside, observation.pixels, observation.energy_edges_gev, stream)
    drawn = dict(fields)
    for name, kernels in modulated.items():
        for kernel in kernels:
            if kernel.shared is not None:
                fields[name] = fields[name] + (kernel.coefficient.value or 0.0) * drawn[kernel.shared]
    return fields


def _law(kernel: Modulation) -> FieldLaw:
    from skysift.sky.draws import FieldLaw

    return FieldLaw(
        lengthscale_rad=float(kernel.lengthscale.value_rad or 0.0),
        variance=float(kernel.variance.value or 0.0),
        kernel=kernel.kernel,
        distance=kernel.distance,
        energies=kernel.energies,
        energy_lengthscale=kernel.energy_lengthscale,
    )

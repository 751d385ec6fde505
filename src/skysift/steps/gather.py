"""What a run left behind: one record per fit and data set, also where a fit is missing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from skysift.config.events.branching import Branching
from skysift.config.events.slices import EventReportSlice
from skysift.config.priors import Prior
from skysift.diagnostics.priors import PriorDensity
from skysift.errors import SkysiftError
from skysift.steps.agreement import check_agreement
from skysift.storage.posterior import CheckRow, Posterior, Stage, read_posterior

if TYPE_CHECKING:
    from skysift.config import AnyReportSlice
    from skysift.config.events.spectra import SourcePrior

__all__ = [
    "MAXIMUM",
    "NOT_A_POSTERIOR",
    "SIDEBANDS",
    "FitRecord",
    "Quantity",
    "find_prior",
    "find_truth",
    "gather_fits",
    "read_record",
    "set_of",
]

SIDEBANDS = "_sidebands"
NOT_A_POSTERIOR = "tempered, mean field: not a posterior"
MAXIMUM = "one point without a width: not a posterior"
LARGEST = 32


@dataclass(frozen=True)
class Quantity:
    """Draws (chain, draw) of one number, with its unit, label and, where known, its truth."""

    draws: NDArray[np.float64]
    unit: str = ""
    label: str = ""
    truth: float | None = None

    @property
    def flat(self) -> NDArray[np.float64]:
        """All draws, (chain * draw,)."""
        return self.draws.ravel()


@dataclass(frozen=True)
class FitRecord:
    """One fit of one data set; ``problem`` says why there is no posterior, and is empty where there is one."""

    fit: str
    data: str
    problem: str = ""
    quantities: Mapping[str, Quantity] = field(default_factory=dict)
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    checks: tuple[tuple[str, CheckRow], ...] = ()
    stages: tuple[Stage, ...] = ()
    log_z: float | None = None
    log_z_error: float | None = None
    log_z_method: str = ""
    converged: bool | None = None
    is_tempered: bool = False
    cost: Mapping[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @property
    def base(self) -> str:
        """The fit without the systematic that was added to it."""
        return self.fit.removesuffix(SIDEBANDS) if self.has_systematic else self.fit

    @property
    def has_systematic(self) -> bool:
        """Whether the spurious signal of the sidebands is part of it."""
        return self.fit.endswith(SIDEBANDS)

    @property
    def is_point(self) -> bool:
        """Whether there is one draw alone: a fit that ends with ``map`` has no widths."""
        return bool(self.quantities) and all(one.draws.size == 1 for one in self.quantities.values())

    @property
    def note(self) -> str:
        """What a reader must know wherever this fit is shown."""
        if self.is_tempered:
            return NOT_A_POSTERIOR
        notes = [] if self.converged is not False else ["not converged"]
        return ", ".join([*notes, MAXIMUM] if self.is_point else notes)


def set_of(data: str) -> str:
    """Return the simulated set that a data set belongs to; ``observed`` stays.

    Examples
    --------
    >>> set_of("model_o-007"), set_of("observed")
    ('model_o', 'observed')
    """
    return re.sub(r"-\d{3,}$", "", data)


def gather_fits(run_dir: Path, settings: AnyReportSlice) -> list[FitRecord]:
    """Read every posterior that the configuration promises; missing and unreadable ones become records too.

    Parameters
    ----------
    run_dir : ``results/<run>``
    settings : slice ``report``

    Returns
    -------
    records in the order of the configuration; a fit with systematic follows its fit
    """
    records = []
    for fit, names in settings.fits.items():
        variants = [fit, fit + SIDEBANDS] if fit in settings.sideband_fits else [fit]
        records += [
            read_record(run_dir / "fits" / variant / f"{data}.nc", variant, data, fit in settings.tempered)
            for variant in variants
            for data in names
        ]
    return check_agreement(settings, records)


def read_record(path: Path, fit: str, data: str, is_tempered: bool = False) -> FitRecord:
    """Read one posterior under the names of its fit and data; what prevents that is the record's ``problem``."""
    if not path.exists():
        return FitRecord(
            fit, data, "no posterior: the fit failed, was stopped, or has not run", is_tempered=is_tempered
        )
    try:
        posterior = read_posterior(path)
    except SkysiftError as error:
        return FitRecord(fit, data, str(error), is_tempered=is_tempered)
    checks = [("", _as_row(check)) for check in posterior.checks]
    told = {check.name for _, check in checks}
    # The last engine's checks are those of the fit: say them once.
    checks += [(s.engine, _as_row(check)) for s in posterior.stages for check in s.checks if check.name not in told]
    return FitRecord(
        fit,
        data,
        quantities=_list_quantities(posterior),
        arrays={name: variable.array for name, variable in posterior.arrays.items()},
        checks=tuple(checks),
        stages=tuple(replace(stage, cost=_name_cpu(stage.cost)) for stage in posterior.stages),
        log_z=posterior.log_z,
        log_z_error=posterior.log_z_error,
        log_z_method=posterior.log_z_method,
        converged=posterior.converged,
        is_tempered=is_tempered,
        cost=_name_cpu(posterior.cost),
        warnings=tuple(posterior.warnings),
        attributes=posterior.attributes,
        provenance=posterior.provenance if isinstance(posterior.provenance, Mapping) else {},
    )


def _name_cpu(cost: Mapping[str, float]) -> dict[str, float]:
    """Give CPU time one name, whatever an engine calls it."""
    named = {name: value for name, value in cost.items() if name != "cpu_seconds"}
    return {"cpu_s": cost["cpu_seconds"], **named} if "cpu_seconds" in cost else named


def _as_row(check: Any) -> CheckRow:  # noqa: ANN401 - anything with the five attributes
    return CheckRow(check.name, float(check.value), check.threshold, check.colour, check.advice)


def _list_quantities(posterior: Posterior) -> dict[str, Quantity]:
    """Split variables into single numbers, ``gce_norm[0]`` and so on; long vectors such as fields are left out."""
    found = {}
    for name, variable in posterior.variables.items():
        array = np.asarray(variable.array, dtype=np.float64)
        cells = int(np.prod(array.shape[2:]))
        labels = [str(label) for axis in variable.dims for label in posterior.coordinates.get(axis, ())]
        is_listed = bool(labels) and all(f"{label}_fraction" in posterior.variables for label in labels)
        if cells > LARGEST or name.endswith("_field") or is_listed:
            continue
        flat = array.reshape(*array.shape[:2], cells)
        truth = None if variable.truth is None else np.ravel(np.asarray(variable.truth, dtype=np.float64))
        for k in range(cells):
            own = None if truth is None else float(truth[k if truth.size > 1 else 0])
            key = name if array.ndim == 2 else f"{name}[{k}]"
            found[key] = Quantity(flat[:, :, k], variable.unit, variable.label, own)
    return found


def find_truth(settings: AnyReportSlice, fit: str, data: str, parameter: str) -> float | None:
    """Return the true norm behind ``<component>_norm`` in simulated data; None where the sky had no such template."""
    if isinstance(settings, EventReportSlice):
        return None  # event lists carry their truth, and posteriors take it over
    component = _component_of(settings, fit, parameter, "_norm")
    drawn = settings.truth.get(set_of(data), {})
    if component is None or not drawn:
        return None
    own = settings.models[_base(settings, fit)][component]
    if own.population is not None:
        return None  # counts carry the truth of populations, and posteriors take it over
    template = own.template
    norms = [part.norm for part in drawn.values() if part.template == template]
    return float(sum(norms)) if norms else None


def find_prior(settings: AnyReportSlice, fit: str, parameter: str) -> PriorDensity | None:
    """Return the prior of a norm, fraction, hyper-parameter or parameter of a source; None for anything else or fixed.

    A fraction's is known where its components have one flat Dirichlet, or one Dirichlet without a tree.
    """
    component = _component_of(settings, fit, parameter, "_norm")
    components = settings.models[_base(settings, fit)]
    if component is not None:
        return _density_of(components[component].norm)
    if isinstance(settings, EventReportSlice):
        return _event_prior(settings, fit, parameter)
    own = {f"{name}_{free}": prior for name, part in components.items() for free, prior in part.free.items()}
    if isinstance(prior := own.get(parameter), Prior):
        return _density_of(prior)
    found = re.fullmatch(r"(.+)_(lengthscale|variance)(?:_(\d+))?", parameter)
    if found is None or found[1] not in components:
        return None
    kernels, number = components[found[1]].modulate, int(found[3] or 1) - 1
    if number >= len(kernels):
        return None
    law = kernels[number].lengthscale if found[2] == "lengthscale" else kernels[number].variance
    return PriorDensity("lognormal", *law.lognormal) if law.lognormal else None


def _event_prior(settings: EventReportSlice, fit: str, parameter: str) -> PriorDensity | None:
    components, fractions = settings.models[fit], settings.fractions.get(fit)
    for name, component in components.items():
        if parameter == f"{name}_fraction" and fractions is not None and len(components) > 1:
            shape = fractions.dirichlet
            return PriorDensity("beta", shape, shape * (len(components) - 1))
        for own, prior in component.free.items():
            if parameter.split("[", maxsplit=1)[0] == f"{name}_{own}":
                return _density_of_source(prior)
    return None


def _density_of_source(prior: SourcePrior) -> PriorDensity | None:
    if isinstance(prior, Prior):
        return _density_of(prior)
    if isinstance(prior, Branching):
        return PriorDensity("beta", prior.dirichlet, prior.dirichlet * (len(prior.channels or ()) - 1))
    return PriorDensity(prior.kind, *prior.numbers)


def _base(settings: AnyReportSlice, fit: str) -> str:
    return fit if fit in settings.models else fit.removesuffix(SIDEBANDS)


def _component_of(settings: AnyReportSlice, fit: str, parameter: str, ending: str) -> str | None:
    name = re.sub(r"\[\d+\]$", "", parameter)
    component = name.removesuffix(ending)
    return component if name.endswith(ending) and component in settings.models[_base(settings, fit)] else None


def _density_of(prior: Prior | None) -> PriorDensity | None:
    if prior is None or prior.is_fixed:
        return None
    first, second = getattr(prior, prior.kind)
    low, high = prior.support if prior.kind == "normal" else (-np.inf, np.inf)
    return PriorDensity(prior.kind, float(first), float(second), low, high)

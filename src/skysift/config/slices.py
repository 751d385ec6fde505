"""What each step reads of an analysis, so that a changed key redoes only the steps that it concerns."""

from __future__ import annotations

from typing import Literal

from skysift.config.analysis import Analysis
from skysift.config.calibration import Calibration
from skysift.config.components import Component, Model
from skysift.config.engines import EngineStep
from skysift.config.fits import Recipe
from skysift.config.modulation import Modulations
from skysift.config.observation import Observation
from skysift.config.populations import TruePopulation
from skysift.config.psf import Psf
from skysift.config.quantities import Degrees
from skysift.config.scalars import ComponentName, Integer, Name, PositiveInteger, Real
from skysift.config.section import REQUIRED, Section, key
from skysift.config.simulate import SimulateSet
from skysift.config.systematics import Sidebands, region_name
from skysift.config.writer import plain

__all__ = [
    "SLICES",
    "AnySlice",
    "CalibrateSlice",
    "FitSlice",
    "MovedSignal",
    "ObservationSlice",
    "ReportSlice",
    "SidebandsSlice",
    "SimulateSlice",
    "TrueComponent",
    "fit_slice",
    "make_slices",
    "template_of",
]


class MovedSignal(Section):
    """The template that is moved to the sidebands, and where to.

    Attributes
    ----------
    template : name of the signal's template
    longitudes_deg : centres of the sidebands, at latitude 0
    regions : name of each sideband to its longitude in deg
    """

    template: Name = key(REQUIRED, "template of the signal", example="nfw_squared")
    longitudes_deg: list[Degrees] = key(
        REQUIRED, "longitudes of the sidebands", example=["30 deg"], unit="angle", alias="longitudes"
    )

    @property
    def regions(self) -> dict[str, float]:
        """Name of each sideband to the longitude of its centre, deg."""
        return {region_name(longitude_deg): longitude_deg for longitude_deg in self.longitudes_deg}


class ObservationSlice(Section):
    """What `prepare` reads.

    Attributes
    ----------
    run, seed : of the analysis; the synthetic sky is drawn with the seed
    observation : `Observation`
    templates : names of all templates that the run uses
    sidebands : `MovedSignal` or None
    shares : whether a population needs to know how photons of a source are shared among pixels
    margin : whether sources are drawn, also beyond the edges of the regions
    """

    run: Name = key(REQUIRED, "name of the run", example="inner-galaxy")
    seed: Integer = key(REQUIRED, "seed of the run", example=1)
    observation: Observation = key(REQUIRED, "what was observed", example={})
    templates: list[Name] = key(REQUIRED, "templates that the run uses", example=["bubbles"])
    sidebands: MovedSignal | None = key(None, "the signal moved to the sidebands", example={})
    shares: bool = key(False, "whether populations are fitted", example=True)
    margin: bool = key(False, "whether populations are drawn", example=True)


class TrueComponent(Section):
    """One component of a simulated sky.

    Attributes
    ----------
    template : name of its template
    norm : its true norm
    modulate : list of `Modulation` with fixed hyper-parameters; empty for none
    """

    template: Name = key(REQUIRED, "its template", example="nfw_squared")
    norm: Real = key(REQUIRED, "its true norm", example=0.9)
    modulate: Modulations = key(None, "fields drawn on it", example=[], default_factory=list)


class SimulateSlice(Section):
    """What `simulate` reads for one set.

    Attributes
    ----------
    run, seed : of the analysis
    name : of the set
    truth : name in the configuration (component or template) to `TrueComponent`
    populations : name to `TruePopulation`, nothing of it left open
    psf : `Psf` or None
    """

    run: Name = key(REQUIRED, "name of the run", example="inner-galaxy")
    seed: Integer = key(REQUIRED, "seed of the run", example=1)
    name: Name = key(REQUIRED, "name of the set", example="simulated")
    truth: dict[Name, TrueComponent] = key(REQUIRED, "what is drawn", example={})
    populations: dict[ComponentName, TruePopulation] = key(
        None, "what is drawn source by source", example={}, default_factory=dict
    )
    psf: Psf | None = key(None, "point-spread function", example="king")


class FitSlice(Section):
    """What `fit` (and `diagnose`) reads for one fit.

    Attributes
    ----------
    run, seed, device, threads : of the analysis
    name : of the fit
    model : `Model`, with what the fit changes in it; ``model.components[name]`` is a `Component`
    sequence : list of engine steps, each with ``name`` and ``settings``; empty for a recipe
    recipe : `Recipe` or None
    """

    run: Name = key(REQUIRED, "name of the run", example="inner-galaxy")
    seed: Integer = key(REQUIRED, "seed of the run", example=1)
    device: Literal["auto", "cpu", "cuda"] = key(REQUIRED, "where tensors live", example="cpu")
    threads: PositiveInteger = key(REQUIRED, "threads of the fit", example=1)
    name: Name = key(REQUIRED, "name of the fit", example="mvn")
    model: Model = key(REQUIRED, "what is fitted", example={})
    sequence: list[EngineStep] = key(None, "engines in a row", example=["map"], default_factory=list)
    recipe: Recipe | None = key(None, "a published procedure", example="legacy")


class SidebandsSlice(FitSlice):
    """What `sidebands` reads for one fit: the fit, and what is moved where.

    Attributes
    ----------
    run, seed, device, threads, name, model, sequence : as in `FitSlice`; no recipe
    signal : name of the signal component
    longitudes_deg : centres of the sidebands
    regions : name of each sideband to its longitude in deg
    """

    signal: ComponentName = key(REQUIRED, "the signal component", example="gce")
    longitudes_deg: list[Degrees] = key(
        REQUIRED, "longitudes of the sidebands", example=["30 deg"], unit="angle", alias="longitudes"
    )

    @property
    def regions(self) -> dict[str, float]:
        """Name of each sideband to the longitude of its centre, deg."""
        return {region_name(longitude_deg): longitude_deg for longitude_deg in self.longitudes_deg}


class CalibrateSlice(FitSlice):
    """What `calibrate` reads for one fit: the fit, and on how much it is tried.

    Attributes
    ----------
    run, seed, device, threads, name, model, sequence : as in `FitSlice`; no recipe
    calibrate : `Calibration`
    """

    calibrate: Calibration = key(REQUIRED, "how many truths", example={"simulations": 200})


class ReportSlice(Section):
    """What the gathering steps read.

    Attributes
    ----------
    run, seed : of the analysis
    data : names of all data sets
    fits : name of each fit to its data sets
    models : name of each fit to its components: name to `Component`
    tempered : names of the fits that are not posteriors
    truth : set to component or template to norm; empty when the observed counts are fitted
    signal : component of interest: that of the sidebands, or ``gce`` where there is one; None otherwise
    sideband_fits, sideband_regions : names; empty without the systematic
    calibrated : name of each fit that is calibrated to the number of its batches
    """

    run: Name = key(REQUIRED, "name of the run", example="inner-galaxy")
    seed: Integer = key(REQUIRED, "seed of the run", example=1)
    data: list[Name] = key(REQUIRED, "all data sets", example=["observed"])
    fits: dict[Name, list[Name]] = key(REQUIRED, "data sets of each fit", example={"mvn": ["observed"]})
    models: dict[Name, dict[ComponentName, Component]] = key(REQUIRED, "components of each fit", example={})
    tempered: list[Name] = key(None, "fits that are not posteriors", example=["legacy"], default_factory=list)
    truth: dict[Name, dict[Name, TrueComponent]] = key(None, "what was drawn", example={}, default_factory=dict)
    signal: ComponentName | None = key(None, "component of interest", example="gce")
    sideband_fits: list[Name] = key(None, "fits with the systematic", example=["best"], default_factory=list)
    sideband_regions: list[str] = key(None, "sidebands", example=["l+30"], default_factory=list)
    calibrated: dict[Name, PositiveInteger] = key(
        None, "batches of each fit that is calibrated", example={"mvn": 10}, default_factory=dict
    )


AnySlice = ObservationSlice | SimulateSlice | FitSlice | CalibrateSlice | SidebandsSlice | ReportSlice
SLICES: dict[str, type[Section]] = {
    "observation": ObservationSlice,
    "simulate": SimulateSlice,
    "fit": FitSlice,
    "calibrate": CalibrateSlice,
    "sidebands": SidebandsSlice,
    "report": ReportSlice,
}


def make_slices(analysis: Analysis) -> dict[str, AnySlice]:
    """Return the slices: ``observation``, ``report``, ``simulate-<set>``, ``{fit,calibrate,sidebands}-<fit>``."""
    slices: dict[str, AnySlice] = {"observation": _observation(analysis)}
    sets = analysis.simulate.sets if analysis.simulate else {}
    slices |= {f"simulate-{name}": _simulate(analysis, name, chosen) for name, chosen in sets.items()}
    slices |= {f"fit-{name}": fit_slice(analysis, name) for name in analysis.fits}
    if analysis.sidebands is not None:
        slices |= {
            f"sidebands-{name}": _sidebands(analysis, name, analysis.sidebands) for name in analysis.sideband_fits()
        }
    for name in analysis.calibrated_fits() if analysis.calibrate else []:
        calibrate = {"calibrate": plain(analysis.calibrate.of(name))}  # type: ignore[union-attr]  # there is one
        slices[f"calibrate-{name}"] = CalibrateSlice.model_validate(plain(fit_slice(analysis, name)) | calibrate)
    slices["report"] = _report(analysis)
    return slices


def _observation(analysis: Analysis) -> ObservationSlice:
    models = [analysis.model, *(analysis.model_of(fit) for fit in analysis.fits)]
    used = {component.template for model in models for component in model.components.values()}
    sets = analysis.simulate.sets if analysis.simulate else {}
    used |= {part.template for chosen in sets.values() for part in _truth(analysis, chosen).values()}
    drawn = [part for chosen in sets.values() for part in _populations(analysis, chosen).values()]
    used |= {str(part.template) for part in drawn}
    return ObservationSlice.model_construct(
        run=analysis.run,
        seed=analysis.seed,
        observation=analysis.observation,
        templates=sorted(used),
        sidebands=_moved_signal(analysis, analysis.sidebands) if analysis.sidebands else None,
        shares=any(component.population for model in models for component in model.components.values()),
        margin=bool(drawn),
    )


def _moved_signal(analysis: Analysis, sidebands: Sidebands) -> MovedSignal:
    models = [analysis.model_of(fit) for fit in analysis.sideband_fits()]
    template = next(model.components[sidebands.signal].template for model in models)
    return MovedSignal.model_validate({"template": template, "longitudes": plain(sidebands)["longitudes"]})


def _truth(analysis: Analysis, chosen: SimulateSet) -> dict[str, TrueComponent]:
    return {
        part: TrueComponent.model_construct(
            template=template_of(analysis, part), norm=norm, modulate=chosen.modulate.get(part, [])
        )
        for part, norm in chosen.truth.items()
    }


def template_of(analysis: Analysis, part: str) -> str:
    """Return the template of a name in ``truth``: that of the component so named, else the name itself."""
    component = analysis.model.components.get(part)
    return component.template if component is not None else part


def _populations(analysis: Analysis, chosen: SimulateSet) -> dict[str, TruePopulation]:
    """Return the populations of a set, with what they leave open taken from the component of the same name."""
    complete = {}
    for name, part in chosen.populations.items():
        component = analysis.model.components.get(name)
        like = component.population if component is not None else None
        update: dict[str, str] = {"template": part.template or template_of(analysis, name)}
        for field, default in (("units", "counts"), ("norm_of", "break"), ("template_is", "counts")):
            update[field] = getattr(part, field) or getattr(like, field, default)
        complete[name] = part.model_copy(update=update)
    return complete


def _simulate(analysis: Analysis, name: str, chosen: SimulateSet) -> SimulateSlice:
    return SimulateSlice.model_construct(
        run=analysis.run,
        seed=analysis.seed,
        name=name,
        truth=_truth(analysis, chosen),
        populations=_populations(analysis, chosen),
        psf=analysis.observation.psf,
    )


def _sidebands(analysis: Analysis, name: str, sidebands: Sidebands) -> SidebandsSlice:
    moved = {"signal": sidebands.signal, "longitudes": plain(sidebands)["longitudes"]}
    return SidebandsSlice.model_validate(plain(fit_slice(analysis, name)) | moved)


def fit_slice(analysis: Analysis, name: str) -> FitSlice:
    """Return what `fit` reads for the fit ``name``."""
    return FitSlice.model_construct(
        run=analysis.run,
        seed=analysis.seed,
        device=analysis.device,
        threads=analysis.threads,
        name=name,
        model=analysis.model_of(name),
        sequence=analysis.fits[name].sequence,
        recipe=analysis.fits[name].recipe,
    )


def _report(analysis: Analysis) -> ReportSlice:
    sets = analysis.simulate.sets if analysis.simulate else {}
    wanted = analysis.sidebands.signal if analysis.sidebands else "gce"
    models = {name: analysis.model_of(name).components for name in analysis.fits}
    return ReportSlice.model_construct(
        run=analysis.run,
        seed=analysis.seed,
        data=analysis.all_data(),
        fits=analysis.fit_data(),
        models=models,
        tempered=[name for name, fit in analysis.fits.items() if fit.recipe is not None],
        truth={name: _truth(analysis, chosen) for name, chosen in sets.items()},
        signal=wanted if any(wanted in components for components in models.values()) else None,
        sideband_fits=analysis.sideband_fits(),
        sideband_regions=analysis.sideband_regions(),
        calibrated=analysis.calibration_batches(),
    )

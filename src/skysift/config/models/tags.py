"""Kinds of spectra, shapes and light curves: their parameters, defaults, units and what is frozen, in one table."""

from __future__ import annotations

from dataclasses import dataclass

from skysift.errors import nearest

__all__ = ["KINDS", "Kind", "ParameterKind", "find_kind"]


@dataclass(frozen=True)
class ParameterKind:
    """What a parameter is when the file says nothing else.

    Parameters
    ----------
    name : of the parameter
    value : None where it must be given
    unit : the one of the value, in which skysift computes
    is_frozen : whether it stays
    low, high : limits
    """

    name: str
    value: float | None
    unit: str = ""
    is_frozen: bool = False
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Kind:
    """A kind of spectrum, shape or light curve.

    Parameters
    ----------
    role : ``spectral``, ``spatial`` or ``temporal``
    tag, class_name : the two names that Gammapy knows it by; the second is empty for what only skysift has
    parameters : in order
    is_norm : whether it multiplies something that has the unit
    needs : entries without which it cannot be evaluated
    """

    role: str
    tag: str
    class_name: str
    parameters: tuple[ParameterKind, ...] = ()
    is_norm: bool = False
    needs: tuple[str, ...] = ()


_FLUX_DENSITY = "cm-2 s-1 TeV-1"


def _p(
    name: str, value: float | None, unit: str = "", *, frozen: bool = False, low: float | None = None,
    high: float | None = None,
) -> ParameterKind:  # fmt: skip
    return ParameterKind(name, value, unit, frozen, low, high)


_A = _p("amplitude", 1e-12, _FLUX_DENSITY)
_R = _p("reference", 1.0, "TeV", frozen=True)
_R10 = _p("reference", 10.0, "TeV", frozen=True)
_NORM = _p("norm", 1.0)
_PLACE = (_p("lon_0", 0.0, "deg"), _p("lat_0", 0.0, "deg", low=-90, high=90))
_MAP_PLACE = (
    _p("lon_0", float("nan"), "deg", frozen=True),
    _p("lat_0", float("nan"), "deg", frozen=True, low=-90, high=90),
)
_E = _p("e", 0.0, frozen=True, low=0, high=1)
_PHI = _p("phi", 0.0, "deg", frozen=True, low=-180, high=180)
# 2000-01-01 in days of the modified Julian date.
_T = _p("t_ref", 51544.0, "d", frozen=True)
_T_FREE = _p("t_ref", 51544.0, "d")


def _spectrum(
    tag: str, name: str, *parameters: ParameterKind, is_norm: bool = False, needs: tuple[str, ...] = ()
) -> Kind:
    return Kind("spectral", tag, f"{name}SpectralModel", parameters, is_norm, needs)


def _shape(tag: str, name: str, *parameters: ParameterKind, needs: tuple[str, ...] = ()) -> Kind:
    return Kind("spatial", tag, f"{name}SpatialModel", parameters, needs=needs)


def _curve(tag: str, name: str, *parameters: ParameterKind, needs: tuple[str, ...] = ()) -> Kind:
    return Kind("temporal", tag, f"{name}TemporalModel", parameters, needs=needs)


KINDS: tuple[Kind, ...] = (
    _spectrum("const", "Constant", _p("const", 1e-12, _FLUX_DENSITY)),
    _spectrum("pl", "PowerLaw", _p("index", 2.0), _A, _R),
    _spectrum(
        "pl-2", "PowerLaw2", _p("amplitude", 1e-12, "cm-2 s-1"), _p("index", 2.0),
        _p("emin", 0.1, "TeV", frozen=True), _p("emax", 100.0, "TeV", frozen=True),
    ),
    _spectrum("bpl", "BrokenPowerLaw", _p("index1", 2.0), _p("index2", 2.0), _A, _p("ebreak", 1.0, "TeV")),
    _spectrum(
        "sbpl", "SmoothBrokenPowerLaw", _p("index1", 2.0), _p("index2", 2.0), _A, _p("ebreak", 1.0, "TeV"), _R,
        _p("beta", 1.0, frozen=True),
    ),
    _spectrum(
        "ecpl", "ExpCutoffPowerLaw", _p("index", 1.5), _A, _R, _p("lambda_", 0.1, "TeV-1"),
        _p("alpha", 1.0, frozen=True),
    ),
    _spectrum("ecpl-3fgl", "ExpCutoffPowerLaw3FGL", _p("index", 1.5), _A, _R, _p("ecut", 10.0, "TeV")),
    _spectrum(
        "secpl-3fgl", "SuperExpCutoffPowerLaw3FGL", _A, _R, _p("ecut", 10.0, "TeV"), _p("index_1", 1.5),
        _p("index_2", 2.0),
    ),
    _spectrum(
        "secpl-4fgl", "SuperExpCutoffPowerLaw4FGL", _A, _R, _p("expfactor", 1e-14), _p("index_1", 1.5),
        _p("index_2", 2.0),
    ),
    _spectrum(
        "secpl-4fgl-dr3", "SuperExpCutoffPowerLaw4FGLDR3", _A, _R, _p("expfactor", 1e-2), _p("index_1", 1.5),
        _p("index_2", 2.0),
    ),
    _spectrum("lp", "LogParabola", _A, _R10, _p("alpha", 2.0), _p("beta", 1.0)),
    _spectrum(
        "lp2", "LogParabola2", _A, _R10, _p("alpha", 2.0), _p("beta", 1.0), _p("escale", 1.0, "TeV", frozen=True)
    ),
    _spectrum("gauss", "Gaussian", _p("amplitude", 1e-12, "cm-2 s-1"), _p("mean", 1.0, "TeV"), _p("sigma", 2.0, "TeV")),
    _spectrum("template", "Template", needs=("energy", "values")),
    _spectrum("templateND", "TemplateND", needs=("filename",)),
    _spectrum("compound", "Compound", needs=("model1", "model2", "operator")),
    _spectrum("pl-norm", "PowerLawNorm", _p("tilt", 0.0, frozen=True), _NORM, _R, is_norm=True),
    _spectrum("lp-norm", "LogParabolaNorm", _NORM, _R10, _p("alpha", 0.0), _p("beta", 0.0), is_norm=True),
    _spectrum(
        "ecpl-norm", "ExpCutoffPowerLawNorm", _p("index", 0.0), _NORM, _R, _p("lambda_", 0.1, "TeV-1"),
        _p("alpha", 1.0, frozen=True), is_norm=True,
    ),
    _spectrum("piecewise-norm", "PiecewiseNorm", is_norm=True, needs=("energy",)),
    _spectrum("scale", "Scale", _NORM, is_norm=True),
    _spectrum(
        "ebl-norm", "EBLAbsorptionNorm", _p("redshift", 0.1, frozen=True), _p("alpha_norm", 1.0, frozen=True),
        is_norm=True,
    ),
    _shape("point", "Point", *_PLACE),
    _shape("gauss", "Gaussian", *_PLACE, _p("sigma", 1.0, "deg", low=0), _E, _PHI),
    _shape(
        "gauss-general", "GeneralizedGaussian", *_PLACE, _p("r_0", 1.0, "deg"), _p("eta", 0.5, low=0.01, high=1),
        _E, _PHI,
    ),
    _shape(
        "disk", "Disk", *_PLACE, _p("r_0", 1.0, "deg", low=0), _E, _PHI,
        _p("edge_width", 0.01, frozen=True, low=0, high=1),
    ),
    _shape("shell", "Shell", *_PLACE, _p("radius", 1.0, "deg"), _p("width", 0.2, "deg")),
    _shape("shell2", "Shell2", *_PLACE, _p("r_0", 1.0, "deg"), _p("eta", 0.2, low=0.02, high=1)),
    _shape("const", "Constant", _p("value", 1.0, "sr-1", frozen=True)),
    _shape("const-flux", "ConstantFlux"),
    _shape("template", "Template", *_MAP_PLACE, needs=("filename",)),
    _shape("templateND", "TemplateND", needs=("filename",)),
    _shape("piecewise-norm", "PiecewiseNorm", needs=("lon", "lat")),
    Kind("spatial", "sum", "", needs=("weights", "parts")),
    _curve("const", "Constant"),
    _curve("linear", "Linear", _p("alpha", 1.0), _p("beta", 0.0, "d-1"), _T),
    _curve("exp-decay", "ExpDecay", _p("t0", 1.0, "d"), _T),
    _curve("gauss", "Gaussian", _T_FREE, _p("sigma", 1.0, "d")),
    _curve(
        "gengauss", "GeneralizedGaussian", _T_FREE, _p("t_rise", 1.0, "d"), _p("t_decay", 1.0, "d"), _p("eta", 0.5)
    ),
    _curve("powerlaw", "PowerLaw", _p("alpha", 1.0), _T, _p("t0", 1.0, "d", frozen=True)),
    _curve("sinus", "Sine", _p("amp", 1.0), _p("omega", 1.0, "rad d-1"), _T_FREE),
    _curve("template", "LightCurveTemplate", _T, needs=("filename",)),
    _curve(
        "template-phase", "TemplatePhaseCurve", _p("t_ref", 48442.5, "d", frozen=True), _p("phi_ref", 0.0, frozen=True),
        _p("f0", 29.946923, "s-1", frozen=True),
        _p("f1", 0.0, "s-2", frozen=True), _p("f2", 0.0, "s-3", frozen=True), needs=("filename",),
    ),
)  # fmt: skip
_BY_NAME = {(kind.role, name): kind for kind in KINDS for name in (kind.tag, kind.class_name) if name}


def find_kind(role: str, name: str) -> Kind | None:
    """Return the kind that a file names, by its tag or class, None if there is none.

    Examples
    --------
    >>> find_kind("spectral", "PowerLawSpectralModel").tag
    'pl'
    """
    return _BY_NAME.get((role, name))


def suggest_kind(role: str, name: str) -> str:
    """Return the nearest name of a kind and the list of all that are supported."""
    known = [kind.tag for kind in KINDS if kind.role == role]
    classes = [kind.class_name for kind in KINDS if kind.role == role and kind.class_name]
    close = nearest(name, known + classes)
    listed = f"supported are {', '.join(known)}"
    return f"{close} {listed}" if close.startswith("did") else listed

"""Kinds of spectra, shapes and light curves in ctools and Fermi XML, and what their parameters become, in one table."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["BACKGROUNDS", "ISOTROPIC", "MAPS", "XML_KINDS", "XmlKind", "XmlParameter", "find_xml_kinds"]


@dataclass(frozen=True)
class XmlParameter:
    """A parameter of an XML file.

    Parameters
    ----------
    names : by which it is known, the one of ctools first
    target : parameter that it becomes, empty where it is handled apart
    unit : of its value times its scale
    change : ``same``, ``negative`` or ``inverse``
    is_frozen : whether it stays whatever the file says
    default : when it is not there; None where it must be
    """

    names: tuple[str, ...]
    target: str
    unit: str = ""
    change: str = "same"
    is_frozen: bool = False
    default: float | None = None


@dataclass(frozen=True)
class XmlKind:
    """A kind of XML file.

    Parameters
    ----------
    role : ``spectral``, ``spatial`` or ``temporal``
    types : by which it is known, the one of ctools first
    tag : kind that it becomes
    parameters : its own; the first kind of a type whose names are all there is taken
    ignored : names that occur and mean nothing
    handling : how it is made when a table of parameters is not enough
    """

    role: str
    types: tuple[str, ...]
    tag: str
    parameters: tuple[XmlParameter, ...]
    ignored: tuple[str, ...] = ()
    handling: str = ""


_DENSITY, _FLUX = "cm-2 s-1 MeV-1", "cm-2 s-1"


def _p(names: str, target: str, unit: str = "", change: str = "same", *, frozen: bool = False) -> XmlParameter:
    return XmlParameter(tuple(names.split("|")), target, unit, change, frozen)


_PREFACTOR = _p("Prefactor", "amplitude", _DENSITY)
_INDEX = _p("Index", "index", change="negative")
_PIVOT = _p("PivotEnergy|Scale", "reference", "MeV")
_CUTOFF = _p("CutoffEnergy|Cutoff", "lambda_", "MeV", "inverse")
_PLACES = (
    (_p("RA", "lon_0", "deg"), _p("DEC", "lat_0", "deg")),
    (_p("GLON", "lon_0", "deg"), _p("GLAT", "lat_0", "deg")),
)


def _spectrum(types: str, tag: str, *parameters: XmlParameter, ignored: str = "", handling: str = "") -> XmlKind:
    return XmlKind("spectral", tuple(types.split("|")), tag, parameters, tuple(ignored.split()), handling)


def _shapes(types: str, tag: str, *parameters: XmlParameter, handling: str = "") -> tuple[XmlKind, ...]:
    names = tuple(types.split("|"))
    return tuple(XmlKind("spatial", names, tag, place + parameters, handling=handling) for place in _PLACES)


_ELLIPSE = (_p("PA", "phi", "deg"), _p("MinorRadius", "", "deg"))
XML_KINDS: tuple[XmlKind, ...] = (
    _spectrum("PowerLaw|PowerLaw2", "pl", _PREFACTOR, _INDEX, _PIVOT),
    _spectrum(
        "PowerLaw|PowerLaw2", "pl-2", _p("PhotonFlux|Integral", "amplitude", _FLUX), _INDEX,
        _p("LowerLimit", "emin", "MeV", frozen=True), _p("UpperLimit", "emax", "MeV", frozen=True),
    ),
    _spectrum("ExponentialCutoffPowerLaw|ExpCutoff", "ecpl", _PREFACTOR, _INDEX, _PIVOT, _CUTOFF),
    _spectrum(
        "ExponentialCutoffPowerLaw", "ecpl", _PREFACTOR, _INDEX, _PIVOT, _p("InverseCutoffEnergy", "lambda_", "MeV-1")
    ),
    _spectrum(
        "SuperExponentialCutoffPowerLaw|PLSuperExpCutoff", "ecpl", _PREFACTOR, _p("Index1", "index", change="negative"),
        _PIVOT, _CUTOFF, _p("Index2", "alpha"),
    ),
    _spectrum(
        "PLSuperExpCutoff2", "secpl-4fgl", _PREFACTOR, _p("Index1", "index_1", change="negative"),
        _p("Scale|PivotEnergy", "reference", "MeV"), _p("Expfactor", "expfactor"), _p("Index2", "index_2"),
        handling="expfactor",
    ),
    _spectrum(
        "PLSuperExpCutoff4", "secpl-4fgl-dr3", _PREFACTOR, _p("IndexS", "index_1", change="negative"),
        _p("Scale|PivotEnergy", "reference", "MeV"), _p("ExpfactorS", "expfactor"), _p("Index2", "index_2"),
    ),
    _spectrum(
        "LogParabola", "lp", _PREFACTOR, _p("Index", "alpha", change="negative"),
        _p("Curvature", "beta", change="negative"), _PIVOT,
    ),
    _spectrum(
        "LogParabola", "lp", _p("norm", "amplitude", _DENSITY), _p("alpha", "alpha"), _p("beta", "beta"),
        _p("Eb", "reference", "MeV"),
    ),
    _spectrum(
        "BrokenPowerLaw", "bpl", _PREFACTOR, _p("Index1", "index1", change="negative"),
        _p("Index2", "index2", change="negative"), _p("BreakEnergy|BreakValue", "ebreak", "MeV"),
        ignored="PivotEnergy Scale",
    ),
    _spectrum(
        "SmoothBrokenPowerLaw", "sbpl", _PREFACTOR, _p("Index1", "index1", change="negative"),
        _p("Index2", "index2", change="negative"), _p("BreakEnergy|BreakValue", "ebreak", "MeV"), _PIVOT,
        _p("BreakSmoothness|Beta", "beta"),
    ),
    _spectrum("NodeFunction", "compound", handling="nodes"),
    _spectrum("FileFunction", "compound", _p("Normalization", "norm"), handling="file"),
    _spectrum("ConstantValue|Constant", "const", _p("Value|Normalization", "const", _DENSITY)),
    _spectrum(
        "Gaussian", "gauss", _p("Normalization", "amplitude", _FLUX), _p("Mean", "mean", "MeV"),
        _p("Sigma", "sigma", "MeV"),
    ),
    *_shapes("PointSource|SkyDirFunction|Point", "point"),
    *_shapes("RadialGaussian|GaussFunction|Gauss", "gauss", _p("Sigma", "sigma", "deg")),
    *_shapes("RadialDisk", "disk", _p("Radius", "r_0", "deg")),
    *_shapes("RadialShell|Shell", "shell", _p("Radius", "radius", "deg"), _p("Width", "width", "deg")),
    *_shapes("RadialGeneralGaussian", "gauss-general", _p("Radius", "r_0", "deg"), _p("R_Index", "eta")),
    *_shapes("EllipticalGaussian", "gauss", *_ELLIPSE, _p("MajorRadius", "sigma", "deg"), handling="ellipse"),
    *_shapes("EllipticalDisk", "disk", *_ELLIPSE, _p("MajorRadius", "r_0", "deg"), handling="ellipse"),
    XmlKind(
        "temporal", ("PhaseCurve",), "template-phase",
        (
            _p("MJD", "t_ref", "d"), _p("Phase", "phi_ref"), _p("F0", "f0", "s-1"), _p("F1", "f1", "s-2"),
            _p("F2", "f2", "s-3"),
        ),
        ("Normalization",),
    ),
    XmlKind("temporal", ("Constant",), "const", (), ("Normalization",)),
)  # fmt: skip
#: Shapes with a norm of their own.
MAPS = {"DiffuseMap": False, "SpatialMap": False, "DiffuseMapCube": True, "MapCubeFunction": True}
ISOTROPIC = ("DiffuseIsotropic", "ConstantValue")
BACKGROUNDS = ("CTAIrfBackground", "CTACubeBackground")


def find_xml_kinds(role: str, name: str) -> list[XmlKind]:
    """Return the kinds that a type may be; the names of its parameters decide between them.

    Examples
    --------
    >>> [kind.tag for kind in find_xml_kinds("spectral", "PowerLaw")]
    ['pl', 'pl-2']
    """
    return [kind for kind in XML_KINDS if kind.role == role and name in kind.types]

"""Model files of ctools and the Fermi tools: every spectrum and shape of the table, dirt, faults, and writing back."""

import math
import textwrap
from dataclasses import replace

import pytest

from skysift.config.models import read_models, write_models, xml_models, yaml_models
from skysift.config.models.links import map_parameters
from skysift.errors import InputError

LAYOUT = """\
<?xml version="1.0"?>
<source_library title="made">
  <source name="{name}" type="{type}">
    {spectrum}
    {shape}
  </source>
</source_library>
"""
POINT = (
    '<spatialModel type="PointSource">\n<parameter name="RA" value="83.6" scale="1"/>\n'
    '<parameter name="DEC" value="22" scale="1"/>\n</spatialModel>'
)


def element(tag, kind, attributes="", **values):
    """Return an element whose parameters are ``name=(value, scale)``, free unless the scale is one."""
    rows = "".join(
        f'<parameter name="{name}" value="{value}" scale="{scale}" free="{int(scale != 1)}"/>\n'
        for name, (value, scale) in values.items()
    )
    return f'<{tag} type="{kind}" {attributes}>\n{rows}</{tag}>'


LAW = element("spectrum", "PowerLaw", Prefactor=(5.7, 1e-18), Index=(2.48, -1), PivotEnergy=(0.3, 1e6))
SPECTRA = {
    "pl": (LAW, {"index": 2.48, "amplitude": 5.7e-12, "reference": 0.3}),
    "pl of Fermi": (
        element("spectrum", "PowerLaw2", Prefactor=(5.7, 1e-18), Index=(2.48, -1), Scale=(0.3, 1e6)),
        {"index": 2.48, "amplitude": 5.7e-12, "reference": 0.3},
    ),
    "pl-2": (
        element(
            "spectrum",
            "PowerLaw",
            PhotonFlux=(4.0, 1e-12),
            Index=(2.2, -1),
            LowerLimit=(1.0, 1e6),
            UpperLimit=(100, 1e6),
        ),
        {"amplitude": 4e-12, "index": 2.2, "emin": 1.0, "emax": 100.0},
    ),
    "pl-2 of Fermi": (
        element(
            "spectrum", "PowerLaw2", Integral=(4.0, 1e-12), Index=(2.2, -1), LowerLimit=(1000, 1), UpperLimit=(500, 1e3)
        ),
        {"amplitude": 4e-12, "index": 2.2, "emin": 1e-3, "emax": 0.5},
    ),
    "ecpl": (
        element(
            "spectrum",
            "ExponentialCutoffPowerLaw",
            Prefactor=(5.7, 1e-18),
            Index=(2.4, -1),
            CutoffEnergy=(4, 1e6),
            PivotEnergy=(1, 1e6),
        ),
        {"index": 2.4, "amplitude": 5.7e-12, "reference": 1.0, "lambda_": 0.25, "alpha": 1.0},
    ),
    "ecpl by inverse": (
        element(
            "spectrum",
            "ExponentialCutoffPowerLaw",
            Prefactor=(5.7, 1e-18),
            Index=(2.4, -1),
            InverseCutoffEnergy=(0.25, 1e-6),
            PivotEnergy=(1, 1e6),
        ),
        {"index": 2.4, "amplitude": 5.7e-12, "reference": 1.0, "lambda_": 0.25, "alpha": 1.0},
    ),
    "ecpl with alpha": (
        element(
            "spectrum",
            "PLSuperExpCutoff",
            Prefactor=(5.7, 1e-18),
            Index1=(1.4, -1),
            Cutoff=(4, 1e6),
            Index2=(0.5, 1),
            Scale=(1, 1e6),
        ),
        {"index": 1.4, "amplitude": 5.7e-12, "reference": 1.0, "lambda_": 0.25, "alpha": 0.5},
    ),
    "secpl-4fgl": (
        element(
            "spectrum",
            "PLSuperExpCutoff2",
            Prefactor=(5.0, 1e-12),
            Index1=(1.4, -1),
            Scale=(1000, 1),
            Expfactor=(3.0, 1e-3),
            Index2=(0.6667, 1),
        ),
        {
            "amplitude": 5e-6 * math.exp(-3e-3 * 1000**0.6667),
            "reference": 1e-3,
            "expfactor": 3e-3,
            "index_1": 1.4,
            "index_2": 0.6667,
        },
    ),
    "secpl-4fgl-dr3": (
        element(
            "spectrum",
            "PLSuperExpCutoff4",
            Prefactor=(5.0, 1e-12),
            IndexS=(1.7, -1),
            Scale=(1000, 1),
            ExpfactorS=(0.5, 1),
            Index2=(0.6667, 1),
        ),
        {"amplitude": 5e-6, "reference": 1e-3, "expfactor": 0.5, "index_1": 1.7, "index_2": 0.6667},
    ),
    "lp": (
        element(
            "spectrum",
            "LogParabola",
            Prefactor=(5.7, 1e-18),
            Index=(2.3, -1),
            Curvature=(0.2, -1),
            PivotEnergy=(1, 1e6),
        ),
        {"amplitude": 5.7e-12, "reference": 1.0, "alpha": 2.3, "beta": 0.2},
    ),
    "lp of Fermi": (
        element("spectrum", "LogParabola", norm=(3.43, 1e-11), alpha=(2.0, 1), beta=(1.34, 0.1), Eb=(1.444, 1000)),
        {"amplitude": 3.43e-5, "reference": 1.444e-3, "alpha": 2.0, "beta": 0.134},
    ),
    "bpl": (
        element(
            "spectrum",
            "BrokenPowerLaw",
            Prefactor=(5.7, 1e-18),
            Index1=(2.0, -1),
            Index2=(3.0, -1),
            BreakValue=(0.3, 1e6),
        ),
        {"index1": 2.0, "index2": 3.0, "amplitude": 5.7e-12, "ebreak": 0.3},
    ),
    "sbpl": (
        element(
            "spectrum",
            "SmoothBrokenPowerLaw",
            Prefactor=(5.7, 1e-18),
            Index1=(2.0, -1),
            Index2=(3.0, -1),
            BreakEnergy=(0.3, 1e6),
            PivotEnergy=(1, 1e6),
            BreakSmoothness=(0.2, 1),
        ),
        {"index1": 2.0, "index2": 3.0, "amplitude": 5.7e-12, "ebreak": 0.3, "reference": 1.0, "beta": 0.2},
    ),
    "const": (element("spectrum", "ConstantValue", Value=(2.0, 1e-18)), {"const": 2e-12}),
    "gauss": (
        element("spectrum", "Gaussian", Normalization=(1.0, 1e-10), Mean=(5.0, 1e6), Sigma=(1.0, 1e6)),
        {"amplitude": 1e-10, "mean": 5.0, "sigma": 1.0},
    ),
}
HERE = {"RA": (83.6, 1), "DEC": (22.0, 1)}
SHAPES = {
    "point": (element("spatialModel", "SkyDirFunction", **HERE), {}),
    "gauss": (element("spatialModel", "RadialGaussian", **HERE, Sigma=(0.3, 1)), {"sigma": 0.3, "e": 0.0}),
    "disk": (element("spatialModel", "RadialDisk", **HERE, Radius=(0.3, 1)), {"r_0": 0.3}),
    "shell": (
        element("spatialModel", "RadialShell", **HERE, Radius=(0.3, 1), Width=(0.1, 1)), {"radius": 0.3, "width": 0.1}
    ),
    "gauss-general": (
        element("spatialModel", "RadialGeneralGaussian", **HERE, Radius=(0.3, 1), R_Index=(0.7, 1)),
        {"r_0": 0.3, "eta": 0.7},
    ),
    "ellipse": (
        element("spatialModel", "EllipticalGaussian", **HERE, PA=(30, 1), MinorRadius=(0.3, 1), MajorRadius=(0.5, 1)),
        {"sigma": 0.5, "e": 0.8, "phi": 30.0},
    ),
    "ellipse the wrong way round": (
        element("spatialModel", "EllipticalDisk", **HERE, PA=(30, 1), MinorRadius=(0.5, 1), MajorRadius=(0.3, 1)),
        {"r_0": 0.5, "e": 0.8, "phi": 120.0},
    ),
}  # fmt: skip


def read(tmp_path, spectrum=LAW, shape=POINT, name="crab", kind="PointSource", **options):
    path = tmp_path / "made.xml"
    path.write_text(LAYOUT.format(name=name, type=kind, spectrum=spectrum, shape=shape))
    return read_models(path, **options)


def same(values, wanted):
    assert {name: values[name] for name in wanted} == pytest.approx(wanted, rel=1e-14)


@pytest.mark.parametrize("name", SPECTRA)
def test_spectra_become_what_the_table_says(tmp_path, name):
    text, wanted = SPECTRA[name]
    source = read(tmp_path, text)["crab"]
    assert source.spectral.tag == (name.split()[0])
    assert set(source.spectral.values) == set(wanted)
    same(source.spectral.values, wanted)


@pytest.mark.parametrize("name", SHAPES)
def test_shapes_become_what_the_table_says(tmp_path, name):
    text, wanted = SHAPES[name]
    source = read(tmp_path, shape=text, kind="ExtendedSource")["crab"]
    assert source.spatial.frame == "icrs"
    same(source.spatial.values, wanted | {"lon_0": 83.6, "lat_0": 22.0})


@pytest.mark.parametrize("name", [*SPECTRA, *SHAPES])
def test_xml_written_is_xml_read(tmp_path, name):
    changed = (
        {"spectrum": SPECTRA[name][0]} if name in SPECTRA else {"shape": SHAPES[name][0], "kind": "ExtendedSource"}
    )
    models = read(tmp_path, **changed)
    write_models(models, tmp_path / "again.xml")
    again = read_models(tmp_path / "again.xml")
    assert again.parameters() == models.parameters()
    # Through YAML the producer's words are lost, the models are not.
    write_models(models, tmp_path / "other.yaml")
    write_models(read_models(tmp_path / "other.yaml"), tmp_path / "other.xml")
    last = read_models(tmp_path / "other.xml").natural().parameters()
    for key, one in models.natural().parameters().items():
        assert last[key].value == pytest.approx(one.value, rel=1e-12, abs=1e-12), key
        assert last[key].is_frozen == one.is_frozen, key


def test_only_what_changes_is_written_anew(tmp_path):
    spectrum = LAW.replace('value="5.7"', 'value="5.70" error="0.1" min="0.01" max="1e3"')
    models = read(tmp_path, spectrum)
    text = xml_models(models)
    assert 'value="5.70"' in text
    assert 'scale="-1"' in text
    index = replace(models["crab"].spectral["index"], value=3.0)
    text = xml_models(replace(models, components=(map_parameters(models["crab"], {"crab.spectral.index": index}),)))
    assert 'name="Index" value="-3.0"' not in text
    assert 'name="Index" value="3.0" scale="-1"' in text
    assert 'value="5.70"' in text


def test_limits_and_errors_follow_scale_sign_and_inverse(tmp_path):
    text = element("spectrum", "ExpCutoff", Prefactor=(5.7, 1e-18), Index=(2.4, -1), Cutoff=(4, 1e6), Scale=(1, 1e6))
    text = text.replace('value="2.4"', 'value="2.4" min="0" max="5" error="0.2"').replace(
        'value="4"', 'value="4" min="1" max="1000" error="0.8"'
    )
    spectrum = read(tmp_path, text)["crab"].natural().spectral
    index, cutoff = spectrum["index"], spectrum["lambda_"]
    assert (index.low, index.high, index.error) == (0.0, 5.0, 0.2)
    assert (cutoff.low, cutoff.high) == pytest.approx((1e-3, 1.0))
    assert cutoff.error == pytest.approx(0.8 / 16)


NODES = """
<spectrum type="NodeFunction">
  <node>
    <parameter name="Energy" value="0.1" scale="1e6" free="0"/>
    <parameter name="Intensity" value="4.0" scale="1e-16" free="1"/>
  </node>
  <node>
    <parameter name="Energy" value="1" scale="1e6" free="0"/>
    <parameter name="Intensity" value="2.0" scale="1e-18" min="1e-5" max="1e3" free="1"/>
  </node>
</spectrum>
"""


def test_nodes_are_a_template_times_norms_at_its_nodes(tmp_path):
    models = read(tmp_path, NODES)
    template, norms = models["crab"].spectral.parts
    assert template.tables["energy"] == pytest.approx((0.1, 1.0))
    assert template.tables["values"] == pytest.approx((4e-10, 2e-12))
    assert [one.is_frozen for one in norms.parameters] == [False, False]
    assert norms.parameters[1].high == pytest.approx(500.0)
    write_models(models, tmp_path / "again.xml")
    assert read_models(tmp_path / "again.xml").parameters() == models.parameters()
    write_models(models, tmp_path / "other.yaml")
    write_models(read_models(tmp_path / "other.yaml"), tmp_path / "other.xml")
    last = read_models(tmp_path / "other.xml")["crab"].spectral
    assert last.parts[0].tables["values"] == pytest.approx((4e-10, 2e-12))


def test_maps_cubes_and_backgrounds(tmp_path):
    shape = element("spatialModel", "SpatialMap", 'file="$(LATEXTDIR)/Templates/a.fits"', Prefactor=(1, 1))
    source = read(tmp_path, shape=shape, kind="DiffuseSource")["crab"]
    assert source.spatial.tag == "template"
    assert source.spatial.settings["normalize"] is True
    assert source.spatial.file.endswith("Templates/a.fits")
    cube = element("spatialModel", "MapCubeFunction", 'file="a.fits"', Value=(1, 1))
    norm = element("spectrum", "ConstantValue", Value=(0.9, 0.5))
    source = read(tmp_path, norm, cube, kind="DiffuseSource")["crab"]
    assert source.spectral.tag == "pl-norm"
    assert source.spectral.values["norm"] == 0.45
    assert source.spatial.settings["normalize"] is False
    norm = element("spectrum", "PowerLaw", Prefactor=(1.1, 0.5), Index=(0.2, -1), PivotEnergy=(1, 1e6))
    (background,) = read(tmp_path, norm, "", kind="CTAIrfBackground").backgrounds
    assert background.spectral.values == {"tilt": 0.2, "norm": 0.55, "reference": 1.0}
    assert "tilt" in yaml_models(read(tmp_path, norm, "", kind="CTAIrfBackground"))


# The same name, another function.
OTHER_CUTOFF = element(
    "spectrum", "ExpCutoff", Prefactor=(1, 1), Index=(2, -1), Scale=(1, 1), Ebreak=(1, 1),
    P1=(1, 1), P2=(0, 1), P3=(0, 1),
)  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"spectrum": LAW.replace("PowerLaw", "PowrLaw")}, "did you mean 'PowerLaw'"),
        ({"spectrum": LAW.replace("PivotEnergy", "PivotEnerg")}, "Prefactor, Index, PivotEnergy/Scale"),
        ({"spectrum": LAW.replace("</spectrum>", '<parameter name="Beta" value="1"/></spectrum>')}, "parameter 'Beta'"),
        ({"spectrum": LAW.replace("</spectrum>", '<parameter name="Index" value="1"/></spectrum>')}, "a second time"),
        ({"spectrum": LAW.replace('"2.48"', '"steep"')}, "a finite number"),
        ({"spectrum": LAW.replace('free="1"', 'free="maybe"')}, "0 or 1"),
        ({"spectrum": OTHER_CUTOFF}, "CutoffEnergy"),
        ({"spectrum": NODES.replace('value="1" scale="1e6"', 'value="0.1" scale="1e6"')}, "that rise"),
        ({"spectrum": NODES.replace('value="2.0"', 'value="-2.0"')}, "numbers > 0"),
        ({"shape": ""}, "one <spatialModel>"),
        ({"kind": "RadialAcceptance"}, "one of PointSource"),
        ({"name": ""}, "a name"),
        ({"shape": POINT.replace("</spatialModel>", "")}, "well-formed"),
    ],
)  # fmt: skip
def test_faults_say_where_and_what(tmp_path, changed, said):
    with pytest.raises(InputError) as caught:
        read(tmp_path, **changed)
    assert said in str(caught.value)
    assert "made.xml" in caught.value.place


def test_dirt_is_repaired_and_said_or_refused(tmp_path):
    for spectrum in (
        LAW.replace("1e-18", "1-18"),
        LAW.replace('scale="1e-18"', 'unit="cm-2 s-1 GeV-1"'),
        LAW.replace('value="2.48"', 'value="2.48" max="2"'),
    ):
        models = read(tmp_path, spectrum)
        assert len(models.warnings) == 1
        with pytest.raises(InputError):
            read(tmp_path, spectrum, is_strict=True)
    assert read(tmp_path, LAW.replace("1e-18", "1-18"))["crab"].spectral.values["amplitude"] == pytest.approx(5.7e-12)
    assert read(tmp_path, LAW.replace('scale="1e-18"', 'unit="cm-2 s-1 GeV-1"'))["crab"].spectral.values[
        "amplitude"
    ] == pytest.approx(5.7e3)


def test_nothing_is_expanded(tmp_path):
    path = tmp_path / "bomb.xml"
    path.write_text('<?xml version="1.0"?>\n<!DOCTYPE a [<!ENTITY b "c">]>\n<source_library>&b;</source_library>\n')
    with pytest.raises(InputError, match="DOCTYPE"):
        read_models(path)
    path.write_text(textwrap.dedent("<source_library>&b;</source_library>"))
    with pytest.raises(InputError, match="undefined entity"):
        read_models(path)
    path.write_text("<a>" * 30 + "</a>" * 30)
    with pytest.raises(InputError, match="levels"):
        read_models(path)
    with pytest.raises(InputError, match="lost"):
        read_models(tmp_path / "lost.xml")


def test_xml_cannot_say_links_priors_and_other_models(tmp_path):
    (tmp_path / "a.yaml").write_text(
        "components:\n- name: a\n  type: SkyModel\n  spatial: {type: point}\n  spectral: {type: lp2}\n"
    )
    with pytest.raises(InputError, match="write YAML instead"):
        write_models(read_models(tmp_path / "a.yaml"), tmp_path / "b.xml")
    (tmp_path / "a.yaml").write_text(
        "components:\n- name: a\n  type: SkyModel\n  spatial: {type: point}\n"
        "  spectral: {type: pl, parameters: [{name: index, value: 2, link: b}]}\n"
    )
    with pytest.raises(InputError, match="a link"):
        write_models(read_models(tmp_path / "a.yaml"), tmp_path / "b.xml")

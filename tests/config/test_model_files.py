"""Model files in the layout of Gammapy: what is read, what is repaired, and every fault with its place."""

import math
import textwrap

import pytest

from skysift.config.models import check_datasets, interpret_models, order_expressions, read_models
from skysift.config.models.expressions import ExpressionError, read_expression
from skysift.config.models.units import UnitError, read_unit
from skysift.config.reader import Dialect, read_yaml_text
from skysift.errors import InputError

CRAB = """
components:
- name: crab
  type: SkyModel
  spectral:
    type: PowerLawSpectralModel
    parameters:
    - {name: index, value: 2.5, error: 0.1, link: shared}
    - name: amplitude
      value: 3.0e-11
      unit: 1 / (cm2 s TeV)
      prior: {type: GaussianPrior, parameters: [{name: mu, value: 3.e-11}, {name: sigma, value: 1e-12}]}
    - {name: reference, value: 500, unit: GeV}
  spatial:
    type: gauss
    frame: galactic
    parameters:
    - {name: lon_0, value: 184.5, unit: deg, min: .nan}
    - {name: lat_0, value: -5.8, unit: deg}
    - {name: sigma, value: 3.0, unit: arcmin}
- name: halo
  type: sky-model
  datasets_names: [south, north]
  apply_irf: {psf: false}
  spectral:
    type: pl
    parameters:
    - {name: index, value: 9.0, link: shared, frozen: true}
    - {name: amplitude, value: 1e-12, unit: cm-2 s-1 TeV-1}
    - {name: reference, value: 1.0, unit: TeV}
  spatial: {type: const}
- type: FoVBackgroundModel
  datasets_names: [south]
  spectral:
    type: pl-norm
    parameters: [{name: norm, value: 1.1}, {name: tilt, value: 0.1}, {name: reference, value: 1.0, unit: TeV}]
skysift:
  format_version: 1
  expressions: {halo.spectral.amplitude: 0.5 * crab.spectral.amplitude * exp(-crab.spectral.index)}
"""


def read(text, **options):
    return interpret_models(read_yaml_text(textwrap.dedent(text), "made", Dialect(is_lenient=True)), **options)


def test_units_and_defaults_are_those_of_the_kind():
    models = read(CRAB)
    spectrum = models["crab"].spectral
    assert spectrum.tag == "pl"
    assert spectrum["reference"].is_frozen
    assert spectrum.values == {"index": 2.5, "amplitude": 3e-11, "reference": 0.5}
    assert models["crab"].natural().spatial["sigma"].value == pytest.approx(0.05)
    assert models["crab"].spatial["sigma"].low == 0
    assert models["crab"].spatial["lon_0"].low is None
    assert models["crab"].spatial["lat_0"].high == 90
    assert models["halo"].spatial.frame is None
    assert any("no parameter 'e'" in text for text in models.warnings)


def test_backgrounds_and_sources_know_their_data_sets():
    models = read(CRAB)
    assert [one.name for one in models.sources] == ["crab", "halo"]
    assert [(one.name, one.dataset) for one in models.backgrounds] == [("south-bkg", "south")]
    assert models["halo"].is_in("north")
    assert not models["halo"].is_in("west")
    assert models["crab"].is_in("west")
    assert models["halo"].apply_irf == {"exposure": True, "psf": False, "edisp": True}
    with pytest.raises(InputError, match="north"):
        check_datasets(models, ["south"])
    check_datasets(models, ["south", "north"])


def test_linked_parameters_are_the_first_of_their_label():
    models = read(CRAB)
    assert models["halo"].spectral["index"].value == 2.5
    assert not models["halo"].spectral["index"].is_frozen
    assert models["halo"].spectral["index"].link == "shared"


def test_expression_is_kept_with_the_parameter_that_it_sets():
    models = read(CRAB)
    (pair,) = order_expressions(models).items()
    assert pair[0] == "halo.spectral.amplitude"
    assert pair[1].names == ("crab.spectral.amplitude", "crab.spectral.index")


def test_prior_follows_the_unit_of_its_parameter():
    amplitude = read(CRAB.replace("1 / (cm2 s TeV)", "1 / (cm2 s GeV)"))["crab"].spectral["amplitude"].natural()
    assert amplitude.value == pytest.approx(3e-8)
    assert amplitude.prior.numbers == pytest.approx((3e-8, 1e-9))


def test_background_of_the_old_layout_keeps_its_values():
    models = read(
        """
        components:
        - type: FoVBackgroundModel
          name: custom
          datasets_names: [south]
          parameters:
          - {name: norm, value: 0.9}
          - {name: tilt, value: 0.2, frozen: false}
          - {name: reference, value: 2, unit: TeV}
        """
    )
    assert models.backgrounds[0].spectral.values == {"tilt": 0.2, "norm": 0.9, "reference": 2.0}
    assert "old layout" in models.warnings[0]


def test_compound_spectra_are_read_within_each_other():
    inner = "{type: compound, model1: {type: const}, model2: {type: pl-norm}, operator: mul}"
    models = read(
        f"""
        components:
        - name: a
          type: SkyModel
          spectral: {{type: CompoundSpectralModel, operator: add, model1: {{type: pl}}, model2: {inner}}}
        """
    )
    names = [name for name, _ in models["a"].spectral.named_parameters()]
    assert names[0] == "model1.index"
    assert names[-1] == "model2.model2.reference"


SOURCE = "components:\n- name: a\n  type: SkyModel\n  spectral: {type: pl}\n"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("type: PowerLawSpectralModel", "type: PowrLawSpectralModel", "supported are const, pl"),
        ("type: PowerLawSpectralModel", "type: NaimaSpectralModel", "supported are const, pl"),
        ("{name: index, value: 2.5", "{name: indx, value: 2.5", "did you mean 'index'"),
        ("    - {name: reference, value: 500, unit: GeV}", "    - {name: index, value: 2}", "a second time"),
        ("unit: GeV", "unit: deg", "an angle"),
        ("unit: GeV", "unit: furlong", "unknown unit 'furlong'"),
        ("frame: galactic", "frame: fk5", "icrs or galactic"),
        ("name: halo", "name: crab", "each name once"),
        ("value: -5.8", "value: -5.8, min: 0", "its limits"),
        ("name: amplitude\n", "name: amplitude\n      link: shared\n", "of one unit"),
        ("GaussianPrior", "GausianPrior", "did you mean 'GaussianPrior'"),
        ("sigma, value: 1e-12", "sigma, value: -1", "above 0"),
        ("apply_irf: {psf: false}", "apply_irf: {psf: 1}", "true or false"),
        ("format_version: 1", "format_version: 9", "newer skysift"),
        ("halo.spectral.amplitude: 0.5", "halo.spectral.amplitud: 0.5", "did you mean 'halo.spectral.amplitude'"),
        ("datasets_names: [south]\n", "datasets_names: [south, north]\n", "one data set"),
        ("type: sky-model", "type: SkyModl", "did you mean 'SkyModel'"),
        ("value: 2.5,", "value: many,", "a number"),
    ],
)  # fmt: skip
def test_faults_say_where_and_what(old, new, said):
    assert old in CRAB
    with pytest.raises(InputError) as caught:
        read(CRAB.replace(old, new))
    assert said in str(caught.value)
    assert "made" in caught.value.place


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("0.5 * crab.spectral.index", "where a flux density is set"),
        ("crab.spectral.amplitude + 1", "a flux density \\+ a number"),
        ("crab.spectral.amplitud", "did you mean"),
        ("exp(crab.spectral.amplitude) * crab.spectral.amplitude", "exp of"),
        ("__import__('os')", "unknown function"),
        ("halo.spectral.amplitude", "not themselves"),
        ("crab.spectral.amplitude *", "unexpected"),
        ("2 [TeV]", "an energy"),
    ],
)
def test_faults_of_expressions(expression, said):
    text = CRAB.replace("0.5 * crab.spectral.amplitude * exp(-crab.spectral.index)", f'"{expression}"')
    with pytest.raises(InputError, match=said):
        order_expressions(read(text))


def test_nodes_must_rise_and_templates_must_not_be_negative():
    template = "{type: template, energy: {data: [1, 2, 3], unit: TeV}, values: {data: [3, 2, 1], unit: cm-2 s-1 TeV-1}}"
    part = read(SOURCE.replace("{type: pl}", template))["a"].spectral
    assert part.tables == {"energy": (1.0, 2.0, 3.0), "values": (3.0, 2.0, 1.0)}
    for old, new, said in (
        ("1, 2, 3]", "1, 3, 2]", "rise"),
        ("3, 2, 1]", "3, -2, 1]", ">= 0"),
        ("3, 2, 1]", "3, 2]", "3 values"),
    ):
        with pytest.raises(InputError, match=said):
            read(SOURCE.replace("{type: pl}", template.replace(old, new)))


def test_strict_reading_refuses_what_would_be_repaired():
    with pytest.raises(InputError, match="no repair"):
        read(SOURCE, is_strict=True)
    assert read(SOURCE)["a"].spectral.values["index"] == 2.0


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("1 / (cm2 s MeV sr)", "cm-2 s-1 MeV-1 sr-1"), ("cm^-2 s**-1", "1/cm2/s"), ("m2 s", "1e4 cm2 s"),
        ("TeV-1", "1e-3 GeV-1"), ("h-1", "s-1 / 3600"), ("1 / (TeV s cm2)", "cm(-2) s^(-1) TeV**-1"),
    ],
)  # fmt: skip
def test_units_are_read_in_both_spellings(text, other):
    one, two = read_unit(text), read_unit(other)
    assert one.powers == two.powers
    assert one.factor == pytest.approx(two.factor, rel=1e-14)


@pytest.mark.parametrize("text", ["cm-2 s-1 )", "(cm", "cm99", "lightyear", "/ s", "cm @ s"])
def test_text_that_is_no_unit(text):
    with pytest.raises(UnitError):
        read_unit(text)


def test_grammar_of_expressions():
    powers = {"a": (0, 0, 0, 0), "e": (1, 0, 0, 0), "l": (0, 0, 0, 1), "LS I 61+303.spectral.index": (0, 0, 0, 0)}
    plain = (0, 0, 0, 0)
    for text in ("-a ** 2", "e / 2 [GeV]", "sqrt(e * e) / e", "sin(l) + cos(a)", "min(a, 2) * max(1, a)"):
        assert read_expression(text, powers, plain).text == text
    assert read_expression("'LS I 61+303'.spectral.index", powers, plain).names == ("LS I 61+303.spectral.index",)
    for text in ("a b", "e ** a", "min(a)", "a..b", "1 2", "lambda: 1", "(" * 60 + "a" + ")" * 60):
        with pytest.raises(ExpressionError):
            read_expression(text, powers, plain)


def test_covariance_is_checked(tmp_path):
    text = SOURCE.replace("{type: pl}", "{type: const}") + "covariance: a.dat\n"
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(InputError, match=r"a\.dat"):
        read_models(tmp_path / "a.yaml")
    (tmp_path / "a.dat").write_text("| Parameters | 0 |\n| a.spectral.const | 4e-26 |\n")
    models = read_models(tmp_path / "a.yaml")
    assert models.covariance == ((4e-26,),)
    assert math.isclose(models.natural().covariance[0][0], 4e-26)
    for bad in (
        "| Parameters | 0 |\n| a.spectral.const | -1 |\n",
        "| Parameters | 0 |\n| b.spectral.const | 1 |\n",
        "| Parameters | 0 | 1 |\n| a.spectral.const | 1 | 1 |\n",
        "nothing\n",
    ):
        (tmp_path / "a.dat").write_text(bad)
        with pytest.raises(InputError):
            read_models(tmp_path / "a.yaml")

"""Quantities, numbers and priors as text: what is read, what is refused, and that both directions agree."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from skysift.config.hyperpriors import LengthScale, Variance
from skysift.config.priors import Prior
from skysift.config.quantities import UNITS, Degrees, EnergyGeV, Radians, format_quantity, parse_quantity
from skysift.config.scalars import Integer, Name, Real, ResolutionParameter, read_number


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("20 deg", Degrees, 20),
        ("20deg", Degrees, 20),
        ("  -0.5e1  deg ", Degrees, -5),
        ("30 arcmin", Degrees, 0.5),
        ("3600 arcsec", Degrees, 1),
        ("0.2 rad", Radians, 0.2),
        ("180 deg", Radians, math.pi),
        ("200 mrad", Radians, 0.2),
        ("0.1 TeV", EnergyGeV, 100),
        ("2000 MeV", EnergyGeV, 2),
        ("1 erg", EnergyGeV, 624.1509074460763),
    ],
)
def test_a_quantity_is_read_in_its_unit(text, kind, value):
    assert TypeAdapter(kind).validate_python(text) == pytest.approx(value, rel=1e-14)


@pytest.mark.parametrize(
    "text", ["20", 20, 20.0, "deg", "20 m", "20 GeV", "1e999 deg", "nan deg", "20 deg deg", "2 0 deg", "²0 deg", "",
             None, True, [], "20 Deg", "1_0 deg", "0x10 deg", "__import__('os') deg", "9" * 200 + " deg"],
)  # fmt: skip
def test_anything_else_is_refused_with_an_example_that_works(text):
    with pytest.raises(PydanticCustomError) as caught:
        parse_quantity(text, "angle", "deg")
    remedy = caught.value.context["remedy"]
    assert parse_quantity(" ".join(remedy.split()[-2:]), "angle", "deg") > 0


@given(st.floats(allow_nan=False, allow_infinity=False), st.sampled_from(["deg", "rad"]))
def test_a_written_quantity_reads_back_to_the_same_number(value, unit):
    assert parse_quantity(format_quantity(value, unit), "angle", unit) == value


@given(st.text())
def test_no_text_breaks_the_grammar(text):
    for kind in UNITS:
        try:
            assert math.isfinite(parse_quantity(text, kind, next(iter(UNITS[kind]))))
        except PydanticCustomError:
            continue


def test_the_units_agree_with_those_of_astropy():
    from astropy import units

    for kind, members in UNITS.items():
        first = units.Unit(next(iter(members)))
        for name, factor in members.items():
            assert units.Unit(name).to(first) == pytest.approx(factor, rel=1e-8), kind


@pytest.mark.parametrize(
    ("text", "value"), [("1e3", 1000), ("1e-3", 0.001), ("+.5", 0.5), (3, 3), (" 2 ", 2), ("0", 0)]
)
def test_text_that_spells_a_number_is_one(text, value):
    assert read_number(text) == value


@pytest.mark.parametrize(
    "text",
    ["012", "-01", "yes", True, False, None, "nan", "inf", math.inf, math.nan, "1+1", "1_000", "0x10", "", "one", []],
)
def test_text_that_may_mean_several_things_is_no_number(text):
    with pytest.raises(PydanticCustomError):
        read_number(text)


class Numbers(BaseModel):
    whole: Integer = 0
    real: Real = 0.0
    nside: ResolutionParameter = 1
    name: Name = "a"


@pytest.mark.parametrize(
    "wrong",
    [{"whole": "1.5"}, {"whole": 1e30}, {"real": "x"}, {"nside": 100}, {"nside": 0}, {"name": 7}, {"name": True}],
)
def test_numbers_and_names_are_never_guessed(wrong):
    with pytest.raises(ValidationError):
        Numbers.model_validate(wrong)
    assert Numbers.model_validate({"whole": "1e3", "real": "1e-3", "nside": "64", "name": "7"}).whole == 1000


@pytest.mark.parametrize(
    ("written", "kind", "support"),
    [
        ({"normal": [0.5, 0.1]}, "normal", (-math.inf, math.inf)),
        ({"normal": [0.5, 0.1], "min": 0}, "normal", (0, math.inf)),
        ({"normal": ["0.5", "1e-1"], "min": 0, "max": 2}, "normal", (0, 2)),
        ({"lognormal": [12.3, 0.5]}, "lognormal", (0, math.inf)),
        ({"uniform": [0, 1.5]}, "uniform", (0, 1.5)),
        ({"loguniform": [0.01, 10]}, "loguniform", (0.01, 10)),
        ({"fixed": 1}, "fixed", (-math.inf, math.inf)),
        (1, "fixed", (-math.inf, math.inf)),
        ("2e0", "fixed", (-math.inf, math.inf)),
        ({"fixed": "rigid_fit"}, "fixed", (-math.inf, math.inf)),
        ({"normal": None, "uniform": [0, 1]}, "uniform", (0, 1)),
    ],
)
def test_a_prior_knows_its_family_and_support(written, kind, support):
    prior = Prior.model_validate(written)
    assert (prior.kind, prior.support) == (kind, support)
    assert Prior.model_validate(prior.model_dump(exclude_none=True)) == prior


def test_a_prior_gives_the_numbers_of_its_family():
    normal, lognormal = Prior.model_validate({"normal": [1, 2]}), Prior.model_validate({"lognormal": [3, 4]})
    uniform, fixed = Prior.model_validate({"uniform": [5, 6]}), Prior.model_validate(7)
    assert (normal.mean, normal.sd, lognormal.median, lognormal.sd, uniform.low, uniform.high) == (1, 2, 3, 4, 5, 6)
    assert (fixed.value, fixed.is_fixed, fixed.is_rigid_fit) == (7, True, False)
    assert Prior.model_validate("rigid_fit").is_rigid_fit
    with pytest.raises(AttributeError, match="normal prior has none of lognormal"):
        _ = normal.median


@pytest.mark.parametrize(
    "written",
    [
        {"normal": [0.5, 0]}, {"normal": [0.5, -1]}, {"lognormal": [0, 1]}, {"lognormal": [1, 0]}, {"uniform": [1, 1]},
        {"uniform": [2, 1]}, {"loguniform": [0, 1]}, {"normal": [1, 1], "uniform": [0, 1]}, {}, {"min": 0}, [0, 1],
        {"uniform": [0, 1], "min": 0}, {"normal": [1, 1], "min": 2, "max": 1}, {"normal": [0, 0.1], "min": 5},
        {"normal": [0, 0.1], "max": -5}, {"normal": [1]}, {"normal": [1, 2, 3]}, {"normal": "N(0, 1)"},
        {"fixed": "1+1"}, {"fixed": "rigid"}, "normal(0, 1)", {"fixed": True}, {"normal": [1, "nan"]},
    ],
)  # fmt: skip
def test_a_prior_that_is_none_is_refused(written):
    with pytest.raises(ValidationError):
        Prior.model_validate(written)


def test_hyper_parameters_are_numbers_or_priors():
    fixed, free = LengthScale.model_validate("0.2 rad"), LengthScale.model_validate({"lognormal": ["0.4 rad", 0.5]})
    assert (fixed.is_fixed, fixed.value_rad, fixed.median_rad, fixed.sd) == (True, 0.2, 0.2, 0)
    assert (free.is_fixed, free.value_rad, free.median_rad, free.sd) == (False, None, 0.4, 0.5)
    assert Variance.model_validate({"lognormal": [0.05, 1]}).median == 0.05
    for wrong in ("4 rad", "0 rad", "-1 deg", 0.2, {"value": "0.2 rad", "lognormal": ["0.2 rad", 1]}, {}):
        with pytest.raises(ValidationError):
            LengthScale.model_validate(wrong)
    for wrong in (0, -1, "0.2 rad", {}, {"value": 1, "lognormal": [1, 1]}, {"lognormal": [1, 0]}):
        with pytest.raises(ValidationError):
            Variance.model_validate(wrong)

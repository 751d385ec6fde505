"""Model files and catalogues as published: every source loads and evaluates, or names the file that it lacks."""

from collections import Counter
from dataclasses import dataclass, field, replace
from itertools import chain

import numpy as np
import pytest

from skysift.config.models import interpret_models, read_models, write_models
from skysift.config.reader import Document
from skysift.errors import InputError
from skysift.sky.catalogues import EXTENDED_COLUMNS, FERMI_CATALOGUES, declare_fermi
from skysift.sky.components import build_shape, build_spectrum
from skysift.steps.model_files import load_maps, load_models

EDGES = np.geomspace(0.05, 100.0, 8)
XML = {
    "binaries": 11, "composite": 325, "gamma-cat2": 66, "images": 11, "pulsars": 15, "pwn": 491, "snr_2": 861,
}  # fmt: skip


def xml_path(folder, name):
    suffix = ".xml.gz" if name == "snr_2" else ".xml"
    return folder / f"models/cta-1dc-xml/ctadc_skymodel_gps_sources_{name}{suffix}"


@pytest.fixture(scope="session")
def survey(data_folder):
    """The models of the first data challenge, by list."""
    return {name: read_models(xml_path(data_folder, name)) for name in XML}


def evaluate(models):
    """Evaluate all sources at their centres; return the names of those that lack their file, with the error."""
    maps, left_out = load_maps(models, skips_missing=True)
    faults = {}
    for source in models.natural().components:
        flux = build_spectrum(source.spectral, source.spectral.values).integrals(EDGES)
        assert flux.isfinite().all(), source.name
        assert (flux >= 0).all(), source.name
        assert flux.sum() > 0, source.name
        try:
            shape = build_shape(source.spatial, source.spatial.values, maps)
        except InputError as error:
            faults[source.name] = error
            continue
        if not shape.is_point:
            lon, lat = centre(source, maps)
            assert shape.density([lon], [lat]).isfinite().all(), source.name
            assert np.isfinite(shape.reach_deg)
    assert set(left_out) == set(faults)
    return faults


def centre(source, maps):
    if source.spatial.tag == "template":
        return maps[source.spatial.file].centre_deg
    values = source.spatial.values
    return tuple(values.get(name, values.get(f"model1.{name}")) for name in ("lon_0", "lat_0"))


def test_survey_has_its_1780_sources(survey):
    assert {name: len(models.components) for name, models in survey.items()} == XML
    sources = list(chain.from_iterable(models.components for models in survey.values()))
    spectra, shapes = (Counter(getattr(one, role).tag for one in sources) for role in ("spectral", "spatial"))
    assert spectra == {"compound": 861, "lp": 816, "pl": 78, "pl-2": 10, "ecpl": 14, "bpl": 1}
    assert shapes == {"gauss": 869, "shell": 863, "point": 38, "template": 10}
    assert sum(one.temporal is not None for one in sources) == 23
    warnings = list(chain.from_iterable(models.warnings for models in survey.values()))
    assert sum("is read as" in one for one in warnings) == 10
    assert sum("PivotEnergy" in one for one in warnings) == 1
    assert len(warnings) == 11


@pytest.mark.slow
def test_all_remnants_of_the_survey_evaluate(survey):
    assert not evaluate(survey["snr_2"])


@pytest.mark.parametrize("name", XML)
def test_survey_evaluates_or_names_its_maps(survey, name):
    models = survey[name]
    faults = evaluate(replace(models, components=models.components[::30]) if name == "snr_2" else models)
    assert len(faults) == (7 if name == "images" else 0)
    for error in faults.values():
        assert ".fits" in error.place


def test_images_that_are_there_are_normalised(survey, data_folder):
    maps, _ = load_maps(survey["images"], skips_missing=True)
    assert len(maps) == 3
    with pytest.raises(InputError, match="missing: skip"):
        load_maps(survey["images"])
    for sky_map in maps.values():
        lon, lat = sky_map.centre_deg
        offsets = np.linspace(-2.0, 2.0, 401)
        x, y = np.meshgrid(lon + offsets / np.cos(np.radians(lat)), lat + offsets)
        total = (sky_map.values_at(x.ravel(), y.ravel()) * np.cos(np.radians(y.ravel()))).sum()
        share = total * np.radians(0.01) ** 2 / np.cos(np.radians(lat))
        # Interpolation in logarithms lies below the pixels that it joins, and ends half a pixel early.
        assert 0.8 < share < 1.01


# The longest lists are like the others, hundreds of times.
@pytest.mark.parametrize("name", ["binaries", "gamma-cat2", "images", "pulsars"])
def test_survey_written_is_survey_read(survey, name, tmp_path):
    for suffix in (".xml", ".yaml"):
        write_models(survey[name], tmp_path / f"again{suffix}")
        again = read_models(tmp_path / f"again{suffix}")
        assert same(again, survey[name])


def same(one, two):
    """Whether models agree; the places of templates are not numbers, and those are never equal."""
    first, second = (
        {key: one for key, one in models.parameters().items() if not np.isnan(one.value)} for models in (one, two)
    )
    return first == second


def test_fermi_sources_in_xml(data_folder):
    folder = data_folder / "models/fermi-xml"
    assert read_models(folder / "IC443.xml")["IC443"].spatial.values["sigma"] == 0.179
    assert not evaluate(read_models(folder / "IC443.xml"))
    assert not evaluate(read_models(folder / "CygnusCocoon.xml"))
    (error,) = evaluate(read_models(folder / "HESSJ1841-055.xml")).values()
    assert error.place.endswith("Templates/HESSJ1841-055.fits")


def test_hgps(data_folder):
    models = load_models(data_folder / "ctao/hgps_catalog_v1.fits.gz")
    assert len(models.sources) == 78
    assert Counter(one.spectral.tag for one in models.sources) == {"pl": 66, "ecpl": 12}
    shapes = Counter(one.spatial.tag for one in models.sources)
    assert shapes["sum"] == 13
    assert shapes["shell"] == 7
    parts = sum(len(one.spatial.parts) or 1 for one in models.sources)
    assert parts == 96
    for source in models.sources:
        if source.spatial.tag == "sum":
            assert sum(source.spatial.tables["weights"]) == pytest.approx(1.0, abs=1e-3)
    assert not evaluate(models)


def test_hgps_through_yaml_is_as_many_sources_as_it_has_components(data_folder, tmp_path):
    models = load_models(data_folder / "ctao/hgps_catalog_v1.fits.gz")
    write_models(models, tmp_path / "hgps.yaml")
    again = read_models(tmp_path / "hgps.yaml")
    assert len(again.sources) == 96
    assert not evaluate(again)
    total = sum(build_spectrum(one.spectral, one.spectral.values).integrals([1.0, 10.0]) for one in again.sources)
    wanted = sum(
        sum(one.spatial.tables.get("weights", (1.0,)))
        * build_spectrum(one.spectral, one.spectral.values).integrals([1.0, 10.0])
        for one in models.sources
    )
    assert float(total) == pytest.approx(float(wanted), rel=1e-12)


def test_gamma_cat(data_folder):
    models = load_models(data_folder / "catalogues/gamma-cat/gammacat.fits.gz")
    assert len(models.sources) == 103
    assert Counter(one.spectral.tag for one in models.sources) == {"pl": 79, "ecpl": 12, "pl-2": 12}
    assert not evaluate(models)
    ellipse = models["HESS J1841-055"].spatial
    minor = ellipse.values["sigma"] * np.sqrt(1 - ellipse.values["e"] ** 2)
    assert (ellipse.values["sigma"], minor) == pytest.approx((0.41, 0.25), rel=1e-6)
    assert (ellipse.frame, ellipse.values["phi"]) == ("icrs", 39.0)
    assert models["Westerlund 1"].spatial.tag == "point"
    assert any("Westerlund 1" in one for one in models.warnings)
    assert sum("exchanged" in one for one in models.warnings) == 3


@dataclass(frozen=True)
class Table:
    columns: dict
    units: dict = field(default_factory=dict)
    place: str = "made"


def fermi_tables():
    """Return a catalogue of four sources: a point, two Gaussians and a template."""
    columns = {name: np.full(4, 0.1) for name in FERMI_CATALOGUES["3FHL"].columns}
    columns |= {
        "Source_Name": np.array(["3FHL a", "3FHL b", "3FHL c", "3FHL d"]),
        "Extended_Source_Name": np.array(["", "IC 443", "HESS J1841-055", "Vela X"]),
        "SpectrumType": np.array(["PowerLaw", "LogParabola", "PowerLaw", "PowerLaw"]),
        "Pivot_Energy": np.full(4, 20.0),
        "Flux_Density": np.full(4, 1e-12),
    }
    extended = {
        "Source_Name": np.array(["IC 443", "HESS J1841-055", "Vela X"]),
        "RAJ2000": np.zeros(3), "DEJ2000": np.zeros(3),
        "Model_Form": np.array(["2D Gaussian", "2D Gaussian", "Map"]),
        "Model_SemiMajor": np.array([0.27, 0.62, 1.0]), "Model_SemiMinor": np.array([0.27, 0.38, 1.0]),
        "Model_PosAng": np.array([np.nan, 39.0, 0.0]), "Spatial_Filename": np.array(["", "", "VelaX.fits"]),
    }  # fmt: skip
    assert set(extended) == set(EXTENDED_COLUMNS)
    units = {"Pivot_Energy": "GeV", "Flux_Density": "photon/cm**2/GeV/s"}
    return Table(columns, units), Table(extended)


def test_fermi_gaussians_are_given_by_their_68_percent_radius():
    models = interpret_models(Document(declare_fermi("3FHL", *fermi_tables()), "made"))
    assert [one.spatial.tag for one in models.sources] == ["point", "gauss", "gauss", "template"]
    assert models["3FHL b"].spectral.tag == "lp"
    # The same source has 0.179 deg in the files of its model.
    assert models["3FHL b"].spatial.values["sigma"] == pytest.approx(0.179, abs=5e-4)
    ellipse = models["3FHL c"].spatial.values
    assert ellipse["sigma"] == pytest.approx(0.41, abs=2e-3)
    assert ellipse["sigma"] * np.sqrt(1 - ellipse["e"] ** 2) == pytest.approx(0.25, abs=3e-3)
    spectrum = models["3FHL a"].spectral.values
    assert spectrum["reference"] == pytest.approx(0.02)
    assert spectrum["amplitude"] == pytest.approx(1e-9)


def test_faults_of_catalogues_name_source_and_column():
    sources, extended = fermi_tables()
    for name, values, said in (
        ("SpectrumType", ["PowerLaw", "Log", "PowerLaw", "PowerLaw"], "column SpectrumType"),
        ("Extended_Source_Name", ["", "IC 44", "", ""], "did you mean 'IC 443'"),
        ("Flux_Density", [1e-12, np.nan, 1e-12, 1e-12], "column Flux_Density"),
    ):
        with pytest.raises(InputError, match=said):
            declare_fermi("3FHL", replace(sources, columns=sources.columns | {name: np.array(values)}), extended)
    with pytest.raises(InputError, match="3FHL"):
        declare_fermi("5FGL", sources, extended)

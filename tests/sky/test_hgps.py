"""The H.E.S.S. catalogue: numbers of the survey, flux maps against gammapy, damaged tables."""

import os
import warnings
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pytest

from skysift.errors import InputError
from skysift.geometry.grids import LonLatGrid
from skysift.sky import hgps
from skysift.sky.catalogue import synthetic_catalogue
from skysift.sky.shapes import Gaussian, Point, Shell
from skysift.sky.spectra import ExponentialCutoff, PowerLaw
from skysift.storage.sky_files import read_fits_columns, read_fits_image


@dataclass(frozen=True)
class Table:
    place: str
    columns: dict
    units: dict = field(default_factory=dict)


def made_tables(**changes):
    """Return a catalogue of one source, some columns changed."""
    row = {
        "Source_Name": "HESS J0", "Source_Class": "PWN", "Spatial_Model": "2-Gaussian", "Components": "C 1, C 2",
        "GLON": 1.0, "GLAT": 0.5, "Size": 0.2, "Flux_Map": 4.0, "Spectral_Model": "PL",
        "Flux_Spec_PL_Diff_Pivot": 1e-12, "Index_Spec_PL": 2.0, "Energy_Spec_PL_Pivot": 1.0,
        "Flux_Spec_ECPL_Diff_Pivot": np.nan, "Index_Spec_ECPL": np.nan, "Energy_Spec_ECPL_Pivot": np.nan,
        "Lambda_Spec_ECPL": np.nan,
    } | changes  # fmt: skip
    parts = {
        "Component_ID": ["C 1", "C 2", "C 3"], "Source_Name": ["HESS J0"] * 3,
        "Component_Class": ["Source Multi", "Source Multi", "Discarded Large"], "GLON": [0.9, 1.1, 1.0],
        "GLAT": [0.5, 0.5, 0.5], "Size": [0.1, 1e-4, 5.0], "Flux_Map": [3.0, 1.0, 9.0],
    }  # fmt: skip
    units = hgps._UNITS
    tables = ({name: np.array([value]) for name, value in row.items()}, {k: np.array(v) for k, v in parts.items()})
    return [Table("made", columns, {name: units.get(name, "") for name in columns}) for columns in tables]


def test_sum_of_gaussians_is_weighted_and_a_tiny_one_is_a_point():
    (source,) = hgps.interpret_hgps(*made_tables())
    assert source.components == ((0.75, Gaussian(0.9, 0.5, 0.1)), (0.25, Point(1.1, 0.5)))


@pytest.mark.parametrize(("size", "shape"), [(0.2, Gaussian(1.0, 0.5, 0.2)), (np.nan, Gaussian(1.0, 0.5, 0.1))])
def test_gaussian_with_a_limit_only_takes_its_component_s_size(size, shape):
    (source,) = hgps.interpret_hgps(*made_tables(Spatial_Model="Gaussian", Components="C 1", Size=size))
    assert source.components == ((1.0, shape),)


def test_shell_ends_at_its_size():
    tables = made_tables(Spatial_Model="Shell", Components="")
    assert hgps.interpret_hgps(*tables)[0].components == ((1.0, Shell(1.0, 0.5, 0.19, 0.2)),)
    assert hgps.interpret_hgps(*tables, shell_inner=0.8)[0].components[0][1].inner_deg == pytest.approx(0.16)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"Spatial_Model": "3-Gausian"}, ["HESS J0, column Spatial_Model", "3-Gausian"]),
        ({"Spectral_Model": "LP"}, ["HESS J0, column Spectral_Model", "LP"]),
        ({"Components": "C 1, C 7"}, ["C 7"]),
        ({"Components": "C 1, C 3"}, ["C 3"]),
        ({"Components": "C 1"}, ["2 components"]),
        ({"Spectral_Model": "ECPL"}, ["Flux_Spec_ECPL_Diff_Pivot", "no value"]),
        ({"GLON": np.nan}, ["column GLON"]),
        ({"Spatial_Model": "Shell", "Size": np.nan}, ["column Size"]),
    ],
)
def test_faults_name_source_and_column(changes, words):
    with pytest.raises(InputError) as caught:
        hgps.interpret_hgps(*made_tables(**changes))
    assert all(word in str(caught.value) for word in words)


def test_another_unit_is_refused():
    sources, parts = made_tables()
    sources.units["Flux_Map"] = "m-2 s-1"
    with pytest.raises(InputError, match="unit of column Flux_Map"):
        hgps.interpret_hgps(sources, parts)


def test_reader_names_a_missing_column_and_refuses_a_cut_file(tmp_path):
    from astropy.io import fits

    path = tmp_path / "catalogue.fits"
    names, sizes = np.array(["A ", "BC"]), np.array([0.5, np.nan], dtype=">f4")
    columns = [fits.Column("Source_Name", "2A", array=names), fits.Column("Size", "E", unit="deg", array=sizes)]
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns(columns, name="HGPS_SOURCES")]).writeto(path)
    read = read_fits_columns(path, "HGPS_SOURCES", ("Source_Name", "Size"))
    assert read["Source_Name"].tolist() == ["A", "BC"]
    assert read["Size"].dtype == np.float64
    assert np.isnan(read["Size"][1])
    assert read.units["Size"] == "deg"
    with pytest.raises(InputError, match="did you mean 'Size'"):
        read_fits_columns(path, "HGPS_SOURCES", ("Sizes",))
    with pytest.raises(InputError, match="HGPS_GAUSS"):
        read_fits_columns(path, "HGPS_GAUSS_COMPONENTS", ("Size",))
    with pytest.raises(InputError, match="no image"):
        read_fits_image(path)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(InputError):
        read_fits_columns(path, "HGPS_SOURCES", ("Size",))


def test_synthetic_catalogue_has_the_variety_of_a_survey():
    sources = synthetic_catalogue()
    kinds = {tuple(type(shape) for _, shape in source.components) for source in sources}
    assert {(Point,), (Gaussian,), (Shell,), (Gaussian,) * 2, (Gaussian,) * 3} == kinds
    assert {type(source.spectrum) for source in sources} == {PowerLaw, ExponentialCutoff}
    for source in sources:
        assert sum(weight for weight, _ in source.components) == pytest.approx(1.0)
    view = LonLatGrid.from_step(-3.2, 3.2, -3.2, 3.2, 0.4)
    reached = [s for s in sources if any(shape.integrate(view).sum() > 0.1 for _, shape in s.components)]
    assert len(reached) >= 5
    edges = np.array([1.0, 1000.0])
    assert all(2e-13 < float(source.spectrum.integrals(edges)[0]) < 2e-11 for source in sources)


@pytest.fixture(scope="module")
def place(data_folder):
    path = data_folder / "ctao" / "hgps_catalog_v1.fits.gz"
    if not path.is_file():
        reason = f"no {path.name}: run `skysift data fetch ctao`"
        if os.environ.get("SKYSIFT_REQUIRE_DATA") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return path


@pytest.fixture(scope="module")
def survey(place):
    return hgps.interpret_hgps(
        read_fits_columns(place, hgps.SOURCE_TABLE, hgps.SOURCE_COLUMNS),
        read_fits_columns(place, hgps.COMPONENT_TABLE, hgps.COMPONENT_COLUMNS),
    )


def test_survey_has_its_known_numbers(place, survey):
    table = read_fits_columns(place, hgps.SOURCE_TABLE, ("Spatial_Model", "Size"))
    kinds = Counter(table["Spatial_Model"].tolist())
    assert kinds == {"Gaussian": 52, "2-Gaussian": 8, "3-Gaussian": 5, "Shell": 7, "Point-Like": 6}
    assert Counter(type(source.spectrum) for source in survey) == {PowerLaw: 66, ExponentialCutoff: 12}
    assert len(survey) == 78
    assert (np.isnan(table["Size"]) & (table["Spatial_Model"] == "Gaussian")).sum() == 17
    shapes = Counter(tuple(type(shape) for _, shape in source.components) for source in survey)
    assert shapes == {(Gaussian,): 49, (Point,): 9, (Gaussian,) * 2: 8, (Gaussian,) * 3: 5, (Shell,): 7}
    assert all(sum(w for w, _ in source.components) == pytest.approx(1.0, abs=1e-6) for source in survey)


def test_cutoff_spectra_give_the_integrals_of_the_survey(place, survey):
    name = "Flux_Spec_ECPL_Int_1TeV"
    wanted = read_fits_columns(place, hgps.SOURCE_TABLE, (name,))[name]
    chosen = [number for number, source in enumerate(survey) if isinstance(source.spectrum, ExponentialCutoff)]
    found = [float(survey[number].spectrum.integrals([1.0, 1e4])[0]) for number in chosen]
    np.testing.assert_allclose(found, wanted[chosen], rtol=1e-4)


def test_every_pointing_gets_the_flux_that_belongs_there(survey):
    """The same source on grids that wrap, cut it or miss it."""
    named = {source.name: source for source in survey}
    here, there = LonLatGrid.from_step(-2, 2, -2, 2, 0.4), LonLatGrid.from_step(358, 362, -2, 2, 0.4)
    for name, total in (("HESS J1745-290", 1.0), ("HESS J1825-137", 0.0)):
        sums = [sum(w * s.integrate(grid).sum() for w, s in named[name].components) for grid in (here, there)]
        assert sums == pytest.approx([total, total], abs=1e-12)


def test_flux_maps_are_those_of_gammapy(place, survey):
    """Every source but the 17 with a limit on their size only, which gammapy takes from their components."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from gammapy.catalog import SourceCatalogHGPS
        from gammapy.maps import MapAxis, WcsGeom

        catalogue = SourceCatalogHGPS(str(place))
        axis = MapAxis.from_energy_bounds("1 TeV", "10 TeV", nbin=1, name="energy_true")
        compared = 0
        for source in survey:
            given = catalogue[source.name]
            if given.data["Spatial_Model"] == "Gaussian" and not given.data["Size"] > 0:
                continue
            first = source.components[0][1]
            lon, lat = round(first.lon_deg, 1), round(first.lat_deg, 1)
            # gammapy samples pixels: the thin rims of shells need many.
            times, half = (24, round(10 * first.reach_deg) + 1) if isinstance(first, Shell) else (1, 6)
            pixels = (2 * half + 1) * times
            geometry = WcsGeom.create(
                skydir=(lon, lat), npix=(pixels, pixels), binsz=0.1 / times, frame="galactic", proj="CAR", axes=[axis]
            )
            parts = [model.integrate_geom(geometry).quantity for model in given.components_models()]
            flux = sum(part.to_value("cm-2 s-1")[0] for part in parts)
            # Longitude rises to the left there.
            flux = flux[:, ::-1].reshape(2 * half + 1, times, 2 * half + 1, times).sum(axis=(1, 3))
            offsets = 0.1 * (np.arange(2 * half + 2) - half - 0.5)
            grid = LonLatGrid(lon + offsets, lat + offsets)
            found = sum(weight * shape.integrate(grid) for weight, shape in source.components).reshape(grid.shape)
            found *= float(source.spectrum.integrals([1.0, 10.0])[0])
            compared += 1
            assert found.sum() == pytest.approx(flux.sum(), rel=1e-2), source.name
            # gammapy spreads a point over its four neighbours.
            if not isinstance(first, Point):
                np.testing.assert_allclose(found, flux, atol=0.01 * flux.max(), err_msg=source.name)
                assert np.abs(np.roll(found, 1, 1) - flux).max() > 0.05 * flux.max(), "the control: a tenth of a degree"
    assert compared == 61

"""Tables made by hand: interpolation, all kinds of point-spread functions, orders of axes, the embedded response."""

from types import SimpleNamespace

import numpy as np
import pytest
from tests.instruments.ctao import response_files

from skysift.errors import InputError
from skysift.instruments.ctao import analytic_irf, read_irf
from skysift.instruments.ctao.tables import Axis, corners, interpolate

CENTRE = SimpleNamespace(lon_deg=0.0, lat_deg=0.0)


@pytest.fixture
def write(tmp_path):
    """Write a valid file, with some tables replaced, and read it."""

    def do(name="irf.fits", psf_empty="nearest", **replaced):
        tables = response_files.make_tables() | replaced
        return read_irf(response_files.write(tmp_path / name, tables), psf_empty)

    return do


def test_linear_functions_are_interpolated_exactly_even_beyond_the_nodes(seed):
    rng = np.random.default_rng(seed)
    axes = (Axis("ENERG", np.geomspace(0.1, 10, 6), logarithmic=True), Axis("THETA", np.array([0.0, 1.0, 3.0, 4.0])))
    first, second = axes[0].scaled_nodes[:, None], axes[1].nodes
    table = 1.0 + 2.0 * first + 0.5 * second - 0.3 * first * second
    energy, offset = np.exp(rng.uniform(np.log(0.1), np.log(10), 500)), rng.uniform(0, 4, 500)
    expected = 1.0 + 2.0 * np.log(energy) + 0.5 * offset - 0.3 * np.log(energy) * offset
    assert np.allclose(interpolate(table, corners(axes, (energy, offset))), expected, rtol=1e-12, atol=1e-12)


def test_one_bin_is_constant():
    axis = Axis("THETA", np.array([0.0, 2.0]))
    assert np.array_equal(interpolate(np.array([7.0]), corners((axis,), (np.array([0.1, 1.9]),))), [7.0, 7.0])


def test_nodes_instead_of_edges(write):
    table = response_files.make_area()
    table.columns["THETA_HI"] = table.columns["THETA_LO"]
    irf = write(area=table)
    assert np.allclose(irf.area.offset.nodes, response_files.OFFSET[:-1])
    assert irf.area.offset.edges[[0, -1]] == pytest.approx([-0.5, 2.5])


def total_and_shares(irf, energy, offset):
    """Return the integral of the density and its share within each radius, by quadrature."""
    radius = np.concatenate(([0.0], np.geomspace(1e-5, 170.0, 40001)))
    ring = 2 * np.pi * radius * irf.psf(energy, offset, radius)
    return radius[1:], np.cumsum(0.5 * (ring[1:] + ring[:-1]) * np.diff(radius))


@pytest.mark.parametrize(
    ("make", "exact", "mixture"),
    [
        (response_files.make_gaussians, 1e-6, 1e-12),
        (response_files.make_king, 1e-5, 2e-5),
        (response_files.make_psf_table, 1e-5, 5e-3),
    ],
)
def test_point_spread_functions(write, make, exact, mixture):
    irf = write(psf=make())
    assert irf.psf_kind == make().kind
    for energy, offset in ((0.2, 0.2), (1.0, 1.3), (8.0, 2.9)):
        radius, shares = total_and_shares(irf, energy, offset)
        model = irf.psf_model
        containment = model.containment(energy, offset, radius)
        assert np.abs(shares - containment).max() < exact, "containment is the integral of the density"
        if irf.psf_kind != "PSF_KING":
            assert containment[-1] == pytest.approx(1.0, abs=1e-12)
        weights, sigmas = irf.psf_components(energy, offset)
        assert weights.sum() == pytest.approx(1.0, abs=1e-12)
        gaussians = (weights * -np.expm1(-0.5 * (radius[:, None] / sigmas) ** 2)).sum(axis=-1)
        assert np.abs(gaussians - containment).max() < mixture, "it is a sum of these Gaussians"
        radius_68 = irf.psf_containment_deg(energy, offset, 0.68)
        assert model.containment(energy, offset, radius_68) == pytest.approx(0.68, abs=1e-9)


def test_mixture_tells_its_error(write):
    model = write(psf=response_files.make_psf_table()).psf_model
    assert 0 < model.mixture_error < 2e-3


def test_weights_of_three_gaussians(write):
    irf = write(psf=response_files.make_gaussians())
    table = response_files.make_gaussians().columns
    node = (1, 2)
    energy = np.sqrt(response_files.ENERGY[2] * response_files.ENERGY[3])
    sigma = np.array([table[f"SIGMA_{term}"].values[node] for term in (1, 2, 3)])
    amplitude = np.array([1.0, table["AMPL_2"].values[node], table["AMPL_3"].values[node]])
    wanted = amplitude * sigma**2 / np.sum(amplitude * sigma**2)
    weights, sigmas = irf.psf_components(energy, 1.5)
    assert np.allclose(sigmas, sigma, rtol=1e-6)
    assert np.allclose(weights, wanted, rtol=1e-6)


@pytest.mark.parametrize("make", [response_files.make_gaussians, response_files.make_king])
def test_empty_nodes_take_the_next_higher_energy(write, make):
    table = make()
    width = "SIGMA_1" if table.kind == "PSF_3GAUSS" else "SIGMA"
    sigma = table.columns[width].values.copy()
    sigma[0, :2], sigma[1, 4], sigma[2] = 0.0, np.nan, 0.0
    table.columns[width].values = sigma
    model = write(psf=table).psf_model
    found = model.sigmas_deg[0] if table.kind == "PSF_3GAUSS" else model.sigma_deg
    assert np.allclose(found[:3, 0], sigma[0, 2]), "two empty nodes below a filled one"
    assert np.allclose(found[4, 1], sigma[1, 3]), "nothing above: the next lower"
    assert np.allclose(found[:, 2], found[:, 1]), "an empty offset: its neighbour"


def test_empty_nodes_stay_empty_where_one_degree_is_asked(write):
    table = response_files.make_gaussians()
    for name in ("SIGMA_1", "SCALE"):
        table.columns[name].values = np.where(np.arange(5) < 2, 0.0, table.columns[name].values)
    irf = write(psf=table, psf_empty="one_degree")
    lowest = irf.psf_model.energy.nodes[0]
    assert np.array_equal(irf.psf_components(lowest, 1.0)[0], np.zeros(3))
    assert irf.psf(lowest, 1.0, 0.1) == 0
    assert np.isnan(irf.psf_containment_deg(lowest, 1.0, 0.5))


def test_empty_column_of_the_dispersion_gives_zero(write):
    table = response_files.make_dispersion()
    matrix = table.columns["MATRIX"].values
    matrix[:, :, :2] = 0.0
    irf = write(dispersion=table)
    lowest = irf.energy_dispersion.energy.nodes[0]
    assert irf.dispersion(lowest, 1.0, 1.0) == 0
    assert np.all(irf.dispersion_cumulative(lowest, 1.0)[1] == 0)
    assert irf.dispersion(5.0, 1.0, 1.0) > 0


@pytest.mark.parametrize("order", ["stated first", "stated last"])
def test_both_orders_of_the_background(write, order):
    table = response_files.make_background()
    rate = table.columns["BKG"].values
    expected = write("plain.fits", background=response_files.make_background())
    if order == "stated first":
        table.columns["BKG"].values = rate.transpose(2, 0, 1)
    irf = write(background=table)
    points = np.array([0.5, 2.0]), np.array([-2.0, 1.0]), np.array([0.3, 1.7])
    assert np.array_equal(irf.background(*points), expected.background(*points))
    # y is the first of the two angles in both orders
    middle = 0.5 * (response_files.SIDE[1:] + response_files.SIDE[:-1])
    energy = np.sqrt(response_files.ENERGY[1] * response_files.ENERGY[2])
    assert irf.background(energy, middle[4], middle[1]) == pytest.approx(
        rate[1, 4, 1] * 1e6 * np.radians(1) ** 2, rel=1e-6
    )


def test_background_at_follows_equatorial_north(write):
    """One degree to the equatorial north is y = 1, one to the east is x = -1."""
    from astropy import units
    from astropy.coordinates import SkyCoord

    irf = write()
    pointing = SimpleNamespace(lon_deg=10.0, lat_deg=-20.0)
    centre = SkyCoord(10.0, -20.0, unit="deg", frame="galactic").transform_to("icrs")
    sky = centre.directional_offset_by([0.0, 90.0] * units.deg, 1.0 * units.deg)
    found = irf.background_at(1.0, sky.galactic.l.deg, sky.galactic.b.deg, pointing)
    assert found == pytest.approx(irf.background(1.0, [0.0, -1.0], [1.0, 0.0]), rel=1e-3)


def test_background_that_follows_the_horizon_needs_it(write):
    table = response_files.make_background()
    del table.cards["FOVALIGN"]
    irf = write(background=table)
    with pytest.raises(InputError, match="ALTAZ"):
        irf.background_at(1.0, 0.5, 0.5, CENTRE)
    upright = SimpleNamespace(lon_deg=0.0, lat_deg=0.0, vertical_deg=0.0)
    assert irf.background_at(1.0, 0.5, 1.5, upright) == pytest.approx(irf.background(1.0, -0.5, 1.5), rel=1e-4)
    turned = SimpleNamespace(lon_deg=0.0, lat_deg=0.0, vertical_deg=90.0)
    assert irf.background_at(1.0, 0.5, 1.5, turned) == pytest.approx(irf.background(1.0, 1.5, 0.5), rel=1e-4)


def test_radial_background_needs_no_direction(write):
    irf = write(background=response_files.make_radial_background())
    assert irf.background_at(1.0, 0.5, 0.5, CENTRE) > 0
    assert irf.background(1.0, 1.0, 0.0) == pytest.approx(float(irf.background(1.0, 0.0, -1.0)), rel=1e-12)


def test_live_time_of_a_header_goes_before_the_name(tmp_path):
    tables = response_files.make_tables()
    assert read_irf(response_files.write(tmp_path / "a.18000s-v0.1.fits", tables)).live_time_s == 18000.0
    assert read_irf(response_files.write(tmp_path / "b.18000s-v0.1.fits", tables, LIVETIME=77.0)).live_time_s == 77.0
    assert read_irf(response_files.write(tmp_path / "c.fits", tables)).live_time_s is None


# ---------------------------------------------------------------- the embedded response


@pytest.fixture(scope="module")
def analytic():
    return analytic_irf()


def test_analytic_tables_are_its_equations(analytic):
    energy, offset = np.geomspace(0.05, 100.0, 30)[:, None], np.linspace(0.5, 5.5, 11)
    rise = (energy / 0.5) ** 1.6
    area = 1.2e10 * rise / (1 + rise) * np.exp(-0.5 * (offset / 4.0) ** 2)
    assert np.allclose(analytic.area_cm2(energy, offset), area, rtol=0.01)
    sigma = np.hypot(0.02, 0.03 * energy**-0.5) * (1 + 0.01 * offset**2)
    assert np.allclose(analytic.psf_components(energy, offset)[1][..., 0], sigma, rtol=2e-3)
    background = 1e-4 * energy**-2.7 * np.exp(-0.5 * (offset / 3.0) ** 2) * 1e6 * np.radians(1) ** 2
    assert np.allclose(analytic.background(energy, offset, 0.0), background, rtol=2e-3)


def test_analytic_point_spread_function_integrates_to_one(analytic):
    for energy, offset in ((0.03, 0.0), (1.0, 2.0), (90.0, 5.9)):
        _, shares = total_and_shares(analytic, energy, offset)
        assert shares[-1] == pytest.approx(1.0, abs=1e-6)


def test_analytic_dispersion_is_log_normal(analytic):
    from scipy.stats import norm

    energy, mu = np.array([[0.1], [1.0], [30.0]]), np.linspace(0.5, 1.8, 14)
    width = 0.05 + 0.05 * energy**-0.3
    share = analytic.dispersion_share(energy, mu, 1.0)
    assert np.allclose(share, norm.cdf(np.log(mu) / width), rtol=0, atol=5e-3)
    assert np.allclose(analytic.dispersion_cumulative(energy, [[0.0, 3.0, 5.9]])[1][..., -1], 1.0, rtol=0, atol=1e-12)


def test_analytic_response_needs_no_azimuth_and_never_changes(analytic):
    assert analytic.background_at(1.0, 1.0, 0.0, CENTRE) == pytest.approx(
        float(analytic.background_at(1.0, 0.0, 1.0, CENTRE)), rel=1e-2
    )
    assert analytic.sha256 == analytic_irf().sha256
    assert analytic.live_time_s == 180000.0
    assert analytic.offset_max_deg == 6.0

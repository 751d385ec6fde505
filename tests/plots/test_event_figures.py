"""Figures of events and responses: the numbers behind them, what is drawn from these numbers, scales and units."""

import numpy as np
import pytest
from matplotlib.collections import QuadMesh
from matplotlib.text import Text

from skysift.instruments.ctao import analytic_irf
from skysift.instruments.ctao.curves import make_curves
from skysift.plots.events import EnergyCounts, ImageCounts, plot_components, plot_energies, plot_images
from skysift.plots.excess import plot_energy_excess, plot_image_excess
from skysift.plots.responses import plot_efficiency, plot_migration, plot_response

EDGES = np.geomspace(0.1, 10.0, 7)
PARTS = {"sky": np.array([40.0, 20, 10, 5, 2, 0.1]), "background_of_cosmic_rays": np.array([90.0, 30, 8, 3, 1, 0.1])}
SEEN = np.array([120.0, 55, 20, 7, 5, 0])
QUANTILES = np.outer([0.8, 0.9, 1.0, 1.1, 1.2], sum(PARTS.values()))
COUNTS = {name: part.sum() * np.array([0.8, 0.9, 1.0, 1.1, 1.2]) for name, part in PARTS.items()}
ENERGIES = EnergyCounts(EDGES, SEEN, QUANTILES, PARTS, COUNTS)
LON, LAT = np.linspace(-1, 1, 6), np.linspace(-0.8, 0.8, 5)
RANDOM = np.random.default_rng(3)
MAPS = {"sky": RANDOM.gamma(3.0, 2.0, 20), "background": np.full(20, 4.0)}
IMAGE = ImageCounts(LON, LAT, RANDOM.poisson(sum(MAPS.values())).astype(float), np.zeros((5, 20)), MAPS)


def texts(figure):
    return " | ".join(text.get_text() for text in figure.findobj(Text))


def meshes(figure):
    return [mesh for mesh in figure.findobj(QuadMesh) if mesh.get_array().size == 20]


def test_energies_are_drawn_linear_and_log_with_their_residuals():
    figure, table = plot_energies(ENERGIES)
    model = sum(PARTS.values())
    assert table["observed"].tolist() == SEEN.tolist()
    np.testing.assert_allclose(table["model"], model)
    np.testing.assert_allclose(table["sky"], PARTS["sky"])
    np.testing.assert_allclose(table["sigma"][:5], (SEEN - model)[:5] / np.sqrt(model[:5]))
    assert np.isnan(table["sigma"][5])  # 0.2 events are too few for a residual in sigma
    assert [axis.get_yscale() for axis in figure.axes[:2]] == ["linear", "log"]
    assert figure.axes[0].get_ylim()[0] == 0
    drawn = figure.axes[2].lines[-1].get_ydata()
    np.testing.assert_allclose(drawn, table["sigma"])
    assert all(word in texts(figure) for word in ("reconstructed energy, TeV", "events per bin", "σ", "cosmic rays"))


def test_images_are_drawn_linear_and_log_on_one_scale_each():
    figure, table = plot_images(IMAGE)
    np.testing.assert_allclose(table["observed"], IMAGE.observed)
    np.testing.assert_allclose(table["model"], sum(MAPS.values()))
    linear, log = meshes(figure)[:2], meshes(figure)[3:5]
    assert linear[0].get_clim() == linear[1].get_clim()
    assert log[0].get_clim() == log[1].get_clim()
    np.testing.assert_allclose(linear[0].get_array().ravel(), IMAGE.observed)
    assert {type(mesh.norm).__name__ for mesh in log} == {"LogNorm"}
    assert all(axis.xaxis_inverted() for axis in figure.axes[:6])
    assert all(word in texts(figure) for word in ("l, deg", "b, deg", "events per pixel", "σ"))
    # longitudes run fastest
    assert table["lon_deg"][:5].tolist() == pytest.approx([-0.8, -0.4, 0, 0.4, 0.8])
    np.testing.assert_allclose(table["lat_deg"][:5], -0.6)


def test_sums_over_nine_pixels_are_those_of_a_loop():
    grid = IMAGE.grid(IMAGE.observed)
    wanted = [[grid[max(r - 1, 0) : r + 2, max(c - 1, 0) : c + 2].sum() for c in range(5)] for r in range(4)]
    np.testing.assert_allclose(IMAGE.smooth(IMAGE.observed), wanted, atol=1e-9)
    model = IMAGE.smooth(IMAGE.model)
    np.testing.assert_allclose(IMAGE.smoothed_sigma, (np.array(wanted) - model) / np.sqrt(model), atol=1e-9)
    table = plot_images(IMAGE)[1]
    np.testing.assert_allclose(table["excess_3x3"], (np.array(wanted) - model).ravel(), atol=1e-9)


def test_components_are_drawn_on_their_own_scales():
    figure, table = plot_components(IMAGE)
    assert list(table)[2:] == list(MAPS)
    tops = [mesh.get_clim()[1] for mesh in meshes(figure)]
    assert tops == [pytest.approx(values.max()) for values in MAPS.values()]


@pytest.mark.parametrize("name", PARTS)
def test_excess_by_energy_is_what_the_others_leave(name):
    figure, table = plot_energy_excess(ENERGIES)
    number, others = list(PARTS).index(name), next(part for other, part in PARTS.items() if other != name)
    np.testing.assert_allclose(table[f"excess_{name}"], SEEN - others)
    np.testing.assert_allclose(table[f"model_{name}"], PARTS[name])
    np.testing.assert_allclose(table[f"low_{name}"], 0.8 * PARTS[name])
    np.testing.assert_allclose(table[f"high_{name}"], 1.2 * PARTS[name])
    without = table[f"sigma_without_{name}"]
    np.testing.assert_allclose(without[:5], (SEEN - others)[:5] / np.sqrt(others[:5]))
    points = figure.axes[number].lines[1].get_ydata()
    np.testing.assert_allclose(points, table[f"excess_{name}"])
    below = figure.axes[2 + number].lines
    np.testing.assert_allclose(below[1].get_ydata(), without)
    np.testing.assert_allclose(below[2].get_ydata(), table["sigma"])
    assert figure.axes[number].get_title(loc="left") == name.replace("_", " ")


def test_excess_of_many_sources_leaves_no_empty_frames():
    parts = {name: PARTS["sky"] for name in "abcde"}
    figure, table = plot_energy_excess(EnergyCounts(EDGES, SEEN, QUANTILES, parts))
    shown = [axis for axis in figure.axes if axis.axison]
    assert len(shown) == 10
    np.testing.assert_allclose(table["low_a"], table["model_a"])  # nothing is known of its number


def test_excess_on_the_sky_is_what_the_others_leave_on_one_scale():
    figure, table = plot_image_excess(IMAGE)
    seen, whole = IMAGE.smooth(IMAGE.observed), IMAGE.smooth(IMAGE.model)
    for name, part in MAPS.items():
        own = IMAGE.smooth(part)
        np.testing.assert_allclose(table[f"excess_3x3_{name}"], (seen - whole + own).ravel())
        np.testing.assert_allclose(table[f"model_3x3_{name}"], own.ravel())
        np.testing.assert_allclose(
            table[f"sigma_without_{name}"], ((seen - whole + own) / np.sqrt(whole - own)).ravel()
        )
    first, second, third = meshes(figure)[:3]
    assert first.get_clim() == second.get_clim()
    low, high = third.get_clim()
    assert low == -high
    assert "residual without sky" in texts(figure)
    assert "events in 3 × 3 pixels" in texts(figure)


@pytest.fixture(scope="module")
def curves():
    return make_curves(analytic_irf(), 2.8, 0.2, 50.0)


def test_curves_are_the_tables(curves):
    irf = analytic_irf()
    assert curves.offsets_deg.tolist() == [0.0, 1.0, 2.0]
    assert curves.energies_tev[[0, -1]].tolist() == pytest.approx([0.2, 50.0])
    at = irf.area_cm2(curves.energies_tev[5], curves.offsets_deg)
    np.testing.assert_allclose(1e4 * curves.area_m2[:, 5], at, rtol=1e-12)
    weights, sigmas = irf.psf_components(curves.energies_tev[7], 1.0)
    assert weights.max() == pytest.approx(1.0)  # one Gaussian: its radii are known
    radii = float(sigmas[..., int(np.argmax(weights))]) * np.sqrt(-2 * np.log([0.32, 0.05]))
    np.testing.assert_allclose(curves.containment_deg[1, :, 7], radii, rtol=1e-6)
    nodes = np.linspace(0.0, 3.0, 6001)
    density = irf.dispersion(curves.energies_tev[9], nodes, 2.0)
    below = np.concatenate([[0], np.cumsum(0.5 * (density[1:] + density[:-1]) * np.diff(nodes))])
    low, middle, high = np.interp([0.16, 0.5, 0.84], below, nodes)
    assert curves.bias[2, 9] == pytest.approx(middle - 1, abs=1e-3)
    assert curves.resolution[2, 9] == pytest.approx(0.5 * (high - low), rel=1e-2)


def test_migration_is_a_density_of_the_logarithm(curves):
    total = np.trapezoid(curves.migration, np.log(curves.reconstructed_tev), axis=1)
    middle = (curves.energies_tev > 1) & (curves.energies_tev < 10)
    np.testing.assert_allclose(total[middle], 1.0, rtol=2e-2)
    figure, table = plot_migration(curves)
    np.testing.assert_allclose(table["density_per_ln_energy"], curves.migration.ravel())
    best = table.loc[table.groupby("true_tev")["density_per_ln_energy"].idxmax()]
    np.testing.assert_allclose(best["reconstructed_tev"], best["true_tev"], rtol=0.1)
    assert all(word in texts(figure) for word in ("true energy, TeV", "reconstructed energy, TeV", "offset 1 deg"))


def test_response_shows_every_offset_with_units(curves):
    figure, table = plot_response(curves)
    np.testing.assert_allclose(table["area_km2"], 1e-6 * curves.area_m2.ravel())
    np.testing.assert_allclose(table["radius_95_deg"], curves.containment_deg[:, 1].ravel())
    one = table[(table.offset_deg == 2.0) & np.isclose(table.energy_tev, curves.energies_tev[4])]
    assert one["resolution"].item() == curves.resolution[2, 4]
    assert len(figure.axes[0].lines) == 3
    assert len(figure.axes[1].lines) == 6
    np.testing.assert_allclose(figure.axes[3].lines[1].get_ydata(), 100 * curves.resolution[1])
    assert all(word in texts(figure) for word in ("km²", "deg", "offset, deg", "true energy, TeV", "68 %", "95 %"))


def test_nothing_is_drawn_of_empty_tables():
    """Beyond the field of view the area is zero: the curves have holes in place of numbers."""
    irf = analytic_irf()
    curves = make_curves(irf, 2 * irf.offset_max_deg, 0.2, 50.0)
    assert curves.offsets_deg[-1] <= irf.offset_max_deg
    empty = curves.area_m2 == 0
    assert np.isnan(curves.bias[empty]).all()
    assert np.isfinite(curves.bias[~empty]).all() or empty.any()
    plot_response(curves)[0].draw_without_rendering()


def test_efficiency_is_a_share_of_what_arrives():
    arriving = {"a": np.array([100.0, 50, 20, 8, 2, 0]), "b": np.full(6, 3.0)}
    share = {"a": np.array([0.1, 0.5, 0.9, 0.9, 0.5, np.nan]), "b": np.full(6, 0.7)}
    figure, table = plot_efficiency(EDGES, arriving, share)
    assert table["arriving_a"].tolist() == arriving["a"].tolist()
    assert table["efficiency_b"].tolist() == share["b"].tolist()
    np.testing.assert_allclose(figure.axes[1].lines[0].get_ydata(), 100 * share["a"])
    filled = figure.axes[0].patches[1].get_data().values
    np.testing.assert_allclose(filled[:5], (arriving["a"] * share["a"])[:5])
    figure.draw_without_rendering()

"""Every figure: its numbers come back as a table, its axes carry units, and its files are whole and reproducible."""

import healpy
import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

from skysift.plots.fractions import plot_fractions
from skysift.plots.injection import plot_injection
from skysift.plots.maps import FitMaps, plot_fit_maps, plot_likelihood_maps, plot_signal_maps
from skysift.plots.modulation import Modulation, plot_modulation_by_pixel, plot_modulation_maps
from skysift.plots.posteriors import FitDraws, Quantity, plot_corner, plot_posteriors
from skysift.plots.predictive import PredictiveChecks, plot_predictive
from skysift.plots.replicates import FitSummary, ReplicateIntervals, plot_calibration, plot_replicates
from skysift.plots.source_counts import SourceCounts, plot_source_counts
from skysift.plots.style import COLOURS, assign_colours, new_figure, save_figure, use_style
from skysift.plots.traces import plot_traces

RANDOM = np.random.default_rng(1)
NSIDE = 16
PIXELS = np.sort(healpy.query_disc(NSIDE, [1, 0, 0], 0.35))
COUNTS = RANDOM.poisson(9.0, size=PIXELS.size).astype(float)
MAPS = FitMaps(NSIDE, PIXELS, COUNTS, np.full(PIXELS.size, 9.0), (COUNTS - 9) / 3, 0.3 * (COUNTS - 9), 1.0)
GRID = np.linspace(0, 2, 50)


def fits(note=""):
    return [
        FitDraws(name, colour, {q: RANDOM.normal(1 + 0.1 * k, 0.1, 400) for q in ("a", "b")}, note if k else "")
        for k, (name, colour) in enumerate(assign_colours(["mvn", "hmc"]).items())
    ]


QUANTITIES = [Quantity("a", "a norm", np.stack([GRID, np.full(50, 0.5)]), 1.0, (0, 2)), Quantity("b", "b norm")]


def texts(figure):
    return " | ".join(text.get_text() for text in figure.findobj(Text))


def test_maps_table_holds_the_maps():
    figure, table = plot_fit_maps(MAPS)
    assert table["counts"].tolist() == COUNTS.tolist()
    assert table["pixel"].tolist() == PIXELS.tolist()
    assert "photons per pixel" in texts(figure)
    assert np.allclose(healpy.ang2pix(NSIDE, table["l_deg"], table["b_deg"], lonlat=True), PIXELS)


def test_signal_maps_share_one_scale():
    figure, table = plot_signal_maps(MAPS, COUNTS - 9, COUNTS / 9, "gce")
    assert figure.axes[0].images[0].get_clim() == figure.axes[1].images[0].get_clim()
    assert "gce_counts" in table


def test_likelihood_maps_show_every_pixel():
    figure, table = plot_likelihood_maps(MAPS, -COUNTS, COUNTS / 9)
    assert table["log_likelihood"].tolist() == (-COUNTS).tolist()
    assert figure.axes[0].images[0].get_clim()[1] == max(-COUNTS)
    assert "nat" in texts(figure)


@pytest.mark.parametrize("known", [True, False])
def test_modulation_with_and_without_truth(known):
    levels = np.exp(0.1 * np.array([-2, -1, 0, 1, 2]))[:, None] * np.full(PIXELS.size, 11.0) * (1 + 0.01 * COUNTS)
    modulation = Modulation("diffuse", NSIDE, PIXELS, levels, levels[2] * 1.01 if known else None)
    figure, table = plot_modulation_maps(modulation)
    assert len(figure.axes) == (8 if known else 4)
    assert ("truth" in table) is known
    figure, table = plot_modulation_by_pixel(modulation)
    assert table["q50"].tolist() == levels[2].tolist()
    assert ("truth" in texts(figure)) is known


def test_posteriors_show_prior_truth_and_notes():
    figure, table = plot_posteriors(QUANTITIES, fits("tempered, mean field: not a posterior"))
    assert "hmc (tempered, mean field: not a posterior)" in texts(figure)
    assert {"prior", "mvn", "hmc"} == set(table["fit"])
    bins = table[(table.fit == "mvn") & (table.quantity == "a")]
    assert (bins.density * (bins.high - bins.low)).sum() == pytest.approx(1.0)


def test_posterior_without_spread_is_drawn():
    figure, _ = plot_posteriors([Quantity("a", "a")], [FitDraws("map", "#000000", {"a": np.ones(5)})])
    figure.draw_without_rendering()


def test_corner_has_moments_and_correlations():
    figure, table = plot_corner(QUANTITIES, fits())
    assert len(figure.axes) == 4
    assert table["corr_a"].abs().max() <= 1 + 1e-12
    assert "b norm" in texts(figure)


def test_traces_are_thinned_not_cut():
    figure, table = plot_traces({"mvn": np.linspace(-100, -10, 10_000)}, "ELBO, nat", {"mvn": "not converged"})
    assert table["step"].max() == 9999
    assert len(table) <= 2000
    assert "mvn (not converged)" in texts(figure)


def test_fractions_are_percent():
    _, table = plot_fractions(["a"], fits(), {"a": 0.5})
    assert table["truth"].tolist() == [50.0, 50.0]
    assert table["q50"][0] == pytest.approx(100, abs=3)


def test_predictive_checks_table():
    points = np.linspace(0.01, 0.99, 99)
    checks = PredictiveChecks(
        counts=np.arange(10), observed=np.arange(10), predicted=np.ones((5, 10)), pit=RANDOM.random(300),
        pit_points=points, pit_lower=points - 0.1, pit_upper=points + 0.1, lags_deg=np.linspace(1, 5, 5),
        correlation=np.zeros((3, 4)), p_values={"pit": 0.3},
    )  # fmt: skip
    figure, table = plot_predictive(checks)
    assert set(table["check"]) == {"counts", "pit", "autocorrelation"}
    assert "p = 0.3" in texts(figure)


def test_replicates_that_miss_the_truth_are_open():
    quantiles = np.array([[0.8, 0.9, 1.0, 1.1, 1.2], [1.5, 1.6, 1.7, 1.8, 1.9]])
    figure, table = plot_replicates(
        [ReplicateIntervals("mvn", COLOURS[0], ("s-000", "s-001"), quantiles)], "x", 1.0, None
    )
    open_markers = [line for line in figure.axes[0].lines if line.get_markerfacecolor() == "white"]
    assert open_markers[0].get_xdata().tolist() == [1]
    assert table["data"].tolist() == ["s-000", "s-001"]


def test_calibration_keeps_the_prior_beside_the_fits():
    rows = [FitSummary("bare prior", "#888888", 0, -0.15, float("nan"), 0.4, 1, 1, 1.0),
            FitSummary("mvn", COLOURS[0], 20, 0.1, 0.02, 0.1, 0.6, 0.9, 0.3)]  # fmt: skip
    figure, table = plot_calibration(rows, "gce norm")
    assert table["fit"].tolist() == ["bare prior", "mvn"]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["bare prior", "mvn"]


def test_injection_slope_is_that_of_the_peaks():
    points = {"gp": [(0.0, 0.2, 0.1, 0.1), (0.45, 0.5, 0.1, 0.5), (0.9, 0.8, 0.1, 0.9)]}
    _, table = plot_injection(points, "gce norm", 0.75)
    assert table["peak_slope"][0] == pytest.approx(0.8 / 0.9)


def test_files_are_whole_and_the_same_twice(tmp_path):
    def draw(stem):
        with use_style():
            figure, (axes,) = new_figure(3, 2)
            axes.plot([0, 1], [0, 1])
            axes.set_xlabel("x, deg")
        return save_figure(figure, stem, pd.DataFrame({"x": [0.5]}))

    first, second = draw(tmp_path / "one"), draw(tmp_path / "two")
    assert [path.suffix for path in first] == [".png", ".svg", ".csv"]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(p.name for p in (*first, *second))
    for a, b in zip(first, second, strict=True):
        assert a.read_bytes() == b.read_bytes()
    assert first[2].read_text() == "x\n0.5\n"


def test_colours_are_distinct_and_stable():
    assert len(set(COLOURS)) == len(COLOURS)
    assert assign_colours(["a", "b"]) == assign_colours(iter(["a", "b"]))


@pytest.mark.parametrize("known", [True, False])
def test_source_counts_hold_their_bands(known):
    flux = np.geomspace(1e-12, 1e-9, 30)
    bands = np.exp(0.3 * np.arange(-2, 3))[:, None] * 1e-11 * np.ones(30)
    truth = np.stack([bands[2], bands[2] / flux]) if known else None
    figure, table = plot_source_counts(SourceCounts(flux, bands, bands / flux, 1e-11, 5e-10, truth), COLOURS[0])
    assert table["density_q50"].tolist() == bands[2].tolist()
    assert ("density_truth" in table) is known
    assert "deg⁻²" in texts(figure)

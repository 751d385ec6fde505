"""Populations that are drawn: fluxes, photons, where they go, and what a norm means."""

import dataclasses
import itertools

import numpy as np
import pytest
from scipy import integrate, stats

from skysift.errors import InputError
from skysift.geometry.pixels import ring_vectors
from skysift.instruments.fermi import (
    Counts,
    Observation,
    TrueSources,
    read_counts,
    read_observation,
    write_counts,
    write_observation,
)
from skysift.instruments.fermi.photon_shares import PhotonShares, gaussian_containment
from skysift.instruments.fermi.psf_choice import choose_containment, find_radius, share_source
from skysift.instruments.fermi.source_drawing import draw_sources, make_population
from skysift.sky.source_counts import SourceCounts

NSIDE = 64
MEANING = {"units": "counts", "norm_of": "counts", "template_is": "counts"}
NUMBERS = {"norm": 4000.0, "slopes": [4.0, 0.5], "breaks": [12.0]}
LAWS = {
    "one break": SourceCounts(0.3, (3.1, 1.0), (8.0,)),
    "three breaks": SourceCounts(2.0, (2.6, 1.0, 1.7, -1.0), (30.0, 4.0, 0.5)),
    "no break": SourceCounts(0.2, (1.7,), (), (0.3, 25.0)),
}


@pytest.fixture(scope="module")
def sky():
    vectors = ring_vectors(NSIDE, np.arange(12 * NSIDE**2))
    pixels = np.flatnonzero(vectors[:, 0] > np.cos(np.radians(14)))
    region = vectors[pixels, 0] > np.cos(np.radians(12))
    exposure = 5e10 * (1.0 + 0.3 * vectors[pixels, 2])[None]
    template = np.exp(-8 * (1 - vectors[pixels, 0]))[None] * exposure / 1e11
    shares = PhotonShares(np.array([0.2, 0.6]), np.array([2.0, 1.0]))
    edges, mean = np.array([2.0, 20.0]), np.array([6e10])
    return Observation(NSIDE, pixels, region, edges, exposure, mean, {"bulge": template}, shares=shares)


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
def test_integrals_are_those_of_the_density(law):
    def between(power, low, high):
        ends = sorted({low, high, *(b for b in (*law.breaks, *(law.limits or ())) if low < b < high)})
        parts = [
            integrate.quad(lambda s: s**power * law.density(np.array([s]))[0], a, b)
            for a, b in itertools.pairwise(ends)
        ]
        return sum(value for value, _ in parts)

    assert law.photons(20.0) - law.photons(1e-3) == pytest.approx(between(1, 1e-3, 20.0), rel=1e-7)
    assert law.number_above(0.1) - law.number_above(50.0) == pytest.approx(between(0, 0.1, 50.0), rel=1e-7)
    assert law.photons() == pytest.approx(between(1, 1e-9, 1e4) + law.photons() - law.photons(1e4), rel=1e-6)


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
def test_fluxes_have_their_distribution(law, seed):
    faintest = 0.05
    flux = law.draw(5000, faintest, np.random.default_rng(seed))
    share = 1 - np.array([law.number_above(one) for one in np.sort(flux)]) / law.number_above(faintest)
    assert stats.kstest(share, "uniform").pvalue > 1e-4
    other = dataclasses.replace(law, slopes=tuple(slope + 0.35 for slope in law.slopes))
    wrong = 1 - np.array([other.number_above(one) for one in np.sort(flux)]) / other.number_above(faintest)
    assert stats.kstest(wrong, "uniform").pvalue < 1e-4


@pytest.mark.parametrize("psf", [None, gaussian_containment(np.radians(0.3))], ids=["none", "gaussian"])
def test_photons_are_as_many_as_the_norm_says_and_where_the_template_is(sky, psf, seed):
    made = make_population(sky, "bulge", NUMBERS, MEANING)
    assert made.true.counts[:, sky.region].sum() == pytest.approx(4000)
    np.testing.assert_allclose(
        made.true.counts[0] / sky.templates["bulge"][0], made.true.counts[0, 0] / sky.templates["bulge"][0, 0]
    )
    draws = np.array([draw_sources(made, sky, psf, np.random.default_rng([seed, k])) for k in range(40)])
    total = draws[:, sky.region].sum(1)
    # bright sources make the scatter: a mean of 40 draws
    assert abs(total.mean() - 4000) < 5 * total.std() / np.sqrt(40) + 20
    assert total.std() > 1.5 * np.sqrt(4000)
    inner = ring_vectors(NSIDE, sky.pixels)[:, 0] > np.cos(np.radians(6))
    wanted = made.true.counts[0, inner].sum()
    found = draws[:, inner].sum(1)
    assert abs(found.mean() - wanted) < 5 * found.std() / np.sqrt(40) + 0.02 * wanted


def test_the_psf_spreads_photons_of_one_source(sky, seed):
    """One bright source in a hundred: the share of its brightest pixel is that of the PSF."""
    psf = gaussian_containment(np.radians(0.5))
    shares = share_source(psf, NSIDE, sky.pixels[sky.region])
    bright = {"norm": 2e4, "slopes": [30.0, -6.0], "breaks": [2e3]}
    made = make_population(sky, "bulge", bright, MEANING)
    found = []
    for k in range(60):
        counts = draw_sources(made, sky, psf, np.random.default_rng([seed, k]))
        found.append([(counts.astype(float) ** 2).sum(), counts.sum()])
    squares, totals = np.array(found).T
    # pairs of photons in one pixel, were each source alone
    wanted = shares.pixels @ shares.fractions**2 * 2e3
    assert squares.mean() / totals.mean() == pytest.approx(wanted, rel=0.35)


def test_units_of_norms_and_breaks(sky):
    counts = make_population(sky, "bulge", NUMBERS, MEANING)
    mean = sky.exposure_cm2_s[0, sky.region].mean()
    at_break = {**MEANING, "norm_of": "break"}
    same = make_population(sky, "bulge", NUMBERS | {"norm": counts.law.norm}, at_break)
    np.testing.assert_allclose(same.true.counts, counts.true.counts)
    flux = NUMBERS | {"norm": counts.law.norm * mean, "breaks": [12.0 / mean]}
    np.testing.assert_allclose(
        make_population(sky, "bulge", flux, at_break | {"units": "flux"}).true.counts, counts.true.counts
    )
    light = (counts.true.counts / sky.exposure_cm2_s / sky.pixel_area_sr)[:, sky.region].mean()
    intensity = make_population(sky, "bulge", NUMBERS | {"norm": light}, {**MEANING, "norm_of": "intensity"})
    np.testing.assert_allclose(intensity.true.counts, counts.true.counts)
    with pytest.raises(InputError, match="bulge"):
        make_population(sky, "bulges", NUMBERS, MEANING)


def test_files_keep_shares_and_populations(sky, tmp_path):
    write_observation(tmp_path / "o.h5", sky)
    again = read_observation(tmp_path / "o.h5")
    assert again.shares.pixels.tolist() == [2.0, 1.0]
    true = TrueSources("bulge", {"norm": 3.0, "slope_1": 4.0}, MEANING, np.ones((1, len(sky.pixels))))
    counts = Counts("s-000", np.ones((1, len(sky.pixels)), dtype=np.int64), 1, {}, {}, None, {}, {"sources": true})
    write_counts(tmp_path / "c.h5", counts, sky)
    found = read_counts(tmp_path / "c.h5").populations["sources"]
    assert (found.template, dict(found.parameters), dict(found.settings)) == ("bulge", true.parameters, MEANING)
    assert found.counts.tolist() == true.counts.tolist()


def test_a_table_of_containment_is_read(tmp_path):
    path = tmp_path / "psf.txt"
    radius_deg = np.linspace(0, 3, 400)
    share = 1 - np.exp(-0.5 * (radius_deg / 0.5) ** 2)
    np.savetxt(path, np.stack([radius_deg, share / share[-1]], 1), header="radius_deg containment")
    read, exact = choose_containment(file=str(path)), choose_containment(gaussian_deg=0.5)
    places = np.radians([0.1, 0.7, 2.0])
    np.testing.assert_allclose(read(places), exact(places), atol=1e-4)
    assert find_radius(read, 0.9) == pytest.approx(find_radius(exact, 0.9), rel=1e-3)
    assert choose_containment("none") is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0 0\n1 x\n",
        "0 0 0\n1 1 1\n",
        "0 0\n",
        "0 0\n1 0.5\n",
        "0 0\n2 0.4\n1 1\n",
        "0.1 0\n1 1\n",
        "0 0\n1 .6\n2 .5\n3 1\n",
    ],
    ids=["empty", "text", "columns", "one row", "not whole", "unsorted", "no centre", "falling"],
)
def test_other_tables_are_refused(tmp_path, text):
    path = tmp_path / "psf.txt"
    path.write_text(text)
    with pytest.raises(InputError, match="psf"):
        choose_containment(file=str(path))

"""Models with populations, built as from a configuration, against probabilities worked out by hand pixel by pixel.

Everything at once: one to three breaks, one or two populations beside smooth light, the PSF's shares, several regions
of similar exposure, units, and NPTFit's convention; and thousands of counts.
"""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import special
from tests.likelihoods.by_hand import convolve, count_sources, count_sources_in_all

from skysift.config.components import Component
from skysift.config.populations import ExposureVariation
from skysift.instruments.fermi import Counts, Observation
from skysift.instruments.fermi.photon_shares import PhotonShares
from skysift.models import build

SHARES = (np.array([0.95, 0.5, 0.1]), np.array([0.6, 0.5, 1.8]))
EXPOSURE = np.array([5.0, 7.5, 6.0, 5.5, 8.0, 7.0]) * 1e10
FULL_SKY = 6.6e10
SMOOTH = np.array([0.5, 2.0, 7.0, 1.0, 0.2, 4.0])
PLACES = {"one": np.array([1.0, 0.5, 2.0, 1.2, 0.1, 3.0]), "two": np.array([0.2, 0.4, 0.3, 0.7, 0.1, 1.0])}
COUNTS = np.array([0, 3, 18, 9, 1, 12])
#: A at the highest break, slopes and breaks, in counts at the region's mean exposure.
LAWS = {
    1: (0.05, [3.1, 1.2], [8.0]),
    2: (0.04, [3.2, 1.4, 0.2], [15.0, 4.0]),
    3: (0.03, [5.0, 2.2, 1.5, -1.0], [25.0, 9.0, 2.0]),
    "none": (0.004, [2.3], [], [0.7, 22.0]),
}


def make_model(laws, exposure, *, counts=COUNTS, shares=SHARES, units="counts", relative=False, device="cpu"):
    """The model of one smooth template and a population for each law, all numbers of populations fixed."""
    mean = EXPOSURE.mean() if units == "flux" else 1.0
    components = {"smooth": Component.model_validate({"template": "smooth", "norm": {"uniform": [0, 3]}})}
    for name, (norm, slopes, breaks, *limits) in zip(PLACES, laws, strict=False):
        own = np.array(breaks) / mean
        if relative and len(own):
            own = np.append(own[0], own[1:] / own[:-1])
        sources = {"slopes": slopes, "breaks": own.tolist(), "units": units, "relative": relative}
        if limits:
            sources["limits"] = (np.array(limits[0]) / mean).tolist()
        part = {"template": name, "norm": norm * mean, "population": sources}
        components[name] = Component.model_validate(part)
    templates = {name: part[None] for name, part in {"smooth": SMOOTH, **PLACES}.items()}
    edges, region = np.array([2.0, 20.0]), np.ones(len(EXPOSURE), dtype=bool)
    sky = Observation(
        16, np.arange(len(EXPOSURE)), region, edges, EXPOSURE[None], np.array([FULL_SKY]), templates,
        shares=PhotonShares(*shares),
    )  # fmt: skip
    variation = None if exposure is None else ExposureVariation.model_validate(exposure)
    settings = SimpleNamespace(model=SimpleNamespace(components=components, exposure=variation))
    return build(settings, sky, Counts("simulated-000", np.asarray(counts)[None]), device=device)


def evaluate(model):
    """ln p of each pixel at a smooth norm of 1."""
    return model.log_likelihood_map({"smooth_norm": torch.ones(1, dtype=torch.float64)})[0].numpy().ravel()


def seen_in(pixel, groups, law, name, *, nptfit):
    """Sources per unit of coefficients in a pixel, and the law at the mean exposure of the pixel's region."""
    own = next(EXPOSURE[group].mean() for group in groups if pixel in group)
    ratio = own / EXPOSURE.mean()
    norm, slopes, breaks, *limits = law
    there = norm / ratio, slopes, [place * ratio for place in breaks], *[[end * ratio for end in one] for one in limits]
    # the template's exposure is divided out; mean counts follow the pixel's own exposure, except in NPTFit
    reference = FULL_SKY if nptfit else EXPOSURE.mean()
    weight = PLACES[name][pixel] * reference / EXPOSURE[pixel]
    return weight * (1.0 if nptfit else EXPOSURE[pixel] / own), there


def regions_of(count):
    return np.array_split(np.argsort(EXPOSURE, kind="stable"), count)


@pytest.mark.parametrize(
    ("breaks", "exposure", "choices"),
    [
        ((1,), {"regions": 3}, {}),
        ((2,), {"regions": 2}, {"units": "flux"}),
        ((3,), {"regions": 3}, {"relative": True}),
        ((1, 3), {"regions": 3}, {}),
        ((2,), {"nptfit": 1}, {}),
        (("none",), {"regions": 2}, {"units": "flux"}),
        (("none", 1), {"nptfit": 3}, {}),
        ((2, 1), {"nptfit": 3}, {"units": "flux", "relative": True}),
    ],
    ids=str,
)
def test_every_pixel_is_as_by_hand(breaks, exposure, choices):
    [(kind, count)] = exposure.items()
    laws, groups = [LAWS[one] for one in breaks], regions_of(count)
    found = evaluate(make_model(laws, exposure, **choices))
    for pixel, photons in enumerate(COUNTS.tolist()):
        terms, total = [0.0] * photons, 0.0
        for name, law in zip(PLACES, laws, strict=False):
            weight, there = seen_in(pixel, groups, law, name, nptfit=kind == "nptfit")
            terms = [term + weight * count_sources(m, there, SHARES) for m, term in enumerate(terms, start=1)]
            total += weight * count_sources_in_all(there, SHARES)
        wanted = convolve(photons, SMOOTH[pixel], terms, total)
        assert found[pixel] == pytest.approx(wanted, rel=1e-10, abs=1e-11), pixel


def sum_gammas(most, law, shares):
    """c_m for m = 1 to ``most`` of one break: a lower and an upper incomplete gamma function for each share."""
    norm, (above, below), [place] = law
    found, m = np.zeros(most), np.arange(1, most + 1)
    for fraction, weight in zip(*shares, strict=True):
        start = fraction * place
        for slope, part in ((above, special.gammaincc), (below, special.gammainc)):
            order = m + 1 - slope
            gammas = np.exp(special.gammaln(order) - special.gammaln(m + 1)) * part(order, start)
            found += weight * norm * place**slope * fraction ** (slope - 1) * gammas
    return found


def recur(count, smooth, terms, total):
    """ln p of a count in extended precision."""
    flux = np.array(terms, dtype=np.longdouble) * np.arange(1, count + 1)
    flux[0] += smooth
    row, log_scale = np.zeros(count + 1, dtype=np.longdouble), np.longdouble(0)
    row[0] = 1
    for k in range(1, count + 1):
        row[k] = flux[:k] @ row[:k][::-1] / k
        if row[k] > 1e1000:
            log_scale += np.log(row[k])
            row /= row[k]
    return float(np.log(row[count]) + log_scale - smooth - np.longdouble(total))


@pytest.mark.parametrize("exposure", [{"nptfit": 2}, {"regions": 2}], ids=str)
def test_thousands_of_counts_are_as_by_hand(exposure):
    """One population in two regions; counts from none to thousands side by side, nothing overflows."""
    [(kind, count)] = exposure.items()
    law, counts = (2e-4, [2.5, 1.2], [700.0]), np.array([0, 3000, 40, 900, 1, 2200])
    found = evaluate(make_model([law], exposure, counts=counts, shares=([0.9, 0.2], [1.0, 0.5])))
    assert np.isfinite(found).all()
    groups, shares = regions_of(count), ([0.9, 0.2], [1.0, 0.5])
    for pixel, photons in enumerate(counts.tolist()):
        weight, there = seen_in(pixel, groups, law, "one", nptfit=kind == "nptfit")
        terms = [] if not photons else weight * sum_gammas(max(photons, 2), there, shares)[:photons]
        total = weight * float(count_sources_in_all(there, shares))
        if photons == 0:
            assert found[pixel] == pytest.approx(-SMOOTH[pixel] - total, rel=1e-11)
        else:
            # of an order below zero, which scipy's functions do not have
            terms[0] = weight * float(count_sources(1, there, shares))
            assert found[pixel] == pytest.approx(recur(photons, SMOOTH[pixel], terms, total), rel=1e-10), pixel

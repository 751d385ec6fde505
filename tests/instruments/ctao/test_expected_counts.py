"""Expected counts of background and sources in prod5, against plain integrals, on and off the Galactic plane."""

import math

import numpy as np
import pytest
from tests.instruments.ctao import plain_counts
from tests.instruments.ctao.conftest import SOUTH_5H, SOUTH_50H
from tests.steps.small_event_run import SmallEventRun

from skysift.instruments.ctao.event_observation import read_event_observation
from skysift.models.events.prediction import predict_cube
from skysift.steps.events.sources import open_responses, read_responses

POINTINGS = ((0.0, 0.0), (20.0, 0.0), (-20.0, 0.0), (0.0, 40.0))
HOURS, EDGES = 10.0, np.geomspace(0.3, 30.0, 5)
HALF = 1.2
DEG = math.pi / 180
POWER_LAW = {"norm": "2e-12 TeV-1 cm-2 s-1", "index": 2.4}
PER_SR = POWER_LAW | {"norm": "2e-12 TeV-1 cm-2 s-1 sr-1"}


def spell(name):
    """A source's name as that of a component."""
    return name.replace(" ", "_").replace("+", "p").replace("-", "m").lower()


def power_law(energy):
    return 2e-12 * energy**-2.4


def annihilation(energy):
    return 3e-26 / (8 * math.pi * 3000.0**2) * 0.73 * (energy / 3) ** -1.5 * math.exp(-2.6 * energy) / 3 * (energy < 3)


def gaggero(energy):
    return 1.36e-8 * energy**-2.41


def disk_of(lon, lat, size, weigh=np.ones_like):
    """Cells of a round source, and their shares of its flux, from its surface brightness at shares of its radius."""
    radii = size * np.linspace(0, 1, 31)
    lon_deg, lat_deg, area = plain_counts.polar_cells(lon, lat, radii, 40)
    middle = np.repeat(np.sqrt(0.5 * (radii[1:] ** 2 + radii[:-1] ** 2)) / size, 40)
    weights = area * weigh(middle)
    return weights / weights.sum(), lon_deg, lat_deg


def gaussian_of(lon, lat, sigma):
    return disk_of(lon, lat, 5 * sigma, lambda share: np.exp(-12.5 * share**2))


def shell_of(lon, lat, size, inner=0.95):
    """A projected shell: longer lines of sight near the inner edge."""
    return disk_of(
        lon, lat, size,
        lambda share: np.sqrt(1 - share**2) - np.sqrt(np.clip(inner**2 - share**2, 0, None)),
    )  # fmt: skip


@pytest.fixture(scope="module", params=POINTINGS, ids=lambda place: f"l{place[0]:g} b{place[1]:g}")
def field(request, tmp_path_factory, repository, data_folder):
    """One pointing: what the library expects, and the telescope that adds up by itself."""
    lon, lat = request.param
    edges = [lon - HALF, lon + HALF], [lat - HALF, lat + HALF]
    axes = [{"range": [f"{a + 0.2} deg", f"{b - 0.2} deg"], "step": "0.4 deg"} for a, b in edges]
    survey = plain_counts.read_survey(data_folder / "ctao/hgps_catalog_v1.fits.gz")
    catalogue = {"sky": "hgps", "file": str(data_folder / "ctao/hgps_catalog_v1.fits.gz")}
    near = [
        name for name, (_, parts) in survey.items()
        if any(abs((part[2] - lon + 180) % 360 - 180) < 1.6 and abs(part[3] - lat) < 1.6 for part in parts)
    ]  # fmt: skip
    here = [f"{lon + 0.53} deg", f"{lat - 0.37} deg"]
    components = {
        "background": {"instrument": "background"},
        "isotropic": {"sky": "isotropic", "spectrum": PER_SR},
        "point": {"sky": "point", "center": here, "spectrum": POWER_LAW},
        "gaussian": {"sky": "gaussian", "center": here, "size": "0.3 deg", "spectrum": POWER_LAW},
        "disk": {"sky": "disk", "center": here, "size": "0.8 deg", "spectrum": POWER_LAW},
        "shell": {"sky": "shell", "center": here, "size": "0.5 deg", "spectrum": POWER_LAW},
        "dark_matter": {
            "sky": "dark_matter", "profile": {"kind": "nfw"},
            "spectrum": {"kind": "annihilation", "mass": "3 TeV", "channel": "bergstrom"},
        },
        **{spell(name): {**catalogue, "sources": [name]} for name in near},
    }  # fmt: skip
    if request.param == (0.0, 0.0):
        components["diffuse"] = {"sky": "fermi_diffuse", "file": str(data_folder / "ctao/gll_iem_v06_gc.fits.gz")}
    middle = np.sqrt(EDGES[1:] * EDGES[:-1])
    run = SmallEventRun(
        tmp_path_factory.mktemp("run"), repository,
        observation={
            "irf": str(data_folder / "ctao" / SOUTH_50H),
            "pointings": [{"lon": f"{lon} deg", "lat": f"{lat} deg", "time": f"{HOURS} h"}],
            "reconstructed": {
                "energy": {"range": [f"{middle[0]} TeV", f"{middle[-1]} TeV"], "points": len(middle)},
                "lon": axes[0], "lat": axes[1],
            },
            "true": {"refine": None},
        },
        model={"components": {"catalogue": None, "diffuse": None, **components}},
        simulate={"events": {"background": 10, "catalogue": None, "diffuse": None}},
    )  # fmt: skip
    looked_at = read_event_observation(run.observation)
    folds = read_responses(run.responses, open_responses(looked_at, run.observation), looked_at)
    expected = {}
    for name, component in run.analysis.model.components.items():
        expected[name] = predict_cube(component, looked_at.lights.get(name), looked_at, folds).sum(1)
    telescope = plain_counts.PlainTelescope(data_folder / "ctao" / SOUTH_50H, request.param, HOURS, EDGES, *edges)
    return request.param, expected, telescope, {name: survey[name] for name in near}, data_folder


def compare(found, wanted):
    """Sums within 1 %, and so is every bin that holds a hundredth of it, within 2 %."""
    assert found.sum() == pytest.approx(wanted.sum(), rel=0.01)
    large = wanted > 0.01 * wanted.sum()
    np.testing.assert_allclose(found[large], wanted[large], rtol=0.02)


def test_background_is_its_integral(field):
    _, expected, telescope, _, data_folder = field
    compare(expected["background"], telescope.background())
    # the control: another file's
    telescope = plain_counts.PlainTelescope(
        data_folder / "ctao" / SOUTH_5H, telescope.pointing, HOURS, EDGES, telescope.lon_deg, telescope.lat_deg
    )
    assert abs(expected["background"].sum() / telescope.background().sum() - 1) > 0.1


def test_extended_sources_are_their_integrals(field):
    (lon, lat), expected, telescope, _, _ = field
    here = lon + 0.53, lat - 0.37
    compare(expected["point"], telescope.counts(power_law, np.ones(1), *(np.array([one]) for one in here)))
    compare(expected["gaussian"], telescope.counts(power_law, *gaussian_of(*here, 0.3)))
    compare(expected["disk"], telescope.counts(power_law, *disk_of(*here, 0.8)))
    compare(expected["shell"], telescope.counts(power_law, *shell_of(*here, 0.5)))


def test_isotropic_and_diffuse_skies_are_their_integrals(field):
    (_, lat), expected, telescope, _, data_folder = field
    margin = 0.6 / math.cos(lat * DEG)
    at_lon, at_lat, area = plain_counts.field_cells(telescope.lon_deg, telescope.lat_deg, 48, margin)
    compare(expected["isotropic"], telescope.counts(power_law, area, at_lon, at_lat))
    if lat:
        flat = telescope.counts(power_law, area / np.cos(at_lat * DEG), at_lon, at_lat)
        assert expected["isotropic"].sum() < 0.8 * flat.sum(), "the control: steps of longitude are no angles"
    if "diffuse" in expected:
        path = data_folder / "ctao/gll_iem_v06_gc.fits.gz"
        inner = plain_counts.field_cells(telescope.lon_deg, telescope.lat_deg, 60)
        mean = plain_counts.read_diffuse(path, *inner[:2]) @ inner[2] / inner[2].sum()
        shape = plain_counts.read_diffuse(path, at_lon, at_lat) / mean
        compare(expected["diffuse"], telescope.counts(gaggero, shape * area, at_lon, at_lat))


def test_dark_matter_is_its_integral(field):
    (lon, lat), expected, telescope, _, _ = field
    if (lon, lat) == (0.0, 0.0):
        lon_deg, lat_deg, area = plain_counts.polar_cells(0.0, 0.0, np.append(0, np.geomspace(1e-4, 2.6, 90)), 40)
    else:
        lon_deg, lat_deg, area = plain_counts.field_cells(
            telescope.lon_deg, telescope.lat_deg, 48, 0.6 / math.cos(lat * DEG)
        )
    angle = plain_counts.apart_deg(lon_deg, lat_deg, 0.0, 0.0)
    nodes = np.geomspace(angle.min() * 0.99, angle.max() * 1.01, 100)
    factor = np.exp(np.interp(np.log(angle), np.log(nodes), np.log(plain_counts.sight_integrals(nodes))))
    compare(expected["dark_matter"], telescope.counts(annihilation, factor * area, lon_deg, lat_deg))


def test_sources_of_the_survey_are_their_integrals(field):
    """Within 1 %; of a source whose centre lies beyond the edge of the field, 1 % of all that it sends."""
    place, expected, telescope, near, _ = field
    everywhere = plain_counts.PlainTelescope.open(telescope)
    compared = 0
    for name, (density, parts) in near.items():
        wanted = whole = np.zeros(len(EDGES) - 1)
        for weight, kind, lon, lat, size in parts:
            turned = place[0] + (lon - place[0] + 180) % 360 - 180
            if kind == "Point-Like" or size < 1e-3:
                cells = np.ones(1), np.array([turned]), np.array([lat])
            else:
                cells = (shell_of if kind == "Shell" else gaussian_of)(turned, lat, size)
            wanted = wanted + telescope.counts(density, weight * cells[0], *cells[1:])
            whole = whole + everywhere.counts(density, weight * cells[0], *cells[1:])
        found = expected[spell(name)].sum()
        _, _, lon, lat, _ = max(parts)  # the brightest part
        is_here = abs((lon - place[0] + 180) % 360 - 180) < HALF and abs(lat - place[1]) < HALF
        allowed = 0.0 if is_here else 0.01 * whole.sum()
        assert found == pytest.approx(wanted.sum(), rel=0.01, abs=allowed), name
        compared += wanted.sum() > 0.5 * whole.sum()
    assert compared >= {(0.0, 0.0): 3, (-20.0, 0.0): 1}.get(place, 0)

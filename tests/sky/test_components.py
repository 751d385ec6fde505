"""Spectra and shapes of model files: against Gammapy for every kind, their integrals, their gradients at limits."""

import math
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from tests.peers import import_peer

from skysift.config.models import KINDS, find_kind
from skysift.errors import InputError
from skysift.sky.components import SHAPES, SPECTRA, build_shape, build_spectrum

ENERGY = np.geomspace(0.03, 150.0, 60)
NODES = (0.1, 1.0, 5.0, 40.0)
TABLES = {
    "template": {"energy": NODES, "values": (3e-11, 2e-12, 4e-14, 1e-17)},
    "piecewise-norm": {"energy": NODES},
    "ebl-norm": {
        "energy": NODES,
        "param": (0.01, 0.1, 0.3),
        "values": tuple(np.exp(-np.outer([0.01, 0.1, 0.3], np.array(NODES))).ravel()),
    },
}
#: Values other than the defaults, for each kind.
OTHER = {
    "pl": {"index": 2.7, "reference": 3.0}, "pl-2": {"index": 1.4, "emin": 0.5}, "bpl": {"index2": 3.0, "ebreak": 2.2},
    "sbpl": {"index1": 1.7, "index2": 3.1, "beta": 0.4, "ebreak": 3.0}, "ecpl": {"alpha": 0.6, "lambda_": 0.3},
    "ecpl-3fgl": {"ecut": 4.0, "reference": 2.0}, "secpl-3fgl": {"ecut": 4.0, "index_2": 0.7},
    "secpl-4fgl": {"expfactor": 1e-4, "index_2": 0.6}, "secpl-4fgl-dr3": {"expfactor": 0.4, "index_2": 0.45},
    "lp": {"beta": 0.2, "reference": 1.0}, "lp2": {"beta": 0.1, "escale": 2.0}, "gauss": {"mean": 5.0},
    "pl-norm": {"tilt": 0.3, "norm": 1.2}, "lp-norm": {"alpha": 0.2, "beta": 0.05},
    "ecpl-norm": {"index": 0.3, "lambda_": 0.05}, "piecewise-norm": {"norm_1": 1.4, "norm_3": 0.2},
    "ebl-norm": {"redshift": 0.17, "alpha_norm": 1.3}, "const": {"const": 2e-12}, "template": {},
}  # fmt: skip
SHAPE_VALUES = {
    "gauss": [{"sigma": 1.3}, {"sigma": 0.9, "e": 0.8, "phi": 40.0}],
    "gauss-general": [{"r_0": 0.8, "eta": 0.3}, {"r_0": 1.2, "eta": 0.9, "e": 0.6, "phi": -70.0}],
    "disk": [{"r_0": 1.1, "edge_width": 0.3}, {"r_0": 1.4, "e": 0.9, "phi": 100.0, "edge_width": 0.2}],
    "shell": [{"radius": 1.0, "width": 0.3}],
    "shell2": [{"r_0": 1.5, "eta": 0.4}, {"r_0": 1.0, "eta": 1.0}],
    "const": [{}],
}


def declared(role, tag):
    """Return a part of some kind and its default values."""
    kind = find_kind(role, tag)
    tables = (
        {name: tuple(map(float, values)) for name, values in TABLES.get(tag, {}).items()} if role == "spectral" else {}
    )
    values = {one.name: one.value for one in kind.parameters}
    if tag == "piecewise-norm":
        values = {f"norm_{number}": 1.0 for number in range(len(NODES))}
    return SimpleNamespace(tag=tag, tables=tables, settings={}, file=None, parts=()), values


@pytest.fixture(scope="session")
def peer():
    from astropy import units

    return SimpleNamespace(models=import_peer("gammapy.modeling.models"), u=units)


def peer_spectrum(peer, tag, values):
    kind = find_kind("spectral", tag)
    cls, u = peer.models.SPECTRAL_MODEL_REGISTRY.get_cls(tag), peer.u
    units = {one.name: one.unit for one in kind.parameters}
    given = {name: value * u.Unit(units.get(name, "")) for name, value in values.items()}
    energy = np.array(NODES) * u.TeV
    if tag == "template":
        return cls(energy=energy, values=np.array(TABLES[tag]["values"]) * u.Unit("TeV-1 cm-2 s-1"))
    if tag == "piecewise-norm":
        return cls(energy=energy, norms=np.array(list(values.values())))
    if tag == "ebl-norm":
        param = np.array(TABLES[tag]["param"])
        data = np.array(TABLES[tag]["values"]).reshape(len(param), -1)
        return cls(energy, param, data, **given)
    return cls(**given)


SPECTRAL = [tag for tag in SPECTRA if tag != "scale"]


@pytest.mark.parametrize("changed", [False, True])
@pytest.mark.parametrize("tag", SPECTRAL)
def test_spectrum_is_gammapy_s(peer, tag, changed):
    part, values = declared("spectral", tag)
    # Gammapy divides zero by zero where the two indices are equal.
    values |= OTHER[tag] if changed else {"index2": 2.5} if tag == "sbpl" else {}
    ours = build_spectrum(part, values).density(ENERGY).numpy()
    theirs = peer_spectrum(peer, tag, values)(ENERGY * peer.u.TeV)
    theirs = theirs.to_value("" if find_kind("spectral", tag).is_norm else "TeV-1 cm-2 s-1")
    log = np.log(ENERGY / values.get("reference", 1.0)) * values.get("index_2", 1.0)
    # Gammapy breaks its series off there.
    is_short = (tag == "secpl-4fgl-dr3") & (np.abs(log) < 0.01)
    np.testing.assert_allclose(ours[~is_short], theirs[~is_short], rtol=1e-10)
    np.testing.assert_allclose(ours, theirs, rtol=1e-8)


@pytest.mark.parametrize("tag", SPECTRAL)
def test_integrals_are_those_of_the_density(tag):
    part, values = declared("spectral", tag)
    spectrum = build_spectrum(part, values | OTHER[tag])
    edges = np.array([0.05, 0.07, 0.3, 4.0, 11.0, 120.0])
    kinks = np.array([*NODES, values.get("ebreak", 1.0), OTHER[tag].get("ebreak", 1.0)])
    for found, low, high in zip(spectrum.integrals(edges).numpy(), edges, edges[1:], strict=False):
        wanted = sum(
            quad(lambda log: math.exp(log) * float(spectrum.density([math.exp(log)])[0]), a, b, epsrel=1e-12, epsabs=0)[
                0
            ]
            for a, b in _split(math.log(low), math.log(high), np.log(kinks))
        )
        assert found == pytest.approx(wanted, rel=2e-10, abs=1e-40)


def _split(low, high, kinks):
    cuts = [low, *sorted(cut for cut in set(kinks.tolist()) if low < cut < high), high]
    return list(pairwise(cuts))


def test_limits_of_formulas_are_what_they_tend_to():
    for tag, changed, near in (
        ("pl-2", {"index": 1.0}, {"index": 1.0 + 1e-7}), ("secpl-4fgl-dr3", {"index_2": 0.0}, {"index_2": 1e-8}),
        ("sbpl", {"index1": 2.0, "index2": 2.0, "beta": 1e-9}, {"index1": 2.0, "index2": 2.0001, "beta": 1e-9}),
    ):  # fmt: skip
        part, values = declared("spectral", tag)
        here, there = (build_spectrum(part, values | one).density(ENERGY) for one in (changed, near))
        torch.testing.assert_close(here, there, rtol=1e-3 if tag == "sbpl" else 1e-6, atol=0)


def test_batch_of_spectra_is_each_of_them():
    for tag in SPECTRAL:
        part, values = declared("spectral", tag)
        rows = [values, values | OTHER[tag]]
        batch = {name: torch.tensor([row[name] for row in rows], dtype=torch.float64) for name in values}
        for method in ("density", "integrals"):
            both = getattr(build_spectrum(part, batch), method)(ENERGY)
            for number, row in enumerate(rows if tag != "template" else []):
                alone = getattr(build_spectrum(part, row), method)(ENERGY)
                torch.testing.assert_close(both[number], alone, rtol=1e-12, atol=1e-40)


def test_compound_is_its_parts_joined_and_split_at_their_kinks():
    template, values = declared("spectral", "template")
    nodes, norms = declared("spectral", "piecewise-norm")
    norms |= {"norm_1": 2.0, "norm_2": 0.3}
    part = SimpleNamespace(
        tag="compound", tables={}, settings={"operator": "mul"}, file=None, parts=(template, nodes)
    )  # fmt: skip
    joined = build_spectrum(
        part, {f"model2.{name}": torch.tensor([value, 1.0], dtype=torch.float64) for name, value in norms.items()}
    )
    # Norms at the nodes of a template give another template.
    scaled = np.array(TABLES["template"]["values"]) * np.array(list(norms.values()))
    other = build_spectrum(
        SimpleNamespace(tag="template", tables={"energy": NODES, "values": scaled}, settings={}, file=None, parts=()),
        {},
    )
    edges = np.array([0.1, 0.5, 2.0, 40.0])
    torch.testing.assert_close(joined.integrals(edges)[0], other.integrals(edges), rtol=1e-11, atol=0)
    torch.testing.assert_close(
        joined.integrals(edges)[1], build_spectrum(template, values).integrals(edges), rtol=1e-11, atol=0
    )


CHECKED = {
    "pl-2": [{"index": 1.0}], "ecpl": [{"lambda_": 0.0}], "secpl-4fgl-dr3": [{"index_2": 0.0}, {"expfactor": 0.0}],
    "sbpl": [{"index1": 2.0, "index2": 2.0}], "bpl": [{"ebreak": float(ENERGY[20])}], "lp": [{"beta": 0.0}],
}  # fmt: skip


@pytest.mark.parametrize("tag", SPECTRAL)
def test_gradients_of_spectra_are_finite_at_limits(tag):
    part, values = declared("spectral", tag)
    for changed in (OTHER[tag], *CHECKED.get(tag, [])):
        at = {
            name: torch.tensor(value, dtype=torch.float64, requires_grad=True)
            for name, value in (values | changed).items()
        }
        for method in ("density", "integrals"):
            result = getattr(build_spectrum(part, at), method)(ENERGY)
            assert result.isfinite().all()
            if at:
                gradients = torch.autograd.grad(result.sum(), list(at.values()), allow_unused=True)
                assert all(one is None or one.isfinite() for one in gradients), (changed, method, gradients)


@pytest.mark.parametrize("tag", SPECTRAL)
def test_gradients_of_integrals_are_those_of_differences(tag):
    part, values = declared("spectral", tag)
    values = {
        name: torch.tensor(value, dtype=torch.float64, requires_grad=True)
        for name, value in (values | OTHER[tag]).items()
    }
    # An edge or node that is a kink has two derivatives.
    edges = np.geomspace(0.04, 90.0, 12)
    scale = 1.0 if find_kind("spectral", tag).is_norm else 1e12
    if values:

        def integrals(*given):
            return scale * build_spectrum(part, dict(zip(values, given, strict=True))).integrals(edges)

        exact = torch.autograd.functional.jacobian(integrals, tuple(values.values()))
        for number, value in enumerate(values.values()):
            size = 1e-3 * max(abs(float(value.detach())), 1e-30)
            ends = []
            for step in (size, size / 2):
                up, down = (
                    tuple(one.detach() + turn * step * (k == number) for k, one in enumerate(values.values()))
                    for turn in (1, -1)
                )
                ends.append((integrals(*up) - integrals(*down)) / (2 * step))
            richardson = (4 * ends[1] - ends[0]) / 3
            torch.testing.assert_close(
                exact[number], richardson, rtol=1e-6, atol=1e-9 * float(richardson.abs().max() + 1e-30)
            )


def directions():
    rng = np.random.default_rng(4)
    lon, lat = rng.uniform(-2.2, 2.2, (2, 400))
    return (lon + 359.5) % 360.0, lat + 40.0


@pytest.mark.parametrize(("tag", "changed"), [(tag, one) for tag, many in SHAPE_VALUES.items() for one in many])
def test_shape_is_gammapy_s(peer, tag, changed):
    part, values = declared("spatial", tag)
    if "lon_0" in values:
        values |= {"lon_0": 359.6, "lat_0": 40.1}
    values |= changed
    lon, lat = directions()
    shape, u = build_shape(part, values), peer.u
    units = {one.name: one.unit for one in find_kind("spatial", tag).parameters}
    given = {name: value * u.Unit(units[name]) for name, value in values.items()}
    cls = peer.models.SPATIAL_MODEL_REGISTRY.get_cls(tag)
    model = cls(frame="icrs", **given) if tag != "const" else cls(**given)
    theirs = model(lon * u.deg, lat * u.deg).to_value("sr-1") * np.ones(len(lon))
    ours = shape.density(lon, lat).numpy() * np.ones(len(lon))
    # Gammapy takes differences of cosines and adaptive quadrature: 1e-10 of the peak is what these leave.
    np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-10 * theirs.max())
    if tag != "const":
        assert shape.size_deg == pytest.approx(model.evaluation_bin_size_min.to_value("deg"))
        assert shape.reach_deg == pytest.approx(model.evaluation_radius.to_value("deg"))


@pytest.mark.parametrize(
    ("tag", "changed"), [(tag, one) for tag, many in SHAPE_VALUES.items() for one in many if tag != "const"]
)
def test_shape_integrates_to_one(tag, changed):
    part, values = declared("spatial", tag)
    values |= {"lon_0": 10.0, "lat_0": -30.0} | changed
    # A soft edge adds its width squared.
    values |= {"edge_width": 0.05} if tag == "disk" else {}
    shape = build_shape(part, values)
    reach = 7.0
    step = 2 * reach / 300
    offsets = (np.arange(300) + 0.5) * step - reach
    x, y = np.meshgrid(10.0 + offsets / math.cos(math.radians(30.0)), -30.0 + offsets)
    total = shape.density(x.ravel(), y.ravel()).reshape(x.shape) * torch.as_tensor(np.cos(np.radians(y)))
    found = float(total.sum()) * math.radians(step) ** 2 / math.cos(math.radians(30.0))
    # Shells and flattened shapes are normalised on the plane, as published.
    assert found == pytest.approx(1.0, abs=2e-3)


LIMITS = {
    "gauss": [{}, {"sigma": 0.0}, {"e": 1.0}, {"e": 0.5}],
    "disk": [{}, {"e": 1.0}, {"edge_width": 0.0}, {"e": 0.4}, {"r_0": 0.0}],
    "shell": [{}, {"radius": 0.0}], "shell2": [{}, {"eta": 1.0}, {"eta": 0.02}],
    "gauss-general": [{}, {"eta": 0.01}, {"eta": 1.0}, {"e": 1.0}],
}  # fmt: skip


@pytest.mark.parametrize("tag", LIMITS)
def test_gradients_of_shapes_are_finite_at_limits_centres_and_edges(tag):
    part, values = declared("spatial", tag)
    lon = np.array([0.0, 0.0, 1.0, 1.2, 0.8, 180.0, 359.0, 0.0, 1e-9])
    lat = np.array([0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 90.0, 0.0])
    for changed in LIMITS[tag]:
        at = {
            name: torch.tensor(value, dtype=torch.float64, requires_grad=True)
            for name, value in (values | changed).items()
        }
        result = build_shape(part, at).density(lon, lat)
        assert result.isfinite().all(), changed
        for one in result:
            gradients = torch.autograd.grad(one, list(at.values()), retain_graph=True)
            assert all(gradient.isfinite() for gradient in gradients), (changed, dict(zip(at, gradients, strict=True)))


@pytest.mark.parametrize("tag", LIMITS)
def test_gradients_of_shapes_are_those_of_differences(tag):
    part, values = declared("spatial", tag)
    values |= {"lon_0": 359.9, "lat_0": 20.0} | SHAPE_VALUES[tag][-1]
    names = list(values)
    rng = np.random.default_rng(5)
    lon, lat = 359.9 + rng.uniform(-0.9, 0.9, 30), 20.0 + rng.uniform(-0.9, 0.9, 30)

    def density(vector):
        return build_shape(part, dict(zip(names, vector, strict=True))).density(lon, lat)

    at = torch.tensor([values[name] for name in names], dtype=torch.float64, requires_grad=True)
    exact = torch.autograd.functional.jacobian(density, at)
    for number, name in enumerate(names):
        if name == "eta" and values[name] in (0.02, 1.0):
            continue
        ends = []
        for step in (1e-4, 5e-5):
            move = torch.zeros(len(names), dtype=torch.float64)
            move[number] = step
            ends.append((density(at.detach() + move) - density(at.detach() - move)) / (2 * step))
        wanted = (4 * ends[1] - ends[0]) / 3
        scale = float(wanted.abs().max()) + float(exact.abs().max())
        torch.testing.assert_close(exact[:, number], wanted, rtol=1e-6, atol=1e-7 * scale)


def test_batch_of_shapes_is_each_of_them():
    lon, lat = directions()
    for tag, many in SHAPE_VALUES.items():
        part, values = declared("spatial", tag)
        rows = [
            values | {"lat_0": 40.0} | one if "lon_0" in values else values | {"value": 2.0}
            for one in (many[0], many[-1])
        ]
        batch = {name: torch.tensor([row[name] for row in rows], dtype=torch.float64) for name in rows[0]}
        both = build_shape(part, batch).density(lon, lat)
        assert both.shape == (2, len(lon))
        for number, row in enumerate(rows):
            alone = build_shape(part, row).density(lon, lat)
            torch.testing.assert_close(both[number], alone.expand(len(lon)), rtol=1e-9, atol=1e-9)


def test_sum_of_shapes_is_the_weighted_sum():
    gauss, values = declared("spatial", "gauss")
    part = SimpleNamespace(tag="sum", tables={"weights": (0.3, 0.7)}, settings={}, file=None, parts=(gauss, gauss))
    given = {f"model{number}.{name}": value for number in (1, 2) for name, value in values.items()} | {
        "model2.sigma": 2.0
    }
    shape = build_shape(part, given)
    alone = [build_shape(gauss, values | {"sigma": sigma}).density([1.0], [0.5]) for sigma in (1.0, 2.0)]
    torch.testing.assert_close(shape.density([1.0], [0.5]), 0.3 * alone[0] + 0.7 * alone[1])
    assert shape.reach_deg == 10.0
    assert shape.size_deg == pytest.approx(1 / 3)


def test_what_cannot_be_evaluated_is_named():
    part, _ = declared("spatial", "template")
    part.file = "lost.fits"
    with pytest.raises(InputError, match=r"lost\.fits"):
        build_shape(part, {})
    part, _ = declared("spectral", "templateND")
    with pytest.raises(InputError, match="templateND"):
        build_spectrum(part, {})
    known = {kind.tag for kind in KINDS if kind.role == "spectral"}
    assert known - set(SPECTRA) == {"compound", "templateND"}
    known = {kind.tag for kind in KINDS if kind.role == "spatial"}
    assert known - set(SHAPES) == {"sum", "template", "templateND", "piecewise-norm", "const-flux"}

"""Models of events against their definition: values, gradients, trees, norms, and what moves with parameters."""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from tests.models.events.sources import DARK, POWER_LAW, find_nothing, model, place

from skysift.config import Prior
from skysift.errors import InputError
from skysift.geometry import EnergyAxis, LonLatGrid
from skysift.inference.target import Target
from skysift.instruments.ctao import Axes
from skysift.models.events.build import build_mixture
from skysift.models.events.columns import Column, kind_of
from skysift.models.events.dark_matter import make_map
from skysift.models.events.fields import make_field
from skysift.models.events.lights import make_spectrum
from skysift.models.events.marginals import Marginals
from skysift.models.events.nodes import find_nodes, list_nodes

ROWS = 40
TRUE = Axes(EnergyAxis.from_bins(0.3, 30.0, 6), LonLatGrid.from_step(-0.8, 0.8, -0.8, 0.8, 0.4))
GAS = {"sky": "isotropic", "spectrum": {"index": {"uniform": [1.5, 3.5]}}}
STAR = place("point")
TWIN = place("point", share={"index": "gas"}) | {"spectrum": {**POWER_LAW, "index": 2}}
STEEP = {**DARK, "profile": {"kind": "gnfw", "gamma": {"uniform": [0.6, 1.4]}}}
HALO = {**DARK, "profile": {"kind": "gnfw", "gamma": {"uniform": [0.6, 1.4]}, "beta": {"uniform": [2.5, 3.5]},
                            "r_s": {"uniform": [15, 30]}}}  # fmt: skip
NEAR = {**DARK, "profile": {"kind": "nfw", "local_density": {"normal": [0.39, 0.05], "min": 0.1}}}
MIXED = {"sky": "dark_matter", "spectrum": {
    "kind": "annihilation", "mass": {"uniform": ["2 TeV", "4 TeV"]}, "branching": {"channels": ["bergstrom", "line"]},
}}  # fmt: skip
CLOUD = {
    "sky": "synthetic_diffuse",
    "modulate": {"lengthscale": "1 deg", "variance": 0.3, "inducing": {"spacing": 0.6}},
}

WEIGHTS = np.arange(TRUE.grid.size) / np.arange(TRUE.grid.size).sum()


def response_of(number):
    """What a made-up response makes of the flux in true bins: density (n, E, J) and total (E, J)."""
    random = np.random.default_rng(100 + number)
    return random.random((ROWS, *TRUE.shape)), 1.0 + random.random(TRUE.shape)


def column_of(component, number):
    """A made-up column, of the kind that the component needs."""
    random = np.random.default_rng(number)
    kind = kind_of(component)
    energies, pixels = TRUE.shape
    if kind == "nodes":
        matrix, totals = response_of(number)
        images = [make_map(component, TRUE, place).numpy() for place in list_nodes(find_nodes(component))]
        shares = [image / image.sum() for image in images]
        density = np.concatenate([matrix @ share for share in shares], 1)
        return Column(kind, density, np.concatenate([totals @ share for share in shares]))
    size = {"fixed": (), "spectrum": (energies,), "map": (energies * pixels,), "field": (pixels,)}[kind]
    density = random.random((ROWS, *size)) * random.random((ROWS, *([1] * len(size))))
    totals = 1.0 + random.random(size)
    if kind in ("map", "field"):
        density = csr_array(density * (random.random(density.shape) < 0.5))
    return Column(kind, density, np.asarray(totals))


def build(components, **keys):
    settings = model(dict(components), **keys)
    columns = {f"{name}.own": column_of(part, k) for k, (name, part) in enumerate(settings.components.items())}
    random = np.random.default_rng(9)
    marginals = Marginals(
        "set-000", random.integers(1, 5, ROWS).astype(float), np.zeros(ROWS, np.int64), columns, np.zeros((1, ROWS)),
        warnings=("odd",),
    )  # fmt: skip
    sources = {name: f"{name}.own" for name in settings.components}
    return (
        settings,
        marginals,
        build_mixture(settings, sources, marginals, TRUE, find_nothing, weights={"cloud": WEIGHTS}),
    )


def densities_by_hand(settings, marginals, values):
    """Density (n, S) and total (S,) of each component at values of single numbers, without the model."""
    parts = []
    for number, (name, part) in enumerate(settings.components.items()):
        column = marginals.columns[f"{name}.own"]
        dense = column.density.toarray() if hasattr(column.density, "toarray") else column.density
        if column.kind == "fixed":
            parts.append((dense, float(column.totals)))
            continue
        if column.kind == "field":
            flux = np.exp(make_field(part.modulate, TRUE.grid, WEIGHTS) @ values[f"{name}_field"])
        else:
            owners = {own: name for own in part.free} | dict(part.share)
            own = {key: torch.tensor(values[f"{owner}_{key}"], dtype=torch.float64) for key, owner in owners.items()}
            flux = make_spectrum(part, own, find_nothing).integrals(torch.tensor(TRUE.energy.edges_tev)).numpy().ravel()
            if column.kind == "nodes":
                image = make_map(part, TRUE, own).numpy().ravel()
                matrix, totals = response_of(number)
                parts.append((matrix @ image @ flux, float(totals @ image @ flux)))
                continue
            if column.kind == "map":
                flux = np.outer(flux, make_map(part, TRUE, own).numpy().ravel()).ravel()
        parts.append((dense @ flux, float(column.totals @ flux)))
    return np.stack([density for density, _ in parts], 1), np.array([total for _, total in parts])


MODELS = {
    "fixed": {"star": STAR},
    "free index": {"gas": GAS, "star": STAR},
    "shared index": {"gas": GAS, "twin": TWIN},
    "moving": {"halo": HALO, "star": STAR},
    "moving, at nodes": {"halo": STEEP, "star": STAR},
    "local density, at nodes": {"halo": NEAR, "star": STAR},
    "free channels": {"halo": MIXED, "star": STAR},
    "field": {"cloud": CLOUD, "star": STAR},
}
NORMS = {"star": {"uniform": [0, 5]}, "gas": {"lognormal": [1, 0.5]}, "background": 0.7, "halo": {"uniform": [0, 9]},
         "twin": 1.0, "cloud": {"normal": [1, 0.3], "min": 0}}  # fmt: skip


def with_norms(components):
    parts = {**components, "background": {"instrument": "background"}}
    return {name: {**part, "norm": NORMS[name]} for name, part in parts.items()}


def within(name):
    """How near a likelihood must come: polynomials between nodes are near, the rest is exact."""
    return {"rel": 0, "abs": 1e-3} if "nodes" in name else {"rel": 1e-11}


def draw(mixture, seed, count=3):
    generator = torch.Generator().manual_seed(seed)
    return mixture.parameters.draw(count, generator)


@pytest.mark.parametrize("name", MODELS)
def test_mixture_is_its_definition(name, seed):
    settings, marginals, mixture = build(MODELS[name])
    values = draw(mixture, seed)
    found = mixture.log_likelihood(values).numpy()
    shares = mixture.component_fractions(values).numpy()
    np.testing.assert_allclose(shares.sum(1), 1.0, rtol=1e-12)
    for row in range(3):
        density, total = densities_by_hand(settings, marginals, {k: v[row].numpy() for k, v in values.items()})
        wanted = marginals.counts @ np.log((density / total) @ shares[row])
        assert found[row] == pytest.approx(wanted, **within(name))
    assert mixture.warnings == ("odd",)
    assert mixture.names == tuple(settings.components)


@pytest.mark.parametrize("name", MODELS)
def test_extended_likelihood_is_its_definition(name, seed):
    settings, marginals, mixture = build(with_norms(MODELS[name]), likelihood="extended")
    values = draw(mixture, seed)
    found = mixture.log_likelihood(values).numpy()
    for row in range(3):
        own = {k: v[row].numpy() for k, v in values.items()}
        density, total = densities_by_hand(settings, marginals, own)
        norms = np.array([own.get(f"{part}_norm", Prior.model_validate(NORMS[part]).value) for part in mixture.names])
        wanted = marginals.counts @ np.log(density @ norms.astype(float)) - total @ norms.astype(float)
        assert found[row] == pytest.approx(wanted, **within(name))


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("likelihood", ["mixture", "extended"])
def test_gradient_is_that_of_finite_differences(name, likelihood, seed):
    components = with_norms(MODELS[name]) if likelihood == "extended" else MODELS[name]
    _, _, mixture = build(components, likelihood=likelihood)
    target = Target(mixture)
    generator = torch.Generator().manual_seed(seed)
    z = 0.5 * torch.randn(target.size, generator=generator, dtype=torch.float64)
    _, gradient = target.log_density_and_gradient(z[None])
    step = 1e-5
    shifts = step * torch.eye(target.size, dtype=torch.float64)
    numeric = (target.log_density(z + shifts) - target.log_density(z - shifts)) / (2 * step)
    scale = float(gradient.abs().max())
    np.testing.assert_allclose(gradient[0].numpy(), numeric.numpy(), rtol=1e-6, atol=1e-7 * scale)


def test_a_batch_is_its_rows(seed):
    _, _, mixture = build({**MODELS["free index"], "halo": HALO, "cloud": CLOUD})
    values = draw(mixture, seed, 4)
    whole = mixture.log_likelihood(values)
    for row in range(4):
        alone = mixture.log_likelihood({name: part[row : row + 1] for name, part in values.items()})
        assert float(alone[0]) == pytest.approx(float(whole[row]), rel=1e-12)


def test_a_tree_binds_leaves_by_name(seed):
    tree = {"noise": ["background"], "sky": {"smooth": ["gas"], "small": ["star", "twin"]}}
    parts = {"gas": GAS, "star": STAR, "twin": TWIN}
    _, _, plain = build(parts)
    _, _, mixture = build(parts, fractions={"tree": tree})
    assert mixture.names == plain.names == ("gas", "star", "twin", "background")
    assert "gas_index" in mixture.parameters.names
    shares = mixture.component_fractions(draw(mixture, seed, 2000)).numpy()
    # flat over the leaves by default, whatever the tree
    np.testing.assert_allclose(shares.mean(0), 0.25, atol=4 * 0.194 / np.sqrt(2000))


def test_order_of_components_and_leaves_does_not_matter(seed):
    """The same fractions, whatever the file's order: the same likelihood and prior; of another component, another."""
    parts = {"gas": GAS, "star": STAR, "twin": TWIN, "background": {"instrument": "background"}}
    tree = {"noise": ["background"], "sky": {"smooth": ["gas"], "small": ["star", "twin"]}}
    turned = {"sky": {"small": ["twin", "star"], "smooth": ["gas"]}, "noise": ["background"]}
    settings = [model(dict(order), fractions={"tree": own}) for order, own in
                ((parts, tree), (reversed(parts.items()), turned), (parts, turned))]  # fmt: skip
    columns = {name: column_of(part, k) for k, (name, part) in enumerate(settings[0].components.items())}
    counts = np.ones(ROWS)
    marginals = Marginals("set-000", counts, np.zeros(ROWS, np.int64), columns, np.zeros((1, ROWS)))
    first, *others = [build_mixture(one, {n: n for n in parts}, marginals, TRUE, find_nothing) for one in settings]
    values = draw(first, seed)
    shares = first.component_fractions(values)
    wanted = first.log_likelihood(values), first.shares.log_prior(shares)
    for other in others:
        order = [first.names.index(name) for name in other.names]
        moved = other.shares.split(shares[:, order]) | {"gas_index": values["gas_index"]}
        found = other.log_likelihood(moved), other.shares.log_prior(shares[:, order])
        torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)
        wrong = other.shares.split(shares[:, order[1:] + order[:1]]) | {"gas_index": values["gas_index"]}
        assert float((other.log_likelihood(wrong) - wanted[0]).abs().max()) > 0.1


def test_concentration_narrows_the_prior(seed):
    shares = [build(MODELS["fixed"], fractions={"dirichlet": concentration})[2] for concentration in (1.0, 20.0)]
    wide, narrow = (mixture.component_fractions(draw(mixture, seed, 1000)).std(0).max() for mixture in shares)
    assert narrow < 0.5 * wide


@pytest.mark.parametrize("likelihood", ["mixture", "extended"])
def test_where_a_source_sends_nothing_it_explains_nothing(likelihood):
    """Particles lighter than every energy: neither impossible, nor events."""
    mass = {"kind": "annihilation", "channel": "bergstrom", "mass": {"loguniform": ["1e-2 TeV", "900 TeV"]}}
    parts = {"halo": {"sky": "dark_matter", "spectrum": mass}, "star": STAR}
    parts = with_norms(parts) if likelihood == "extended" else parts
    _, _, mixture = build(parts, likelihood=likelihood)
    values = mixture.parameters.from_cube(torch.full((2, mixture.parameters.cube_size), 0.5, dtype=torch.float64))
    values["halo_mass"] = torch.tensor([0.02, 0.05], dtype=torch.float64, requires_grad=True)
    found = mixture.log_likelihood(values)
    assert torch.isfinite(found).all()
    assert float(found[0].detach()) == pytest.approx(float(found[1].detach()), rel=1e-12)
    found.sum().backward()
    assert torch.isfinite(values["halo_mass"].grad).all()


def test_a_component_that_sends_nothing_is_refused():
    settings = model({"star": STAR})
    columns = {
        "star": Column("fixed", np.zeros(3), np.asarray(0.0)),
        "background": Column("fixed", np.ones(3), np.asarray(3.0)),
    }
    marginals = Marginals("set-000", np.ones(3), np.zeros(3, np.int64), columns, np.zeros((1, 3)))
    with pytest.raises(InputError, match="component star"):
        build_mixture(settings, {name: name for name in columns}, marginals, TRUE, find_nothing)


def test_an_event_that_nobody_allows_is_refused_with_its_row():
    settings = model({"star": STAR})
    columns = {name: Column("fixed", np.array([1.0, 0.0, 1.0]), np.asarray(3.0)) for name in settings.components}
    marginals = Marginals("set-000", np.ones(3), np.zeros(3, np.int64), columns, np.zeros((1, 3)))
    with pytest.raises(InputError, match="row 1"):
        build_mixture(settings, {name: name for name in columns}, marginals, TRUE, find_nothing)

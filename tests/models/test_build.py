"""From configuration, observation and counts to a model: names, priors, shapes, warnings and refusals."""

import dataclasses

import healpy
import numpy as np
import pytest
import torch

from skysift.config import Prior, resolve
from skysift.config.slices import fit_slice
from skysift.errors import InputError
from skysift.instruments.fermi import Counts, Observation
from skysift.models import TemplateModel, build
from skysift.models.build import make_prior
from skysift.parameters.priors import LogNormal, LogUniform, Normal, Uniform

NSIDE = 16
NORMS = {"diffuse": 8.0, "isotropic": 2.0, "gce": 1.0}


def observe(energies=1, radius_deg=25.0):
    """A hand-made observation of four templates."""
    pixels = np.sort(healpy.query_disc(NSIDE, [1.0, 0.0, 0.0], np.radians(radius_deg)))
    x, y, z = healpy.pix2vec(NSIDE, pixels)
    shapes = {
        "smooth": 3.0 + 2.0 * np.exp(-((z / 0.15) ** 2)) + 0.3 * y,
        "flat": np.ones(len(pixels)),
        "peak": 6.0 * np.exp(-60.0 * (1.0 - x)),
        "lobes": np.where(np.abs(z) > 0.1, 1.0, 0.0),
    }
    bands = 2.0 ** -np.arange(energies)[:, None]
    return Observation(
        NSIDE,
        pixels,
        np.abs(z) > 0.03,
        np.geomspace(2.0, 20.0, energies + 1),
        np.full((energies, len(pixels)), 7e10),
        np.full(energies, 7e10),
        {name: bands * shape for name, shape in shapes.items()},
    )


def draw(observation, seed=1):
    pairs = {"diffuse": "smooth", "isotropic": "flat", "gce": "peak"}
    mean = sum(norm * observation.templates[pairs[name]] for name, norm in NORMS.items())
    counts = np.random.default_rng(seed).poisson(mean)
    return Counts("simulated-000", counts, 1, dict(NORMS), pairs, mean)


COMPONENTS = {
    "diffuse": {"template": "smooth", "norm": {"lognormal": [8, 0.5]}},
    "isotropic": {"template": "flat", "norm": {"normal": [2, 0.5], "min": 0}},
    "gce": {"template": "peak", "norm": {"uniform": [0, 3]}},
}


def settings(edges=(2, 20), **changes):
    """A fit slice with some components replaced, added or removed."""
    parts = {name: part for name, part in {**COMPONENTS, **changes}.items() if part is not None}
    templates = {name: {"file": f"{name}.npy"} for name in ("smooth", "flat", "peak", "lobes", "absent")}
    analysis = resolve(
        {
            "run": "test",
            "observation": {
                "data": "synthetic",
                "region": {"radius": "20 deg"},
                "templates": templates,
                "energy_edges": [f"{edge} GeV" for edge in edges],
            },
            "simulate": {"truth": {"flat": 1.0}},
            "model": {"components": parts},
            "fits": {"one": ["map", "laplace"]},
        }
    )
    return fit_slice(analysis, "one")


def glowing(**keys):
    return {**COMPONENTS["diffuse"], "modulate": {"lengthscale": "0.3 rad", "variance": 0.1, **keys}}


def test_a_rigid_model():
    observation = observe()
    model = build(settings(), observation, draw(observation))
    assert isinstance(model, TemplateModel)
    assert model.parameters.names == ("diffuse_norm", "isotropic_norm", "gce_norm")
    assert model.counts.shape == (1, observation.region.sum())
    assert model.counts.dtype == torch.float64
    values = {f"{name}_norm": torch.tensor([norm], dtype=torch.float64) for name, norm in NORMS.items()}
    expected = draw(observation).expected[:, observation.region].ravel()
    np.testing.assert_allclose(model.expected(values)[0].numpy(), expected, rtol=1e-13)
    assert model.hyper is None
    assert not model.warnings


def test_norms_start_at_the_rigid_fit_inside_their_priors():
    observation = observe()
    narrow = {"template": "peak", "norm": {"uniform": [5, 6]}}
    model = build(settings(gce=narrow), observation, draw(observation))
    assert float(model.norm_starts["diffuse_norm"]) == pytest.approx(8.0, rel=0.1)
    assert 5.0 < float(model.norm_starts["gce_norm"]) < 5.1
    start = model.starting_points(1, torch.Generator().manual_seed(1))
    assert torch.isfinite(model.log_likelihood(start) + model.parameters.log_prior(start)).all()


def test_configured_priors_become_densities():
    priors = {
        "a": ({"normal": [1, 2], "min": -1, "max": 3}, Normal(1.0, 2.0, -1.0, 3.0)),
        "b": ({"lognormal": [2, 0.5]}, LogNormal(2.0, 0.5)),
        "c": ({"uniform": [0, 3]}, Uniform(0.0, 3.0)),
        "d": ({"loguniform": [0.1, 3]}, LogUniform(0.1, 3.0)),
    }
    parts = settings(
        **{name: {"template": "flat", "norm": norm} for name, (norm, _) in priors.items()}
    ).model.components
    for name, (_, wanted) in priors.items():
        assert make_prior(parts[name].norm) == wanted
    with pytest.raises(InputError, match="give normal"):
        make_prior(settings(a={"template": "flat", "norm": 1.0}).model.components["a"].norm)


def test_fixed_norms_are_no_parameters_and_the_rigid_fit_is_announced():
    observation = observe()
    counts = draw(observation)
    chosen = settings(
        diffuse={**glowing(), "norm": {"fixed": "rigid_fit"}}, isotropic={"template": "flat", "norm": {"fixed": 2.0}}
    )
    model = build(chosen, observation, counts)
    assert model.parameters.names == ("gce_norm", "diffuse_field")
    norms = {item.name: item.norm for item in model.components}
    assert norms["isotropic"] == 2.0
    assert norms["diffuse"] == pytest.approx(8.0, rel=0.1)
    assert any("diffuse: norm fixed at the rigid fit" in text and "twice" in text for text in model.warnings)


def test_modulation_adds_a_field_on_the_regions_own_pixels():
    observation = observe()
    model = build(settings(diffuse=glowing()), observation, draw(observation))
    (term,) = model.fields["diffuse"].terms
    where = np.stack(healpy.pix2vec(NSIDE, observation.pixels[observation.region]), 1)
    np.testing.assert_allclose(term.tables[0].pixels.numpy(), where, atol=1e-15)
    assert model.parameters["diffuse_field"].shape == (term.tables[0].size,)
    flat = model.parameters.from_cube(torch.full((1, model.parameters.cube_size), 0.5, dtype=torch.float64))
    rigid = build(settings(), observation, draw(observation))
    torch.testing.assert_close(
        model.expected(flat), rigid.expected({name: flat[name] for name in rigid.parameters.names})
    )


def test_a_field_alone_is_enough():
    observation = observe()
    fixed = {name: {**part, "norm": 1.0} for name, part in COMPONENTS.items()}
    model = build(settings(**{**fixed, "diffuse": {**glowing(), "norm": 8.0}}), observation, draw(observation))
    assert model.parameters.names == ("diffuse_field",)


def test_a_coarser_field_shares_its_value_among_fine_pixels():
    observation = observe()
    model = build(settings(diffuse=glowing(nside=8)), observation, draw(observation))
    field = model.fields["diffuse"]
    pixels = observation.pixels[observation.region]
    parents = healpy.ring2nest(NSIDE, pixels) // 4
    assert field.row_count == len(np.unique(parents)) < len(pixels)
    for group in range(field.row_count):
        assert len(np.unique(parents[field.groups.numpy() == group])) == 1
    centres = field.terms[0].tables[0].pixels[field.groups].numpy()
    theirs = np.stack(healpy.pix2vec(8, parents, nest=True), 1)
    np.testing.assert_allclose(centres, theirs, atol=1e-15)


def test_hyper_parameters_are_left_to_the_engines_or_sampled():
    observation = observe()
    counts = draw(observation)
    free = {"lengthscale": {"lognormal": ["0.4 rad", 0.3]}, "variance": {"lognormal": [0.1, 1.0]}}
    model = build(settings(diffuse=glowing(**free, grid=3)), observation, counts)
    assert model.hyper.names == ("diffuse_variance", "diffuse_lengthscale")
    assert model.hyper_nodes == 3
    member = model.at({"diffuse_variance": torch.tensor(0.2), "diffuse_lengthscale": torch.tensor(0.5)})
    assert member.hyper is None
    assert member.fields["diffuse"].terms[0].variance == pytest.approx(0.2)
    assert member.fields["diffuse"].terms[0].tables[0].lengthscale_rad == pytest.approx(0.5)
    # until somebody decides, the model stands at the medians of the priors
    assert model.fields["diffuse"].terms[0].variance == pytest.approx(0.1)
    sampled = build(settings(diffuse=glowing(**free, hyper="sampled")), observation, counts)
    assert sampled.hyper is None
    assert {"diffuse_variance", "diffuse_lengthscale"} < set(sampled.parameters.names)


def test_maximised_beside_marginalised_is_announced():
    observation = observe()
    free = {"lengthscale": "0.3 rad", "variance": {"lognormal": [0.1, 1.0]}}
    both = [{**free, "hyper": "maximised"}, {**free, "hyper": "marginalised", "grid": 3}]
    model = build(settings(diffuse={**COMPONENTS["diffuse"], "modulate": both}), observation, draw(observation))
    assert any("all are marginalised" in text for text in model.warnings)
    assert model.hyper.names == ("diffuse_variance", "diffuse_variance_2")


def test_a_shared_field_with_its_coefficient():
    observation = observe()
    part = {**COMPONENTS["isotropic"], "modulate": {"shared": "diffuse", "coefficient": {"normal": [1, 0.5]}}}
    model = build(settings(diffuse=glowing(), isotropic=part), observation, draw(observation))
    assert "isotropic_coefficient" in model.parameters
    assert list(model.fields) == ["diffuse"]
    parts = {item.name: item for item in model.components}
    assert parts["isotropic"].field == "diffuse"
    assert parts["isotropic"].coefficient == "isotropic_coefficient"
    fixed = {**part, "modulate": {"shared": "diffuse", "coefficient": -0.5}}
    model = build(settings(diffuse=glowing(), isotropic=fixed), observation, draw(observation))
    assert {item.name: item.coefficient for item in model.components}["isotropic"] == -0.5


def test_a_mean_beside_a_fixed_norm():
    observation = observe()
    part = {**glowing(mean={"normal": [0, 0.5]}), "norm": 8.0}
    model = build(settings(diffuse=part), observation, draw(observation))
    assert model.parameters["diffuse_mean"].prior == Normal(0.0, 0.5)
    assert {item.name: item.mean for item in model.components}["diffuse"] == "diffuse_mean"


def test_several_energy_bins():
    observation = observe(energies=3)
    part = {**COMPONENTS["gce"], "energy": "free"}
    chosen = settings((2, 5, 10, 20), gce=part, diffuse=glowing(energies="separable"))
    model = build(chosen, observation, draw(observation))
    assert model.parameters["gce_norm"].shape == (3,)
    assert model.parameters["diffuse_norm"].shape == ()
    assert model.parameters["diffuse_field"].shape[0] == 3
    assert model.counts.shape[0] == 3
    start = model.starting_points(2, torch.Generator().manual_seed(1))
    assert start["gce_norm"].shape == (2, 3)
    assert torch.isfinite(model.log_likelihood(start)).all()


def test_another_region_and_another_template():
    observation = observe()
    region = ~observation.region
    moved = observation.templates["lobes"] + 0.5
    model = build(settings(), observation, draw(observation), region=region, templates={"gce": moved})
    assert model.pixel_count == region.sum()
    parts = {item.name: item.template for item in model.components}
    np.testing.assert_array_equal(parts["gce"].numpy(), moved[:, region])


def test_a_rigid_component_that_the_field_can_imitate_is_announced():
    observation = observe()
    twin = {"template": "smooth", "norm": {"uniform": [0, 3]}}
    model = build(settings(diffuse=glowing(), twin=twin), observation, draw(observation))
    assert any("twin and diffuse overlap by 1.000" in text for text in model.warnings)
    assert not any("twin" in text for text in build(settings(twin=twin), observation, draw(observation)).warnings)


def test_more_norms_than_pixels_are_announced():
    observation = observe(radius_deg=5.0)
    few = dataclasses.replace(observation, region=np.arange(len(observation.pixels)) < 2)
    assert any("3 free norms and only 2 pixels" in text for text in build(settings(), few, draw(observation)).warnings)


def test_refusals_name_what_is_wrong():
    observation = observe()
    counts = draw(observation)
    with pytest.raises(InputError, match=r"did you mean 'smooth'|known names") as caught:
        build(settings(gce={"template": "absent", "norm": {"uniform": [0, 1]}}), observation, counts)
    assert caught.value.field == "templates/absent"
    with pytest.raises(InputError, match="energies x stored pixels"):
        build(settings(), observe(energies=2), counts)
    with pytest.raises(InputError, match="no pixel"):
        build(settings(), dataclasses.replace(observation, region=np.zeros_like(observation.region)), counts)
    nothing = settings()
    for part in nothing.model.components.values():
        object.__setattr__(part, "norm", Prior.model_validate(1.0))
    with pytest.raises(InputError, match="at least one norm with a prior, or a modulated component"):
        build(nothing, observation, counts)
    lobes = {"template": "lobes", "norm": {"uniform": [0, 3]}}
    with pytest.raises(InputError, match=r"where every component vanishes, first \d+ counts at pixel \d+"):
        build(settings(diffuse=None, isotropic=None, gce=None, lobes=lobes), observation, counts)

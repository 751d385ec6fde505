"""Small skies of every kind that a template model may be asked for, and the same sky in plain words."""

import math

import numpy as np
import torch

from skysift.models.fields import Field, Term
from skysift.models.template import Component, TemplateModel
from skysift.parameters import Parameter, Parameters
from skysift.parameters.priors import LogNormal, Normal, StandardNormal, Uniform
from skysift.sky.gaussian_process import Projection

__all__ = ["SKIES", "hand_phi", "make", "plain_expected", "plain_log_likelihood"]

PIXELS = 60
POINTS = 7
LENGTH = 0.25


def cap(count, radius_rad=0.35, seed=0):
    """Unit vectors spread over a cap, (count, 3)."""
    random = np.random.default_rng(seed)
    angle = radius_rad * np.sqrt((np.arange(count) + random.random(count)) / count)
    turn = 2.399963 * np.arange(count)
    return torch.as_tensor(np.stack([np.cos(angle), np.sin(angle) * np.cos(turn), np.sin(angle) * np.sin(turn)], 1))


def project(places, length=LENGTH, kernel="matern52", seed=5, count=POINTS):
    return Projection(places, cap(count, 0.4, seed), kernel, length)


def fixed(places, vector, length=LENGTH, variance=0.3, seed=5, mixing=None, kernel="matern52", count=POINTS):
    """A term with every number known."""
    table = project(places, length, kernel, seed, count)
    return Term(vector, (table,), torch.tensor([length], dtype=torch.float64).log(), variance, None, mixing)


def sampled(places, nodes=7, reach=1.0):
    """A term whose variance and lengthscale are parameters."""
    angle = math.pi * (np.arange(nodes) + 0.5) / nodes
    lengths = LENGTH * np.exp(-reach * np.cos(angle))
    tables = tuple(project(places, float(length)) for length in lengths)
    return Term("glow_field", tables, torch.as_tensor(np.log(lengths)), "glow_variance", "glow_lengthscale")


def fields_of(kind, places, bands):
    """The fields of one kind of sky, and the parameters that they need."""
    if kind == "rigid":
        return {}, []
    vector = Parameter("glow_field", StandardNormal(), (POINTS,), block="field")
    wide = Parameter("glow_field", StandardNormal(), (bands, POINTS), block="field")
    groups = torch.arange(PIXELS) // 4
    coarse = cap(PIXELS // 4, seed=3)
    glow, parameters, fields = fixed(places, "glow_field"), [vector], {}
    match kind:
        case "two scales":
            parameters.append(Parameter("glow_field_2", StandardNormal(), (4,), block="field"))
            short = fixed(places, "glow_field_2", 0.08, 0.1, seed=6, kernel="matern32", count=4)
            return {"glow": Field((glow, short))}, parameters
        case "coarse":
            return {"glow": Field((fixed(coarse, "glow_field"),), groups)}, parameters
        case "sampled":
            glow = sampled(places)
            parameters.append(Parameter("glow_variance", LogNormal(0.3, 0.5), block="hyper"))
            parameters.append(Parameter("glow_lengthscale", LogNormal(LENGTH, 0.3), unit="rad", block="hyper"))
        case "independent" | "separable" | "everything":
            apart = torch.arange(bands, dtype=torch.float64)
            gram = torch.exp(-0.5 * (apart[:, None] - apart) ** 2)
            mixing = torch.linalg.cholesky(gram) if kind == "separable" else torch.eye(bands, dtype=torch.float64)
            glow, parameters = fixed(places, "glow_field", mixing=mixing), [wide]
    if kind in {"two fields", "everything"}:
        parameters.append(Parameter("haze_field", StandardNormal(), (4,), block="field"))
        fields = {"haze": Field((fixed(coarse, "haze_field", 0.15, 0.2, seed=8, count=4),), groups)}
    return {"glow": Field((glow,)), **fields}, parameters


def components_of(kind, templates, bands):
    """Components and the parameters of their norms."""
    flat, bump, slope, ripple = templates
    shape = (bands,) if kind in {"bands", "everything"} else ()
    parts = [Component("flat", flat, "flat_norm"), Component("bump", bump, 2.0)]
    norms = [Parameter("flat_norm", Uniform(0.5, 6.0), shape)]
    if kind == "rigid":
        norms.append(Parameter("slope_norm", LogNormal(3.0, 0.5)))
        return [*parts, Component("slope", slope, "slope_norm")], norms
    if kind == "mean":
        norms.append(Parameter("glow_mean", Normal(0.3, 0.5)))
        return [*parts, Component("slope", slope, 3.0, "glow", mean="glow_mean")], norms
    norms.append(Parameter("slope_norm", LogNormal(3.0, 0.5)))
    parts.append(Component("slope", slope, "slope_norm", "glow"))
    if kind == "coefficient":
        norms += [Parameter("ripple_norm", LogNormal(2.0, 0.3)), Parameter("ripple_coefficient", Normal(1.0, 0.5))]
        parts.append(Component("ripple", ripple, "ripple_norm", "glow", "ripple_coefficient"))
    if kind in {"two fields", "everything"}:
        norms.append(Parameter("ripple_norm", LogNormal(2.0, 0.3), shape))
        parts.append(Component("ripple", ripple, "ripple_norm", "haze"))
    if kind == "everything":
        norms += [Parameter("extra_coefficient", Normal(-0.7, 0.5)), Parameter("extra_mean", Normal(0.0, 0.3))]
        parts.append(Component("extra", 0.5 * flat, 1.0, "haze", "extra_coefficient", "extra_mean"))
    return parts, norms


BANDS = {"bands": 3, "independent": 3, "separable": 3, "everything": 2}
SKIES = (
    "rigid", "one field", "two scales", "coarse", "sampled", "coefficient", "mean", "two fields", "bands",
    "independent", "separable", "everything",
)  # fmt: skip


def make(kind, seed=1):
    """A template model of 60 pixels with counts drawn near the middle of its prior."""
    bands = BANDS.get(kind, 1)
    places = cap(PIXELS)
    energy = 1.0 + 0.5 * torch.arange(bands, dtype=torch.float64)[:, None]
    phase = 8.0 * places
    templates = [
        5.0 * energy * torch.ones(PIXELS, dtype=torch.float64),
        9.0 * torch.exp(-10.0 * (1.0 - places[:, 0]) * energy),
        energy.sqrt() * (3.0 + torch.sin(phase[:, 1])),
        4.0 + torch.cos(2.0 * phase[:, 2]) * torch.ones_like(energy),
    ]
    fields, latent = fields_of(kind, places, bands)
    parts, norms = components_of(kind, templates, bands)
    parameters = Parameters([*norms, *latent])
    empty = TemplateModel(parameters, torch.zeros(bands, PIXELS, dtype=torch.float64), tuple(parts), fields)
    generator = torch.Generator().manual_seed(seed)
    cube = 0.5 + 0.3 * (torch.rand(1, parameters.cube_size, generator=generator, dtype=torch.float64) - 0.5)
    counts = empty.simulate(parameters.from_cube(cube), generator).reshape(bands, PIXELS)
    return TemplateModel(parameters, counts, tuple(parts), fields)


def hand_phi(table):
    """Phi written out: K_xz times the transposed inverse of the Cholesky factor."""
    gaps = torch.cdist(table.points, table.points, compute_mode="donot_use_mm_for_euclid_dist")
    cross = torch.cdist(table.pixels, table.points, compute_mode="donot_use_mm_for_euclid_dist")

    def kernel(distance):
        r = distance / table.lengthscale_rad
        if table.kernel == "matern32":
            return (1.0 + 3.0**0.5 * r) * torch.exp(-(3.0**0.5) * r)
        return (1.0 + 5.0**0.5 * r + 5.0 * r**2 / 3.0) * torch.exp(-(5.0**0.5) * r)

    gram = kernel(gaps) + 1e-8 * torch.eye(len(gaps), dtype=gaps.dtype)
    return kernel(cross) @ torch.linalg.inv(torch.linalg.cholesky(gram)).T


def plain_field(field, values):
    """One field at one point, (E or 1, P), by dense algebra."""
    total = 0.0
    for term in field.terms:
        vector = torch.atleast_2d(values[term.vector])
        if term.mixing is not None:
            vector = term.mixing @ vector
        phi = torch.stack([hand_phi(table) for table in term.tables])
        if term.lengthscale is not None:
            # the polynomial through the tables, by its Vandermonde matrix
            powers = torch.arange(len(phi), dtype=torch.float64)
            centre = term.log_lengths.mean()
            nodes, at = term.log_lengths - centre, values[term.lengthscale].log() - centre
            phi = torch.einsum("k,kpm->pm", torch.linalg.solve((nodes[:, None] ** powers).T, at**powers), phi)
        else:
            phi = phi[0]
        variance = values[term.variance] if isinstance(term.variance, str) else term.variance
        total = total + variance**0.5 * vector @ phi.T
    return total if field.groups is None else total[:, field.groups]


def plain_expected(model, values):
    """Expected counts at one point, (E, P), as a sum over components that autograd can follow."""

    def number(source):
        return values[source].reshape(-1, 1) if isinstance(source, str) else source

    total = torch.zeros_like(model.counts)
    for part in model.components:
        lit = part.template
        if part.field is not None:
            exponent = number(part.coefficient) * plain_field(model.fields[part.field], values)
            lit = lit * torch.exp(exponent + (0.0 if part.mean is None else number(part.mean)))
        total = total + number(part.norm) * lit
    return total


def plain_log_likelihood(model, packed):
    """Log likelihood at one packed point, (D,) to ()."""
    values = {name: value[0] for name, value in model.parameters.unpack(packed[None]).items()}
    mean = plain_expected(model, values)
    return (model.counts * mean.log() - mean - torch.lgamma(model.counts + 1.0)).sum()

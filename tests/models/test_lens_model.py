"""The model of a lens image: the contract, names, masks, linear amplitudes, and a fit that recovers the truth."""

import dataclasses

import pytest
import torch
from scipy import stats
from tests.contracts.model_contract import ModelContract
from tests.sky.lens_profiles import tensor

from skysift.errors import InputError
from skysift.inference import sequence
from skysift.inference.engine import Stream
from skysift.inference.result import flatten
from skysift.instruments.camera import BackgroundNoise, Camera, NoiseMap, PhotonNoise, PixelGrid, Psf
from skysift.models.lens import LensModel, Light, Linear, Mass
from skysift.parameters import Parameter, Parameters
from skysift.parameters.priors import LogNormal, Normal

SIDE = 16
TRUTH = {
    "theta_e": 1.15, "e1": 0.05, "e2": -0.08, "source_x": 0.08, "source_y": -0.12, "source_radius": 0.3,
    "source_amplitude": 8.0,
}  # fmt: skip
PRIORS = {
    "theta_e": LogNormal(1.2, 0.25),
    "e1": Normal(0.0, 0.1),
    "e2": Normal(0.0, 0.1),
    "source_x": Normal(0.0, 0.25),
    "source_y": Normal(0.0, 0.25),
    "source_radius": LogNormal(0.3, 0.3),
    "source_amplitude": LogNormal(8.0, 0.5),
}
MASS = Mass("sie", {"theta_e": "theta_e", "e1": "e1", "e2": "e2", "x": 0.01, "y": -0.02})
SOURCE = {"radius": "source_radius", "index": 1.5, "e1": 0.0, "e2": 0.0, "x": "source_x", "y": "source_y"}
LENS_LIGHT = Light("sersic", {"radius": 0.5, "index": 3.0, "x": 0.01, "y": -0.02}, 4.0)


def camera(supersample=1):
    axis = torch.arange(-2 * supersample, 2 * supersample + 1, dtype=torch.float64) / supersample
    kernel = torch.exp(-0.5 * (axis[:, None] ** 2 + axis**2) / 0.8)
    return Camera(PixelGrid.square(SIDE, SIDE, 0.2, supersample), Psf(kernel / kernel.sum(), supersample))


def truth(**changes):
    return {name: tensor(number) for name, number in (TRUTH | changes).items()}


def build_model(*, noise=None, source=None, **changes):
    """A ring-shaped image with noise drawn once."""
    model = LensModel(
        parameters=Parameters([Parameter(name, prior) for name, prior in PRIORS.items()]),
        data=torch.zeros(SIDE, SIDE),
        camera=camera(),
        noise=noise or BackgroundNoise(0.02, 400.0),
        masses={"main": MASS},
        lens_lights={"main": LENS_LIGHT},
        source_lights={"main": source or Light("sersic_ellipse", SOURCE, "source_amplitude")},
    )
    data = model.simulate(truth(), torch.Generator().manual_seed(7)).reshape(SIDE, SIDE)
    return dataclasses.replace(model, **({"data": data} | changes))


def free_of(model, name):
    """The model without a parameter."""
    return Parameters([item for item in model.parameters if item.name != name])


class TestLensModel(ModelContract):
    poisson = False
    simulations = 100

    def make(self):
        return build_model()


class TestCountedLens(ModelContract):
    """`expected` is in the unit of the image, counts are not: this one has an exposure of one and hardly a sky."""

    simulations = 100

    def make(self):
        return build_model(noise=PhotonNoise(1.0, 1e-9))


def linear_model():
    """The amplitude of the source integrated out, at the noise of the true image."""
    fitted = build_model()
    sd = fitted.noise.variance(fitted.expected(truth()))[0].sqrt()
    light = Light("sersic_ellipse", SOURCE, Linear(8.0, 5.0))
    return dataclasses.replace(
        fitted, parameters=free_of(fitted, "source_amplitude"), noise=NoiseMap(sd), source_lights={"main": light}
    )


def test_an_amplitude_integrated_out_is_one_integrated_by_hand():
    model, values = linear_model(), truth()
    forward = dataclasses.replace(
        build_model(source=Light("sersic_ellipse", SOURCE, "source_amplitude")), noise=model.noise
    )
    fit = model.amplitudes(values)
    amplitudes = fit.mean[0] + torch.linspace(-9.0, 9.0, 601, dtype=torch.float64) / fit.precision_factor[0, 0]
    rows = {name: value.expand(601) for name, value in values.items()} | {"source_amplitude": amplitudes}
    prior = torch.distributions.Normal(tensor(8.0), tensor(5.0)).log_prob(amplitudes)
    step = (amplitudes[1] - amplitudes[0]).log()
    by_hand = (forward.log_likelihood(rows) + prior).logsumexp(0) + step
    assert float(model.log_likelihood(values)[0]) == pytest.approx(float(by_hand), abs=1e-6)
    # and what is expected is the best of these
    best = rows | {"source_amplitude": fit.mean[0].expand(601)}
    torch.testing.assert_close(model.expected(values)[0], forward.expected(best)[0], rtol=1e-10, atol=1e-12)


def test_a_masked_pixel_has_no_weight():
    mask = torch.ones(SIDE, SIDE, dtype=torch.bool)
    mask[3:6, 4] = False
    model = build_model(mask=mask)
    hurt = model.data.clone()
    hurt[3:6, 4] = torch.nan
    hidden = dataclasses.replace(model, data=hurt)
    assert hidden.expected(truth()).shape == (1, SIDE**2 - 3)
    assert torch.equal(hidden.log_likelihood(truth()), model.log_likelihood(truth()))
    with pytest.raises(InputError, match="3 pixels"):
        dataclasses.replace(hidden, mask=None)


def test_an_impossible_ellipse_is_impossible_and_leaves_its_neighbours_alone():
    model = build_model()
    rows = {name: value.expand(2).clone() for name, value in truth().items()}
    rows["e1"][1] = 1.2
    found = model.log_likelihood(rows)
    torch.testing.assert_close(found[:1], model.log_likelihood(truth()), rtol=1e-12, atol=0.0)
    assert found[1] == -torch.inf


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda: Mass("epl", {"theta_e": 1.0}), "gamma"),
        (lambda: Mass("sis", {"theta_e": 1.0, "x": 0.0, "y": 0.0, "q": 0.5}), "q"),
        (lambda: Mass("sis", {"theta_e": 1.0, "x": 0.0, "y": 0.0}, {"terms": 5}), "terms"),
        (lambda: Light("shapelets", {"beta": 0.2, "x": 0.0, "y": 0.0}, 1.0), "order"),
        (lambda: build_model(data=torch.zeros(3, 3)), "16 x 16"),
        (lambda: build_model(masses={}), "theta_e"),
        (lambda: build_model(lens_lights={"main": dataclasses.replace(LENS_LIGHT, amplitude="bright")}), "bright"),
        (
            lambda: build_model(lens_lights={"main": dataclasses.replace(LENS_LIGHT, amplitude=Linear(0.0, 1.0))}),
            "noise",
        ),
    ],
)
def test_what_does_not_fit_together_is_refused(change, word):
    with pytest.raises(InputError, match=word):
        change()


def test_gradients_do_not_depend_on_pieces(monkeypatch):
    model = build_model()
    values = model.parameters.draw(3, torch.Generator().manual_seed(2))
    whole, slopes = model.log_likelihood_and_gradient(values)
    monkeypatch.setattr("skysift.models.lens.CACHE_BYTES", 1)
    pieces, others = model.log_likelihood_and_gradient(values)
    torch.testing.assert_close(pieces, whole, rtol=1e-12, atol=0.0)
    for name, slope in slopes.items():
        torch.testing.assert_close(others[name], slope, rtol=1e-9, atol=1e-9)


@pytest.fixture(scope="module")
def fits():
    plan = [("map", {"starts": 8, "steps": 60, "explore": 20, "finish": 20}), ("laplace", {"importance": 1000})]
    model = build_model()
    return model, sequence.run(model, plan, Stream(3, ("lens",)))


def distance(model, result, values):
    """Squared distance of values from the posterior's mean in units of its covariance."""
    draws, weights = flatten(result)
    covariance = torch.cov(draws.T, aweights=weights)
    offset = model.parameters.unconstrain(values)[0] - (weights[:, None] * draws).sum(0) / weights.sum()
    return float(offset @ torch.linalg.solve(covariance, offset))


def test_a_fit_from_many_starts_recovers_the_truth(fits):
    """The truth lies outside of the bound in one of 10000 data sets."""
    model, (search, result) = fits
    assert search.is_converged, search.checks
    assert result.is_converged, result.checks
    assert distance(model, result, truth()) < stats.chi2.ppf(1.0 - 1e-4, len(TRUTH))
    residual = (model.observed - model.expected(model.parameters.values(search.mode[None]))[0]) ** 2
    chi2 = float((residual / model.noise.variance(model.expected(truth()))[0]).sum())
    assert abs(chi2 - SIDE**2) < 4.0 * (2.0 * SIDE**2) ** 0.5


def test_an_einstein_radius_off_by_two_percent_is_excluded(fits):
    """Negative control of the recovery."""
    model, (_, result) = fits
    assert distance(model, result, truth(theta_e=1.02 * TRUTH["theta_e"])) > stats.chi2.ppf(1.0 - 1e-4, len(TRUTH))


def test_both_engines_end_at_the_same_mode(fits):
    _, (search, result) = fits
    torch.testing.assert_close(search.mode, result.mode, rtol=0.0, atol=1e-3)


def test_magnification_changes_sign_across_the_ring():
    model, axis = build_model(), torch.linspace(0.2, 2.0, 40, dtype=torch.float64)
    found = model.distort(truth(e1=0.0, e2=0.0), 0.01 + axis[None, None], -0.02 + 0.0 * axis[None, None])
    sign = torch.sign(found.inverse_magnification[0, 0])
    assert torch.equal(sign > 0, axis > TRUTH["theta_e"])


def test_the_source_is_brightest_at_its_place():
    model = build_model()
    x, y = (torch.linspace(-0.5, 0.5, 101, dtype=torch.float64).reshape(shape) for shape in ((1, 1, -1), (1, -1, 1)))
    image = model.source_image(truth(), x, y)[0]
    row, column = divmod(int(image.argmax()), 101)
    assert (float(x[0, 0, column]), float(y[0, row, 0])) == pytest.approx((0.08, -0.12), abs=1e-9)

"""Templates of model files against Gammapy's, their faults; expressions of parameters as tensors."""

import math

import numpy as np
import pytest
import torch
from tests.peers import import_peer

from skysift.config.models.expressions import read_expression
from skysift.errors import InputError
from skysift.sky.components import evaluate_term
from skysift.sky.components.maps import make_sky_map
from skysift.storage.sky_files import FitsImage, read_fits_image


@pytest.mark.parametrize("name", ["VelaX_hard.fits", "HESSJ1801-233.fits", "HESSJ1800-240A.fits"])
def test_templates_are_gammapy_s(data_folder, name):
    models = import_peer("gammapy.modeling.models")
    units = import_peer("astropy.units")
    path = data_folder / "models/cta-1dc-xml" / name
    theirs = models.TemplateSpatialModel.read(path)
    ours = make_sky_map(read_fits_image(path), is_normalised=True)
    # The two differ by 0.02 arcsec.
    assert ours.frame == {"fk5": "icrs"}.get(theirs.frame, theirs.frame)
    assert ours.centre_deg == pytest.approx((theirs.map_center.data.lon.deg, theirs.map_center.data.lat.deg))
    lon, lat = ours.centre_deg
    rng = np.random.default_rng(3)
    x, y = 0.5 * ours.width_deg * rng.uniform(-1.1, 1.1, (2, 500))
    lon, lat = (lon + x / np.cos(np.radians(lat))) % 360.0, lat + y
    with np.errstate(all="ignore"):
        wanted = theirs.evaluate(lon * units.deg, lat * units.deg).to_value("sr-1")
    found = ours.shape_at(None, None).density(lon, lat).numpy()
    x, y = ours.find(lon, lat)
    rows, columns = ours.values.shape
    inside = (x >= 0) & (x <= columns - 1) & (y >= 0) & (y <= rows - 1)
    assert (wanted[inside] > 0).sum() > 50
    np.testing.assert_allclose(found[inside], wanted[inside], rtol=2e-6, atol=1e-12 * ours.values.max())
    assert np.array_equal(found == 0, wanted == 0)
    # In the outer half of the outermost pixels Gammapy reaches 1e151 beside pixels without light.
    assert found.max() < 1.5 * ours.values.max()


def test_positive_maps_are_gammapy_s_to_their_edge():
    models, maps, units = (import_peer(name) for name in ("gammapy.modeling.models", "gammapy.maps", "astropy.units"))
    values = np.random.default_rng(2).uniform(1.0, 2.0, (5, 5))
    theirs = maps.Map.create(skydir=(0, 0), npix=(5, 5), binsz=0.1, frame="galactic", proj="CAR", unit="sr-1")
    theirs.data = values
    model = models.TemplateSpatialModel(theirs, normalize=False)
    lon, lat = np.random.default_rng(3).uniform(-0.26, 0.26, (2, 400))
    wanted = model.evaluate(lon * units.deg, lat * units.deg).to_value("sr-1")
    found = make_sky_map(image(values), is_normalised=False).shape_at(None, None).density(lon, lat).numpy()
    np.testing.assert_allclose(found, wanted, rtol=2e-6)


def image(values, **cards):
    header = {
        "NAXIS": 2, "NAXIS1": 5, "NAXIS2": 5, "CTYPE1": "GLON-CAR", "CTYPE2": "GLAT-CAR", "CRVAL1": 0.0, "CRVAL2": 0.0,
        "CRPIX1": 3.0, "CRPIX2": 3.0, "CDELT1": -0.1, "CDELT2": 0.1,
    }  # fmt: skip
    return FitsImage("made", np.asarray(values, dtype=float), "", header | cards)


def test_map_across_the_meridian_is_whole():
    shape = make_sky_map(image(np.ones((5, 5))), is_normalised=True).shape_at(None, None)
    density = shape.density(np.array([359.95, 0.05, -0.24, 359.7, 0.3]), np.zeros(5)).numpy()
    assert density[:3] == pytest.approx(1 / (25 * math.radians(0.1) ** 2), rel=1e-5)
    assert (density[3:] == 0).all()
    assert shape.reach_deg == pytest.approx(0.25)


def test_moved_template_is_the_template_elsewhere():
    values = np.arange(1.0, 26.0).reshape(5, 5)
    sky_map = make_sky_map(image(values), is_normalised=True)
    moved = sky_map.shape_at(torch.tensor(0.1), torch.tensor(0.1))
    still = sky_map.shape_at(torch.tensor(float("nan")), None)
    assert moved.density([0.15], [0.12]).item() == pytest.approx(still.density([0.05], [0.02]).item())
    with pytest.raises(InputError, match="freeze"):
        sky_map.shape_at(torch.tensor(0.1, requires_grad=True), None)


@pytest.mark.parametrize(
    ("values", "cards", "said"),
    [
        (np.full((5, 5), -1.0), {}, "values >= 0"),
        (np.full((5, 5), np.nan), {}, "values >= 0"),
        (np.ones((5, 5)), {"CTYPE1": "ELON-CAR", "CTYPE2": "ELAT-CAR"}, "GLON and GLAT"),
    ],
)
def test_maps_that_are_none(values, cards, said):
    with pytest.raises(InputError, match=said):
        make_sky_map(image(values, **cards), is_normalised=True)


def test_expressions_are_numbers_with_gradients():
    powers = {"a.x": (0, 0, 0, 0), "b": (0, 0, 0, 1), "e": (1, 0, 0, 0)}
    text = "exp(-a.x) * sqrt(2) + min(a.x ** 2, 3) / max(1, a.x) - sin(b) * log(e / 2 [GeV]) + tan(0.1) * cos(b)"
    root = read_expression(text, powers, (0, 0, 0, 0)).root
    x = torch.tensor([0.3, 1.7], requires_grad=True)
    values = {"a.x": x, "b": torch.tensor([10.0, 200.0]), "e": torch.tensor(0.5)}
    found = evaluate_term(root, values)
    for number, (one, b) in enumerate(((0.3, 10.0), (1.7, 200.0))):
        wanted = (
            math.exp(-one) * math.sqrt(2) + min(one**2, 3) / max(1, one) - math.sin(math.radians(b)) * math.log(250)
        )
        wanted += math.tan(0.1) * math.cos(math.radians(b))
        assert found[number].item() == pytest.approx(wanted, rel=1e-6)
    (gradient,) = torch.autograd.grad(found.sum(), x)
    assert float(gradient[0]) == pytest.approx(-math.exp(-0.3) * math.sqrt(2) + 0.6, rel=1e-5)

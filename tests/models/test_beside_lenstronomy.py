"""Images of lenses beside those of lenstronomy: every profile, the whole image, the same PSF on the same points."""

import numpy as np
import pytest
import torch
from tests.peers import import_peer
from tests.sky.lens_profiles import LIGHT_RANGES, MASS_RANGES, draw_values

from skysift.instruments.camera import BackgroundNoise, Camera, PixelGrid, Psf
from skysift.models.lens import LensModel, Light, Mass
from skysift.parameters import Parameter, Parameters
from skysift.parameters.priors import Normal
from skysift.sky.lenses import find_light, find_mass

#: how the peer calls NumPy's transforms
pytestmark = pytest.mark.filterwarnings("ignore:`axes` should not be `None`:DeprecationWarning")
SYSTEMS = 16
TOLERANCE = 1e-6
PIXEL_ARCSEC, SIDE = 0.11, 24
MASS_NAMES = {
    "epl": "EPL", "sie": "EPL", "sis": "SIS", "shear": "SHEAR", "nfw": "NFW", "truncated_nfw": "TNFW",
}  # fmt: skip
LIGHT_NAMES = {
    "sersic": "SERSIC", "sersic_ellipse": "SERSIC_ELLIPSE", "core_sersic": "CORE_SERSIC", "shapelets": "SHAPELETS",
}  # fmt: skip
KEYS = {
    "theta_e": "theta_E", "x": "center_x", "y": "center_y", "g1": "gamma1", "g2": "gamma2", "scale_radius": "Rs",
    "alpha_rs": "alpha_Rs", "truncation_radius": "r_trunc", "radius": "R_sersic", "index": "n_sersic",
    "break_radius": "Rb", "sharpness": "alpha", "slope": "gamma",
}  # fmt: skip
#: arcsec; the peer makes centres smooth in another way, which matters where rays pass within 1e-2 arcsec
LITTLE = 1e-7
ORDER = 3
AMPLITUDES = {"sersic": 1, "sersic_ellipse": 1, "core_sersic": 1, "shapelets": (ORDER + 1) * (ORDER + 2) // 2}


@pytest.fixture(scope="module")
def peer():
    """The classes of the other tool."""
    places = {
        "ImageModel": "ImSim.image_model", "LensModel": "LensModel.lens_model", "LightModel": "LightModel.light_model",
        "PSF": "Data.psf", "PixelGrid": "Data.pixel_grid",
    }  # fmt: skip
    return {name: getattr(import_peer(f"lenstronomy.{place}"), name) for name, place in places.items()}


def kernel(supersample):
    """A round, slightly lopsided PSF about seven pixels wide, on the points."""
    half = 3 * supersample
    axis = np.arange(-half, half + 1) / supersample
    image = np.exp(-0.5 * (axis[:, None] ** 2 / 1.1 + axis**2 / 1.4)) * (1.0 + 0.05 * axis)
    return image / image.sum()


def keep(settings, profile):
    return {name: value for name, value in settings.items() if name in profile.settings}


def build_model(mass, lens_light, source, supersample, smoothing):
    """A model in which every number is a parameter, named by component and role."""
    kinds = {"m": MASS_RANGES[mass], "l": LIGHT_RANGES[lens_light], "s": LIGHT_RANGES[source]}
    names = {part: {name: f"{part}_{name}" for name in ranges} for part, ranges in kinds.items()}
    listed = [Parameter(name, Normal(0.0, 1.0)) for part in names.values() for name in part.values()]
    for part, light in (("l", lens_light), ("s", source)):
        shape = (AMPLITUDES[light],) if light == "shapelets" else ()
        listed.append(Parameter(f"{part}_amplitude", Normal(0.0, 1.0), shape))
    camera = Camera(
        PixelGrid.square(SIDE, SIDE, PIXEL_ARCSEC, supersample),
        Psf(torch.as_tensor(kernel(supersample)), supersample),
        "zero",
    )
    settings = {"terms": 60, "order": ORDER} | ({} if smoothing is None else {"soft": smoothing})
    return LensModel(
        parameters=Parameters(listed),
        data=torch.zeros(SIDE, SIDE),
        camera=camera,
        noise=BackgroundNoise(1.0, 100.0),
        masses={"main": Mass(mass, names["m"], keep(settings, find_mass(mass)))},
        lens_lights={"main": Light(lens_light, names["l"], "l_amplitude", keep(settings, find_light(lens_light)))},
        source_lights={"main": Light(source, names["s"], "s_amplitude", keep(settings, find_light(source)))},
    )


def draw(mass, lens_light, source, seed, systems):
    """Values of all parameters, {name: (systems, ...)}."""
    found = {}
    parts = (("m", MASS_RANGES[mass]), ("l", LIGHT_RANGES[lens_light]), ("s", LIGHT_RANGES[source]))
    for number, (part, ranges) in enumerate(parts):
        found |= {f"{part}_{name}": one for name, one in draw_values(ranges, systems, seed + number).items()}
    generator = torch.Generator().manual_seed(seed + 10)
    for part, light in (("l", lens_light), ("s", source)):
        size = (systems, AMPLITUDES[light]) if light == "shapelets" else (systems,)
        found[f"{part}_amplitude"] = 0.5 + torch.rand(size, generator=generator, dtype=torch.float64)
    return found


def translate(profile, part, values, row):
    """The numbers of one component of one system, in the words of the peer."""
    given = {
        KEYS.get(name, name): float(values[f"{part}_{name}"][row]) for name in (MASS_RANGES | LIGHT_RANGES)[profile]
    }
    if profile == "sie":
        given["gamma"] = 2.0
    if part != "m":
        amplitude = values[f"{part}_amplitude"][row]
        given["amp"] = amplitude.numpy() if profile == "shapelets" else float(amplitude)
    return given | ({"n_max": ORDER} if profile == "shapelets" else {})


def peer_images(peer, profiles, values, supersample):
    """Images by the other tool, (systems, rows, columns)."""
    mass, lens_light, source = profiles
    start = -0.5 * (SIDE - 1) * PIXEL_ARCSEC
    grid = peer["PixelGrid"](SIDE, SIDE, np.eye(2) * PIXEL_ARCSEC, start, start)
    psf = peer["PSF"](
        psf_type="PIXEL",
        kernel_point_source=kernel(supersample),
        point_source_supersampling_factor=supersample,
        kernel_point_source_normalisation=False,
    )
    # otherwise the peer convolves the wings of the PSF at the resolution of pixels
    numerics = {
        "supersampling_factor": supersample,
        "supersampling_convolution": supersample > 1,
        "supersampling_kernel_size": None,
    }
    model = peer["ImageModel"](
        grid,
        psf,
        lens_model_class=peer["LensModel"]([MASS_NAMES[mass]]),
        source_model_class=peer["LightModel"]([LIGHT_NAMES[source]]),
        lens_light_model_class=peer["LightModel"]([LIGHT_NAMES[lens_light]]),
        kwargs_numerics=numerics,
    )
    return np.stack([
        model.image(
            [translate(mass, "m", values, row)],
            [translate(source, "s", values, row)],
            [translate(lens_light, "l", values, row)],
        )
        for row in range(len(values["s_amplitude"]))
    ])  # fmt: skip


def differ(peer, profiles, supersample, *, change=1.0, smoothing=LITTLE, systems=SYSTEMS):
    """Largest difference of images in units of each one's peak, (systems,)."""
    values = draw(*profiles, 100 * supersample, systems)
    theirs = peer_images(peer, profiles, values, supersample)
    model = build_model(*profiles, supersample, smoothing)
    ours = model.image({name: one * (change if name == "m_theta_e" else 1.0) for name, one in values.items()}).numpy()
    return np.abs(ours - theirs).max((1, 2)) / np.abs(theirs).max((1, 2))


@pytest.mark.parametrize(
    ("mass", "lens_light", "source", "supersample"),
    [
        ("epl", "sersic_ellipse", "sersic_ellipse", 2),
        ("epl", "sersic", "shapelets", 1),
        ("sie", "core_sersic", "sersic_ellipse", 3),
        ("sis", "sersic_ellipse", "sersic", 2),
        ("shear", "shapelets", "core_sersic", 3),
        ("nfw", "sersic_ellipse", "sersic_ellipse", 1),
        ("truncated_nfw", "sersic", "sersic_ellipse", 2),
    ],
)
def test_images_are_those_of_lenstronomy(peer, mass, lens_light, source, supersample):
    differences = differ(peer, (mass, lens_light, source), supersample)
    assert len(differences) == SYSTEMS
    assert differences.max() < TOLERANCE


def test_smoothing_of_centres_is_worth_little(peer):
    differences = differ(peer, ("sis", "sersic_ellipse", "sersic"), 2, smoothing=None)
    assert TOLERANCE < differences.max() < 1e-5


def test_an_einstein_radius_off_by_one_in_a_hundred_thousand_is_seen(peer):
    """Negative control: the comparison is sharper than any difference that matters."""
    profiles = ("epl", "sersic_ellipse", "sersic_ellipse")
    assert differ(peer, profiles, 2, change=1.0 + 1e-5, systems=3).min() > TOLERANCE

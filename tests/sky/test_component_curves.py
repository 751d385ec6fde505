"""Light curves of model files against Gammapy's means, with gradients."""

import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from tests.peers import import_peer

from skysift.config.models import find_kind
from skysift.errors import InputError
from skysift.sky.components.curves import CURVES, average_curve

START, STOP = np.array([55000.0, 55000.5, 55003.0]), np.array([55000.2, 55001.0, 55004.0])
VALUES = {
    "const": {}, "linear": {"alpha": 1.2, "beta": 0.3, "t_ref": 54999.0}, "exp-decay": {"t0": 2.0, "t_ref": 54999.5},
    "gauss": {"t_ref": 55001.0, "sigma": 1.5},
    "gengauss": {"t_ref": 55000.7, "t_rise": 0.5, "t_decay": 2.0, "eta": 0.4},
    "powerlaw": {"alpha": -1.3, "t_ref": 54990.0, "t0": 3.0}, "sinus": {"amp": 0.6, "omega": 3.4, "t_ref": 54999.0},
}  # fmt: skip


def part(tag, **settings):
    return SimpleNamespace(tag=tag, tables={}, settings=settings, file=None, parts=())


@pytest.mark.parametrize("tag", CURVES)
def test_mean_is_gammapy_s_curve_averaged(tag):
    models, units, time = (import_peer(name) for name in ("gammapy.modeling.models", "astropy.units", "astropy.time"))
    kinds = {one.name: one.unit for one in find_kind("temporal", tag).parameters}
    assert set(kinds) == set(VALUES[tag])
    given = {name: value * units.Unit(kinds[name]) for name, value in VALUES[tag].items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # The reference of a curve is a time of its own scale.
        scale = {"scale": "utc"} if given else {}
        curve = models.TEMPORAL_MODEL_REGISTRY.get_cls(tag)(**given, **scale)

        def value(mjd):
            return float(np.ravel(curve(time.Time([mjd], format="mjd", scale="utc")))[0])

        peak = VALUES[tag].get("t_ref", 0.0)
        total = sum(
            quad(value, a, b, epsrel=1e-9, points=[peak] if a < peak < b else None)[0]
            for a, b in zip(START, STOP, strict=True)
        )
    found = average_curve(part(tag), VALUES[tag], START, STOP)
    # A peak within a piece of the rule is what limits a lopsided curve.
    assert float(found) == pytest.approx(total / (STOP - START).sum(), rel=1e-4 if tag == "gengauss" else 1e-7)


@pytest.mark.parametrize("tag", CURVES)
def test_gradients_are_finite_and_batches_are_rows(tag):
    values = {
        name: torch.tensor([value, value * 1.00001], requires_grad=True, dtype=torch.float64)
        for name, value in VALUES[tag].items()
    }
    found = average_curve(part(tag), values, START, STOP)
    assert found.isfinite().all()
    if values:
        gradients = torch.autograd.grad(found.sum(), list(values.values()))
        assert all(one.isfinite().all() for one in gradients)
        alone = average_curve(part(tag), VALUES[tag], START, STOP)
        assert found[0].item() == pytest.approx(alone.item(), rel=1e-12)


def test_phase_curves_and_faults():
    assert float(average_curve(part("template-phase", normalize=True), {}, START, STOP)) == 1.0
    with pytest.raises(InputError, match="template-phase"):
        average_curve(part("template-phase", normalize=False), {}, START, STOP)
    with pytest.raises(InputError, match="intervals"):
        average_curve(part("const"), {}, STOP, START)

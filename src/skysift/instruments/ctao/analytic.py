"""An embedded response in closed form, sampled on tables: every analysis runs on it without a file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

import numpy as np

from skysift.instruments.ctao.area import EffectiveArea
from skysift.instruments.ctao.background import Background3D
from skysift.instruments.ctao.dispersion import EnergyDispersion
from skysift.instruments.ctao.irf import Irf
from skysift.instruments.ctao.psf import GaussianPsf
from skysift.instruments.ctao.tables import Array, Axis
from skysift.storage.provenance import digest_bytes

__all__ = ["analytic_irf"]

_VERSION = 1
_LEAST_DENSITY = 1e-30


@dataclass(frozen=True)
class _Numbers:
    """All numbers of the response; see `analytic_irf`."""

    energy_low_tev: float = 0.01
    energy_high_tev: float = 200.0
    offset_max_deg: float = 6.0
    live_time_s: float = 180000.0
    area_m2: float = 1.2e6
    area_turn_tev: float = 0.5
    area_slope: float = 1.6
    area_width_deg: float = 4.0
    psf_floor_deg: float = 0.02
    psf_at_1_tev_deg: float = 0.03
    psf_slope: float = 0.5
    psf_growth_per_deg2: float = 0.01
    dispersion_floor: float = 0.05
    dispersion_at_1_tev: float = 0.05
    dispersion_slope: float = 0.3
    background_at_1_tev: float = 1e-4
    background_slope: float = 2.7
    background_width_deg: float = 3.0


def analytic_irf() -> Irf:
    r"""Return the embedded response.

    .. math::

        A(E, o) &= A_0 \frac{x}{1 + x} e^{-o^2 / 2 a^2}, \quad x = (E / E_0)^s \\
        \sigma(E, o) &= \sqrt{s_0^2 + s_1^2 (E / \mathrm{TeV})^{-2 p}}\, (1 + g o^2) \\
        \ln \mu &\sim N(0, d^2), \quad d = d_0 + d_1 (E / \mathrm{TeV})^{-q} \\
        B(E, x, y) &= B_0 (E / \mathrm{TeV})^{-b} e^{-(x^2 + y^2) / 2 c^2}

    Its tables are sampled at bin centres and interpolated like those of a file.

    Examples
    --------
    >>> irf = analytic_irf()
    >>> float(irf.psf_containment_deg(1.0, 0.5, 0.68).round(3))
    0.055
    """
    numbers = _Numbers()
    content = json.dumps({"version": _VERSION, **asdict(numbers)}, sort_keys=True)
    return Irf(
        name="analytic",
        sha256=digest_bytes(content.encode()),
        live_time_s=numbers.live_time_s,
        area=_make_area(numbers),
        psf_model=_make_psf(numbers),
        energy_dispersion=_make_dispersion(numbers),
        background_model=_make_background(numbers),
    )


def _make_energy(numbers: _Numbers, bins: int) -> Axis:
    return Axis("ENERG", np.geomspace(numbers.energy_low_tev, numbers.energy_high_tev, bins + 1), logarithmic=True)


def _make_offset(numbers: _Numbers) -> Axis:
    return Axis("THETA", np.linspace(0.0, numbers.offset_max_deg, 13))


def _make_area(numbers: _Numbers) -> EffectiveArea:
    energy, offset = _make_energy(numbers, 86), _make_offset(numbers)
    rise = (energy.nodes / numbers.area_turn_tev) ** numbers.area_slope
    fall = np.exp(-0.5 * (offset.nodes / numbers.area_width_deg) ** 2)
    return EffectiveArea(energy, offset, 1e4 * numbers.area_m2 * (rise / (1 + rise))[:, None] * fall)


def _make_psf(numbers: _Numbers) -> GaussianPsf:
    energy, offset = _make_energy(numbers, 86), _make_offset(numbers)
    core = np.hypot(numbers.psf_floor_deg, numbers.psf_at_1_tev_deg * energy.nodes**-numbers.psf_slope)
    sigma: Array = core[:, None] * (1 + numbers.psf_growth_per_deg2 * offset.nodes**2)
    return GaussianPsf(energy, offset, np.ones((1, *sigma.shape)), sigma[None], np.ones(sigma.shape))


def _make_dispersion(numbers: _Numbers) -> EnergyDispersion:
    energy, migra = _make_energy(numbers, 86), Axis("MIGRA", np.linspace(0.0, 3.0, 301))
    # It does not depend on the offset: two nodes at its ends, so that nothing goes on beyond them.
    offset = Axis.from_nodes("THETA", np.array([0.0, numbers.offset_max_deg]))
    width = numbers.dispersion_floor + numbers.dispersion_at_1_tev * energy.nodes**-numbers.dispersion_slope
    deviation = np.log(migra.nodes) / width[:, None]
    density = np.exp(-0.5 * deviation**2) / (np.sqrt(2 * np.pi) * width[:, None] * migra.nodes)
    density[density < _LEAST_DENSITY] = 0.0
    return EnergyDispersion(energy, migra, offset, np.repeat(density[:, None], offset.size, axis=1))


def _make_background(numbers: _Numbers) -> Background3D:
    energy = _make_energy(numbers, 43)
    side = np.linspace(-numbers.offset_max_deg, numbers.offset_max_deg, 61)
    x, y = Axis("DETX", side), Axis("DETY", side)
    fall = np.exp(-0.5 * (x.nodes[:, None] ** 2 + y.nodes**2) / numbers.background_width_deg**2)
    spectrum = numbers.background_at_1_tev * energy.nodes**-numbers.background_slope
    return Background3D(energy, x, y, spectrum[:, None, None] * fall)

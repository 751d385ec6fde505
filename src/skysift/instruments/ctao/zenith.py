"""Responses between two that were made for other zenith angles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from skysift.errors import InputError
from skysift.instruments.ctao.tables import Array, Axis
from skysift.storage.provenance import digest_bytes

if TYPE_CHECKING:
    from skysift.instruments.ctao.dispersion import EnergyDispersion
    from skysift.instruments.ctao.irf import Irf

__all__ = ["mix_responses", "zenith_weights"]

#: Least background rate that its logarithm is taken of, s-1 MeV-1 sr-1, as when a table is interpolated.
_TINY = float(np.finfo(np.float32).tiny)


def zenith_weights(zenith_deg: float, known_deg: Sequence[float]) -> list[float]:
    r"""Return the weight of each response, linear in :math:`\cos z` between the two around it, sum one.

    Parameters
    ----------
    zenith_deg : of the observation
    known_deg : zenith angles of the responses

    Raises
    ------
    InputError : a zenith angle outside those of the responses

    Examples
    --------
    >>> [round(weight, 3) for weight in zenith_weights(40.0, [20.0, 60.0])]
    [0.605, 0.395]
    """
    order = np.argsort(np.cos(np.radians(known_deg)))
    nodes, wanted = np.cos(np.radians(known_deg))[order], float(np.cos(np.radians(zenith_deg)))
    if not nodes[0] - 1e-9 <= wanted <= nodes[-1] + 1e-9:
        bounds = f"between {min(known_deg):g} and {max(known_deg):g} deg"
        raise InputError(
            "configuration", "zenith", f"{zenith_deg:g} deg", bounds, "name the response of a further zenith angle"
        )
    weights = np.zeros(len(nodes))
    for number, row in enumerate(order):
        weights[row] = np.interp(wanted, nodes, np.eye(len(nodes))[number])
    return weights.tolist()


def mix_responses(irfs: Sequence[Irf], weights: Sequence[float], name: str) -> Irf:
    """Return weighted means of all tables, node by node.

    Areas and the columns of the point-spread function are means; energy dispersions are means of densities, as tables
    may have any scale; backgrounds are means of logarithms, as they are interpolated.

    Parameters
    ----------
    irfs : on equal axes
    weights : sum one
    name : of the mixture

    Raises
    ------
    InputError : tables of different kinds or on different axes
    """
    used = [(irf, weight) for irf, weight in zip(irfs, weights, strict=True) if weight > 0]
    if len(used) == 1:
        return used[0][0]
    parts, shares = [irf for irf, _ in used], np.array([weight for _, weight in used])
    content = "".join(f"{irf.sha256} {float(weight).hex()}\n" for irf, weight in used)
    times = {irf.live_time_s for irf in parts}
    return replace(
        parts[0],
        name=name,
        sha256=digest_bytes(content.encode()),
        live_time_s=times.pop() if len(times) == 1 else None,
        area=_mix([irf.area for irf in parts], shares, name),
        psf_model=_mix([irf.psf_model for irf in parts], shares, name),
        energy_dispersion=_mix_dispersion([irf.energy_dispersion for irf in parts], shares, name),
        background_model=_mix([irf.background_model for irf in parts], shares, name, is_logarithmic=True),
    )


def _mix(tables: list[Any], shares: Array, name: str, *, is_logarithmic: bool = False) -> Any:  # noqa: ANN401 - of one kind
    first, mixed = tables[0], {}
    for key in (item.name for item in fields(first)):
        value, others = getattr(first, key), [getattr(table, key, None) for table in tables]
        if len({type(table) for table in tables}) > 1 or not all(_is_same(value, other) for other in others):
            found = f"tables of different kinds or axes ({type(first).__name__}, {key})"
            raise InputError(name, "zenith", found, "responses on equal axes", "take responses of one release")
        if isinstance(value, np.ndarray):
            mixed[key] = _mean(np.stack([np.asarray(other) for other in others]), shares, is_logarithmic)
    return replace(first, **mixed)


def _is_same(one: Any, other: Any) -> bool:  # noqa: ANN401 - whatever a table holds
    """Whether two axes are equal, two arrays of one shape, or two words equal."""
    if isinstance(one, Axis):
        return isinstance(other, Axis) and one.size == other.size and np.allclose(one.edges, other.edges, rtol=1e-6)
    if isinstance(one, np.ndarray):
        return isinstance(other, np.ndarray) and one.shape == other.shape
    return bool(one == other)


def _mean(values: Array, shares: Array, is_logarithmic: bool) -> Array:
    mean = np.tensordot(shares, np.log(np.maximum(values, _TINY)) if is_logarithmic else values, axes=1)
    return np.asarray(np.exp(mean) if is_logarithmic else mean)


def _mix_dispersion(tables: list[EnergyDispersion], shares: Array, name: str) -> EnergyDispersion:
    """Return means of densities, as high as the geometric mean of the tables: heights weigh nodes when interpolated.

    An empty column says nothing, and stays empty where all are.
    """
    mixed: EnergyDispersion = _mix(tables, shares, name)
    totals = np.stack([table.integral(table.energy.nodes[:, None], table.offset.nodes) for table in tables])
    is_filled = totals > 0
    own = np.where(is_filled, shares[:, None, None], 0.0)
    own /= np.maximum(own.sum(axis=0), _TINY)
    safe = np.where(is_filled, totals, 1.0)
    scale = own / safe * np.exp((own * np.log(safe)).sum(axis=0))
    return replace(mixed, values=sum(part[..., None] * table.values for part, table in zip(scale, tables, strict=True)))

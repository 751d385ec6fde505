"""Spectra from tables: templates joined by power laws, norms at nodes, absorption by background light."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from skysift.errors import InputError
from skysift.sky.components.quadrature import integrate_bins
from skysift.sky.spectra import power_integral

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from skysift.sky.spectra import Spectrum

__all__ = ["TABLES", "Absorption", "NodeNorms", "Template"]

#: Values below it are taken for zero where logarithms are needed.
_TINY = 1e-300


class TablePart(Protocol):
    """What is needed of a declared spectrum."""

    @property
    def tag(self) -> str:
        """Name of its kind."""

    @property
    def tables(self) -> Mapping[str, Sequence[float]]:
        """Numbers that come with it."""

    @property
    def settings(self) -> Mapping[str, object]:
        """Its other entries."""

    @property
    def file(self) -> str | None:
        """File that it needs."""


@dataclass(frozen=True, eq=False)
class Template:
    """Values joined by power laws, whose first and last go on beyond the table.

    Parameters
    ----------
    breaks_tev : (N,) rising, TeV
    values : (N,), TeV-1 cm-2 s-1, or none where it is a factor
    """

    breaks_tev: Tensor
    values: Tensor

    def _segments(self, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
        """Return nodes, values and the slopes between them: it has no parameters, and goes where it is asked."""
        nodes, values = self.breaks_tev.to(device), self.values.to(device).clamp_min(_TINY)
        logs = values.log()
        return nodes, values, (logs[1:] - logs[:-1]) / (nodes[1:] / nodes[:-1]).log()

    def density(self, energy_tev: ArrayLike | Tensor) -> Tensor:
        """Return the value (K,) at energies (K,) in TeV."""
        energy = torch.as_tensor(energy_tev, dtype=torch.float64)
        nodes, values, slopes = self._segments(energy.device)
        place = (torch.searchsorted(nodes, energy.contiguous()) - 1).clamp(0, len(nodes) - 2)
        return values[place] * (energy / nodes[place]) ** slopes[place]

    def integrals(self, edges_tev: ArrayLike | Tensor) -> Tensor:
        """Return the integral (K,) within bins of edges (K + 1,) in TeV."""
        edges = torch.as_tensor(edges_tev, dtype=torch.float64)
        nodes, values, slopes = self._segments(edges.device)
        # The outermost pieces reach as far as the bins do.
        start = torch.cat([torch.minimum(edges[:1], nodes[:1]), nodes[1:-1]])
        end = torch.cat([nodes[1:-1], torch.maximum(edges[-1:], nodes[-1:])])
        low, high = (torch.minimum(torch.maximum(edge[:, None], start), end) for edge in (edges[:-1], edges[1:]))
        return power_integral(values[:-1], -slopes, nodes[:-1], low, high).sum(-1)


@dataclass(frozen=True, eq=False)
class NodeNorms:
    """Norms at nodes, linear between them in energy and norm or in their logarithms, constant outside.

    Parameters
    ----------
    breaks_tev : (N,) rising, TeV
    norms : (N,) or (batch, N)
    has_logs : whether it is linear in logarithms
    """

    breaks_tev: Tensor
    norms: Tensor
    has_logs: bool = True

    def density(self, energy_tev: ArrayLike | Tensor) -> Tensor:
        """Return the norm (batch, K) at energies (K,) in TeV."""
        energy = torch.as_tensor(energy_tev, dtype=torch.float64)
        inside = torch.minimum(torch.maximum(energy, self.breaks_tev[0]), self.breaks_tev[-1])
        place = (torch.searchsorted(self.breaks_tev, inside.contiguous()) - 1).clamp(0, len(self.breaks_tev) - 2)
        if self.has_logs:
            nodes, inside, norms = self.breaks_tev.log(), inside.log(), self.norms.clamp_min(_TINY).log()
        else:
            nodes, norms = self.breaks_tev, self.norms
        share = (inside - nodes[place]) / (nodes[place + 1] - nodes[place])
        low, high = (_take(norms, where) for where in (place, place + 1))
        value = low + share * (high - low)
        return value.exp() if self.has_logs else value

    def integrals(self, edges_tev: ArrayLike | Tensor) -> Tensor:
        """Return the integral (batch, K) within bins of edges (K + 1,) in TeV."""
        return integrate_bins(self.density, torch.as_tensor(edges_tev, dtype=torch.float64), self.breaks_tev)


def _take(norms: Tensor, place: Tensor) -> Tensor:
    """Return norms (batch, N) at places (K,) or (batch, K)."""
    if norms.ndim == 1:
        return norms[place]
    return norms[:, place] if place.ndim == 1 else norms.gather(-1, place)


@dataclass(frozen=True, eq=False)
class Absorption:
    r"""Share of photons that pass the extragalactic background light.

    .. math:: e^{-\alpha \tau(E, z)}

    The optical depth is linear in redshift and in the logarithm of the energy, and goes on beyond the table.

    Parameters
    ----------
    nodes_tev : (N,) rising, TeV
    redshifts : (Z,) rising
    depths : (Z, N), optical depth
    redshift, scale : z and alpha, () or (batch,)
    """

    nodes_tev: Tensor
    redshifts: Tensor
    depths: Tensor
    redshift: Tensor
    scale: Tensor

    @property
    def breaks_tev(self) -> Tensor:
        """Nodes, and where the continued depth falls to zero, (N + 1,) or (batch, N + 1), TeV."""
        row, along = _bracket(self.redshifts, self.redshift.detach())
        first, second = ((1 - along) * self.depths[row, k] + along * self.depths[row + 1, k] for k in (0, 1))
        width = (self.nodes_tev[1] / self.nodes_tev[0]).log()
        rise = torch.where(second > first, second - first, torch.inf) / width
        crossing = self.nodes_tev[0] * (-first / rise).exp()
        return torch.cat([self.nodes_tev.expand(*crossing.shape, -1), crossing[..., None]], -1)

    def density(self, energy_tev: ArrayLike | Tensor) -> Tensor:
        """Return the share (batch, K) at energies (K,) in TeV."""
        energy = torch.as_tensor(energy_tev, dtype=torch.float64)
        redshift, scale = (value[..., None] if value.ndim else value for value in (self.redshift, self.scale))
        row, along = _bracket(self.redshifts, redshift)
        column, across = _bracket(self.nodes_tev.log(), energy.log())
        depth = sum(
            (along if down else 1 - along) * (across if right else 1 - across) * self.depths[row + down, column + right]
            for down in (0, 1) for right in (0, 1)
        )  # fmt: skip
        # More light than was sent does not arrive, however far the table is continued.
        return (-scale * torch.as_tensor(depth).clamp_min(0.0)).exp()

    def integrals(self, edges_tev: ArrayLike | Tensor) -> Tensor:
        """Return the integral (batch, K) within bins of edges (K + 1,) in TeV."""
        return integrate_bins(self.density, torch.as_tensor(edges_tev, dtype=torch.float64), self.breaks_tev)


def _bracket(nodes: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
    """Return the node below each place and how far it is to the next, beyond the ends as well."""
    below = (torch.searchsorted(nodes, places.detach().contiguous()) - 1).clamp(0, len(nodes) - 2)
    return below, (places - nodes[below]) / (nodes[below + 1] - nodes[below])


def _table(part: TablePart, name: str, own: Mapping[str, Tensor]) -> Tensor:
    """Return a table where the values of the parameters are."""
    if name not in part.tables:
        raise InputError(
            "model", f"spectral.{name}", part.file or "nothing", f"the table '{name}' of a {part.tag} spectrum",
            "read the file that it names, or write the table into the model file",
        )  # fmt: skip
    device = next(iter(own.values())).device if own else None
    return torch.as_tensor(part.tables[name], dtype=torch.float64, device=device)


def _template(part: TablePart, own: Mapping[str, Tensor]) -> Spectrum:
    return Template(_table(part, "energy", own), _table(part, "values", own))


def _nodes(part: TablePart, own: Mapping[str, Tensor]) -> Spectrum:
    energy = _table(part, "energy", own)
    norms = [own[f"norm_{number}"] for number in range(len(energy))]
    batch = max(norm.shape for norm in norms)
    return NodeNorms(
        energy, torch.stack([norm.expand(batch) for norm in norms], -1), part.settings.get("interp", "log") == "log"
    )


def _absorption(part: TablePart, own: Mapping[str, Tensor]) -> Spectrum:
    energy, redshifts = _table(part, "energy", own), _table(part, "param", own)
    shares = _table(part, "values", own).reshape(len(redshifts), len(energy))
    return Absorption(energy, redshifts, -shares.clamp_min(_TINY).log(), own["redshift"], own["alpha_norm"])


TABLES: dict[str, Callable[[TablePart, Mapping[str, Tensor]], Spectrum]] = {
    "template": _template,
    "piecewise-norm": _nodes,
    "ebl-norm": _absorption,
}

"""The background of a cube: counts of residual cosmic rays times a spectrum of norms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from skysift.models.cubes.slopes import differentiate_once
from skysift.sky.components import build_spectrum

if TYPE_CHECKING:
    from skysift.config.models import PartDeclaration

__all__ = ["CubeBackground"]

Values = Mapping[str, Tensor]


@dataclass(frozen=True, eq=False)
class CubeBackground:
    """Counts times norms at the centres of reconstructed energies.

    Parameters
    ----------
    name : of the component
    part : declaration of its norms
    centres_tev : (energy,)
    cube : (energy, rows, columns), counts at norm one
    moving : names of the parameters that may move
    """

    name: str
    part: PartDeclaration
    centres_tev: Tensor
    cube: Tensor
    moving: tuple[str, ...] = ()

    def factors(self, full: Values) -> Tensor:
        """Return the norms, (batch, energy)."""
        head = f"{self.name}.spectral."
        values = {name[len(head) :]: part for name, part in full.items() if name.startswith(head)}
        found = build_spectrum(self.part, values).density(self.centres_tev)
        return found if found.ndim == 2 else found[None]

    def counts(self, full: Values) -> Tensor:
        """Return expected counts, (batch, energy, rows, columns)."""
        return self.factors(full)[..., None, None] * self.cube

    def own(self, full: Values) -> dict[str, Tensor]:
        """Return the values that may move, by full name."""
        return {f"{self.name}.spectral.{name}": full[f"{self.name}.spectral.{name}"] for name in self.moving}

    def differentiate(self, full: Values) -> dict[str, Tensor]:
        """Return the derivatives of the norms by full name, (energy,) each."""
        own = self.own(full)
        if not own:
            return {}
        _, slopes = differentiate_once(lambda some: self.factors({**full, **some}), own)
        return dict(zip(own, slopes, strict=True))

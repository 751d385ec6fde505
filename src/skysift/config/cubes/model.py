"""What is fitted to counts cubes: a model file, and how it is predicted."""

from __future__ import annotations

from typing import Literal, Self

from skysift.config.section import REQUIRED, Section, key

__all__ = ["CubeModel", "CubeModelOverride"]


class CubeModel(Section):
    """Sources and backgrounds of a model file.

    Attributes
    ----------
    file : YAML in the layout of Gammapy
    likelihood : ``poisson``
    quadrature : ``exact`` or ``gammapy``
    """

    file: str = key(REQUIRED, "model file: YAML in the layout of Gammapy", example="models.yaml", min_length=1)
    likelihood: Literal["poisson"] = key("poisson", "Poisson counts (Cash)", example="poisson")
    quadrature: Literal["exact", "gammapy"] = key(
        "exact",
        "`exact`: spectra integrated to 1e-10 and pixels cut finely; `gammapy`: as that package has it, for comparison",
        example="gammapy",
    )

    def merged(self, override: CubeModelOverride | None) -> Self:
        """Return this model with what one fit changes in it."""
        if override is None:
            return self
        stated = {name: getattr(override, name) for name in type(override).model_fields}
        return self.model_copy(update={name: value for name, value in stated.items() if value is not None})

    @property
    def components(self) -> dict[str, object]:
        """What the configuration itself says of components: nothing, they stand in the file."""
        return {}


class CubeModelOverride(Section):
    """What one fit changes in the model.

    Attributes
    ----------
    file, quadrature : as in `CubeModel`, None where they stay
    """

    file: str | None = key(None, "model file", example="with_halo.yaml", min_length=1, says="as in model")
    quadrature: Literal["exact", "gammapy"] | None = key(
        None, "how integrals are taken", example="gammapy", says="as in model"
    )

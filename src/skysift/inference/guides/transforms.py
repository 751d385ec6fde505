"""Learned bijections of a few standard normal numbers, from zuko and Pyro; all start as the identity."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["IafTransform", "Transform", "ZukoTransform"]


class Transform(nn.Module):
    """A bijection of noise, (batch, k), given a context, (batch, c) or None."""

    def forward(self, noise: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return transformed noise, (batch, k), and log-determinants, (batch,)."""
        raise NotImplementedError

    def inverse(self, x: Tensor, context: Tensor | None) -> Tensor:
        """Return the noise that `forward` turns into ``x``; one pass per number."""
        raise NotImplementedError


class ZukoTransform(Transform):
    """Autoregressive transforms from noise to draw, where each is one pass, with the order reversed in between.

    Splines come first: they give the noise the shape of a hard edge; affine ones then bend it. On targets with known
    answers one spline and three affine transforms beat five of either kind, at less cost.

    Parameters
    ----------
    features : numbers to transform
    context : numbers in the context, 0 for none
    splines : how many rational-quadratic spline transforms, which act on [-5, 5]
    affines : how many affine ones; a single number has no use for them
    hidden : units of the networks

    References
    ----------
    Papamakarios et al. (2017), inverted; Durkan et al. (2019)
    """

    def __init__(
        self,
        features: int,
        context: int = 0,
        splines: int = 1,
        affines: int = 3,
        hidden: tuple[int, ...] = (32, 32),
    ) -> None:
        super().__init__()
        from zuko.flows import MAF, NSF
        from zuko.lazy import LazyComposedTransform

        options: dict[str, Any] = {"hidden_features": hidden, "activation": nn.ELU}
        parts = [NSF(features, context, transforms=splines, **options)] if splines else []
        parts += [MAF(features, context, transforms=affines, **options)] if affines else []
        self.stack = LazyComposedTransform(*(layer for part in parts for layer in part.transform.transforms))
        for layer in self.stack.transforms:
            _start_at_identity(layer)
        self.double()

    def forward(self, noise: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return transformed noise, (batch, k), and log-determinants, (batch,)."""
        x, log_det = self.stack(context).call_and_ladj(noise)
        return x, log_det

    def inverse(self, x: Tensor, context: Tensor | None) -> Tensor:
        """Return the noise that `forward` turns into ``x``."""
        noise: Tensor = self.stack(context).inv(x)
        return noise


class IafTransform(Transform):
    """Inverse autoregressive flow: affine transforms whose networks see the noise, order reversed in between.

    Log-scales are clamped to [-5, 3], with their gradients kept.

    Parameters
    ----------
    features : numbers to transform
    context : numbers in the context, 0 for none
    transforms : how many
    hidden : units of each network's layers, by default three of 10 k

    References
    ----------
    Kingma et al. (2016), eq. 10; Mishra-Sharma and Cranmer (2020), section 3
    """

    def __init__(self, features: int, context: int = 0, transforms: int = 4, hidden: tuple[int, ...] = ()) -> None:
        super().__init__()
        from pyro.distributions.transforms import AffineAutoregressive

        self._affine = AffineAutoregressive
        order = torch.arange(features)
        self.networks = nn.ModuleList(
            _build_network(features, context, hidden or (10 * features,) * 3, order if k % 2 == 0 else order.flip(0))
            for k in range(transforms)
        )
        self.double()

    def forward(self, noise: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return transformed noise, (batch, k), and log-determinants, (batch,)."""
        x, total = noise, noise.new_zeros(len(noise))
        for network in self.networks:
            layer = self._layer(network, context)
            y = layer(x)
            total = total + layer.log_abs_det_jacobian(x, y)
            x = y
        return x, total

    def inverse(self, x: Tensor, context: Tensor | None) -> Tensor:
        """Return the noise that `forward` turns into ``x``."""
        for network in reversed(list(self.networks)):
            layer = self._layer(network, context)
            # Pyro's own inverse stacks float32 zeros; invert number by number
            noise = torch.zeros_like(x)
            for _ in range(x.shape[1]):
                mean, log_scale = layer.arn(noise)
                noise = (x - mean) * torch.exp(-log_scale.clamp(layer.log_scale_min_clip, layer.log_scale_max_clip))
            x = noise
        return x

    def _layer(self, network: nn.Module, context: Tensor | None) -> Any:  # noqa: ANN401 - Pyro is untyped
        # Pyro is untyped
        return self._affine(network if context is None else lambda x: network(x, context))  # type: ignore[no-untyped-call]


def _build_network(features: int, context: int, hidden: tuple[int, ...], order: Tensor) -> nn.Module:
    from pyro.nn import AutoRegressiveNN, ConditionalAutoRegressiveNN

    options: dict[str, Any] = {"permutation": order, "nonlinearity": nn.ELU()}
    with warnings.catch_warnings():
        # one number in an unconditional network is a plain affine map here, on purpose
        warnings.filterwarnings("ignore", message=".*input_dim = 1")
        network: nn.Module = (
            ConditionalAutoRegressiveNN(features, context, list(hidden), **options)
            if context
            else AutoRegressiveNN(features, list(hidden), **options)
        )
    _zero_last(network)
    return network


def _start_at_identity(layer: nn.Module) -> None:
    if any(isinstance(module, nn.Linear) for module in layer.modules()):
        _zero_last(layer)
        return
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()


def _zero_last(network: nn.Module) -> None:
    last = [module for module in network.modules() if isinstance(module, nn.Linear)][-1]
    with torch.no_grad():
        last.weight.zero_()
        last.bias.zero_()

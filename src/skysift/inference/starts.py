"""Where searches begin: the model's own guesses, points found before, and points spread over the prior."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from skysift.contract import hook

if TYPE_CHECKING:
    from torch import Tensor

    from skysift.inference.engine import Start, Stream
    from skysift.inference.target import Target

__all__ = ["draw_starts"]

LONGEST_FIELD = 25
MODEL_STARTS = 4


def draw_starts(target: Target, count: int, start: Start, stream: Stream) -> Tensor:
    """Return starting points, (k, d): the model's own first, then the Start's, then ``count`` from the prior.

    Where the field blocks hold more than 25 numbers, those start at zero: a random draw of a long field is nobody's
    neighbour.
    """
    parameters, parts = target.parameters, []
    own = hook(target.model, "starting_points")
    if own is not None:
        parts.append(parameters.unconstrain(own(MODEL_STARTS, stream.generator("starting_points"))))
    parts += [point.reshape(-1, target.size) for point in (start.mode, start.z) if point is not None]
    if count > 0:
        fields = parameters.block_mask("field")
        names = [item.name for item in parameters if item.block != "field" or int(fields.sum()) <= LONGEST_FIELD]
        free = [k for name in names for k in range(parameters.cube_size)[parameters.cube_slices[name]]]
        u = torch.full((count, parameters.cube_size), 0.5, dtype=torch.float64)
        if free:
            seed = stream.number("sobol") % 2**31
            sobol = torch.quasirandom.SobolEngine(len(free), scramble=True, seed=seed)  # type: ignore[no-untyped-call]
            u[:, free] = sobol.draw(count, dtype=torch.float64)
        parts.append(parameters.unconstrain(parameters.from_cube(u.to(target.device))))
    if not parts:
        parts = [torch.zeros(1, target.size, dtype=torch.float64, device=target.device)]
    # a start on the edge of its support lies at infinity
    points = torch.nan_to_num(torch.cat([part.to(target.device, torch.float64) for part in parts]))
    return points.clamp(-12.0, 12.0)

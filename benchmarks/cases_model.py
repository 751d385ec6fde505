"""What every engine calls: the likelihood with its gradient, the curvature, the climb to the mode."""

from collections.abc import Callable, Iterator

import torch
from problems import STREAM, Problem, inner_galaxy
from timing import Clock, Number, grow

from skysift.inference.newton import climb, expand
from skysift.inference.target import Target

__all__ = ["curvature", "gradient", "mode", "points"]

ROWS = 32


def _gradient(problem: Problem) -> Callable[[], object]:
    values = problem.model.parameters.values(problem.z(ROWS))
    values = {name: value.contiguous() for name, value in values.items()}
    return lambda: problem.model.log_likelihood_and_gradient(values)


def gradient(clock: Clock, sizes: tuple[int, ...]) -> Iterator[Number]:
    """Time log likelihood and gradient of 32 points, against the number of pixels."""
    problems = [inner_galaxy(nside) for nside in sizes]
    pixels = [problem.model.pixel_count for problem in problems]
    yield from grow("gradient pixels", pixels, clock.costs([_gradient(problem) for problem in problems]))


def points(clock: Clock, sizes: tuple[int, ...]) -> Iterator[Number]:
    """Time the same against the number of inducing points."""
    grids = (8, 16, 32) if sizes[1] > 32 else (8, 16)
    problems = [inner_galaxy(sizes[1], grid) for grid in grids]
    numbers = [problem.model.parameters.size for problem in problems]
    yield from grow("gradient inducing", numbers, clock.costs([_gradient(problem) for problem in problems]))


def curvature(clock: Clock, sizes: tuple[int, ...]) -> Iterator[Number]:
    """Time one Newton step, closed-form curvature and Cholesky factor, against the number of pixels."""
    steps = []
    for nside in sizes:
        problem = inner_galaxy(nside)
        target, z = Target(problem.model), problem.z(1)[0]

        def step(target: Target = target, z: torch.Tensor = z) -> torch.Tensor:
            local = expand(target, z)
            return torch.cholesky_solve(local.gradient[:, None], torch.linalg.cholesky(local.information))

        steps.append(step)
    costs = clock.costs(steps)
    yield from grow("newton pixels", [inner_galaxy(nside).model.pixel_count for nside in sizes], costs)


def mode(clock: Clock, sizes: tuple[int, ...]) -> Iterator[Number]:
    """Time the climb from the model's first guess to the mode, and count its steps."""
    problem = inner_galaxy(sizes[1])
    z = problem.model.parameters.unconstrain(problem.model.starting_points(1, STREAM.generator("start")))[0]
    yield Number("mode cost", clock.cost(lambda: climb(Target(problem.model), z)))
    yield Number("mode steps count", climb(Target(problem.model), z).steps)

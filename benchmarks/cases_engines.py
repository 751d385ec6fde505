"""What a user waits for: steps of guides and chains, and whole posteriors of the published problem."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from problems import STREAM, Problem, inner_galaxy, published
from timing import Clock, Number, grow

from skysift.inference import sequence, svi
from skysift.inference.engine import Result
from skysift.inference.leapfrog import Whitening, place_chains, transit
from skysift.inference.target import Target

__all__ = ["hmc", "posterior", "svi_step"]

GUIDES = ("mvn", "iaf", "conditional_iaf", "flow")
FEW, MANY = 10, 60
BRIEF = {"restarts": 1, "draws": 8, "evaluate": 8}
LEAPFROGS = 8


def svi_step(clock: Clock, sizes: tuple[int, ...]) -> Iterator[Number]:
    """Time one step of each guide with 8 particles on all pixels, against their number."""
    starts = [(inner_galaxy(nside).model, inner_galaxy(nside).start()) for nside in sizes]
    for guide in GUIDES:
        trials = [
            partial(svi.run, model, svi.Settings(guide, particles=8, steps=steps, **BRIEF), start, STREAM)
            for model, start in starts
            for steps in (FEW, MANY)
        ]
        spent = clock.costs(trials)
        costs = [(many - few) / (MANY - FEW) for few, many in zip(spent[::2], spent[1::2], strict=True)]
        yield from grow(f"svi {guide} step pixels", [model.pixel_count for model, _ in starts], costs)


def hmc(clock: Clock, sizes: tuple[int, ...]) -> Iterator[Number]:
    """Time one leapfrog of 32 chains, against the number of pixels."""
    moves, problems = [], [inner_galaxy(nside) for nside in sizes]
    for problem in problems:
        start = problem.start()
        target, whitening = Target(problem.model), Whitening(start.mode, start.covariance_factor)
        chains = place_chains(target, whitening, whitening.to_w(start.draws[:32]))
        moves.append(partial(transit, target, whitening, chains, 0.2, LEAPFROGS, STREAM.generator("momenta")))
    costs = [cost / LEAPFROGS for cost in clock.costs(moves)]
    yield from grow("hmc leapfrog pixels", [problem.model.pixel_count for problem in problems], costs)


def posterior(clock: Clock, sizes: tuple[int, ...]) -> Iterator[Number]:
    """Time whole posteriors of the published problem, from nothing, by each guide, by chains and on the grid."""
    guide = {"restarts": 1, "steps": 20, "evaluate": 500}
    chains = {"max_draws": 20, "draws": 20, "warmup": 20}
    quick = {name: [("svi", {"guide": name, **guide})] for name in GUIDES}
    quick |= {"hmc": [("laplace", {"importance": 0}), ("hmc", chains)], "grid": [("grid", {"parameter": "gce_norm"})]}
    whole = {name: [("svi", {"guide": name})] for name in GUIDES}
    whole |= {"hmc": [("svi", {"guide": "mvn", "restarts": 1}), ("hmc", {})], "grid": quick["grid"]}
    for name, plan in quick.items():
        # the first time, libraries are imported
        _find(inner_galaxy(sizes[0]), plan)
        yield from _time_posterior(clock, published(sizes[1]), name, whole[name] if sizes[1] >= 128 else plan)


def _find(problem: Problem, plan: Sequence[tuple[str, dict[str, Any]]]) -> list[Result]:
    return sequence.run(problem.model, [("map", {}), *plan], STREAM)


def _time_posterior(
    clock: Clock, problem: Problem, name: str, plan: Sequence[tuple[str, dict[str, Any]]]
) -> Iterator[Number]:
    results: list[Result] = []
    cost = clock.cost(lambda: results.extend(_find(problem, plan)), once=True)
    yield Number(f"posterior {name} cost", cost)
    for key in ("gradients", "calls", "evidences"):
        total = sum(result.cost.get(key, 0.0) for result in results)
        if total:
            yield Number(f"posterior {name} {key} count", total)
    if name == "hmc":
        effective = float(results[-1].traces["ess_bulk"].min())
        yield Number("posterior hmc thousand draws cost", cost * 1000 / effective)

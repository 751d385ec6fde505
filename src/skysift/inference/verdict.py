"""Whether an answer may be believed: the checks that engines put into their results, and their thresholds."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from skysift.inference.engine import Check
from skysift.inference.result import flatten, weighted_moments

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

    from skysift.inference.engine import Colour, Result
    from skysift.inference.newton import Optimum

__all__ = [
    "check_agreement",
    "check_chains",
    "check_evidence",
    "check_modes",
    "check_optima",
    "explain",
    "grade",
    "is_converged",
    "is_settled",
    "laplace_gap_limit",
    "worst",
]

R_HAT = (1.01, 1.05)
ESS = (400.0, 100.0)
ACCEPTANCE = (0.6, 0.95)
DIVERGENT = 1e-3
E_BFMI = 0.3
DISAGREEMENT = (0.3, 0.5)
MODE_STARTS = (32, 8)
MODE_WINDOW = 10.0
MODE_SHARE = 1e-3


def grade(
    name: str, value: float, green: float, amber: float | None = None, *, above: bool = False, advice: str = ""
) -> Check:
    """Return the check that ``value`` is below ``green`` (or above it); up to ``amber`` passes at reduced size.

    NaN is red.

    Examples
    --------
    >>> grade("R-hat", 1.03, 1.01, 1.05).colour
    'amber'
    """
    loose = green if amber is None else amber
    sign = -1.0 if above else 1.0
    colour: Colour = "red"
    if sign * value <= sign * green:
        colour = "green"
    elif sign * value <= sign * loose:
        colour = "amber"
    relation = ">=" if above else "<="
    threshold = f"{relation} {green:g}" + ("" if amber is None else f" ({amber:g})")
    return Check(name, float(value), threshold, colour, "" if colour == "green" else advice)


def is_converged(checks: Iterable[Check]) -> bool:
    """Return whether no check is red."""
    return all(check.colour != "red" for check in checks)


def explain(checks: Iterable[Check]) -> str:
    """Return one line per check that is not green, red ones first: what it is, and what to do."""
    order = {"red": 0, "amber": 1}
    bad = sorted((check for check in checks if check.colour in order), key=lambda check: order[check.colour])
    lines = [
        f"{check.colour}: {check.name} is {check.value:.4g}, wanted {check.threshold}; {check.advice}" for check in bad
    ]
    return "\n".join(lines)


def check_optima(best: Optimum, reached: int, starts: int, is_gradient_finite: bool) -> list[Check]:
    """Return the checks of an optimum: found more than once, polished to the end, a maximum, gradients finite."""
    again: Colour = "green" if reached >= 2 else "amber"
    advice = "" if reached >= 2 else "only one start ended here: raise map.starts or map.explore"
    return [
        Check("starts at the best optimum", float(reached), f">= 2 of {starts}", again, advice),
        grade("last polish gain", best.last_gain, 0.1, advice="raise map.polish: the optimum is not reached"),
        grade(
            "information positive definite",
            float(best.is_definite),
            1.0,
            above=True,
            advice="the optimum is a saddle or a parameter is not identified: tighten its prior",
        ),
        grade(
            "gradient finite", float(is_gradient_finite), 1.0, above=True, advice="look for zeros in the expected data"
        ),
    ]


def check_chains(diagnostics: dict[str, float], longer: str = "hmc.max_draws") -> list[Check]:
    """Return the checks of Markov chains.

    Parameters
    ----------
    diagnostics : ``r_hat`` (largest), ``ess_bulk`` and ``ess_tail`` (smallest), ``acceptance`` (mean),
        ``divergences`` (their share of all transitions), ``e_bfmi`` (smallest; may be missing)
    longer : the setting that makes the chains longer
    """
    engine, longer = longer.split(".", maxsplit=1)[0], f"run longer: raise {longer}"
    acceptance, divergences = diagnostics["acceptance"], diagnostics["divergences"]
    energy = [] if "e_bfmi" not in diagnostics else [diagnostics["e_bfmi"]]
    return [
        grade("R-hat", diagnostics["r_hat"], *R_HAT, advice=f"{longer}, or look for further modes"),
        grade("bulk ESS", diagnostics["ess_bulk"], *ESS, above=True, advice=longer),
        grade("tail ESS", diagnostics["ess_tail"], *ESS, above=True, advice=longer),
        _check_acceptance(acceptance, engine),
        grade("divergent share", divergences, 0.0, DIVERGENT, advice=f"raise {engine}.target_accept, or reparametrise"),
        *(grade("E-BFMI", one, E_BFMI, above=True, advice="heavy tails: reparametrise the model") for one in energy),
    ]


def _check_acceptance(acceptance: float, engine: str) -> Check:
    # steps shorter than need be waste time and bias nothing: never red
    low, high = ACCEPTANCE
    colour: Colour = "red" if not acceptance >= low else "green" if acceptance <= high else "amber"
    advice = f"the step is too long: raise {engine}.warmup" if colour == "red" else "steps are short: tight corners"
    return Check("acceptance", acceptance, f"{low:g} to {high:g}", colour, "" if colour == "green" else advice)


def is_settled(checks: Iterable[Check]) -> bool:
    """Return whether R-hat and both effective sample sizes are green: chains may stop."""
    return all(check.colour == "green" for check in checks if check.name in ("R-hat", "bulk ESS", "tail ESS"))


def check_agreement(first: Result, second: Result) -> Check:
    """Return the check that two posteriors have the same means, in units of the second one's sd."""
    mean, _ = weighted_moments(first)
    other, sd = weighted_moments(second)
    shift = float(((mean - other).abs() / sd.clamp_min(1e-300)).max())
    advice = f"{first.engine} and {second.engine} differ: a more flexible guide (flow), or longer chains"
    return grade(f"{first.engine} against {second.engine}, sd", shift, *DISAGREEMENT, advice=advice)


def check_evidence(first: Result, second: Result) -> Check | None:
    """Return the check that two evidences agree within three errors or a tenth of a nat; None where one is none."""
    pair = (first, second)
    if any(one.log_z is None or one.log_z_error is None or "bound" in one.log_z_method for one in pair):
        return None
    gap = abs(float(first.log_z or 0.0) - float(second.log_z or 0.0))
    limit = max(0.1, 3.0 * math.hypot(*(float(one.log_z_error or 0.0) for one in pair)))
    advice = f"{first.engine} and {second.engine} differ: look for further modes, or for tails that one of them misses"
    return grade(f"log Z, {first.engine} against {second.engine}, nats", gap, limit, 2.0 * limit, advice=advice)


def check_modes(result: Result, search: Result | None) -> Check:
    """Return the check that the draws visit every optimum that starts from the prior lead to.

    Numbers computed inside a guide or a chain cannot see a mode that it never met; only a search from the prior can.
    An optimum counts when it lies within 10 nats of the best one and holds at least 0.1 % of the mass of all, by
    Laplace's approximation. Its share of the draws is compared with its share of the mass.

    Parameters
    ----------
    result : of the engine that made draws
    search : of the engine ``map``, or None: then the modes are ``unchecked``, which is red
    """
    starts = 0 if search is None else int(search.traces["prior_starts"])
    if search is None or starts < MODE_STARTS[1]:
        advice = f"put map with at least {MODE_STARTS[0]} starts before this engine"
        return Check("modes: unchecked", float(starts), f">= {MODE_STARTS[0]} prior starts", "red", advice)
    share, visited = _compare_shares(result, search)
    ratio = float((visited / share).min())
    threshold = f"share of the draws at each of {len(share)} optima >= 0.4 (0.1) of its share of the mass"
    colour: Colour = "green" if ratio >= 0.4 else "amber" if ratio >= 0.1 else "red"
    advice = ""
    if colour != "green":
        advice = "the draws miss a mode that starts from the prior lead to: sample it, or cut it off by the prior"
    elif starts < MODE_STARTS[0]:
        advice = f"{starts} starts from the prior led to an optimum, {MODE_STARTS[0]} are wanted: raise map.starts"
        colour = "amber"
    return Check("modes: starts", ratio, threshold, colour, advice)


def _compare_shares(result: Result, search: Result) -> tuple[Tensor, Tensor]:
    """Return each counted optimum's share of the Laplace mass, and of the weight of the draws nearest to it."""
    density, mass = search.traces["optima_log_density"], search.traces["optima_log_mass"]
    counted = (density > density.max() - MODE_WINDOW) & (torch.softmax(mass, 0) >= MODE_SHARE)
    share = torch.softmax(mass[counted], 0)
    draws, weights = flatten(result)
    closeness = []
    centres, factors = search.traces["optima"][counted], search.traces["optima_factor"][counted]
    for centre, factor in zip(centres.to(draws), factors.to(draws), strict=True):
        offset = torch.linalg.solve_triangular(factor, (draws - centre).T, upper=False)
        closeness.append(-0.5 * (offset**2).sum(0) - float(factor.diagonal().log().sum()))
    nearest = torch.stack(closeness).argmax(0)
    visited = torch.stack([weights[nearest == k].sum() for k in range(len(share))])
    return share, visited.to(share)


def worst(checks: Iterable[Check]) -> Colour:
    """Return the worst colour among the checks; green if there are none."""
    colours = {check.colour for check in checks}
    return "red" if "red" in colours else "amber" if "amber" in colours else "green"


def laplace_gap_limit(size: int) -> float:
    """Return how far an ELBO may lie below the Laplace evidence: about one nat per 20 parameters."""
    return max(1.0, math.ceil(size / 20))

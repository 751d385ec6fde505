"""The checks say what their thresholds say, and no missed mode passes."""

import math

import pytest
import torch

from skysift.inference import Check, Result
from skysift.inference.verdict import (
    check_agreement,
    check_chains,
    check_modes,
    explain,
    grade,
    is_converged,
    is_settled,
    laplace_gap_limit,
    worst,
)

GOOD = {"r_hat": 1.005, "ess_bulk": 500, "ess_tail": 450, "acceptance": 0.8, "divergences": 0.0, "e_bfmi": 0.9}


@pytest.mark.parametrize(
    ("value", "above", "colour"),
    [(1.0, False, "green"), (1.5, False, "amber"), (2.5, False, "red"), (2.5, True, "green"), (math.nan, True, "red")],
)
def test_grades(value, above, colour):
    green, amber = (2.0, 1.2) if above else (1.0, 2.0)
    check = grade("a", value, green, amber, above=above, advice="do")
    assert check.colour == colour
    assert check.advice == ("" if colour == "green" else "do")


@pytest.mark.parametrize(
    ("name", "value", "colour"),
    [
        ("r_hat", 1.02, "amber"),
        ("r_hat", 1.06, "red"),
        ("r_hat", math.nan, "red"),
        ("ess_bulk", 200, "amber"),
        ("ess_tail", 50, "red"),
        ("acceptance", 0.97, "amber"),
        ("acceptance", 0.5, "red"),
        ("acceptance", math.nan, "red"),
        ("divergences", 1e-4, "amber"),
        ("divergences", 0.01, "red"),
        ("e_bfmi", 0.2, "red"),
    ],
)
def test_one_bad_number_shows(name, value, colour):
    assert worst(check_chains(GOOD)) == "green"
    checks = check_chains({**GOOD, name: value})
    assert worst(checks) == colour
    assert is_converged(checks) == (colour != "red")
    assert is_settled(checks) == (name not in ("r_hat", "ess_bulk", "ess_tail"))


def test_explanations_put_red_first():
    checks = [grade("a", 1.5, 1.0, 2.0, advice="wait"), grade("b", 3.0, 1.0, 2.0, advice="stop"), grade("c", 0.0, 1.0)]
    lines = explain(checks).split("\n")
    assert [line.split(":")[0] for line in lines] == ["red", "amber"]
    assert "stop" in lines[0]
    assert worst([]) == "green"


def two_optima(shares=(0.7, 0.3), starts=32, below=0.0):
    """A search that found unit Gaussians at 0 and 20."""
    mass = torch.log(torch.tensor(shares, dtype=torch.float64))
    traces = {
        "optima": torch.tensor([[0.0], [20.0]], dtype=torch.float64),
        "optima_log_density": mass - torch.tensor([0.0, below], dtype=torch.float64),
        "optima_log_mass": mass,
        "optima_factor": torch.ones(2, 1, 1, dtype=torch.float64),
        "prior_starts": torch.tensor(starts),
    }
    return Result("map", torch.zeros(1, 1, 1, dtype=torch.float64), traces=traces)


def draws_with(share, count=4000, log_weights=None):
    second = torch.arange(count) < share * count
    noise = torch.randn(count, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return Result("svi", (noise + 20.0 * second)[None, :, None], log_weights=log_weights)


@pytest.mark.parametrize(
    ("share", "colour"), [(0.3, "green"), (0.7, "green"), (0.06, "amber"), (0.01, "red"), (0.0, "red"), (1.0, "red")]
)
def test_every_mode_gets_its_share(share, colour):
    check = check_modes(draws_with(share), two_optima())
    assert check.name == "modes: starts"
    assert check.colour == colour


def test_weights_count_as_draws():
    weights = torch.where(torch.arange(4000) < 2000, -30.0, 0.0).double()
    assert check_modes(draws_with(0.5, log_weights=weights[None]), two_optima()).colour == "red"


def test_what_holds_no_mass_need_not_be_visited():
    assert check_modes(draws_with(0.0), two_optima((1.0 - 1e-4, 1e-4))).colour == "green"
    assert check_modes(draws_with(0.0), two_optima(below=20.0)).colour == "green"


def test_searches_too_small_do_not_count():
    assert check_modes(draws_with(0.3), two_optima(starts=16)).colour == "amber"
    for search in (None, two_optima(starts=4)):
        check = check_modes(draws_with(0.3), search)
        assert check.name == "modes: unchecked"
        assert check.colour == "red"


@pytest.mark.parametrize(("shift", "colour"), [(0.1, "green"), (0.4, "amber"), (0.8, "red")])
def test_agreement_in_units_of_sd(shift, colour):
    second = draws_with(0.0)
    first = Result("svi", 3.0 * second.draws)
    first = Result("svi", second.draws + shift * float(second.draws.std()))
    assert check_agreement(first, second).colour == colour


def test_the_gap_grows_with_the_parameters():
    assert laplace_gap_limit(10) == 1.0
    assert laplace_gap_limit(140) == 7.0


def test_a_result_without_red_is_converged():
    draws = torch.zeros(1, 1, 1)
    assert Result("a", draws, checks=[Check("x", 1.0, "", "amber")]).is_converged
    assert not Result("a", draws, checks=[Check("x", 1.0, "", "red")]).is_converged

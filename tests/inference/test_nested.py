"""Nested sampling obeys the engine contract, knows its own errors, and draws evenly inside its bounds."""

import math

import numpy as np
import pytest
import torch
from dynesty.bounding import Ellipsoid, MultiEllipsoid
from scipy import stats
from tests.contracts.engine_contract import EngineContract, OnlyContract
from tests.contracts.toys import Constant, Gaussian, PoissonField

from skysift.errors import InputError
from skysift.inference import Start, Stream, nested, sequence
from skysift.inference.nested.blocks import BoxedEllipsoids, Reserve
from skysift.inference.nested.cube import Cube
from skysift.inference.nested.insertion import judge_insertions, rank_insertions
from skysift.inference.nested.slices import walk
from skysift.inference.nested.with_dynesty import propagate_error
from skysift.inference.progress import observe
from skysift.inference.result import weighted_moments
from skysift.parameters import Parameter, Parameters
from skysift.parameters.priors import Angle, Normal, StandardNormal


class TestNested(EngineContract):
    engine = "nested"
    settings = {"live": 100}  # noqa: RUF012 - never changed
    # volumes of 100 live points are known to 0.18 nats: five times that
    log_z_tolerance = 0.9

    def effective(self, result):
        """Weighted moments carry the error of the volumes too."""
        return super().effective(result) / 4.0

    def test_without_a_search_nothing_is_converged(self, seed):
        """But here: nested sampling has searched the whole prior itself."""
        result = self.run(Gaussian(2), seed, search=False)
        assert any(check.name == "modes: nested" and check.colour == "green" for check in result.checks)
        assert result.is_converged


def run(model, seed, **settings):
    return nested.run(model, nested.Settings(**settings), Start(), Stream(seed))


@pytest.mark.parametrize("sample", ["rslice", "rwalk"])
def test_other_proposals_agree(sample, seed):
    model = Gaussian(1)
    result = run(OnlyContract(model), seed, live=40, sample=sample)
    assert abs(result.log_z - model.log_z) < 5.0 * result.log_z_error
    mean, _ = weighted_moments(result)
    assert float(((mean - model.mean) / model.covariance.diagonal().sqrt()).abs().max()) < 0.8


def test_more_draws_on_demand(seed):
    model = Gaussian(2)
    few, many = run(model, seed, live=60), run(model, seed, live=60, effective=1000)
    assert few.checks[0].value < 800
    assert many.checks[0].value >= 1000
    assert many.log_z_error < few.log_z_error
    assert abs(many.log_z - model.log_z) < 5.0 * many.log_z_error


def test_merged_runs_quote_the_larger_error(seed):
    model = Gaussian(1)
    result = run(model, seed, live=60, runs=3)
    single = result.traces["log_z_runs"]
    assert len(single) == 3
    assert result.log_z_error >= float(single.std() / 3**0.5)
    assert abs(result.log_z - model.log_z) < 5.0 * result.log_z_error
    assert "3 runs" in result.log_z_method
    assert abs(result.log_z - float(single.mean())) < float(single.std()) + 0.1


def test_nautilus(seed):
    model = Gaussian(2)
    result = run(OnlyContract(model), seed, library="nautilus", live=200, effective=400)
    # its claim leaves out what the bounds miss
    assert abs(result.log_z - model.log_z) < 0.3
    mean, sd = weighted_moments(result)
    exact = model.covariance.diagonal().sqrt()
    assert float(((mean - model.mean) / exact).abs().max()) < 6.0 / 400**0.5
    assert float((sd / exact).log().abs().max()) < 6.0 / 400**0.5
    assert result.checks[0].value >= 400


def test_a_constant_likelihood_has_an_exact_evidence(seed):
    result = run(Constant(), seed)
    assert result.log_z == 0.0
    assert result.log_z_method == "constant likelihood"
    assert len(result.draws[0]) == 10_000


def test_angles_wrap(seed):
    """A posterior across the edge of an angle is one mode."""

    class Compass(OnlyContract):
        __slots__ = ()
        parameters = Parameters([Parameter("angle", Angle()), Parameter("x", Normal(0.0, 1.0))])

        def log_likelihood(self, values):
            return 20.0 * torch.cos(values["angle"] - 0.05) - 0.5 * (values["x"] - 0.5) ** 2

    model = Compass(None)
    assert Cube(model, "cpu").periodic == [0]
    result = run(model, seed, live=100)
    values = model.parameters.values(result.draws[0])
    weights = torch.softmax(result.log_weights[0], 0)
    assert bool(((values["angle"] >= 0) & (values["angle"] <= 2 * math.pi)).all())
    offset = torch.remainder(values["angle"] - 0.05 + math.pi, 2 * math.pi) - math.pi
    assert abs(float(weights @ offset)) < 0.09
    exact = math.log(float(torch.special.i0(torch.tensor(20.0)))) - 0.25 * 0.25 - 0.5 * math.log(2.0)
    assert abs(result.log_z - exact) < 5.0 * result.log_z_error


def test_the_sequence_compares_evidences(seed):
    steps = [("laplace", {}), ("nested", {"live": 60})]
    checks = {check.name: check.colour for check in sequence.run(Gaussian(1), steps, Stream(seed))[-1].checks}
    assert checks["log Z, laplace against nested, nats"] == "green"


def test_progress_is_told(seed):
    told = []

    class Bar:
        def __init__(self, label, total):
            told.append((label, total))

        def __enter__(self):
            return self

        def __exit__(self, *error):
            return None

        def update(self, done, **numbers):
            told.append((done, *numbers))

    with observe(Bar):
        run(Gaussian(1), seed, live=60)
    assert told[0] == ("nested", 100)
    assert told[-1][1:] == ("log_z", "calls")
    shares = [one[0] for one in told[1:]]
    assert shares[0] < 50 < shares[-1] < 100


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"library": "dynasty"}, "did you mean 'dynesty'"), ({"sample": "slices"}, "did you mean 'slice'")],
)
def test_unknown_names_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        nested.Settings(**settings)


def test_what_does_not_fit_is_refused(seed):
    with pytest.raises(InputError, match="take dynesty"):
        run(Gaussian(1), seed, library="nautilus")
    with pytest.raises(InputError, match="30 of them"):
        run(PoissonField(), seed)


def test_fewer_live_points_than_span_the_cube_are_told(seed):
    """Twenty points in ten dimensions leave directions in which no bound knows how far to go."""
    found = {}
    for live in (20, 60, 200):
        cube = Cube(Gaussian(10), "cpu")
        [check] = nested._check_live(nested.Settings(live=live), cube)
        found[live] = check.colour
    assert found == {20: "amber", 60: "amber", 200: "green"}
    [check] = nested._check_live(nested.Settings(live=19), Cube(Gaussian(10), "cpu"))
    assert check.colour == "red"
    assert nested._check_live(nested.Settings(), Cube(Gaussian(10), "cpu")) == []


def perfect_run(live, deaths, random, low=0.0):
    """Nested sampling of ln L = -X itself: new points are uniform in X below the threshold, above a share ``low``."""
    alive = [(1.0 - x, 0) for x in random.random(live)]
    likelihood, born = [], []
    for k in range(1, deaths + 1):
        worst = min(alive)
        alive.remove(worst)
        likelihood.append(worst[0])
        born.append(worst[1])
        volume = 1.0 - worst[0]
        alive.append((1.0 - volume * random.uniform(0.0, 1.0 - low), k))
    rest = sorted(alive)
    return np.array(likelihood + [one[0] for one in rest]), np.array(born + [one[1] for one in rest])


def test_insertion_ranks_of_an_exact_sampler_are_uniform_and_of_a_lazy_one_are_not(seed):
    random = np.random.default_rng(seed)
    p_values = [judge_insertions(rank_insertions(*perfect_run(40, 400, random), 40)) for _ in range(60)]
    assert stats.kstest(p_values, "uniform").pvalue > 1e-5
    # never close below the threshold, where a bound is too tight
    lazy = judge_insertions(rank_insertions(*perfect_run(100, 2000, random, low=0.15), 100))
    assert lazy < 1e-4
    assert judge_insertions(np.zeros(0)) == 1.0


def test_insertion_p_values_are_those_of_scipy(seed):
    ranks = np.random.default_rng(seed).random(3000)
    assert judge_insertions(ranks) == pytest.approx(stats.kstest(ranks, "uniform", method="asymp").pvalue, rel=1e-6)


def test_errors_of_evidences_are_those_of_simulated_volumes(seed):
    """The evidence of L = X^-0.9 below X = 1, its volumes simulated, scatters as the formula says."""
    random, live, steps = np.random.default_rng(seed), 50, 1500
    counts = np.full(steps, live)
    logs = np.cumsum(np.log(random.random((400, steps))) / counts, axis=1)
    mean = -np.cumsum(1.0 / counts)
    # a likelihood that is a function of the place in the run, as in a run whose volumes are not known
    likelihood = -0.9 * np.maximum(mean, -12.0)
    widths = np.exp(logs) * (1.0 / live)
    evidences = np.log((np.exp(likelihood) * widths).sum(1))
    shares = np.exp(likelihood + mean)
    claimed = propagate_error(shares / shares.sum(), counts)
    assert evidences.std() == pytest.approx(claimed, rel=0.25)


def make_bound():
    bound = BoxedEllipsoids(2, [])
    parts = [
        Ellipsoid(2, ctr=np.array(centre), cov=np.array(cov))
        for centre, cov in (((0.1, 0.5), ((0.02, 0.0), (0.0, 0.01))), ((0.2, 0.6), ((0.01, 0.004), (0.004, 0.02))))
    ]
    plain = MultiEllipsoid(2, ells=parts)
    bound.__dict__.update(plain.__dict__)
    return bound, plain


def test_points_are_even_in_overlapping_ellipsoids_inside_the_cube(seed):
    bound, plain = make_bound()
    random = np.random.default_rng(seed)
    ours = bound.samples(6000, random)
    theirs = plain.samples(4000, rstate=random)
    theirs = theirs[((theirs > 0) & (theirs < 1)).all(1)]
    assert ((ours > 0) & (ours < 1)).all()
    directions = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [1.0, -1.0]])
    for one in directions:
        assert stats.ks_2samp(ours @ one, theirs @ one).pvalue > 1e-5
    # the control: without correcting for the overlap it counts twice
    share = np.exp(bound.logvol_ells - bound.logvol)
    naive = np.concatenate(
        [
            np.array([part.sample(rstate=random) for _ in range(int(3000 * weight))])
            for part, weight in zip(plain.ells, share, strict=True)
        ]
    )
    naive = naive[((naive > 0) & (naive < 1)).all(1)]
    assert min(stats.ks_2samp(naive @ one, ours @ one).pvalue for one in directions) < 1e-5


def test_a_wide_bound_is_the_cube(seed):
    bound = BoxedEllipsoids(2, [1])
    assert bound.samples(10, np.random.default_rng(seed)).shape == (10, 2)
    assert bound.contains(np.array([0.01, 0.99]))
    assert bound.high.tolist() == [1.0, 1.5]


def test_a_reserve_serves_in_order_and_forgets_with_its_bound(seed):
    bound, _ = make_bound()
    seen = []

    def evaluate(u):
        seen.extend(u.tolist())
        return u.sum(1)

    reserve, random = Reserve(evaluate), np.random.default_rng(seed)
    reserve.open((1, 1))
    for k in range(5):
        u, value = reserve.take(bound, random)
        assert u.tolist() == seen[k]
        assert value == pytest.approx(u.sum())
    left = len(reserve.points)
    reserve.open((1, 1))
    assert len(reserve.points) == left > 0
    reserve.open((1, 2))
    assert reserve.points == []


def in_a_shell(points):
    """Log likelihood of a ring in the plane that the edge of the cube cuts."""
    return -np.abs(np.hypot(points[:, 0] - 0.1, points[:, 1] - 0.5) - 0.3)


@pytest.mark.parametrize("periodic", [(), (1,)])
def test_walkers_come_to_be_even_above_the_threshold(seed, periodic):
    """Places after some slices against plain rejection; a walk of one slice is still where it began."""
    random, threshold = np.random.default_rng(seed), -0.05

    def evaluate(points):
        assert ((points > -0.5) & (points < 1.5)).all()
        return in_a_shell(points % 1.0 if periodic else points)

    cube = random.random((40_000, 2))
    even = cube[in_a_shell(cube) > threshold]
    start = np.repeat(even[:1], 600, axis=0)
    axes = np.repeat(0.3 * np.eye(2)[None], 600, axis=0)
    found = walk(evaluate, start, threshold, axes, 60, random, periodic)
    assert (found.values > threshold).all()
    np.testing.assert_array_equal(evaluate(found.points), found.values)
    near = walk(evaluate, start, threshold, axes, 1, random, periodic)
    for place in (lambda x: x[:, 0], lambda x: x[:, 1] % 1.0, in_a_shell):
        assert stats.ks_2samp(place(found.points % 1.0), place(even)).pvalue > 1e-5
    assert stats.ks_2samp(near.points[:, 1] % 1.0, even[:, 1]).pvalue < 1e-5


def test_walkers_on_a_plateau_stay(seed):
    random = np.random.default_rng(seed)
    start = random.random((5, 3))
    found = walk(lambda points: np.zeros(len(points)), start, 0.0, np.repeat(np.eye(3)[None], 5, axis=0), 2, random)
    assert np.array_equal(found.points, start)
    assert np.array_equal(found.values, np.zeros(5))


def test_slices_are_evaluated_together(seed):
    """Six dimensions: the evidence, from far fewer calls of the model than points."""
    model = OnlyContract(Gaussian(6))
    sizes = []

    class Counted(OnlyContract):
        __slots__ = ()
        parameters = model.parameters

        def log_likelihood(self, values):
            sizes.append(len(next(iter(values.values()))))
            return model.log_likelihood(values)

    result = run(Counted(None), seed, live=100)
    assert abs(result.log_z - Gaussian(6).log_z) < 4.0 * result.log_z_error
    assert sum(sizes) == result.cost["calls"]
    assert np.mean(sizes) > 5.0


def test_the_edge_of_a_support_stays_finite():
    class Edge(OnlyContract):
        __slots__ = ()
        parameters = Parameters([Parameter("v", StandardNormal())])

    z = Cube(Edge(None), "cpu").unconstrain(np.array([[0.0], [1.0], [0.5]]))
    assert torch.isfinite(z).all()

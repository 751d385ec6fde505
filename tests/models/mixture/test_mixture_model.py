"""Mixtures of every kind obey the Model contract, and name what is wrong with their input."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from tests.contracts.model_contract import ModelContract
from tests.models.mixture.events import NAMES, draw_events, line_densities, make_mixture

from skysift.contract import hook
from skysift.errors import InputError
from skysift.inference import sequence
from skysift.inference.engine import Stream
from skysift.models.mixture import DensityTable, Fractions, MixtureModel, Norms, read_densities
from skysift.parameters import Parameter
from skysift.parameters.priors import LogNormal, Normal, Uniform

TREE = {"background": None, "sky": {"diffuse": None, "sources": ["catalogue", "shell"]}}
FRACTIONS = (0.4, 0.3, 0.2, 0.1)


def make_extended():
    x, _ = draw_events(np.array([0.5, 0.2, 0.3]), 300, np.random.default_rng(1))
    norms = {"background": LogNormal(1.0, 0.3), "diffuse": 0.9, "catalogue": Uniform(0.0, 5.0)}
    return MixtureModel.extended(NAMES[:3], line_densities(x), [160.0, 60.0, 70.0], norms)


def make_moving(extended=False):
    """The second component's place is free."""
    x, _ = draw_events(np.array([0.6, 0.4]), 80, np.random.default_rng(1))
    events = torch.as_tensor(x)

    def at(values):
        centre = values["centre"]
        logs = torch.stack([torch.zeros(len(centre), 1) + events, events - centre[:, None]], -1)
        density = torch.exp(-0.5 * logs**2) / math.sqrt(2 * math.pi)
        totals = torch.stack([50.0 + 0.0 * centre, 20.0 + centre], -1)
        return DensityTable(density, torch.zeros(len(events), dtype=torch.float64), totals)

    centre = Parameter("centre", Normal(1.5, 0.5))
    shares = Norms.of(NAMES[:2], {"background": LogNormal(1.0, 0.5), "diffuse": LogNormal(1.0, 0.5)})
    if not extended:
        shares = Fractions.of(NAMES[:2])
    return MixtureModel(shares, at, torch.ones(80, dtype=torch.float64), (centre,))


KINDS = {
    "flat": lambda: make_mixture(count=200),
    "tree": lambda: make_mixture(FRACTIONS, 200, tree=TREE),
    "extended": make_extended,
    "moving": make_moving,
    "moving extended": lambda: make_moving(extended=True),
}


@pytest.mark.parametrize("kind", KINDS)
class TestMixtureModel(ModelContract):
    @pytest.fixture(autouse=True)
    def _choose(self, kind):
        self.kind = kind

    def make(self):
        return KINDS[self.kind]()

    def test_simulations_agree_with_expected(self):
        model = self.make()
        values = {name: part.expand(400, *part.shape[1:]) for name, part in self.values(model, 1).items()}
        drawn = model.simulate(values, torch.Generator().manual_seed(1))
        expected = model.expected(values)[0]
        variance = expected if model.is_extended else expected * (1.0 - expected / model.total)
        assert float(((drawn.mean(0) - expected) / (variance / 400).sqrt()).abs().max()) < 5.0
        ratio = drawn.var(0) / variance
        # the sd of a sample variance of 400 near-Gaussian numbers is 7 %
        assert float((ratio - 1.0).abs().max()) < 0.36
        if not model.is_extended:
            assert bool((drawn.sum(1) == model.total).all())

    def test_starts_are_inside_their_supports_and_near_the_top(self):
        model = self.make()
        z = model.parameters.unconstrain(model.starting_points(2, torch.Generator().manual_seed(1)))
        assert torch.isfinite(z).all()
        best = sequence.run(model, [("map", {"starts": 4, "steps": 0})], Stream(1))[-1].mode
        gap = model.log_likelihood(model.parameters.values(best[None])) - model.log_likelihood(
            model.parameters.values(z[:1])
        )
        assert float(gap) < 30.0

    def test_memberships_sum_to_one(self):
        model = self.make()
        found = model.memberships(self.values(model, 2))
        assert found.shape == (2, len(model.counts), len(model.names))
        torch.testing.assert_close(found.sum(-1), torch.ones_like(found[..., 0]))


def test_hooks_are_offered_where_they_hold():
    for name in ("curvature", "log_likelihood_and_gradient"):
        assert hook(KINDS["flat"](), name) is not None
        assert hook(make_moving(), name) is None


def test_names_and_axes_are_those_of_the_components():
    flat, tree = KINDS["flat"](), KINDS["tree"]()
    assert flat.dims == {"fractions": ("component",)}
    assert flat.coordinates == {"component": NAMES[:3]}
    assert tree.dims["sky_fractions"] == ("sky_branch",)
    assert tree.coordinates["sky_branch"] == ("diffuse", "sources")
    assert tree.coordinates["component"] == NAMES[:4]
    assert tree.parameters.names == ("fractions", "sky_fractions", "sources_fractions")


def test_counts_are_repeated_events():
    x, _ = draw_events(np.array([0.5, 0.5]), 40, np.random.default_rng(1))
    logs, counts = line_densities(x, 2), np.arange(40) % 3
    binned = MixtureModel.of(NAMES[:2], logs, counts)
    events = MixtureModel.of(NAMES[:2], np.repeat(logs, counts, axis=0))
    values = {"fractions": torch.tensor([[0.3, 0.7]], dtype=torch.float64)}
    torch.testing.assert_close(binned.log_likelihood(values), events.log_likelihood(values), rtol=1e-13, atol=0)
    assert binned.total == events.total == counts.sum()


def test_an_extended_fit_recovers_counts():
    """Without much prior, expected events follow the number that was drawn, with a Poisson error."""
    x, drawn = draw_events(np.array([0.7, 0.3]), 2000, np.random.default_rng(3))
    norms = {name: LogNormal(1.0, 2.0) for name in NAMES[:2]}
    model = MixtureModel.extended(NAMES[:2], line_densities(x, 2), [1500.0, 500.0], norms)
    result = sequence.run(model, [("laplace", {})], Stream(1))[-1]
    expected = model.expected(model.parameters.values(result.mode[None]))[0]
    assert float(expected.sum()) == pytest.approx(2000.0, rel=0.01)
    assert abs(float(expected[0]) - drawn[0]) < 5.0 * math.sqrt(drawn[0])


def test_norms_may_be_shared():
    x, _ = draw_events(np.array([0.5, 0.2, 0.3]), 60, np.random.default_rng(1))
    norms = {"background": LogNormal(1.0, 0.3), "diffuse": Uniform(0.0, 3.0), "catalogue": "diffuse"}
    model = MixtureModel.extended(NAMES[:3], line_densities(x), [30.0, 12.0, 18.0], norms)
    assert model.parameters.names == ("background_norm", "diffuse_norm")
    start = model.starting_points(1, torch.Generator().manual_seed(1))
    assert model.expected(start)[0, 2] == pytest.approx(1.5 * float(model.expected(start)[0, 1]))


def test_a_single_component_has_no_fraction():
    moving = make_moving()

    def one(values):
        table = moving.densities(values)
        return DensityTable(table.scaled[..., :1], table.offsets)

    model = MixtureModel(Fractions.of(NAMES[:1]), one, moving.counts, moving.further)
    assert model.parameters.names == ("centre",)
    values = model.parameters.from_cube(torch.full((3, 1), 0.4, dtype=torch.float64))
    assert model.component_fractions(values).tolist() == [[1.0]] * 3
    with pytest.raises(InputError, match="free one of them"):
        MixtureModel.of(["all"], np.zeros((3, 1)))


def test_an_outlier_component_explains_what_nothing_else_does():
    logs = np.array([[0.0], [0.1], [-np.inf]])
    with pytest.raises(InputError, match=r"row 2(.|\n)*outlier"):
        read_densities(logs, ["sky"])
    model = MixtureModel.of(["sky", "outlier"], np.column_stack([logs, [-3.0, -4.0, -7.0]]))
    assert bool(torch.isfinite(model.log_likelihood({"fractions": torch.tensor([[0.9, 0.1]]).double()})).all())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"log_densities": np.zeros((4, 3))}, "one column for each of a, b"),
        ({"log_densities": np.array([[0.0, 1.0], [np.nan, 0.0]])}, "row 1, component a"),
        ({"log_densities": np.array([[0.0, np.inf]])}, "row 0, component b"),
        ({"counts": np.ones(3)}, "4 numbers >= 0"),
        ({"counts": np.array([1.0, -1.0, 1.0, 1.0])}, "4 numbers >= 0"),
        ({"counts": np.zeros(4)}, "one event or more"),
        ({"totals": [1.0]}, "one number >= 0 per component"),
        ({"totals": [1.0, np.nan]}, "one number >= 0 per component"),
    ],
)
def test_wrong_tables_are_refused(change, message):
    good = {"log_densities": np.zeros((4, 2)), "names": ["a", "b"], "counts": None, "totals": None}
    with pytest.raises(InputError, match=message):
        read_densities(**(good | change))


def test_rows_without_events_may_be_anything():
    table, counts = read_densities(np.array([[np.nan, 0.0], [0.0, 0.0]]), ["a", "b"], np.array([0, 2]))
    assert table.scaled.tolist() == [[1.0, 1.0]]
    assert counts.tolist() == [2.0]


@pytest.mark.parametrize(
    ("norms", "message"),
    [
        ({"background": 1.0}, "norm(.|\n)*diffuse|diffuse(.|\n)*norm"),
        ({"background": LogNormal(1.0, 1.0), "diffuse": "backgroud"}, "did you mean 'background'"),
        ({"background": 1.0, "diffuse": LogNormal(1.0, 1.0), "x": 1.0}, "name of a component"),
        ({"background": 1.0, "diffuse": 1.0}, "free one of them"),
    ],
)
def test_wrong_norms_are_refused(norms, message):
    with pytest.raises(InputError, match=message):
        MixtureModel.extended(NAMES[:2], np.zeros((3, 2)), [1.0, 1.0], norms)


def test_extended_needs_totals():
    table, counts = read_densities(np.zeros((3, 2)), NAMES[:2])
    with pytest.raises(InputError, match="totals"):
        MixtureModel(Norms.of(NAMES[:2], {"background": LogNormal(1.0, 1.0), "diffuse": 1.0}), table, counts)


@pytest.mark.parametrize("engine", [("svi", {"guide": "mvn", "restarts": 1}), ("hmc", {"chains": 16, "warmup": 100})])
@pytest.mark.parametrize("kind", ["tree", "moving extended"])
def test_every_engine_works_on_it(kind, engine, seed):
    model = KINDS[kind]()
    reference = sequence.run(model, [("laplace", {"importance": 4000})], Stream(seed))[-1]
    found = sequence.run(model, [("map", {"starts": 8, "steps": 0}), engine], Stream(seed))[-1]
    means = []
    for result in (reference, found):
        draws = result.draws.reshape(-1, model.parameters.size)
        weights = torch.full((len(draws),), 1.0 / len(draws), dtype=torch.float64)
        if result.log_weights is not None:
            weights = torch.softmax(result.log_weights.reshape(-1), 0)
        fractions = model.component_fractions(model.parameters.values(draws))
        mean = weights @ fractions
        means.append((mean, (weights @ (fractions - mean) ** 2).sqrt()))
    (mean, sd), (other, _) = means
    assert float(((mean - other) / sd).abs().max()) < 0.3


def test_simulated_fractions_follow_their_marginals():
    """Binomials one after the other are multinomial: each count is binomial, whatever its place."""
    model = make_mixture(FRACTIONS, 50)
    f = torch.tensor(FRACTIONS, dtype=torch.float64).expand(4000, -1)
    drawn = model.simulate({"fractions": f}, torch.Generator().manual_seed(5)).numpy()
    for column, share in zip(drawn.T, FRACTIONS, strict=True):
        seen = np.bincount(column.astype(int), minlength=51)
        wanted = 4000 * stats.binom.pmf(np.arange(51), 50, share)
        rare = wanted < 10
        pairs = np.append(seen[~rare], seen[rare].sum()), np.append(wanted[~rare], wanted[rare].sum())
        assert stats.chisquare(*pairs).pvalue > 1e-5


@pytest.mark.parametrize(
    ("tree", "concentration", "is_known"),
    [
        (None, None, True),
        (None, 0.5, True),
        ({"a": None, "rest": ["b", "c"]}, None, True),
        ({"a": None, "rest": ["b", "c"]}, 0.5, False),
    ],
)
def test_one_mode_is_promised_where_it_is_certain(tree, concentration, is_known, seed):
    """Where it is promised, the density in log-ratios falls along straight lines of fractions away from the optimum."""
    logs = np.random.default_rng(seed).normal(0, 2, (40, 3))
    model = MixtureModel.of(["a", "b", "c"], logs, tree=tree, concentration=concentration)
    assert model.has_one_mode is is_known
    assert not MixtureModel.extended(
        ["a", "b"], logs[:, :2], [1.0, 1.0], dict.fromkeys("ab", LogNormal(20, 1))
    ).has_one_mode
    if is_known:
        z = torch.randn(2, model.parameters.size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        ends = {name: value for name, value in model.parameters.values(z).items()}
        leaves = model.shares.shares(ends)
        share = torch.linspace(0, 1, 101, dtype=torch.float64)[:, None]
        line = leaves[0] * (1 - share) + leaves[1] * share
        split = [model.shares.split(one, None) for one in line]
        z = model.parameters.unconstrain({name: torch.stack([one[name] for one in split]) for name in split[0]})
        values = model.parameters.values(z)
        density = model.log_likelihood(values) + model.parameters.log_density(z)
        assert float(torch.diff(density, n=2).max()) < 1e-9

"""With a likelihood that knows nothing every engine returns the prior of every support, and an evidence of one."""

import pytest
import torch
from scipy import stats

from skysift.inference import sequence
from skysift.inference.engine import Stream
from skysift.inference.result import resample
from skysift.parameters import Parameter, Parameters
from skysift.parameters.priors import Dirichlet, LogNormal, LogUniform, Normal, StandardNormal, Uniform

pytestmark = pytest.mark.statistics

PRIORS = {
    "normal": Normal(3.0, 2.0),
    "lognormal": LogNormal(2.0, 0.5),
    "uniform": Uniform(-1.0, 3.0),
    "loguniform": LogUniform(0.01, 1.0),
    "truncated": Normal(0.5, 0.5, low=0.0),
    "shares": Dirichlet((1.0, 1.0, 1.0)),
    "field": StandardNormal(),
}
#: the grid needs elementwise supports, guides that see a field need one
WITHOUT = {"grid": ("shares", "field"), "svi-conditional_iaf": ("shares",)}
MAP = ("map", {"starts": 32, "steps": 60})
BRIEF = {"restarts": 1, "evaluate": 10_000}
ENGINES = {
    "laplace": [MAP, ("laplace", {"importance": 5000})],
    "svi-mvn": [MAP, ("svi", {"guide": "mvn", **BRIEF})],
    "svi-iaf": [MAP, ("svi", {"guide": "iaf", "steps": 100, **BRIEF})],
    "svi-conditional_iaf": [MAP, ("svi", {"guide": "conditional_iaf", "steps": 60, **BRIEF})],
    "svi-flow": [MAP, ("svi", {"guide": "flow", "steps": 100, "particles": 64, **BRIEF})],
    "hmc": [MAP, ("hmc", {"warmup": 100, "max_draws": 100})],
    "nuts": [MAP, ("nuts", {"chains": 2, "warmup": 100, "draws": 1200})],
    "dynesty": [("nested", {})],
    "nautilus": [("nested", {"library": "nautilus"})],
    "grid": [MAP, ("grid", {"parameter": "uniform"})],
}
FALSE_FAILURES = 1e-5 / 10.0
DRAWS = 800


class Ignorant:
    """A likelihood of one, whatever the values."""

    def __init__(self, names):
        self.parameters = Parameters(
            [Parameter(name, PRIORS[name], *(((3,), "", "", "field") if name == "field" else ())) for name in names]
        )

    def expected(self, values):
        return self.parameters.pack(values)

    def context(self, values):
        return values["field"][:, :2]

    def log_likelihood(self, values):
        # connected to the values, so that there is a gradient of zero
        return 0.0 * self.parameters.pack(values).sum(-1)

    def simulate(self, values, generator):
        return self.expected(values)


def run(engine, seed):
    """Return the model, the result, and draws that weigh the same and do not depend on each other."""
    model = Ignorant([name for name in PRIORS if name not in WITHOUT.get(engine, ("field",))])
    result = sequence.run(model, ENGINES[engine], Stream(seed, ("prior",)))[-1]
    size = DRAWS
    if result.log_weights is not None:
        size = 1.0 / float((torch.softmax(result.log_weights.reshape(-1), 0) ** 2).sum()) / 3.0
    elif "ess_bulk" in result.traces:
        size = float(result.traces["ess_bulk"].min()) / 3.0
    draws, _ = resample(result, min(DRAWS, int(size)), torch.Generator().manual_seed(seed))
    return model, result, model.parameters.pack(model.parameters.values(draws))


@pytest.mark.parametrize(
    "engine", [pytest.param(name, marks=pytest.mark.slow) if name == "nuts" else name for name in ENGINES]
)
def test_constant_likelihood_returns_the_prior(engine, seed):
    model, result, found = run(engine, seed)
    prior = model.parameters.pack(model.parameters.draw(40_000, torch.Generator().manual_seed(seed + 1)))
    assert len(found) > 200
    for k in range(model.parameters.packed_size):
        assert stats.ks_2samp(found[:, k], prior[:, k]).pvalue > FALSE_FAILURES, k
        # the control: half a standard deviation away, or half as wide, is seen
        centre, sd = prior[:, k].mean(), prior[:, k].std()
        assert stats.ks_2samp(found[:, k] + 0.5 * sd, prior[:, k]).pvalue < FALSE_FAILURES
        assert stats.ks_2samp(centre + 0.5 * (found[:, k] - centre), prior[:, k]).pvalue < 0.01
    if result.log_z is not None:
        bound = "bound" in result.log_z_method
        assert result.log_z < 5.0 * (result.log_z_error or 0.0) + 1e-4
        assert bound or result.log_z > -5.0 * (result.log_z_error or 0.0) - 1e-4

"""What the core adds to a model, and what chains in one batch are worth beside chains one by one."""

import math
from collections.abc import Callable, Iterator
from functools import partial

import torch
from problems import STREAM
from timing import Clock, Number
from torch import Tensor

from skysift.inference import convergence, hmc, nuts, sequence
from skysift.inference.engine import Result, Start
from skysift.inference.target import Target
from skysift.models.mixture import MixtureModel
from skysift.parameters import Parameter, Parameters
from skysift.parameters.priors import Normal

__all__ = ["core", "fractions", "samplers"]

SIZE, CONDITION = 10, 1e6
BATCH, CALLS = 32, 100
EVENTS, COMPONENTS = 4000, 3


class Stretched:
    """A posterior of ten numbers, Gaussian, whose covariance has the condition number 1e6 and directions of its own."""

    def __init__(self) -> None:
        generator = STREAM.generator("directions")
        directions, _ = torch.linalg.qr(torch.randn(SIZE, SIZE, generator=generator, dtype=torch.float64))
        spread = torch.logspace(-0.5 * math.log10(CONDITION), 0.0, SIZE, dtype=torch.float64)
        # the prior is a part of the posterior's precision
        self.root = directions * (spread**-2 - 1.0).sqrt()
        self.parameters = Parameters([Parameter("x", Normal(0.0, 1.0), (SIZE,))])
        precision = self.root @ self.root.T + torch.eye(SIZE, dtype=torch.float64)
        self.factor = torch.linalg.cholesky(torch.linalg.inv(precision))

    def expected(self, values: dict[str, Tensor]) -> Tensor:
        """Return the numbers themselves."""
        return values["x"]

    def log_likelihood(self, values: dict[str, Tensor]) -> Tensor:
        """Return the log density of the Gaussian, (batch,)."""
        return -0.5 * (values["x"] @ self.root).square().sum(-1)

    def simulate(self, values: dict[str, Tensor], generator: torch.Generator) -> Tensor:
        """Return the numbers themselves."""
        return values["x"]


def samplers(clock: Clock, sizes: tuple[int, ...]) -> Iterator[Number]:
    """Sample a Gaussian of condition number 1e6 by chains in one batch and by Pyro's NUTS with a full mass matrix."""
    model, whole = Stretched(), sizes[1] >= 128
    start = Start(mode=torch.zeros(SIZE, dtype=torch.float64), covariance_factor=model.factor)
    warmup, draws = (100, 200) if whole else (20, 20)
    prices = {}
    for chains in (1, 32, 256):
        settings = hmc.Settings(chains=chains, warmup=warmup, draws=draws, max_draws=draws)
        prices[f"hmc {chains} chains"] = _price(clock, partial(hmc.run, model, settings, start, STREAM))
    brief = nuts.Settings(2, 50, 200 if whole else 10)
    prices["nuts whitened"] = _price(clock, partial(nuts.run, model, brief, start, STREAM))
    prices["nuts full mass"] = _price(clock, partial(_walk_plainly, model, *((500, 500) if whole else (10, 10))))
    for name, price in prices.items():
        yield Number(f"samplers {name} thousand draws cost", price)
    yield Number("samplers hmc over nuts ratio", prices["hmc 256 chains"] / prices["nuts full mass"])


def _price(clock: Clock, sample: Callable[[], Result]) -> float:
    """Return what a thousand effective draws of the worst number cost, warm-up included."""
    found: list[Result] = []
    cost = clock.cost(lambda: found.append(sample()), once=True)
    return 1000.0 * cost / float(convergence.bulk_ess(found[0].draws.cpu().numpy()).min())


def _walk_plainly(model: Stretched, warmup: int, draws: int) -> Result:
    """Return one chain of Pyro's NUTS in the numbers themselves, its full mass matrix learned."""
    from pyro.infer import MCMC, NUTS

    def fall(parameters: dict[str, Tensor]) -> Tensor:
        x = parameters["x"]
        return -model.log_likelihood({"x": x[None]})[0] + 0.5 * x.square().sum()

    kernel = NUTS(potential_fn=fall, full_mass=True)
    chain = MCMC(
        kernel,
        num_samples=draws,
        warmup_steps=warmup,
        initial_params={"x": torch.zeros(SIZE, dtype=torch.float64)},
        disable_progbar=True,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(STREAM.number("nuts") % 2**31)
        chain.run()
    return Result("plain nuts", chain.get_samples(group_by_chain=True)["x"])


def core(clock: Clock, sizes: tuple[int, ...]) -> Iterator[Number]:
    """Time a batch of gradients through the target and from the bare model: the difference is what the core costs."""
    model = Stretched()
    target, z = Target(model), 0.1 * torch.randn(BATCH, SIZE, generator=STREAM.generator("z"), dtype=torch.float64)

    def bare() -> None:
        for _ in range(CALLS):
            x = z.clone().requires_grad_()
            torch.autograd.grad(model.log_likelihood({"x": x}).sum(), x)

    def whole() -> None:
        for _ in range(CALLS):
            target.log_density_and_gradient(z)

    gradient, plain = (cost / CALLS for cost in clock.costs([whole, bare]))
    yield Number("core gradient cost", gradient)
    yield Number("core overhead cost", gradient - plain)


def fractions(clock: Clock, sizes: tuple[int, ...]) -> Iterator[Number]:
    """Fit the fractions of 4000 events from three sources by importance and by nested sampling."""
    generator = STREAM.numpy("events")
    centres = torch.arange(COMPONENTS, dtype=torch.float64) * 1.5
    events = EVENTS if sizes[1] >= 128 else EVENTS // 20
    x = torch.as_tensor(generator.normal(generator.choice(centres.numpy(), size=events, p=(0.5, 0.2, 0.3))))
    logs = -0.5 * (x[:, None] - centres) ** 2 - 0.5 * math.log(2.0 * math.pi)
    model = MixtureModel.of(("first", "second", "third"), logs.numpy())
    for name in ("laplace", "nested"):
        plan, found = [(name, {})], []
        sequence.run(model, plan, STREAM)
        cost = clock.cost(lambda plan=plan, found=found: found.extend(sequence.run(model, plan, STREAM)), once=True)
        yield Number(f"fractions {name} cost", cost)
        yield Number(f"fractions {name} calls count", found[-1].cost["calls"])

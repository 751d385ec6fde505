"""The event analyses that are timed: the quick start of CTAO, finer axes, more events, a source that moves."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property, reduce
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from skysift.config import load, load_slice, yaml_text
from skysift.instruments.ctao.event_list import EventList, read_events, write_events
from skysift.instruments.ctao.event_observation import EventObservation, read_event_observation
from skysift.instruments.ctao.response import Response
from skysift.instruments.ctao.simulation import Numbers, simulate_events
from skysift.models.events.marginals import Marginals
from skysift.models.mixture import MixtureModel
from skysift.steps.events import fit, gather, marginalise, prepare, response, simulate
from skysift.steps.events.marginalise import marginalise_events
from skysift.steps.events.sources import open_responses, read_responses
from skysift.storage import registry
from skysift.storage.hdf5 import collect
from skysift.storage.text import write_text
from skysift.streams import numpy_stream

__all__ = ["FINE", "MOVING", "EventRun", "open_run", "quick_start"]

QUICK_START = Path(__file__).resolve().parent.parent / "config" / "ctao_quickstart.yaml"
DATA = "simulated-000"
#: 31 energies and pixels of 0.1 deg.
STEP = {"range": ["-3.2 deg", "3.2 deg"], "step": "0.1 deg"}
FINE = {"observation": {"reconstructed": {"energy": {"points": 31}, "lon": STEP, "lat": STEP}}}
#: A halo of which four numbers are free: too many for nodes, so that it is folded anew at each value.
HALO = {"kind": "gnfw", "gamma": {"uniform": [0.5, 1.45]}, "alpha": {"uniform": [0.5, 2]}, "beta": {"uniform": [2, 4]}}
SPECTRUM = {"kind": "annihilation", "channel": "bergstrom", "mass": {"loguniform": ["0.5 TeV", "50 TeV"]}}
MOVING = {"model": {"components": {"dark_matter": {"sky": "dark_matter", "spectrum": SPECTRUM, "profile": HALO}}}}
#: What stands for the files of the data set where it is not installed.
ANALYTIC = {
    "observation": {"irf": "analytic"},
    "model": {"components": {"diffuse": {"sky": "synthetic_diffuse"}, "catalogue": {"sky": "synthetic_catalogue"}}},
}


def is_installed() -> bool:
    """Tell whether the data set of CTAO is there."""
    return all(registry.find(entry) is not None for entry in registry.entries("ctao"))


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested mappings laid over others."""
    both = {key: merge(below[key], above[key]) for key in below.keys() & above.keys() if isinstance(above[key], dict)}
    return {**below, **above, **both}


@dataclass(frozen=True, eq=False)
class EventRun:
    """A run in a folder, its steps one by one, and what they leave behind.

    ``folder``: where files lie; ``sky``: ``prod5`` or ``analytic``.
    """

    folder: Path
    sky: str

    def slice(self, name: str) -> Path:
        """Return the slice of a step."""
        return self.folder / "config" / f"{name}.yaml"

    @property
    def files(self) -> dict[str, Path]:
        """Where steps write."""
        return {name: self.folder / f"{name}.h5" for name in ("observation", "response", "data", "part", "marginals")}

    def prepare(self) -> None:
        """Observe, and make the response."""
        prepare.run(self.slice("observation"), self.files["observation"])
        response.run(self.slice("observation"), self.files["observation"], 0, self.files["response"])

    def simulate(self) -> None:
        """Draw the events of the configuration."""
        simulate.run(self.slice("simulate-simulated"), self.files["observation"], DATA, self.files["data"])

    def marginalise(self, chunk: str = "0/1") -> None:
        """Marginalise a chunk, whatever was there before."""
        files = self.files
        files["part"].unlink(missing_ok=True)
        marginalise.run(
            self.slice("marginalise"), files["observation"], [files["response"]], files["data"], chunk, files["part"]
        )

    def gather(self) -> None:
        """Join the only chunk."""
        gather.run(self.slice("marginalise"), [self.files["part"]], self.files["marginals"])

    def fit(self, name: str) -> None:
        """Gather the only chunk, and fit."""
        self.gather()
        out = self.folder / f"{name}.nc"
        fit.run(self.slice(f"fit-{name}"), self.files["observation"], self.files["marginals"], out)

    def all_steps(self) -> None:
        """Do everything."""
        self.prepare()
        self.simulate()
        self.marginalise()
        self.fit("quick")
        self.fit("reference")

    @cached_property
    def observation(self) -> EventObservation:
        """What `prepare` wrote."""
        return read_event_observation(self.files["observation"])

    @cached_property
    def response(self) -> Response:
        """What `response` wrote."""
        irfs = open_responses(self.observation, self.folder)
        (found,) = read_responses([self.files["response"]], irfs, self.observation)
        assert isinstance(found, Response)
        return found

    def draw(self, count: int) -> EventList:
        """Return events with the shares of the quick start."""
        shares = {"background": 1 / 2, "diffuse": 1 / 6, "catalogue": 1 / 3}
        lights: dict[str, Any] = {name: self.observation.lights.get(name) for name in shares}
        numbers = Numbers({name: round(share * count) for name, share in shares.items()})
        rates = [self.response.background_counts()]
        irfs = [self.response.irf]
        return simulate_events(DATA, self.observation, irfs, lights, rates, numbers, lambda *n: numpy_stream(1, *n), {})

    def take(self, count: int) -> None:
        """Let these events be the data."""
        write_events(self.files["data"], self.draw(count), collect("benchmark", 1, b"", []), {})

    def densities(self, binned: bool = False) -> Marginals:
        """Return the marginals of the data, nothing known but what files hold."""
        settings = load_slice(self.slice("marginalise"), "events/marginalise").model_copy(update={"binned": binned})
        events = read_events(self.files["data"])
        irfs = open_responses(self.observation, self.folder)
        responses = read_responses([self.files["response"]], irfs, self.observation)
        return marginalise_events(settings, self.observation, self.files["data"], events, responses)

    def model(self, name: str) -> MixtureModel:
        """Return the model of a fit."""
        settings = load_slice(self.slice(f"fit-{name}"), "events/fit")
        found, _, _ = fit.load_model(
            settings, self.slice(f"fit-{name}"), self.files["observation"], self.files["marginals"], "cpu"
        )
        return found


@contextmanager
def open_run(*changes: Mapping[str, Any]) -> Iterator[EventRun]:
    """Give a run of the quick start with changes, in a folder that is removed; nothing is done yet."""
    sky = "prod5" if is_installed() else "analytic"
    laid_over = reduce(merge, changes, {} if sky == "prod5" else ANALYTIC)
    analysis = load([QUICK_START], laid_over)
    with TemporaryDirectory() as folder:
        run = EventRun(Path(folder), sky)
        for name, part in analysis.slices().items():
            write_text(run.slice(name), yaml_text(part))
        yield run


_KEPT: list[Any] = []


@cache
def quick_start() -> EventRun:
    """Return the quick start, prepared once for all cases of this process."""
    opened = open_run()
    _KEPT.append(opened)
    run = opened.__enter__()
    run.prepare()
    return run

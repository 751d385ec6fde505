"""A small run on events, made step by step in a folder: the shipped smoke configuration, smaller."""

from types import SimpleNamespace

from skysift.config import load, yaml_text
from skysift.instruments.ctao.event_observation import read_event_observation
from skysift.steps.events import gather, marginalise, prepare, response, simulate
from skysift.storage.text import write_text

__all__ = ["SmallEventRun"]

AXIS = {"range": ["-0.8 deg", "0.8 deg"], "step": "0.4 deg"}
SMALL = {
    "observation": {
        "reconstructed": {"energy": {"range": ["0.5 TeV", "20 TeV"], "points": 5}, "lon": AXIS, "lat": AXIS},
        "true": {"refine": 2},
    }
}


class SmallEventRun:
    """Configuration, observation, response and data in a folder; marginals on request."""

    def __init__(self, folder, repository, **keys):
        self.make(folder, load([repository / "config/smoke/events.yaml"], SMALL | keys))

    def make(self, folder, analysis):
        """Write the configuration, and what the first steps make of it."""
        self.analysis, self.folder = analysis, folder
        write_text(folder / "config.yaml", yaml_text(self.analysis))
        for name, part in self.analysis.slices().items():
            write_text(folder / "config" / f"{name}.yaml", yaml_text(part))
        self.observation = folder / "observation.h5"
        prepare.run(self.slice("observation"), self.observation)
        self.responses = []
        for number in range(len(read_event_observation(self.observation).pointings)):
            self.responses.append(folder / f"response-{number}.h5")
            response.run(self.slice("observation"), self.observation, number, self.responses[-1])

    def slice(self, name):
        return self.folder / "config" / f"{name}.yaml"

    def simulate(self, data="simulated-000"):
        """Draw one data set, once."""
        path = self.folder / "data" / f"{data}.h5"
        if not path.exists():
            simulate.run(self.slice(f"simulate-{data.rpartition('-')[0]}"), self.observation, data, path)
        return path

    def marginalise(self, data="simulated-000", chunk="0/1"):
        """Marginalise one chunk, once."""
        path = self.folder / "marginals" / data / f"{chunk.replace('/', '-of-')}.h5"
        if not path.exists():
            drawn = self.simulate(data) if data != "observed" else self.folder / "data" / "observed.h5"
            marginalise.run(self.slice("marginalise"), self.observation, self.responses, drawn, chunk, path)
        return path

    def gather(self, data="simulated-000", chunks=1):
        """Marginalise all chunks of a data set and join them."""
        path = self.folder / "marginals" / f"{data}.h5"
        if not path.exists():
            parts = [self.marginalise(data, f"{number}/{chunks}") for number in range(chunks)]
            gather.run(self.slice("marginalise"), parts, path)
        return path

    def arguments(self, fit, data="simulated-000"):
        """What `fit` reads."""
        return SimpleNamespace(config=self.slice(f"fit-{fit}"), observation=self.observation, data=self.gather(data))

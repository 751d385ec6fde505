"""A small run on the synthetic sky, made step by step in a folder."""

from types import SimpleNamespace

from skysift.config import resolve, yaml_text
from skysift.steps import fit, prepare, simulate
from skysift.storage.posterior import read_posterior
from skysift.storage.text import write_text

__all__ = ["COMPONENTS", "SMALL", "SmallRun"]

COMPONENTS = {
    "diffuse": {"template": "diffuse", "norm": {"lognormal": [12, 0.5]}},
    "isotropic": {"template": "isotropic", "norm": {"lognormal": [0.1, 1.0]}},
    "gce": {"template": "nfw_squared", "norm": {"uniform": [0, 3]}},
}
GLOW = {"lengthscale": "0.3 rad", "variance": 0.01}
SMALL = {"starts": 2, "steps": 10}


def modulated(**keys):
    return {"components": {"diffuse": {**COMPONENTS["diffuse"], "modulate": {**GLOW, **keys}}}}


class SmallRun:
    """Configuration, observation and data in a folder; fits on request."""

    def __init__(self, folder, *, fits, truth=None, nside=16, sets=None, seed=1, **keys):
        simulated = {"sets": sets} if sets else {"replicates": 1, "truth": truth}
        data = {
            "run": "small",
            "seed": seed,
            "observation": {"data": "synthetic", "nside": nside, "region": {"radius": "25 deg", "mask_plane": "2 deg"}},
            "simulate": simulated,
            "model": {"components": COMPONENTS},
            "fits": fits,
        }
        self.analysis = resolve(data | keys)
        self.folder = folder
        write_text(folder / "config.yaml", yaml_text(self.analysis))
        for name, part in self.analysis.slices().items():
            write_text(folder / "config" / f"{name}.yaml", yaml_text(part))
        self.observation = folder / "observation.h5"
        prepare.run(config=self.slice("observation"), out=self.observation)

    def slice(self, name):
        return self.folder / "config" / f"{name}.yaml"

    def data(self, name="simulated-000"):
        """Counts of a data set, drawn the first time."""
        out = self.folder / "data" / f"{name}.h5"
        if not out.exists():
            config = self.slice(f"simulate-{name.rsplit('-', 1)[0]}")
            simulate.run(config=config, observation=self.observation, data=name, out=out)
        return out

    def fit(self, name, data="simulated-000", out=None):
        """Path of a posterior, fitted the first time."""
        out = out or self.folder / "fits" / name / f"{data}.nc"
        if not out.exists():
            fit.run(config=self.slice(f"fit-{name}"), observation=self.observation, data=self.data(data), out=out)
        return out

    def posterior(self, name, data="simulated-000"):
        return read_posterior(self.fit(name, data))

    def files(self, name, data="simulated-000"):
        """What the steps after a fit read."""
        config = self.slice(f"fit-{name}")
        return SimpleNamespace(config=config, observation=self.observation, data=self.data(data))

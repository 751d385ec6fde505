"""Small checkpoints, one number after the other."""

import numpy as np

from skysift.storage.checkpoints import Identity, write_checkpoint

__all__ = ["NOW", "content", "keep", "names"]

NOW = Identity({"data.h5": "d" * 64, "observation.h5": "0" * 64}, "c" * 64, "f" * 16, {"torch": "2.13", "numpy": "2.4"})


def content(number, size=1000):
    """What generation ``number`` holds."""
    draws = np.random.default_rng(number).normal(size=size)
    random = np.arange(5056, dtype=np.uint8)
    tree = {"state": {"step": number, "z": {"#": 0}, "generator": {"#": 1}, "gain": float("inf")}, "done": False}
    return {"0-map": ({"state": 1, "done": True}, []), "1-hmc": (tree, [draws, random])}


def keep(folder, number, size=1000, identity=NOW):
    write_checkpoint(folder, identity, content(number, size), ("1-hmc", number), {"cpu_s": 1.5})


def names(place):
    """Files of a folder."""
    return sorted(path.name for path in place.iterdir())

"""Peak memory, each case in a process of its own: the published problem, and the whole sky in pieces."""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from problems import STREAM, whole_sky
from timing import Clock, Number, forget_peak, resident_gb

__all__ = ["sky"]


def sky(clock: Clock, sizes: tuple[int, ...]) -> Iterator[Number]:
    """Build the whole sky's model and take one value with its gradient."""
    for points in (8, 16) if sizes[1] >= 128 else (4,):
        command = [sys.executable, str(Path(__file__)), str(sizes[1]), str(points)]
        # this interpreter on a file of ours: memory has to be measured in a process of its own
        found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)  # noqa: S603
        for name, value in found.items():
            yield Number(f"whole sky nside {sizes[1]} inducing {found['inducing count']:g} {name}", value)


def _measure(nside: int, points: int) -> dict[str, float]:
    seen = whole_sky(nside, points)
    before = resident_gb("VmRSS")
    forget_peak()
    models = []
    clock = Clock(0.5)
    built = clock.cost(lambda: models.append(seen.build()), once=True)
    values = models[0].parameters.unpack(models[0].parameters.pack(models[0].starting_points(1, STREAM.generator("z"))))
    once = clock.cost(lambda: models[0].log_likelihood_and_gradient(values), once=True)
    return {
        "inducing count": models[0].parameters.size - len(models[0].parameters) + 1,
        "build cost": built,
        "gradient cost": once,
        "peak_gb": resident_gb("VmHWM") - before,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("nside", type=int)
    parser.add_argument("points", type=int)
    torch.set_num_threads(1)
    print(json.dumps(_measure(**vars(parser.parse_args()))))

"""One engine in processes that are killed with SIGKILL, again and again, by a parent that never computes."""

import json
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import torch
from tests.inference.test_checkpoints import CASES

from skysift.inference import Stream, sequence
from skysift.inference.checkpoint import encode
from skysift.inference.result import pack_result
from skysift.steps.checkpoints import Keeping
from skysift.storage.checkpoints import Identity, read_checkpoint, remove_checkpoint, write_checkpoint

__all__ = ["kill_often"]

IDENTITY = Identity({"data": "1"}, "2", "3", {})
#: half of the time is spent on writing
EVERY_S, SHARE = 0.0, 0.5


def run(case, seed, folder, out):
    """Run one case, going on from what is in ``folder``, and write what it finds."""
    make, steps = CASES[case]
    keeping = Keeping(folder, IDENTITY, EVERY_S, SHARE)
    keeping.recover()
    results = sequence.run(make(), steps, Stream(seed), keeping.checkpoint)
    packed = [pack_result(result) | {"cost": None} for result in results]
    write_checkpoint(out, IDENTITY, {"results": encode(packed)}, ("", None), {})


def fork(*arguments):
    """Run in a child; return its number."""
    child = os.fork()
    if child:
        return child
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
    try:
        run(*arguments)
    finally:
        os._exit(0)


def read(out):
    """Return what a run has found, as text and arrays."""
    [(tree, arrays)] = read_checkpoint(out, IDENTITY).content.values()
    return json.dumps(tree), arrays


def is_same(first, second):
    """Compare two runs to the last bit."""
    return first[0] == second[0] and all(
        one.tobytes() == other.tobytes() for one, other in zip(first[1], second[1], strict=True)
    )


def kill_often(case, seed, folder, kills):
    """Return how often processes were killed, how many runs came to their end, and whether all found the same."""
    torch.set_num_threads(1)
    for engine, _ in CASES[case][1]:
        sequence.load_engine(engine)
    random = np.random.default_rng(seed)
    begin = time.monotonic()
    os.waitpid(fork(case, seed, folder / "whole", folder / "expected"), 0)
    whole_s = time.monotonic() - begin
    expected = read(folder / "expected")
    count = ended = 0
    same = True
    while count < kills or not ended:
        child = fork(case, seed, folder / "notes", folder / "found")
        # who wants to be killed often must not live long
        time.sleep(float(random.uniform(0.0, 0.3)) * whole_s if count < kills else 1e-3)
        if count < kills and os.waitpid(child, os.WNOHANG) == (0, 0):
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            count += 1
        elif count >= kills:
            os.waitpid(child, 0)
        if (folder / "found" / "state.h5").exists():
            ended += 1
            same = same and is_same(expected, read(folder / "found"))
            remove_checkpoint(folder / "found")
            remove_checkpoint(folder / "notes")
    return {"kills": count, "ended": ended, "same": same, "whole_s": whole_s}


if __name__ == "__main__":
    print(json.dumps(kill_often(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))))

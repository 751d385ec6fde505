"""Where a step computes, and with how many threads."""

from __future__ import annotations

from pathlib import Path

from skysift.errors import InputError

__all__ = ["choose_device", "set_threads"]


def set_threads(threads: int) -> None:
    """Let torch use so many threads, and no more."""
    import torch

    torch.set_num_threads(threads)


def choose_device(wanted: str, place: Path) -> str:
    """Return ``cpu`` or ``cuda``; a GPU that is asked for and absent is an error."""
    if wanted == "cpu":
        return "cpu"
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if wanted == "cuda":
        raise InputError(
            place,
            "device",
            "cuda, and no CUDA device is visible",
            "a GPU that torch can use",
            "set device: auto or cpu, or run with --profile profiles/gpu where the partition has GPUs",
        )
    return "cpu"

"""Stored lines of numbers, one per run, and what is worse than they allow."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["LIMITS", "append", "compare", "exceed", "last"]

SLOWER = 1.2
STEEPER = 0.1
LEAST_GB = 0.1
# a second of a core that takes 2.5 ms for the reference kernel
SECOND = 400.0
# what holds whether there is a stored line or not: name begins and ends with these, and stays below
LIMITS = (
    ("gradient pixels", "exponent", 1.1),
    ("gradient pixels", "ratio", 4.5),
    ("hmc leapfrog pixels", "exponent", 1.1),
    ("newton pixels", "exponent", 1.1),
    ("svi", "exponent", 1.1),
    ("sources two breaks", "cost", 0.02 * SECOND),
    ("sources two of one break", "cost", 0.06 * SECOND),
    ("whole sky", "peak_gb", 2.0),
    ("core overhead", "cost", 2e-4 * SECOND),
    ("samplers hmc over nuts", "ratio", 0.01),
    ("fractions laplace", "cost", 0.1 * SECOND),
    ("fractions nested", "cost", 5.0 * SECOND),
    ("events prod5 build and fold", "cost", 0.5 * SECOND),
    ("events prod5 draw 1e+06", "cost", 5.0 * SECOND),
    ("events prod5 draw quick start", "cost", 0.2 * SECOND),
    ("events prod5 unbinned hundred thousand more", "cost", SECOND),
    ("events prod5 binned and fitted", "ratio", 2.0),
    ("events prod5 laplace", "cost", 0.1 * SECOND),
    ("events prod5 nested", "cost", 5.0 * SECOND),
    ("events prod5 refold", "cost", 0.02 * SECOND),
    ("events prod5 coarse end to end", "cost", 10.0 * SECOND),
    ("events prod5 fine end to end", "cost", 30.0 * SECOND),
    ("events prod5 fine resident", "peak_gb", 1.0),
    ("events prod5 chunks grown", "peak_gb", 0.02),
)
Numbers = Mapping[str, float]


def append(path: Path, line: Mapping[str, Any]) -> None:
    """Append one line."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line, sort_keys=True) + "\n")


def last(path: Path, sky: str, size: str) -> dict[str, Any] | None:
    """Return the last line that was measured on the same sky and at the same size, or None."""
    if not path.exists():
        return None
    lines = [json.loads(text) for text in path.read_text(encoding="utf-8").splitlines() if text.strip()]
    fitting = [line for line in lines if line["sky"] == sky and line["size"] == size]
    return fitting[-1] if fitting else None


def exceed(numbers: Numbers) -> list[str]:
    """Return the numbers above their own limits."""
    return [
        f"{name}: {value:.3g} is above {limit:g}"
        for name, value in numbers.items()
        for begin, end, limit in LIMITS
        if name.startswith(begin) and name.endswith(end) and not value <= limit
    ]


def compare(numbers: Numbers, stored: Numbers) -> list[str]:
    """Return the numbers that are worse than stored ones."""
    return [
        f"{name}: {value:.4g}, stored {stored[name]:.4g}"
        for name, value in numbers.items()
        if name in stored and _is_worse(name, value, stored[name])
    ]


def _is_worse(name: str, value: float, stored: float) -> bool:
    if math.isnan(value) or math.isnan(stored):
        return False
    if name.endswith("exponent"):
        return value > stored + STEEPER
    if name.endswith("peak_gb"):
        return value > max(SLOWER * stored, stored + LEAST_GB)
    return value > SLOWER * stored

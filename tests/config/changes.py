"""Configurations with some values changed."""

import copy

__all__ = ["MISSING", "change"]

MISSING = object()


def change(base, /, **changes):
    """The base with values set by dotted path (``__`` for a dot); `MISSING` takes one away."""
    data = copy.deepcopy(base)
    for path, value in changes.items():
        *above, last = path.split("__")
        place = data
        for part in above:
            place = place.setdefault(part, {})
        if value is MISSING:
            del place[last]
        else:
            place[last] = value
    return data

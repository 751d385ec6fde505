"""``skysift gather``: the chunks of one data set as one file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from skysift.config import load_slice
from skysift.models.events.marginals import gather_marginals, read_marginals, write_marginals
from skysift.storage.hdf5 import check_writable, collect

__all__ = ["run"]


def run(config: Path, marginals: Sequence[Path], out: Path) -> None:
    """Write the marginals of a whole data set.

    Parameters
    ----------
    config : slice ``marginalise`` of the configuration
    marginals : files of format ``marginals``, one per chunk, in any order
    out : file of format ``marginals``

    Raises
    ------
    InputError : a chunk that is missing, or chunks that do not belong together
    """
    check_writable(out)
    settings = load_slice(config, "events/marginalise")
    whole = gather_marginals([read_marginals(path) for path in marginals], list(marginals))
    write_marginals(out, whole, collect(settings.run, settings.seed, config.read_bytes(), list(marginals)))

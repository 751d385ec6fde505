"""Importance nested sampling by nautilus, which proposes whole batches from neural bounds."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from skysift.errors import InputError
from skysift.inference.nested.found import Found
from skysift.inference.progress import follow

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from skysift.inference.engine import Stream
    from skysift.inference.nested.cube import Cube
    from skysift.inference.nested.settings import Settings

__all__ = ["run_nautilus"]

LIVE = 2000
EFFECTIVE = 10_000
FEW = 3
UNDISCARDED = 6.0


def run_nautilus(cube: Cube, settings: Settings, stream: Stream) -> Found:
    """Run nautilus, ``settings.runs`` times, and pool what it finds.

    Raises
    ------
    InputError : fewer than two dimensions, which nautilus does not take
    """
    if cube.size < 2:
        raise InputError("sequence", "nested.library", "nautilus with one number", "two or more", "take dynesty")
    found = [_run_once(cube, settings, stream.child(str(k))) for k in range(settings.runs)]
    single = [one.log_z for one in found]
    # every run weighs by its evidence: all estimate the same
    weights = np.concatenate([one.log_weights + one.log_z for one in found])
    log_z = float(np.logaddexp.reduce(single) - math.log(len(single)))
    live = settings.live or LIVE
    return Found(
        np.concatenate([one.u for one in found]),
        weights,
        np.concatenate([one.log_likelihood for one in found]),
        log_z,
        found[0].log_z_error / math.sqrt(len(found)),
        f"nautilus, {live} live points" + (f", {settings.runs} runs" if settings.runs > 1 else ""),
        iterations=sum(one.iterations for one in found),
        single=single,
    )


def _run_once(cube: Cube, settings: Settings, stream: Stream) -> Found:
    import nautilus

    effective = settings.effective or EFFECTIVE
    with follow("nested", effective) as update:

        def evaluate(u: NDArray[np.float64]) -> NDArray[np.float64]:
            update(int(min(effective, sampler.n_eff)), calls=cube.calls)
            cube.journal.pause()
            return cube(u)

        sampler = nautilus.Sampler(
            _keep,
            evaluate,
            n_dim=cube.size,
            n_live=settings.live or LIVE,
            n_networks=1 if cube.size <= FEW else 4,
            periodic=np.array(cube.periodic) if cube.periodic else None,
            vectorized=True,
            seed=stream.number("nautilus"),
        )
        sampler.run(n_eff=effective, discard_exploration=settings.discard)
    u, log_weights, log_likelihood = sampler.posterior()
    # points that helped to build the bounds are not independent of them
    factor = 1.0 if settings.discard else UNDISCARDED
    error = factor / math.sqrt(float(sampler.n_eff))
    return Found(u, log_weights, log_likelihood, float(sampler.log_z), error, "", iterations=int(sampler.n_like))


def _keep(u: Any) -> Any:  # noqa: ANN401 - an array
    return u

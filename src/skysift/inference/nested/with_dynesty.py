"""Nested sampling by dynesty, static or dynamic, in one run or in several that are merged."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from skysift.inference.nested.blocks import BlockSampler, BoxedEllipsoids, Reserve
from skysift.inference.nested.found import Found
from skysift.inference.nested.insertion import judge_insertions, rank_insertions
from skysift.inference.nested.slices import Slices, WalkTogether
from skysift.inference.progress import follow

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from skysift.inference.engine import Stream
    from skysift.inference.nested.cube import Cube
    from skysift.inference.nested.settings import Settings

__all__ = ["propagate_error", "run_dynesty"]

EVERY = 50
DONE = 100
UNIFORM_UP_TO = 5
# calls between two bounds, per live point: a point costs less than its share of a bound
INTERVAL = 3.0
# one in so many live points walks at a time: the threshold rises little until the last of them is needed
WALKING = 10


def run_dynesty(cube: Cube, settings: Settings, stream: Stream) -> Found:
    """Run dynesty, ``settings.runs`` times, and merge what it finds."""
    from dynesty.utils import merge_runs

    live = settings.live or max(500, 50 * cube.size)
    found = [_run_once(cube, settings, live, stream.child(str(k))) for k in range(settings.runs)]
    single = [float(one.logz[-1]) for one in found]
    ranks = np.concatenate([_rank(one, live) for one in found])
    whole = found[0] if len(found) == 1 else merge_runs(found, print_progress=False)
    kind = "dynamic" if settings.effective else "static"
    shares = np.exp(whole.logwt - whole.logz[-1])
    return Found(
        whole.samples_u,
        whole.logwt - whole.logz[-1],
        whole.logl,
        float(whole.logz[-1]),
        max(float(whole.logzerr[-1]), propagate_error(shares, _count_live(whole, live))),
        f"dynesty, {kind}, {live} live points" + (f", {settings.runs} runs" if settings.runs > 1 else ""),
        judge_insertions(ranks),
        sum(len(one.logl) for one in found),
        single,
    )


def _run_once(cube: Cube, settings: Settings, live: int, stream: Stream) -> Any:  # noqa: ANN401 - dynesty's results
    import dynesty

    random = stream.numpy("dynesty")
    first = random.random((live, cube.size))
    values = cube(first)
    sample = settings.sample or ("unif" if cube.size <= UNIFORM_UP_TO else "rslice")
    keywords: dict[str, Any] = {
        "ndim": cube.size,
        "nlive": live,
        "bound": "multi",
        "sample": sample,
        "rstate": random,
        "periodic": cube.periodic or None,
    }
    if sample == "unif":
        keywords |= {
            "bound": BoxedEllipsoids(cube.size, cube.periodic),
            "sample": BlockSampler(reserve=Reserve(cube)),
            "update_interval": INTERVAL,
            "first_update": {"min_ncall": 0, "min_eff": math.inf},
        }
    elif sample == "rslice":
        keywords |= {
            "sample": Slices(slices=3 + 5 * cube.size, evaluate=cube, wrapped=cube.periodic),
            "pool": WalkTogether(max(1, live // WALKING)),
            "queue_size": max(1, live // WALKING),
            "use_pool": {"prior_transform": False, "loglikelihood": False, "update_bound": False},
            "first_update": {"min_ncall": 0, "min_eff": math.inf},
        }
    elif sample == "rwalk":
        keywords["walks"] = 25 + cube.size
    # the cube itself is dynesty's parameter space: its transform must be as long as its input
    functions = (cube.one, _keep)
    points = [first, first.copy(), values]
    with follow("nested", DONE) as update:
        report = _make_reporter(cube, update, live, settings.dlogz)
        if settings.effective:
            dynamic = dynesty.DynamicNestedSampler(*functions, **keywords)
            dynamic.run_nested(
                dlogz_init=settings.dlogz,
                n_effective=settings.effective,
                live_points=points,
                save_bounds=False,
                print_func=report,
            )
            return dynamic.results
        static = dynesty.NestedSampler(*functions, live_points=points, **keywords)
        static.run_nested(dlogz=settings.dlogz, save_bounds=False, print_func=report)
        return static.results


def _count_live(results: Any, live: int) -> NDArray[np.int64]:  # noqa: ANN401 - dynesty's results
    """Return the number of live points at each iteration; a plain run does not store it."""
    if "samples_n" in results.keys():  # noqa: SIM118 - not a mapping
        return np.asarray(results.samples_n, dtype=np.int64)
    return np.minimum(live, np.arange(len(results.logl), 0, -1))


def propagate_error(shares: NDArray[np.float64], live: NDArray[np.int64]) -> float:
    r"""Return the error of log Z that follows from volumes known only as products of random shrinkages.

    .. math:: {\rm var} \ln Z = \sum_k n_k^{-2} \Big(\sum_{i \ge k} p_i\Big)^2

    The k-th shrinkage has the error 1 / n_k in ln X, and moves everything that lies inside of it.

    Parameters
    ----------
    shares : (n,), p, posterior mass of each point in the order of rising likelihood
    live : (n,), number of live points when it died
    """
    inside = shares[::-1].cumsum()[::-1]
    return float(np.sqrt(((inside / live) ** 2).sum()))


def _keep(u: Any) -> Any:  # noqa: ANN401 - an array
    return u


def _make_reporter(cube: Cube, update: Callable[..., None], live: int, dlogz: float) -> Callable[..., None]:
    """Return dynesty's print function: how far, in per cent, from the evidence that is left.

    It is also where a run may be stopped: what a likelihood raises, dynesty prints.
    """

    def report(results: Any, iteration: int, calls: int, **_: Any) -> None:  # noqa: ANN401 - dynesty's own
        cube.journal.pause()
        left = getattr(results, "delta_logz", None)
        if iteration % EVERY or left is None:
            return
        # the volume shrinks by one live-th per iteration
        ahead = live * (min(float(left), 1e4) - math.log(dlogz)) if left > dlogz else 0.0
        update(min(DONE - 1, int(DONE * iteration / (iteration + ahead))), log_z=float(results.logz), calls=calls)

    return report


def _rank(results: Any, live: int) -> Any:  # noqa: ANN401 - arrays
    """Return the insertion ranks of a run with constant number of live points: of the first batch, if dynamic."""
    batch = getattr(results, "samples_batch", np.zeros(len(results.logl), dtype=int))
    rows = batch == 0
    return rank_insertions(results.logl[rows], results.samples_it[rows], live)

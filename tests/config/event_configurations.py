"""A configuration of an event analysis, and what is changed in it."""

from functools import partial

from tests.config.changes import MISSING, change

__all__ = ["BASE", "DARK", "MISSING", "POINT", "changed"]

AXIS = {"range": ["-1 deg", "1 deg"], "step": "0.5 deg"}
BASE = {
    "run": "test",
    "observation": {
        "instrument": "ctao",
        "irf": "analytic",
        "pointings": [{"lon": "0 deg", "lat": "0 deg", "time": "50 h"}],
        "reconstructed": {"energy": {"range": ["0.2 TeV", "20 TeV"], "points": 8}, "lon": AXIS, "lat": AXIS},
    },
    "simulate": {"replicates": 2, "events": {"background": 200, "diffuse": 100, "source": 50}},
    "model": {
        "binned": True,
        "components": {
            "diffuse": {"sky": "isotropic", "spectrum": {"index": {"uniform": [2, 3]}}},
            "source": {"sky": "gaussian", "center": ["0.2 deg", "0 deg"], "size": "0.2 deg", "spectrum": {"index": 2}},
            "background": {"instrument": "background"},
        },
    },
    "fits": {"quick": ["laplace"], "other": "nested"},
}
POINT = {"sky": "point", "center": ["0 deg", "0 deg"], "spectrum": {"index": 2}}
DARK = {"sky": "dark_matter", "spectrum": {"kind": "annihilation", "mass": "1 TeV", "channel": "bergstrom"}}

changed = partial(change, BASE)

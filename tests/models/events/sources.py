"""Components of event analyses as a configuration states them."""

from pathlib import Path

from skysift.config import resolve

__all__ = ["BACKGROUND", "DARK", "POWER_LAW", "component", "find_nothing", "model", "place"]

POWER_LAW = {"norm": "2e-12 TeV-1 cm-2 s-1", "index": 2.4}
BACKGROUND = {"instrument": "background"}
DARK = {"sky": "dark_matter", "spectrum": {"kind": "annihilation", "mass": "3 TeV", "channel": "bergstrom"}}
AXIS = {"range": ["-0.6 deg", "0.6 deg"], "step": "0.3 deg"}


def place(sky, **keys):
    """A source at (0.2, -0.1) deg."""
    return {"sky": sky, "center": ["0.2 deg", "-0.1 deg"], "spectrum": POWER_LAW, **keys}


def model(components, **keys):
    """The model of a configuration."""
    extended = keys.get("likelihood") == "extended"
    data = {
        "run": "test",
        "observation": {
            "instrument": "ctao",
            "irf": "analytic",
            "pointings": [{"lon": "0 deg", "lat": "0 deg", "time": "50 h"}],
            "reconstructed": {"energy": {"range": ["0.5 TeV", "15 TeV"], "points": 6}, "lon": AXIS, "lat": AXIS},
        },
        "simulate": {"events": "physical" if extended else {"background": 10}},
        "model": {"binned": True, "components": components, **keys},
        "fits": {"quick": ["laplace"]},
    }
    if not extended and "background" not in components:
        components["background"] = BACKGROUND
    return resolve(data).model


def component(settings):
    """One component."""
    if settings.get("instrument") == "background":
        return model({"background": settings, "star": place("point")}).components["background"]
    return model({"source": settings}).components["source"]


def find_nothing(name: str | None, role: str) -> Path:
    """Refuse to find a file."""
    raise AssertionError(f"{role} {name} was looked for")

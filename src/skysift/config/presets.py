"""Sequences of engines that have a name of their own."""

from __future__ import annotations

from typing import Any

__all__ = ["PRESETS", "expand_sequence"]

PRESETS: dict[str, list[dict[str, dict[str, Any]]]] = {
    # every rung starts where the last one ended: Adam and Fisher polish, evidence, whitened guide, whitened chains
    "ladder": [{"map": {}}, {"laplace": {}}, {"svi": {"guide": "mvn"}}, {"hmc": {}}],
    # The settings of GIGALens's demonstrations (Gu et al. 2022, ApJ 935, 49), with three leapfrogs of 0.3. Its guide
    # begins at a scale of 1e-3 around the best start, this one with the curvature there.
    "gigalens": [
        {"map": {"starts": 500, "steps": 350, "lr": 1e-2, "lr_end": 2e-3, "polish": 0}},
        {"svi": {"guide": "mvn", "particles": 1000, "steps": 1500, "lr": 3e-3, "restarts": 1}},
        {
            "hmc": {
                "chains": 50,
                "warmup": 250,
                "draws": 750,
                "max_draws": 750,
                "step": 0.3,
                "path": 0.9,
                "max_leapfrog": 30,
            }
        },
    ],
}


def expand_sequence(data: Any) -> Any:  # noqa: ANN401 - whatever the file holds
    """Read a name as a sequence of one, and the name of a preset as its engines.

    Examples
    --------
    >>> expand_sequence(["ladder", "nuts"])
    [{'map': {}}, {'laplace': {}}, {'svi': {'guide': 'mvn'}}, {'hmc': {}}, 'nuts']
    """
    steps = [data] if isinstance(data, str) else data
    if not isinstance(steps, list):
        return data
    return [one for step in steps for one in (PRESETS[step] if _is_preset(step) else [step])]


def _is_preset(step: Any) -> bool:  # noqa: ANN401 - whatever the file holds
    return isinstance(step, str) and step in PRESETS

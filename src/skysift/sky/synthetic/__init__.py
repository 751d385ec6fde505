"""A sky that needs no files: exposure and templates at any resolution, always the same."""

from skysift.sky.synthetic.sky import MASKS, TEMPLATES, SyntheticSky

__all__ = ["MASKS", "TEMPLATES", "SyntheticSky"]

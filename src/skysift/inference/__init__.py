"""Engines: from a Model to draws, an evidence and an honest word about both."""

from skysift.inference.engine import Check, Engine, Result, Start, Stream

__all__ = ["Check", "Engine", "Result", "Start", "Stream"]

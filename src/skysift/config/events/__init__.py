"""Event analyses: lists of photons seen by an imaging Cherenkov telescope, as mixtures of sources."""

from skysift.config.events.analysis import EventAnalysis
from skysift.config.events.components import EventComponent
from skysift.config.events.model import EventModel
from skysift.config.events.observation import EventObservation

__all__ = ["EventAnalysis", "EventComponent", "EventModel", "EventObservation"]

"""What an analysis is: typed, validated, and the only place that reads YAML."""

from skysift.config.analysis import OBSERVED, Analysis
from skysift.config.components import Component, Model
from skysift.config.events import EventAnalysis
from skysift.config.loading import (
    AnyAnalysis,
    AnyReportSlice,
    kind_of,
    load,
    load_slice,
    resolve,
    verify_round_trip,
)
from skysift.config.modulation import Modulation
from skysift.config.observation import Observation
from skysift.config.priors import Prior
from skysift.config.problems import ConfigurationError
from skysift.config.regions import MapFile, Mask, Region
from skysift.config.sets import check_own
from skysift.config.slices import FitSlice, ObservationSlice, ReportSlice, SidebandsSlice, SimulateSlice
from skysift.config.writer import config_digest, yaml_text

__all__ = [
    "OBSERVED",
    "Analysis",
    "AnyAnalysis",
    "AnyReportSlice",
    "Component",
    "ConfigurationError",
    "EventAnalysis",
    "FitSlice",
    "MapFile",
    "Mask",
    "Model",
    "Modulation",
    "Observation",
    "ObservationSlice",
    "Prior",
    "Region",
    "ReportSlice",
    "SidebandsSlice",
    "SimulateSlice",
    "check_own",
    "config_digest",
    "kind_of",
    "load",
    "load_slice",
    "resolve",
    "verify_round_trip",
    "yaml_text",
]

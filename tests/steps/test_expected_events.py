"""What is planned for physical numbers of events, against what flux, area and live time give."""

import pytest
from tests.steps.small_event_run import SmallEventRun

from skysift.config.events.expected import estimate_events
from skysift.instruments.ctao.event_observation import read_event_observation
from skysift.models.events.prediction import predict_cube
from skysift.steps.events.sources import open_responses, read_responses

COMPONENTS = {
    "isotropic": {"sky": "isotropic", "spectrum": {"index": 2.4, "norm": "1e-9 TeV-1 cm-2 s-1 sr-1"}},
    "disk": {"sky": "disk", "center": ["0.1 deg", "0 deg"], "size": "0.2 deg", "spectrum": {"index": 2.0}},
}


def test_no_component_has_many_more_events_than_are_planned(tmp_path, repository):
    run = SmallEventRun(tmp_path, repository, model={"components": COMPONENTS}, simulate={"events": "physical"})
    looked_at, drawn = read_event_observation(run.observation), run.analysis.simulate.sets["simulated"]
    responses = read_responses(run.responses, open_responses(looked_at, run.observation), looked_at)
    whole = planned = 0.0
    for name, component in run.analysis.model.components.items():
        expected = predict_cube(component, looked_at.lights.get(name), looked_at, responses).sum()
        estimate = estimate_events(run.analysis.observation, {name: component}, drawn)
        assert expected < estimate, name
        if name != "catalogue":  # whose fluxes the configuration does not know
            assert estimate < 10 * expected, name
        whole, planned = whole + expected, planned + estimate
    assert run.analysis.expected_events("simulated-000") == pytest.approx(planned, abs=5)
    assert whole < planned < 10 * whole

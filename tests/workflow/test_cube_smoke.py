"""The smallest analysis of a counts cube, from configuration to report, with every step doing its real work."""

import pytest
from tests.workflow.test_smoke import check_results, rows

CUBE = "config/smoke/cube.yaml"


@pytest.mark.slow
def test_a_counts_cube_from_configuration_to_report(checkout):
    """Sources of a model file are found again, within 5 sd each, and stand on the page; nothing is left to do."""
    checkout.use_real_steps()
    checkout.run("--configfile", CUBE)
    folder = checkout.folder / "results/smoke-cube"
    check_results(folder, ("best",))
    found = rows(folder / "tables/posterior.csv")
    assert len(found) == 11
    assert all(abs(float(row["mean"]) - float(row["truth"])) < 5 * float(row["sd"]) for row in found)
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "point.spatial.lon_0" in page
    assert "offsets from the middle of the map" in page
    assert checkout.plan("--configfile", CUBE) == {}
    models = checkout.folder / "config/models/three_sources.yaml"
    models.write_text(models.read_text().replace("value: 2.3,", "value: 2.4,"))
    assert checkout.plan("--configfile", CUBE)["simulate"] == 1

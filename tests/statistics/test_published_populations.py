"""The public inner-Galaxy example of unresolved sources on the observed counts: `config/fermi_nptf.yaml`."""

import numpy as np
import pytest

from skysift.config import load, yaml_text
from skysift.steps import fit, observe, prepare
from skysift.storage.posterior import read_posterior

pytestmark = [pytest.mark.statistics, pytest.mark.slow]

#: Published 16 and 84 %, ph/cm2/s/sr (arXiv 1612.03173, notebook of the inner Galaxy).
PUBLISHED = {
    "gce_sources": (1.15e-7, 1.41e-7),
    "disk_sources": (1.95e-8, 4.59e-8),
    "gce": (0.73e-9, 7.86e-9),
}
SEQUENCE = [{"map": {"starts": 4}}, {"laplace": {"draws": 2000, "importance": 4000}}]


@pytest.fixture(scope="module")
def posterior(repository, data_folder, tmp_path_factory):
    """Return the posterior of a fit."""
    folder = tmp_path_factory.mktemp("published")
    analysis = load([repository / "config/fermi_nptf.yaml"], {"fits": {"laplace": SEQUENCE}})
    for name, part in analysis.slices().items():
        (folder / f"{name}.yaml").write_text(yaml_text(part))
    prepare.run(folder / "observation.yaml", folder / "observation.h5")
    observe.run(folder / "observation.yaml", folder / "observation.h5", folder / "observed.h5")

    def find(name):
        out = folder / f"{name}.nc"
        if not out.exists():
            fit.run(folder / f"fit-{name}.yaml", folder / "observation.h5", folder / "observed.h5", out)
        return read_posterior(out)

    return find


def medians(posterior):
    """Return the medians of the components' intensities."""
    return {name: float(np.median(posterior.flat(f"{name}_intensity"))) for name in PUBLISHED}


def test_intensities_are_met_within_their_published_intervals(posterior):
    found = medians(posterior("laplace"))
    for name, (low, high) in PUBLISHED.items():
        assert low < found[name] < high, name


def test_without_sources_the_excess_is_smooth_and_the_fit_far_worse(posterior):
    """The control: the whole excess in smooth light, at an intensity many times the published one."""
    smooth, sources = posterior("smooth"), posterior("laplace")
    assert float(np.median(smooth.flat("gce_intensity"))) > 5 * PUBLISHED["gce"][1]
    assert sources.log_z - smooth.log_z > 100

"""A run with real configuration, observation and counts, and with posteriors made by hand."""

from types import SimpleNamespace

import numpy as np
import pytest

from skysift.config import load_slice, resolve, yaml_text
from skysift.diagnostics.posterior_maps import PosteriorMaps, gather_maps
from skysift.instruments.fermi import read_counts, read_observation
from skysift.steps import diagnose, prepare, simulate
from skysift.storage.posterior import CheckRow, Posterior, Stage, Variable, write_posterior
from skysift.storage.text import write_text

TRUTH = {"bubbles": 0.5, "isotropic": 0.1, "gce": 0.9, "diffuse_gas": 8.0, "diffuse_ics": 4.0}
ONE_FIELD = {
    "template": "diffuse",
    "norm": {"lognormal": [12, 0.5]},
    "modulate": {"lengthscale": "0.2 rad", "variance": 0.03},
}
CONFIGURATION = {
    "run": "fabricated",
    "observation": {"data": "synthetic", "nside": 32, "region": {"radius": "20 deg", "mask_plane": "2 deg"}},
    "simulate": {"replicates": 3, "truth": TRUTH},
    "model": {
        "components": {
            "diffuse": {
                "template": "diffuse",
                "norm": {"lognormal": [12, 0.5]},
                "modulate": {"lengthscale": "0.2 rad", "variance": {"lognormal": [0.03, 1.0]}},
            },
            "bubbles": {"template": "bubbles", "norm": {"normal": [0.5, 0.1], "min": 0}},
            "isotropic": {"template": "isotropic", "norm": {"normal": [0.1, 0.02], "min": 0}},
            "gce": {"template": "nfw_squared", "norm": {"uniform": [0, 1.5]}},
        }
    },
    "fits": {
        "rigid": {"model": {"components": {"diffuse": {"template": "diffuse", "norm": {"uniform": [0, 30]}}}},
                  "sequence": ["map", "laplace"]},
        "gp": ["map", "laplace"],
        "mvn": {"model": {"components": {"diffuse": ONE_FIELD}}, "sequence": ["map", {"svi": {"guide": "mvn"}}]},
        "legacy": {"recipe": "legacy", "guide": "mvn", "model": {"components": {"diffuse": ONE_FIELD}}},
    },
    "systematics": {"sidebands": {"fits": ["gp"], "longitudes": ["60 deg", "-60 deg"]}},
}  # fmt: skip
CENTRES = {"rigid": (0.35, 0.03), "gp": (0.8, 0.12), "mvn": (0.85, 0.11), "legacy": (0.9, 0.045)}


def fabricate_posterior(fit, data, random, *, widened=False):
    """Draws around plausible centres: one chain for variational fits, four for the others."""
    centre, sd = CENTRES[fit]
    chains = 1 if fit in {"mvn", "legacy"} else 4

    def draws(mean, width):
        mean = mean + (0.5 * width * random.normal() if fit != "legacy" else 0.0)
        return np.abs(mean + width * random.normal(size=(chains, 250)))

    names = {"bubbles": (0.5, 0.06), "isotropic": (0.1, 0.015), "diffuse": (11.0, 0.3)}
    variables = {f"{name}_norm": Variable(draws(*numbers), "", name) for name, numbers in names.items()}
    gce = draws(centre, sd)
    if widened:
        gce = gce + 0.5 * random.normal(size=gce.shape)
    variables["gce_norm"] = Variable(gce, "", "gce", truth=0.9)
    variables["gce_fraction"] = Variable(0.0942 * gce, "", "share of counts", truth=0.0848)
    variables["bubbles_fraction"] = Variable(0.0734 * variables["bubbles_norm"].array, "", truth=0.0367)
    variables["gce_intensity"] = Variable(3.32e-7 * gce, "ph / cm2 s sr", "mean in the region")
    if fit in {"gp", "mvn"}:
        variables["diffuse_variance"] = Variable(draws(0.012, 0.003), "", "variance")
        variables["diffuse_field"] = Variable(random.normal(size=(chains, 250, 60)), "", "", ("inducing",))
    red = fit == "rigid" and data.endswith("001")
    checks = [CheckRow("R-hat", 1.2 if red else 1.004, 1.01, "red" if red else "green", "draw longer" if red else "")]
    if fit == "mvn":
        checks.append(CheckRow("k-hat", 0.6, 0.5, "amber", "resample the draws by importance"))
    elbo = -12000 - 900 * np.exp(-np.arange(600) / 60) + random.normal(size=600)
    traces = {"elbo": elbo} if fit in {"mvn", "legacy"} else {}
    return Posterior(
        variables=variables,
        checks=checks,
        stages=(
            Stage("map", cost={"cpu_s": 0.8, "wall_s": 0.9, "gradients": 8000}),
            Stage(
                "laplace" if not traces else "svi",
                -12001.2,
                0.05,
                "importance",
                {"cpu_s": 2.1, "wall_s": 2.2, "gradients": 1200},
                traces=traces,
            ),
        ),
        log_z=-12001.2 + 80 * (fit == "gp"),
        log_z_error=0.05,
        log_z_method="importance",
        converged=None if fit == "legacy" else not red,
        cost={"cpu_s": 2.9, "wall_s": 3.1, "gradients": 9200},
        warnings=("isotropic_norm: the prior decides",) if fit == "gp" else (),
        attributes={
            "fit": fit,
            "data": data,
            "run": "fabricated",
            **({"sigma_systematic": 0.5, "systematic_of": "gce_norm"} if widened else {}),
        },
        provenance={"run": "fabricated", "seed": 1, "package": "0.1.0", "libraries": {"numpy": "2.0"}},
    )


def fabricate_maps(settings, observation, counts, fitted, role, *_):
    """Stand in for the model: true components with a little scatter, the absorber taking the rest."""
    random = np.random.default_rng(3)
    components = settings.model.components
    maps, region = PosteriorMaps(), observation.region
    templates = {name: observation.templates[item.template][:, region] for name, item in components.items()}
    rest = counts.expected[:, region] - sum(TRUTH[n] * t for n, t in templates.items() if n in TRUTH)
    for _ in range(3):
        scale = np.exp(0.02 * random.normal(size=(25, 1)))
        made = {n: TRUTH[n] * scale * t.ravel() for n, t in templates.items() if n in TRUTH}
        smooth = 0.03 * np.sin(np.arange(rest.size) / 40 + random.normal(size=(25, 1)))
        made[role] = rest.ravel() * scale * np.exp(smooth)
        gather_maps(maps, made, {role: templates[role]})
    return maps


@pytest.fixture(scope="session")
def fabricated(tmp_path_factory):
    """Folder, analysis and slice ``report`` of a run of four fits and three replicates, with everything there."""
    folder = tmp_path_factory.mktemp("fabricated") / "results" / "fabricated"
    analysis = resolve(CONFIGURATION)
    write_text(folder / "config.yaml", yaml_text(analysis))
    for name, part in analysis.slices().items():
        write_text(folder / "config" / f"{name}.yaml", yaml_text(part))
    observation = folder / "observation.h5"
    prepare.run(config=folder / "config" / "observation.yaml", out=observation)
    random = np.random.default_rng(1)
    patch = pytest.MonkeyPatch()
    patch.setattr(diagnose, "_evaluate", fabricate_maps)
    for data in analysis.all_data():
        drawn = folder / "data" / f"{data}.h5"
        simulate.run(
            config=folder / "config" / "simulate-simulated.yaml", observation=observation, data=data, out=drawn
        )
        for fit in analysis.fits:
            path = folder / "fits" / fit / f"{data}.nc"
            write_posterior(path, fabricate_posterior(fit, data, random))
            out = folder / "predictive" / fit / f"{data}.h5"
            config = folder / "config" / f"fit-{fit}.yaml"
            if data.endswith("000") and fit in {"gp", "legacy"}:
                diagnose.run(config=config, observation=observation, data=drawn, posterior=path, out=out)
        wide = fabricate_posterior("gp", data, random, widened=True)
        write_posterior(folder / "fits" / "gp_sidebands" / f"{data}.nc", wide)
    patch.undo()
    settings = load_slice(folder / "config" / "report.yaml", "report")
    looked_at, counts = read_observation(observation), read_counts(folder / "data" / "simulated-000.h5")
    return SimpleNamespace(folder=folder, analysis=analysis, settings=settings, observation=looked_at, counts=counts)

"""Fits on the partition with GPUs: each sees one device, and nothing else goes there."""

import pytest
from tests.workflow.checkouts import STAND_IN

pytestmark = pytest.mark.slurm

#: Notes where it runs; a fit stays until another has started, so that two devices are in use.
WATCHED = STAND_IN.replace(
    'line="$*"\n',
    'line="$*"\n'
    'note="seen/$1-$SLURM_JOB_ID"\n'
    "mkdir -p seen\n"
    'printf \'%s\\n\' "${CUDA_VISIBLE_DEVICES-none}" > "$note"\n'
    "if [[ $1 == fit ]]; then for _ in {1..60}; do\n"
    "  if (( $(ls seen | grep -c ^fit) > 1 )); then break; fi; sleep 1\n"
    "done; fi\n",
)


def test_fits_see_their_own_device_and_other_steps_none(clone):
    (clone.tools / "skysift").write_text(WATCHED)
    (clone.folder / "two.yaml").write_text(
        "run: two\n"
        "observation: {data: synthetic, nside: 32, region: {radius: 20 deg, mask_plane: 2 deg}}\n"
        "simulate: {truth: {smooth: 8, gce: 0.9}}\n"
        "model:\n"
        "  components:\n"
        "    smooth: {template: p6v11, norm: {lognormal: [12.3, 0.5]}}\n"
        "    gce: {template: nfw_squared, norm: {uniform: [0, 1.5]}}\n"
        "fits: {first: [map], second: [laplace]}\n"
    )
    fits = [f"results/two/fits/{fit}/simulated-000.nc" for fit in ("first", "second")]
    clone.submit("--configfile", "two.yaml", "--", *fits, profile="profiles/gpu").succeed()
    seen = {path.name: path.read_text().strip() for path in (clone.folder / "seen").iterdir()}
    for job in clone.jobs():
        where, device = (job.partition, job.node), seen.pop(f"{job.rule}-{job.number}")
        if job.rule == "fit":
            assert where == ("gpu", "g1")
            assert device in ("0", "1")
            assert job.memory == "4000M"
        else:
            assert where[0] == "cpu"
            assert device == "none"
    assert not seen
    assert len(clone.jobs("fit")) == 2

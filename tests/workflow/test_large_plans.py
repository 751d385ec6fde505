"""A plan of ten thousand jobs is made in half a minute."""

import resource

import pytest

REPLICATES, FITS = 910, 5
LONGEST_S = 30


def seconds(checkout, *words):
    """Return the CPU seconds of a dry run, and the jobs it plans."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    plan = checkout.plan(*words)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, sum(plan.values())


@pytest.mark.slow
def test_ten_thousand_jobs_are_planned_in_half_a_minute(checkout, mine):
    """Simulated skies, five fits of each and their diagnoses; the time grows no faster than their number."""
    checkout.edit(mine, "systematics: {sidebands: {fits: [second], longitudes: [30 deg, -30 deg]}}\n", "")
    checkout.edit(mine, "  second: [map, laplace]\n", "".join(f"  more_{k}: [map]\n" for k in range(FITS - 1)))
    words = ("--quiet", "rules", "--configfile", mine, "--config")
    few_s, few = seconds(checkout, *words, f"simulate={{replicates: {REPLICATES // 10}}}")
    many_s, many = seconds(checkout, *words, f"simulate={{replicates: {REPLICATES}}}")
    print(f"{few} jobs planned in {few_s:.1f} CPU s, {many} in {many_s:.1f}")
    assert many > (1 + 2 * FITS) * REPLICATES > 10_000
    assert many_s < LONGEST_S
    assert many_s / few_s < 1.3 * many / few

"""What jobs asked for and what they used, by the accounting database."""

from dataclasses import dataclass

__all__ = ["Usage", "read_usage", "table"]

UNITS = {"K": 1024, "M": 1024**2, "G": 1024**3, "": 1}


@dataclass(frozen=True)
class Usage:
    """One job: memory in MB (1024² bytes, as Slurm counts), times in seconds."""

    rule: str
    number: int
    asked_mb: float
    used_mb: float
    asked_s: int
    used_s: int
    cpu_s: float


def in_mb(text):
    """Read a size such as 1002M."""
    unit = text[-1:] if text[-1:] in UNITS else ""
    return float(text.removesuffix(unit) or 0) * UNITS[unit] / 1024**2


def in_seconds(text):
    """Read a time such as 1-02:03:04 or 02:03.456."""
    days, _, clock = text.rpartition("-")
    parts = [float(part) for part in clock.split(":")]
    return int(days or 0) * 86400 + sum(part * 60**power for power, part in enumerate(reversed(parts)))


def read_usage(checkout):
    """Return the usage of every job that was submitted from a folder and ended well."""
    found = []
    for job in checkout.jobs():
        columns = "ReqMem,MaxRSS,Timelimit,Elapsed,TotalCPU"
        lines = checkout.cluster.call("sacct", "-n", "-P", "-j", job.number, "-o", columns).splitlines()
        (asked, _, limit, elapsed, cpu), *steps = [line.split("|") for line in lines]
        # Snakemake in the batch step and the rule's own step live at the same time
        used = sum(in_mb(step[1]) for step in steps)
        found.append(Usage(job.rule, job.number, in_mb(asked), used, in_seconds(limit), in_seconds(elapsed),
                           in_seconds(cpu)))  # fmt: skip
    return found


def table(usage):
    """Return a table with one row for each job."""
    rows = [f"{'rule':<14}{'MB asked':>9}{'used':>7}{'ratio':>7}{'min asked':>11}{'used':>7}{'CPU s':>7}"]
    rows += [
        f"{use.rule:<14}{use.asked_mb:>9.0f}{use.used_mb:>7.0f}{use.asked_mb / max(use.used_mb, 1):>7.2f}"
        f"{use.asked_s / 60:>11.0f}{use.used_s / 60:>7.1f}{use.cpu_s:>7.1f}"
        for use in sorted(usage, key=lambda use: (use.rule, use.number))
    ]
    return "\n" + "\n".join(rows)

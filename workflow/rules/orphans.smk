# Jobs outlive a Snakemake that was killed. The next one must not make their files at the same time.
import json
import subprocess
from base64 import urlsafe_b64decode


def read_queue():
    """Return the numbers of Slurm's jobs that wait or run in this folder, by their comments; none without Slurm."""
    try:
        lines = subprocess.run(
            ["squeue", "--noheader", "--format=%A|%k|%Z"], capture_output=True, text=True, check=True, timeout=30
        ).stdout.splitlines()
    except (OSError, subprocess.SubprocessError):
        return {}
    found = {}
    for number, comment, place in (line.split("|", 2) for line in lines):
        if Path(place).resolve() == Path.cwd().resolve():
            found.setdefault(comment, []).append(number)
    return found


def read_notes():
    """Return the files that a job of any run has begun, with its number as long as it waits."""
    notes = Path(".snakemake/incomplete")
    found = {}
    for note in notes.rglob("*"):
        if note.is_file() and note.name != "migration_underway":
            name = "".join(part.removeprefix("@") for part in note.relative_to(notes).parts)
            found[urlsafe_b64decode(name).decode()] = json.loads(note.read_text() or "{}").get("external_jobid")
    return found


def is_ours(number, path, notes):
    """Tell whether a job makes this file, not the one of the same name in another run; True where no note says."""
    rest = path.removeprefix(RUN)
    noted = {place.removesuffix(rest): job for place, job in notes.items() if place.endswith(rest)}
    owners = [run for run, job in noted.items() if job == number] or [run for run, job in noted.items() if job is None]
    return not owners or RUN in owners


def find_orphans():
    """Return the files that are planned although a job in the queue will make them, with its number.

    A job that was submitted just before the kill is in no note: its comment alone tells what it makes.
    """
    queue = read_queue()
    notes = read_notes() if queue else {}
    found = {}
    for job in workflow.dag.needrun_jobs() if queue else ():
        names = "_".join(job.wildcards)
        numbers = queue.get(f"rule_{job.name}_wildcards_{names}" if names else f"rule_{job.name}", [])
        paths = [path for path in map(str, job.output) if path.startswith(f"{RUN}/")]
        found |= {path: number for number in numbers for path in paths if is_ours(number, path, notes)}
    return found


def refuse_orphans():
    """End before any work when jobs of an earlier Snakemake still make files of this run, or wait to do so."""
    orphans = find_orphans()
    if orphans:
        numbers = sorted(set(orphans.values()), key=int)
        print(
            f"jobs of an earlier Snakemake still work on this run: {', '.join(numbers)}",
            *(f"  makes   {path} (job {number})" for path, number in orphans.items()),
            f"  do      wait for them, or `scancel {' '.join(numbers)}`; then run the same command again",
            sep="\n",
            file=sys.stderr,
        )
        sys.exit(1)


onstart:
    refuse_orphans()

# Jobs outlive a Snakemake that was killed. The next one must not make their files at the same time.
import json
import subprocess
from base64 import urlsafe_b64decode


def begun():
    """Return the files of this run that a job has begun, with its number where it has not started yet."""
    notes = Path(".snakemake/incomplete")
    found = {}
    for note in notes.rglob("*"):
        if note.is_file() and note.name != "migration_underway":
            name = "".join(part.removeprefix("@") for part in note.relative_to(notes).parts)
            path = urlsafe_b64decode(name).decode()
            if path.startswith(f"{RUN}/"):
                found[path] = json.loads(note.read_text() or "{}").get("external_jobid")
    return found


def queued_here():
    """Return the numbers of Slurm's jobs that wait or run in this folder; none where there is no Slurm."""
    try:
        lines = subprocess.run(
            ["squeue", "--noheader", "--format=%A|%Z"], capture_output=True, text=True, check=True, timeout=30
        ).stdout.splitlines()
    except (OSError, subprocess.SubprocessError):
        return []
    pairs = [line.split("|", 1) for line in lines]
    return [number for number, place in pairs if Path(place).resolve() == Path.cwd().resolve()]


def refuse_orphans():
    """End before any work when jobs of an earlier Snakemake still make files of this run."""
    files = begun()
    numbers = queued_here() if files else []
    orphans = {path: number for path, number in files.items() if numbers and number in (None, *numbers)}
    if orphans:
        print(
            f"jobs of an earlier Snakemake still work on this run: {', '.join(numbers)}",
            *(f"  makes   {path}" for path in orphans),
            "  do      wait for them (squeue) or cancel them (scancel), then run the same command again",
            sep="\n",
            file=sys.stderr,
        )
        sys.exit(1)


onstart:
    refuse_orphans()

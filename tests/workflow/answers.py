"""What two runs of one analysis must have in common: bytes, or every number where times are inside."""

import csv

import h5py

__all__ = ["deterministic", "numbers"]

#: What times and machines get into.
VARYING = ("logs/", "benchmarks/", "report.html", "figures/", "tables/cost.csv", "checkpoints/")


def numbers(path):
    """Return every dataset of a posterior, bytes by name, but for those that tell the time it took."""
    found = {}

    def take(name, item):
        if isinstance(item, h5py.Dataset) and not name.startswith("stage_cost/") and name != "cpu":
            value = item[()]
            found[name] = value.tobytes() if item.dtype.kind != "O" else repr(value.tolist())

    with h5py.File(path) as file:
        file.visititems(take)
        found |= {name: repr(file.attrs[name]) for name in ("log_z", "log_z_error", "converged") if name in file.attrs}
    return found


def timeless(path):
    """Return the rows of a table without the columns that tell the time it took."""
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    kept = [number for number, name in enumerate(rows[0]) if name != "cpu_s"]
    return [[row[number] for number in kept] for row in rows]


def content(name, path):
    """Return what must not differ: bytes, or numbers where times or checksums of files with times are inside."""
    if name.startswith(("fits/", "predictive/", "calibration/")):
        return numbers(path)
    return timeless(path) if path.suffix == ".csv" else path.read_bytes()


def deterministic(folder):
    """Return the content of the files of a run that must not differ: byte for byte, or in every number."""
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    kept = {name: path for name, path in files.items() if not name.startswith(VARYING) and path.name[0] != "."}
    return {name: content(name, path) for name, path in kept.items()}

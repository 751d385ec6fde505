"""List, fetch and check the public files that analyses read."""

from __future__ import annotations

import os
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

from skysift.errors import InputError
from skysift.storage import registry
from skysift.storage.atomic import check_writable, full_disk_error, is_full_disk, replace_when_done
from skysift.storage.provenance import digest_bytes, digest_file

__all__ = ["check", "fetch", "list_data", "run"]

_TIMEOUT_S = 30
_ATTEMPTS = 2
_MAX_ARCHIVE_BYTES = 2**31


def run(*, action: str, names: Sequence[str]) -> None:
    """Run ``list``, ``fetch`` or ``check`` on the data sets ``names`` (all without names).

    Raises
    ------
    InputError : an unknown name, a file that cannot be had, a checksum that differs
    """
    actions: dict[str, Callable[[Sequence[str]], object]] = {"list": list_data, "fetch": fetch, "check": check}
    actions[action](names)


def list_data(names: Sequence[str] = ()) -> None:
    """Print the registered files: size, place on this machine, terms, page.

    Raises
    ------
    InputError : an unknown name
    """
    from rich.console import Console
    from rich.table import Column, Table

    console = Console(soft_wrap=True)
    chosen = registry.entries(*names)
    for group, title in registry.groups().items():
        files = [entry for entry in chosen if entry.group == group]
        if not files:
            continue
        table = Table(
            "file", "MB", Column("on this machine", overflow="fold"), title=f"{group}: {title}", title_justify="left"
        )
        for entry in files:
            table.add_row(entry.file, f"{entry.bytes / 1e6:.2f}", str(registry.find(entry) or "-"))
        console.print(table)
        console.print(f"terms     {files[0].licence}\ncite      {files[0].citation}\npage      {files[0].page}\n")


def check(names: Sequence[str] = ()) -> None:
    """Compare the files on this machine with their registered sizes and checksums and print what was found.

    Raises
    ------
    InputError : an unknown name, a file that differs, or a file asked for by name that is not there
    """
    from rich.console import Console
    from rich.table import Column, Table

    table = Table("file", "state", Column("place", overflow="fold"))
    faults: list[InputError] = []
    for entry in registry.entries(*names):
        path = registry.find(entry)
        if path is None:
            table.add_row(entry.name, "missing", entry.page)
            faults += [registry.describe_missing(entry)] if names else []
        elif registry.is_intact(entry, path):
            table.add_row(entry.name, "ok", str(path))
        else:
            table.add_row(entry.name, "[red]differs[/red]", str(path))
            faults.insert(0, _describe_damage(entry, path))
    Console(soft_wrap=True).print(table)
    if faults:
        raise faults[0]


def _describe_damage(entry: registry.Entry, path: Path) -> InputError:
    found = f"{path.stat().st_size} bytes, sha256 {digest_file(path)}"
    remedy = f"remove it and run `skysift data fetch {entry.group}`"
    return InputError(path, "checksum", found, f"{entry.bytes} bytes, sha256 {entry.sha256}", remedy)


def fetch(names: Sequence[str] = (), mirror: str | None = None) -> list[Path]:
    """Download the files that are missing, verify them, and return where all of them lie.

    Parameters
    ----------
    names : data sets or files; those with known addresses when absent
    mirror : address of a folder laid out like a data folder, used in place of the registered addresses;
        ``$SKYSIFT_MIRROR`` when absent

    Raises
    ------
    InputError : an unknown name, a file without an address, no connection, or a checksum that differs twice
    """
    mirror = mirror or os.environ.get("SKYSIFT_MIRROR") or None
    chosen = [entry for entry in registry.entries(*names) if names or entry.addresses or mirror]
    places = []
    with tempfile.TemporaryDirectory(prefix="skysift-archives-") as archives:
        for entry in chosen:
            path = registry.find(entry)
            if path is None or not registry.is_intact(entry, path):
                path = _download(entry, mirror, Path(archives))
                print(f"fetched  {entry.name} -> {path}", flush=True)
            places.append(path)
    print(f"{len(places)} files are there and have the right checksums")
    return places


def _download(entry: registry.Entry, mirror: str | None, archives: Path) -> Path:
    """Fetch one file from the first address that has it; a wrong checksum is tried once more."""
    out = registry.target() / entry.place
    check_writable(out)
    addresses = (f"{mirror.rstrip('/')}/{entry.place}",) if mirror else entry.addresses
    if not addresses:
        raise InputError(
            entry.name, "address", "none known", f"a file with sha256 {entry.sha256}", _by_hand(entry, out)
        )
    failures = []
    for address in addresses:
        for _ in range(_ATTEMPTS):
            try:
                _retrieve(entry, address, out, archives)
            except (OSError, ValueError, tarfile.TarError) as error:
                if isinstance(error, OSError) and is_full_disk(error):
                    raise full_disk_error(out, entry.bytes) from error
                failures.append(f"{address}: {_shorten(error)}")
            else:
                return out
    raise InputError(
        out, "download", "; ".join(dict.fromkeys(failures)), f"{entry.bytes} bytes, sha256 {entry.sha256}",
        f"check the connection and run the command again; or {_by_hand(entry, out)}",
    )  # fmt: skip


def _by_hand(entry: registry.Entry, out: Path) -> str:
    return f"fetch it by hand from {entry.page} to {out}"


def _shorten(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) < 300 else f"{text[:297]}..."


def _retrieve(entry: registry.Entry, address: str, out: Path, archives: Path) -> None:
    """Fetch a file, or the archive that holds it, and put it in place once its checksum agrees.

    Raises
    ------
    OSError, ValueError, tarfile.TarError : no connection, a checksum that differs, no such member
    """
    import pooch

    pooch.get_logger().setLevel("WARNING")
    downloader = pooch.HTTPDownloader(timeout=_TIMEOUT_S, chunk_size=2**16)
    url, *members = address.split("#")
    if not members:
        pooch.retrieve(url, f"sha256:{entry.sha256}", fname=out.name, path=out.parent, downloader=downloader)
        return
    archive = archives / f"{digest_bytes(url.encode())}.tar"
    if not archive.is_file():
        pooch.retrieve(url, None, fname=archive.name, path=archives, downloader=downloader)
    for member in members[:-1]:
        archive = _unzip(archive, member)
    _extract(entry, archive, members[-1], out)


def _unzip(archive: Path, member: str) -> Path:
    """Take an archive out of a zip archive, once, and return where it lies."""
    inner = archive.with_name(f"{digest_bytes(f'{archive.name}#{member}'.encode())}.tar")
    if inner.is_file():
        return inner
    try:
        with zipfile.ZipFile(archive) as outer:
            if outer.getinfo(member).file_size > _MAX_ARCHIVE_BYTES:
                raise ValueError(f"{member} has more than {_MAX_ARCHIVE_BYTES} bytes")
            with outer.open(member) as source, replace_when_done(inner) as part, part.open("wb") as sink:
                shutil.copyfileobj(source, sink)
    except (zipfile.BadZipFile, zlib.error, KeyError, RuntimeError) as error:
        raise ValueError(f"no archive {member} in the zip archive: {error}") from error
    return inner


def _extract(entry: registry.Entry, archive: Path, member: str, out: Path) -> None:
    """Take one file out of an archive; names inside it are compared, never followed."""
    with tarfile.open(archive) as tar:
        for info in tar:
            if info.isfile() and info.name.removeprefix("./") == member and info.size == entry.bytes:
                source = tar.extractfile(info)
                if source is None:
                    break
                with replace_when_done(out, entry.bytes) as part:
                    with part.open("wb") as sink:
                        shutil.copyfileobj(source, sink)
                    if not registry.is_intact(entry, part):
                        raise ValueError(f"{member} has another sha256 than {entry.sha256}")
                return
    raise ValueError(f"no file {member} of {entry.bytes} bytes in the archive")

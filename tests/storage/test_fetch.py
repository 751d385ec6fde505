"""Downloads: verified, resumable, from a mirror or an archive; a server on this machine plays the internet."""

import hashlib
import io
import tarfile
import threading
import zipfile
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from skysift.errors import InputError
from skysift.steps import data
from skysift.storage import registry

CONTENT = {"fermi/a.npy": b"first file", "fermi/b.npy": b"second file"}


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves a folder and keeps the paths asked for."""

    def __init__(self, *args, asked, **kwargs):
        self.asked = asked
        super().__init__(*args, **kwargs)

    def do_GET(self):
        self.asked.append(self.path)
        super().do_GET()

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def server(tmp_path):
    """The folder that is served, its address, and the paths asked for so far."""
    folder, asked = tmp_path / "server", []
    for name, content in CONTENT.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    handler = partial(QuietHandler, directory=str(folder), asked=asked)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield folder, f"http://127.0.0.1:{running.server_port}", asked
        running.shutdown()


@pytest.fixture
def entries(tmp_path, monkeypatch, server):
    """A registry of two small files at that server, and a machine without data."""
    blank = registry.entries("fermi")[0]
    made = tuple(
        replace(
            blank,
            file=name.split("/")[1],
            bytes=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
            addresses=(f"{server[1]}/{name}",),
        )
        for name, content in CONTENT.items()
    )
    monkeypatch.setattr(registry, "_load", lambda: {"fermi": made})
    monkeypatch.setattr(registry, "_places", lambda: [tmp_path / "cache"])
    monkeypatch.setattr(registry, "target", lambda: tmp_path / "cache")
    monkeypatch.delenv("SKYSIFT_MIRROR", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return made


def cached(tmp_path):
    return {
        path.relative_to(tmp_path / "cache").as_posix() for path in (tmp_path / "cache").rglob("*") if path.is_file()
    }


def test_fetch_only_what_is_missing(tmp_path, server, entries, capsys):
    _, _, asked = server
    data.run(action="fetch", names=("fermi/a.npy",))
    assert cached(tmp_path) == {"fermi/a.npy"}
    places = data.fetch(["fermi"])
    assert [path.read_bytes() for path in places] == list(CONTENT.values())
    assert asked == ["/fermi/a.npy", "/fermi/b.npy"]
    data.fetch()
    assert len(asked) == 2
    assert "2 files are there" in capsys.readouterr().out


def test_damaged_file_is_fetched_again(tmp_path, server, entries):
    data.fetch()
    (tmp_path / "cache" / "fermi" / "a.npy").write_bytes(b"first filX")
    assert data.fetch()[0].read_bytes() == CONTENT["fermi/a.npy"]


def test_wrong_checksum_is_tried_once_more_and_leaves_nothing(tmp_path, server, entries):
    folder, address, asked = server
    (folder / "fermi" / "a.npy").write_bytes(b"something else")
    with pytest.raises(InputError) as caught:
        data.fetch(["fermi/a.npy"])
    assert asked == ["/fermi/a.npy"] * 2
    assert cached(tmp_path) == set()
    assert entries[0].sha256 in str(caught.value)
    assert f"{address}/fermi/a.npy" in str(caught.value)
    assert caught.value.exit_code == 2


def test_second_address_is_used_when_the_first_fails(server, entries, monkeypatch):
    both = replace(entries[0], addresses=(f"{server[1]}/gone.npy", *entries[0].addresses))
    monkeypatch.setattr(registry, "_load", lambda: {"fermi": (both,)})
    assert data.fetch()[0].read_bytes() == CONTENT["fermi/a.npy"]


def test_no_network_names_address_and_checksum(tmp_path, entries, monkeypatch):
    lost = replace(entries[0], addresses=("http://127.0.0.1:9/a.npy",))
    monkeypatch.setattr(registry, "_load", lambda: {"fermi": (lost,)})
    with pytest.raises(InputError) as caught:
        data.fetch()
    assert "http://127.0.0.1:9/a.npy" in str(caught.value)
    assert lost.sha256 in str(caught.value)
    assert cached(tmp_path) == set()


def test_no_network_does_no_harm_when_all_is_there(tmp_path, server, entries, monkeypatch):
    data.fetch()
    lost = tuple(replace(entry, addresses=("http://127.0.0.1:9/a.npy",)) for entry in entries)
    monkeypatch.setattr(registry, "_load", lambda: {"fermi": lost})
    assert len(data.fetch()) == 2


@pytest.mark.parametrize("by_variable", [False, True])
def test_mirror(server, entries, monkeypatch, by_variable):
    lost = replace(entries[1], addresses=())
    monkeypatch.setattr(registry, "_load", lambda: {"fermi": (lost,)})
    if by_variable:
        monkeypatch.setenv("SKYSIFT_MIRROR", server[1])
    assert data.fetch(mirror=None if by_variable else f"{server[1]}/")[0].read_bytes() == CONTENT["fermi/b.npy"]


def test_file_without_address_names_its_page(entries, monkeypatch):
    lost = replace(entries[1], addresses=())
    monkeypatch.setattr(registry, "_load", lambda: {"fermi": (lost,)})
    assert data.fetch() == [], "without a name only files with addresses are fetched"
    with pytest.raises(InputError, match="by hand from https://"):
        data.fetch(["fermi"])


def archive(path, members):
    with tarfile.open(path, "w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def test_members_of_an_archive(tmp_path, server, entries, monkeypatch):
    folder, address, asked = server
    archive(folder / "all.tar.gz", {f"fermi_data/{name[6:]}": content for name, content in CONTENT.items()})
    packed = tuple(
        replace(entry, addresses=(f"{address}/all.tar.gz?sequence=5#fermi_data/{entry.file}",)) for entry in entries
    )
    monkeypatch.setattr(registry, "_load", lambda: {"fermi": packed})
    assert [path.read_bytes() for path in data.fetch()] == list(CONTENT.values())
    assert len(asked) == 1, "an archive is fetched once"
    assert cached(tmp_path) == set(CONTENT)


@pytest.mark.parametrize("members", [{"../a.npy": b"first file"}, {"fermi_data/a.npy": b"first filX"}, {}])
def test_archive_with_other_members(tmp_path, server, entries, monkeypatch, members):
    folder, address, _ = server
    archive(folder / "all.tar.gz", members)
    packed = replace(entries[0], addresses=(f"{address}/all.tar.gz#fermi_data/a.npy",))
    monkeypatch.setattr(registry, "_load", lambda: {"fermi": (packed,)})
    with pytest.raises(InputError, match=packed.sha256):
        data.fetch()
    assert cached(tmp_path) == set()


def nest(path, member, inner):
    with zipfile.ZipFile(path, "w") as outer:
        outer.writestr(member, inner.read_bytes())


def test_members_of_an_archive_in_an_archive(tmp_path, server, entries, monkeypatch):
    folder, address, asked = server
    archive(tmp_path / "inner.tar.gz", {f"./{name[6:]}": content for name, content in CONTENT.items()})
    nest(folder / "all.zip", "fits/inner.tar.gz", tmp_path / "inner.tar.gz")
    packed = tuple(
        replace(entry, addresses=(f"{address}/all.zip?download=1#fits/inner.tar.gz#{entry.file}",)) for entry in entries
    )
    monkeypatch.setattr(registry, "_load", lambda: {"fermi": packed})
    assert [path.read_bytes() for path in data.fetch()] == list(CONTENT.values())
    assert len(asked) == 1, "an archive is fetched once"
    assert cached(tmp_path) == set(CONTENT)


@pytest.mark.parametrize("damage", ["member", "archive", "content"])
def test_broken_archive_in_an_archive(tmp_path, server, entries, monkeypatch, damage):
    folder, address, _ = server
    archive(tmp_path / "inner.tar.gz", {"a.npy": CONTENT["fermi/a.npy"]})
    nest(folder / "all.zip", "other.tar.gz" if damage == "member" else "inner.tar.gz", tmp_path / "inner.tar.gz")
    if damage != "member":
        content = bytearray((folder / "all.zip").read_bytes())
        place = len(content) - 10 if damage == "archive" else 60
        content[place : place + 8] = bytes(8)
        (folder / "all.zip").write_bytes(content)
    packed = replace(entries[0], addresses=(f"{address}/all.zip#inner.tar.gz#a.npy",))
    monkeypatch.setattr(registry, "_load", lambda: {"fermi": (packed,)})
    with pytest.raises(InputError, match=r"inner\.tar\.gz"):
        data.fetch()
    assert cached(tmp_path) == set()


def test_check_tells_good_from_bad_and_missing(tmp_path, entries, capsys):
    data.run(action="check", names=())
    assert "missing" in capsys.readouterr().out
    with pytest.raises(InputError, match="skysift data fetch fermi"):
        data.check(["fermi"])
    data.fetch()
    data.check(["fermi"])
    capsys.readouterr()
    (tmp_path / "cache" / "fermi" / "b.npy").write_bytes(b"second filX")
    with pytest.raises(InputError, match=entries[1].sha256):
        data.check()
    assert "differs" in capsys.readouterr().out


def test_list_names_files_terms_and_page(entries, capsys):
    data.run(action="list", names=("fermi",))
    printed = capsys.readouterr().out
    assert "a.npy" in printed
    assert entries[0].page in printed
    assert entries[0].licence in printed

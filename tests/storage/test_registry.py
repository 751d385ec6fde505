"""The registry knows the public files and finds them in the promised order."""

import hashlib
import json

import pytest

from skysift.errors import InputError
from skysift.storage import registry

NAME = "fermi/template_gce.npy"


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """A machine without any data."""
    import pooch

    monkeypatch.delenv("SKYSIFT_DATA", raising=False)
    monkeypatch.setattr(registry, "__file__", str(tmp_path / "a" / "b" / "c" / "d" / "registry.py"))
    monkeypatch.setattr(pooch, "os_cache", lambda name: tmp_path / "cache" / name)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path


def put(folder, name=NAME, content=b"x"):
    path = folder / registry.entries(name)[0].place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_entries_are_complete_and_unique():
    every = registry.entries()
    assert len({entry.name for entry in every}) == len(every)
    assert len({entry.place for entry in every}) == len(every)
    for entry in every:
        assert len(entry.sha256) == 64
        assert int(entry.sha256, 16) > 0
        assert entry.bytes > 0
        assert entry.page.startswith("https://")
        assert entry.licence
        assert entry.citation
        assert all(address.startswith("https://") for address in entry.addresses)
    assert len(registry.entries("fermi")) == 12
    assert len(registry.entries("ctao")) == 5
    assert all(entry.addresses for entry in registry.entries("fermi", "ctao"))
    assert set(registry.groups()) == {entry.group for entry in every}


def test_registry_is_plain_json():
    assert json.loads(registry._REGISTRY.read_text(encoding="utf-8"))["fermi"]["folder"] == "fermi"


def test_unknown_names_suggest_the_nearest():
    with pytest.raises(InputError, match="did you mean 'fermi'"):
        registry.entries("ferm")


def test_search_order(nowhere, monkeypatch):
    assert registry.find(NAME) is None
    cached = put(nowhere / "cache" / "skysift")
    assert registry.locate(NAME) == cached
    beside = put(nowhere / "shared" / "data")
    assert registry.locate(NAME) == beside
    monkeypatch.setenv("SKYSIFT_DATA", str(nowhere / "mine"))
    assert registry.locate(NAME) == beside
    flat = nowhere / "mine" / "template_gce.npy"
    flat.parent.mkdir()
    flat.write_bytes(b"x")
    assert registry.locate(NAME) == flat
    assert registry.locate("template_gce.npy") == flat
    assert registry.locate(NAME) != put(nowhere / "cache" / "skysift")
    grouped = put(nowhere / "mine")
    assert registry.locate(NAME) == grouped


def test_downloads_go_to_the_folder_of_the_user(nowhere, monkeypatch):
    assert registry.target() == nowhere / "cache" / "skysift"
    monkeypatch.setenv("SKYSIFT_DATA", str(nowhere / "mine"))
    assert registry.target() == nowhere / "mine"


def test_missing_file_says_how_to_get_it(nowhere):
    with pytest.raises(InputError) as caught:
        registry.locate(NAME)
    message, entry = str(caught.value), registry.entries(NAME)[0]
    assert "skysift data fetch fermi" in message
    assert entry.sha256 in message
    assert entry.addresses[0] in message


def test_folder_needs_all_files_in_one_place(nowhere):
    files = registry.entries("fermi")
    for entry in files[:-1]:
        put(nowhere / "cache" / "skysift", entry.name)
    with pytest.raises(InputError, match=files[-1].file):
        registry.find_folder("fermi")
    last = put(nowhere / "shared" / "data", files[-1].name)
    with pytest.raises(InputError, match="spread over"):
        registry.find_folder("fermi")
    last.unlink()
    put(nowhere / "cache" / "skysift", files[-1].name)
    assert registry.find_folder("fermi") == nowhere / "cache" / "skysift" / "fermi"


def test_is_intact(nowhere):
    path = put(nowhere, content=b"other")
    assert not registry.is_intact(registry.entries(NAME)[0], path)


def test_real_files_have_the_registered_checksums(data_folder):
    for entry in registry.entries("fermi", "ctao"):
        content = (data_folder / entry.place).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (entry.bytes, entry.sha256), entry.name

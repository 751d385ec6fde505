"""Faults of downloads (rows 44 and 45): no network, or the wrong bytes."""

import hashlib
import os
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from skysift.cli import main
from skysift.storage import registry


class _Stale(BaseHTTPRequestHandler):
    """Answers everything with the wrong bytes."""

    def do_GET(self):
        self.server.count += 1
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"something else")

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def lonely(tmp_path, monkeypatch):
    """A registry of one small file, and a machine without it and without a network."""
    content = b"the right bytes"
    entry = replace(
        registry.entries("fermi")[0], bytes=len(content), sha256=hashlib.sha256(content).hexdigest(),
        addresses=("http://127.0.0.1:9/a.npy",),
    )  # fmt: skip
    monkeypatch.setattr(registry, "_load", lambda: {"fermi": (entry,)})
    monkeypatch.setattr(registry, "_places", lambda: [tmp_path])
    monkeypatch.setattr(registry, "target", lambda: tmp_path)
    monkeypatch.delenv("SKYSIFT_MIRROR", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return entry


def fetch():
    with pytest.raises(SystemExit) as left:
        main(["data", "fetch", "fermi"])
    return left.value.code or 0


def test_44_no_network(tmp_path, lonely, capsys):
    assert fetch() == 2
    message = capsys.readouterr().err
    assert lonely.addresses[0] in message
    assert lonely.sha256 in message
    assert not list(tmp_path.rglob("*.npy"))


def test_44_no_network_but_the_file_is_there(tmp_path, lonely):
    path = tmp_path / lonely.place
    path.parent.mkdir()
    path.write_bytes(b"the right bytes")
    assert fetch() == 0


def test_45_wrong_checksum(tmp_path, lonely, capsys):
    with ThreadingHTTPServer(("127.0.0.1", 0), _Stale) as server:
        server.count = 0
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        os.environ["SKYSIFT_MIRROR"] = f"http://127.0.0.1:{server.server_port}"
        try:
            assert fetch() == 2
        finally:
            del os.environ["SKYSIFT_MIRROR"]
            server.shutdown()
        assert server.count == 2
    assert lonely.sha256 in capsys.readouterr().err
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []

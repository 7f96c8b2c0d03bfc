"""Downloads from a real server on this machine: hash, damage, unpacking."""

import hashlib
import io
import zipfile
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from organscope.data import fetch_set
from organscope.data.download import PUBLIC_SETS, PublicSet
from organscope.errors import DatasetError, InputError, OutputError, UnknownNameError


class Server(SimpleHTTPRequestHandler):
    """Serves a folder; `short.zip` promises more bytes than come."""

    def send_head(self):
        if not self.path.endswith("short.zip"):
            return super().send_head()
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        return io.BytesIO(b"PK and no more")

    def log_message(self, *_):
        """The tests say what went wrong."""


@pytest.fixture
def served(tmp_path):
    """A folder and its address."""
    folder = tmp_path / "served"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Server, directory=folder))
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def pack(path: Path, *names: str) -> str:
    """A zip of small files; returns its SHA-256."""
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, name * 100)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def known(url: str, sha256: str | None = None) -> dict[str, PublicSet]:
    return {"cells": replace(PUBLIC_SETS["dsb2018"], name="cells", url=url, sha256=sha256)}


def test_a_set_is_checked_and_unpacked_once(tmp_path, served):
    folder, address = served
    sha256 = pack(folder / "a.zip", "cells/images/a.png", "cells/labels/a.png", "__MACOSX/x")
    steps = []
    sets = known(f"{address}/a.zip", sha256)
    fetched = fetch_set("cells", tmp_path / "data", known=sets, progress=lambda *step: steps.append(step))
    assert (fetched.folder, fetched.sha256, fetched.verified) == (tmp_path / "data" / "cells", sha256, True)
    assert (fetched.folder / "images" / "a.png").is_file()
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["cells"]
    size = (folder / "a.zip").stat().st_size
    assert steps[-1] == (size, size)
    (folder / "a.zip").unlink()
    assert fetch_set("cells", tmp_path / "data", known=sets).sha256 == ""


def test_without_a_known_hash_the_one_found_is_told(tmp_path, served):
    folder, address = served
    sha256 = pack(folder / "a.zip", "one/a.png", "two/b.png")
    fetched = fetch_set("cells", tmp_path / "data", known=known(f"{address}/a.zip"))
    assert (fetched.sha256, fetched.verified) == (sha256, False)
    assert (fetched.folder / "two" / "b.png").is_file()


def test_another_file_than_the_known_one_is_thrown_away(tmp_path, served):
    folder, address = served
    pack(folder / "a.zip", "a.png")
    with pytest.raises(DatasetError, match="another one"):
        fetch_set("cells", tmp_path / "data", known=known(f"{address}/a.zip", "0" * 64))
    assert list((tmp_path / "data").iterdir()) == []


@pytest.mark.parametrize("name", ["gone.zip", "short.zip"])
def test_a_download_that_fails_leaves_nothing(tmp_path, served, name):
    with pytest.raises(InputError, match="Check the connection"):
        fetch_set("cells", tmp_path / "data", known=known(f"{served[1]}/{name}"))
    assert list((tmp_path / "data").iterdir()) == []


def test_what_is_no_archive_leaves_nothing(tmp_path, served):
    folder, address = served
    (folder / "a.zip").write_bytes(b"no archive")
    with pytest.raises(DatasetError, match="damaged"):
        fetch_set("cells", tmp_path / "data", known=known(f"{address}/a.zip"))
    assert list((tmp_path / "data").iterdir()) == []


def test_paths_that_lead_out_of_the_archive_stay_in(tmp_path, served):
    folder, address = served
    pack(folder / "a.zip", "../../escaped.txt", "a/b.txt")
    fetched = fetch_set("cells", tmp_path / "data", known=known(f"{address}/a.zip"))
    assert not (tmp_path / "escaped.txt").exists()
    assert (fetched.folder / "escaped.txt").is_file()


def test_wrong_names_and_places(tmp_path):
    with pytest.raises(UnknownNameError, match="nuinsseg"):
        fetch_set("unheard of", tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="another folder"):
        fetch_set("dsb2018", tmp_path / "file")


def test_public_sets_are_complete():
    for name, public in PUBLIC_SETS.items():
        assert public.name == name
        assert public.url.startswith("https://")
        assert public.sha256 is None or len(bytes.fromhex(public.sha256)) == 32

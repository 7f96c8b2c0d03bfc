"""A server that is killed loses nothing; the client of Python; two servers on one store."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing

import numpy as np
import psutil
import pytest
from PIL import Image as PillowImage

from organscope.client import Client, RefusedError
from organscope.errors import InputError, UsageError
from web_pictures import until

N_IMAGES = 3
#: Some seconds on an idle machine; the worker is the first to wait on one that is busy.
PATIENCE_S = 400


@pytest.fixture
def pictures(tmp_path, colon):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for n in range(N_IMAGES):
        PillowImage.fromarray(np.tile(colon, (2, 1, 1))).save(folder / f"{n}.png")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    return folder


def states(server, study) -> list[str]:
    return [row["image"]["state"] for row in server.client.get(f"/api/studies/{study.id}")["rows"]]


def test_a_killed_server_finishes_its_work_after_a_restart(tmp_path, serve, pictures):
    first = serve(tmp_path / "store")
    study = first.client.submit(pictures, name="killed")
    assert [refused["name"] for refused in study.refused] == ["pictures/broken.png"]
    until(lambda: "running" in states(first, study))
    workers = [child.pid for child in psutil.Process(first.process.pid).children()]
    first.kill()
    assert left_in(tmp_path / "store") == {"running", "queued"}
    # The worker must not outlive its server, or two would work on one image.
    until(lambda: not any(psutil.pid_exists(pid) for pid in workers))
    second = serve(tmp_path / "store")
    results = second.client.study(study.id).wait(timeout_s=PATIENCE_S)
    assert [result.state for result in results] == ["done"] * N_IMAGES
    assert all(result.n_cells > 50 and result.organ == "red organ" for result in results)
    saved = results[0].download("cells.csv", tmp_path / "taken")
    assert len(saved.read_text().splitlines()) == results[0].n_cells + 1


def left_in(store) -> set[str]:
    """States of unfinished jobs as the killed server left them."""
    with closing(sqlite3.connect(store / "organscope.sqlite3")) as database:
        return {state for (state,) in database.execute("SELECT state FROM jobs WHERE state != 'done'")}


def test_a_server_short_of_memory_says_so_and_stays(tmp_path, serve):
    server = serve(tmp_path / "store", "--memory-gb", "0.1")
    study = server.client.post("/api/studies", {"name": "memory"})["id"]
    until(lambda: server.process.poll() is not None or refused_for_memory(server, study))
    assert server.client.get("/api/health")["n_waiting"] == 0


def refused_for_memory(server, study: str) -> bool:
    try:
        server.client.post(f"/api/studies/{study}/slides", {"path": "x"})
    except RefusedError as error:
        return error.status == 503 and "memory" in str(error)
    return False


@pytest.mark.skipif(os.name == "nt", reason="processes end otherwise there")
def test_a_killed_worker_is_replaced(tmp_path, serve, pictures):
    server = serve(tmp_path / "store")
    process = psutil.Process(server.process.pid)
    until(lambda: len(process.children()) == 1)
    process.children()[0].kill()
    (result,) = server.client.submit(pictures / "0.png").wait(timeout_s=PATIENCE_S)
    assert result.state == "done"
    assert server.client.get("/api/health")["worker"]


def test_a_store_has_one_server(tmp_path, serve, tiny_options):
    serve(tmp_path / "store")
    command = [sys.executable, "-c", "from organscope.cli.main import main; main()", "serve", *tiny_options]
    done = subprocess.run([*command, "--store", str(tmp_path / "store"), "--port", "0"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "found another" in done.stderr


def test_the_client_says_what_is_wrong(tmp_path, serve, pictures):
    server = serve(tmp_path / "store", "--token", "a-token-of-many-letters")
    with pytest.raises(RefusedError, match="token"):
        server.client.submit(pictures)
    client = Client(server.address, token="a-token-of-many-letters")
    with pytest.raises(InputError, match="Expected"):
        client.submit(pictures / "broken.png")
    with pytest.raises(UsageError, match="nothing at"):
        client.submit(tmp_path / "nowhere")
    assert client.get("/api/studies") == []
    with pytest.raises(RefusedError, match="Start it with"):
        Client("http://127.0.0.1:9").get("/api/studies")

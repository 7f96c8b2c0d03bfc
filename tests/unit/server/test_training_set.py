"""What experts corrected on the page goes home with `organscope data import`: the way there and back."""

import csv
import zipfile
from datetime import datetime

import numpy as np
import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from organscope.cli.main import app as command
from organscope.data import read_index
from organscope.io import read_labels
from organscope.io.labels import IGNORED
from organscope.pipeline.plan import LABELS
from organscope.server import queue
from organscope.server.analysis import STEM
from organscope.server.app import create_app
from organscope.server.settings import Settings
from organscope.server.worker import work_on
from web_pictures import encoded

ADDRESS = "http://microscope:8765"
TOKENS = {"ada": "a" * 24, "ben": "b" * 24}
NAMES = ("case 1/left.png", "case 2/left.png", "right.png", "untouched.png")


@pytest.fixture(scope="module")
def lab(tmp_path_factory, bundle_paths, models, colon):
    """A client of a server with users, a study of four finished images, and their ids by name."""
    store = tmp_path_factory.mktemp("lab")
    settings = Settings(store, bundles=bundle_paths, threads=1, host="0.0.0.0", tokens=TOKENS, analyse=False)
    app = create_app(settings)
    with TestClient(app, base_url=ADDRESS, headers={"Authorization": f"Bearer {TOKENS['ada']}"}) as client:
        study = client.post("/api/studies", json={"name": "lab", "um_per_px": 0.25}).json()["id"]
        ids = {}
        for place, name in enumerate(NAMES):
            content = encoded(colon[place * 60 : place * 60 + 200, :220])
            answer = client.post(f"/api/studies/{study}/uploads", params={"name": name}, content=content)
            ids[name] = answer.json()["images"][0]["id"]
            work_on(queue.claim(app.state.parts.database, 1), app.state.parts.database, models, settings)
        yield client, study, ids


@pytest.fixture(scope="module")
def taken(lab, tmp_path_factory):
    """The folder that was taken home, unpacked, after an override, an acceptance and corrections of cells alone."""
    client, study, ids = lab
    said = (
        (NAMES[0], {"action": "override", "organ": "colon", "note": "crypts"}),
        (NAMES[0], {"action": "delete_cell", "cells": [1, 2]}),
        (NAMES[1], {"action": "accept", "organ": "blue organ"}),
        (NAMES[2], {"action": "mark_cell", "cells": [3]}),
        (NAMES[2], {"action": "delete_cell", "cells": [2]}),
    )
    for name, body in said:
        assert client.post(f"/api/images/{ids[name]}/corrections", json=body).status_code == 201
    folder = tmp_path_factory.mktemp("taken")
    (folder / "a.zip").write_bytes(client.get(f"/api/studies/{study}/annotations.zip").content)
    with zipfile.ZipFile(folder / "a.zip") as archive:
        archive.extractall(folder / "set")
    return folder / "set"


def test_data_import_takes_what_was_corrected(lab, taken, tmp_path):
    client, _, ids = lab
    done = CliRunner().invoke(command, ["data", "import", str(taken), "-o", str(tmp_path / "index")])
    assert done.exit_code == 0, done.output
    samples = {sample.image_path.stem: sample for sample in read_index(tmp_path / "index").samples()}
    assert {name: sample.organ or "" for name, sample in samples.items()} == {
        "case_1_left": "colon",
        "case_2_left": "blue organ",
        "right": "",
    }
    settings = client.app.state.settings
    before = read_labels(settings.result_folder(ids[NAMES[0]]) / STEM / LABELS)
    left = samples["case_1_left"].read_labels()
    assert set(np.unique(left)) == set(np.unique(before)) - {1, 2}
    assert samples["case_2_left"].labels_path is None, "nobody looked at its cells: its organ alone teaches"
    marked = read_labels(settings.result_folder(ids[NAMES[2]]) / STEM / LABELS) == 3
    known = samples["right"].read_labels(keep_ignored=True)
    assert marked.any()
    np.testing.assert_array_equal(known == IGNORED, marked)
    assert not (samples["right"].read_labels() == 3).any(), "a wrong outline is no cell to learn from"


def test_who_and_when_go_along(taken):
    with (taken / "corrections.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["who"] for row in rows} == {"ada"}
    assert all(datetime.fromisoformat(row["at"]).utcoffset() is not None for row in rows)
    assert ("colon/case_1_left", "override", "colon", "crypts") in {
        (row["image"], row["action"], row["organ"], row["note"]) for row in rows
    }
    assert not list(taken.rglob("*untouched*"))


def test_another_user_takes_nothing(lab):
    client, study, ids = lab
    other = {"Authorization": f"Bearer {TOKENS['ben']}"}
    for path in (f"studies/{study}/annotations.zip", f"studies/{study}/tables/cells.csv", f"images/{ids[NAMES[0]]}"):
        assert client.get(f"/api/{path}", headers=other).status_code == 404
    body = {"action": "clear"}
    assert client.post(f"/api/images/{ids[NAMES[0]]}/corrections", json=body, headers=other).status_code == 404


def test_no_route_gives_anything_of_another_user(lab):
    """Every route that names a study or an image, as its description has them, finds none for the other user."""
    client, study, ids = lab
    other = {"Authorization": f"Bearer {TOKENS['ben']}"}
    fill = {"study": study, "image": ids[NAMES[0]], "power": 0, "x": 0, "y": 0, "number": 1}
    kinds = {"files": "cells.csv", "tables": "images.csv"}
    bodies = {"corrections": {"action": "clear"}, "slides": {"path": "x"}, "edits": {"kind": "draw"}}
    bodies |= {"pixel-size": {"um_per_px": 0.5}, "again": {}, "lessons": {}}
    bodies["regions"] = {"name": "a", "ring": [[0, 0], [9, 0], [9, 9]]}
    asked = 0
    for path, methods in client.get("/openapi.json").json()["paths"].items():
        if "{study}" not in path and "{image}" not in path:
            continue
        parts = path.strip("/").split("/")
        fill["kind"] = kinds.get(parts[-2], "report.html")
        for method in methods:
            body = {"json": bodies[parts[-1]]} if parts[-1] in bodies and method == "post" else {}
            options = {"params": {"name": "a"}, "headers": other, **body}
            assert client.request(method, path.format(**fill), **options).status_code == 404, f"{method} {path}"
            asked += 1
    assert asked > 18
    for path in ("/api/studies", "/api/queue"):
        assert ids[NAMES[0]] not in client.get(path, headers=other).text
    assert client.get(f"/api/studies/{study}").status_code == 200, "nothing was removed"

"""Images of a study analyzed again with other options, without another upload; their models and their own names."""

import numpy as np
import pytest
from fastapi.testclient import TestClient

from organscope.models import load_bundle
from organscope.pipeline import Models
from organscope.server import queue
from organscope.server.analysis import cells_of
from organscope.server.app import create_app
from organscope.server.kinds import features_of
from organscope.server.lessons import Teacher
from organscope.server.settings import Settings
from organscope.server.worker import _ModelCache, work_on
from web_pictures import dark_discs, encoded, until

ADDRESS = "http://127.0.0.1:8765"


@pytest.fixture
def app(tmp_path, bundle_paths):
    return create_app(Settings(tmp_path / "store", bundles=bundle_paths, threads=1, analyse=False))


@pytest.fixture
def client(app):
    with TestClient(app, base_url=ADDRESS) as found:
        yield found


def work(app, models: Models) -> None:
    parts = app.state.parts
    while (job := queue.claim(parts.database, 1)) is not None:
        work_on(job, parts.database, models, parts.settings)


def uploaded(client, study: str, name: str, pixels: np.ndarray) -> str:
    answer = client.post(f"/api/studies/{study}/uploads?name={name}", content=encoded(pixels))
    return answer.json()["images"][0]["id"]


def test_images_are_analyzed_again_beside_the_first_results(app, client, models, colon):
    study = client.post("/api/studies", json={"name": "first"}).json()["id"]
    a = uploaded(client, study, "a.png", colon[:128, :160])
    uploaded(client, study, "b.png", colon[200:328, :160])
    work(app, models)
    client.post(f"/api/images/{a}/corrections", json={"action": "delete_cell", "cells": [1]})
    asked = {"images": [a], "um_per_px": 0.25, "channel": 0}
    made = client.post(f"/api/studies/{study}/again", json=asked).json()
    assert (made["name"], made["channel"]) == ("first, again", 0)
    work(app, models)
    (row,) = client.get(f"/api/studies/{made['id']}").json()["rows"]
    assert (row["image"]["name"], row["image"]["state"]) == ("a.png", "done"), row["image"]["message"]
    assert row["image"]["um_per_px"] == [0.25, 0.25]
    assert row["findings"]["n_deleted"] == 0
    first = client.get(f"/api/images/{a}").json()
    assert (first["image"]["um_per_px"], first["findings"]["n_deleted"]) == (None, 1)
    assert client.delete(f"/api/studies/{study}").status_code == 204
    assert client.get(f"/api/images/{row['image']['id']}/tiles/0/0/0").status_code == 200, "the file is still there"


def test_more_measures_reach_the_table_and_teach_kinds(app, client, models, colon):
    study = client.post("/api/studies", json={"measures": ["texture", "stain", "neighbors"]}).json()["id"]
    image = uploaded(client, study, "a.png", colon[:160, :160])
    work(app, models)
    table = cells_of(app.state.parts.settings.result_folder(image))
    names = set(features_of(table).columns)
    assert {"area_px", "mean_intensity_0"} < names
    assert len(names) > 20


def test_what_a_bundle_cannot_do_is_said_in_the_words_of_the_page(app, client, models, colon):
    study = client.post("/api/studies", json={"name": "sized", "diameter_px": 20.0}).json()
    assert study["analysis"] == {"diameter_px": 20.0}
    uploaded(client, study["id"], "a.png", colon[:64, :64])
    work(app, models)
    (row,) = client.get(f"/api/studies/{study['id']}").json()["rows"]
    assert row["image"]["state"] == "failed"
    assert "Leave “Cell size” under “Run again” out" in row["image"]["message"]


def test_what_cannot_be_run_again_is_refused(client):
    study = client.post("/api/studies", json={"name": "empty"}).json()["id"]
    assert client.post(f"/api/studies/{study}/again", json={}).status_code == 422
    refused = client.post("/api/studies", json={"bundles": ["nowhere"]})
    assert "none called 'nowhere'" in refused.json()["detail"]


def test_a_study_chooses_its_bundles(app, client, bundle_paths):
    known = {entry["id"]: entry for entry in client.get("/api/bundles").json()}
    assert [entry["used"] for entry in known.values() if entry["task"] == "segmentation"].count(True) == 1
    assert known["organs"]["used"] is False
    study = client.post("/api/studies", json={"bundles": ["organs"]}).json()
    assert [name.split()[0] for name in study["analysis"]["models"]] == ["organs"]
    assert "bundles" not in study["analysis"], "where bundles lie on this machine is nobody's business"
    uploaded(client, study["id"], "a.png", np.full((32, 32, 3), 200, np.uint8))
    job = queue.claim(app.state.parts.database, 1)
    chosen = _ModelCache(app.state.parts.settings)(job)
    assert chosen.organs.manifest.name == "organs"
    assert chosen.cells.manifest.name == known_name(bundle_paths[0])


def known_name(path: str) -> str:
    return load_bundle(path).manifest.name


def test_named_images_teach_a_bundle_that_can_be_chosen(app, client, models, colon):
    study = client.post("/api/studies", json={"name": "two stains"}).json()["id"]
    refused = client.post(f"/api/studies/{study}/lessons", json={})
    assert refused.status_code == 409
    assert "Name images" in refused.json()["detail"]
    parts = {"brown": colon, "blue": colon[:, :, ::-1]}
    images = {
        uploaded(client, study, f"case {k}/{name}.png", pixels[120 * k : 120 * k + 120, :120]): name
        for name, pixels in parts.items()
        for k in range(3)
    }
    work(app, models)
    for image, name in images.items():
        client.post(f"/api/images/{image}/corrections", json={"action": "override", "organ": name})
    (lesson,) = client.post(f"/api/studies/{study}/lessons", json={}).json()
    assert lesson["state"] == "queued"
    assert client.post(f"/api/studies/{study}/lessons", json={}).status_code == 409, "one at a time"
    teacher = Teacher(app.state.parts.settings, app.state.parts.database)

    def is_over() -> bool:
        teacher.advance()
        return client.get(f"/api/studies/{study}/lessons").json()[0]["state"] not in ("queued", "running")

    until(is_over, 600)
    (lesson,) = client.get(f"/api/studies/{study}/lessons").json()
    assert lesson["state"] == "done", lesson["message"]
    assert [row["label"] for row in lesson["result"]["classes"]] == ["blue", "brown"]
    assert [row["images"] for row in lesson["result"]["classes"]] == [3, 3]
    assert "bundle" in lesson
    again = client.post(f"/api/studies/{study}/again", json={"bundles": [lesson["bundle"]]})
    assert again.status_code == 201, again.text
    job = queue.claim(app.state.parts.database, 1)
    assert _ModelCache(app.state.parts.settings)(job).organs.manifest.classes == ["blue", "brown"]


def test_named_cells_teach_a_bundle_that_can_be_taken(app, client, models, tmp_path):
    study = client.post("/api/studies", json={"name": "kinds"}).json()["id"]
    image = uploaded(client, study, "discs.png", dark_discs())
    work(app, models)
    path = f"/api/studies/{study}/lessons"
    assert "found none" in client.post(path, json={"subject": "cells"}).json()["detail"]
    for kind, cells in (("upper", range(1, 9)), ("lower", range(29, 37))):
        said = {"action": "name_cell", "cells": list(cells), "organ": kind}
        client.post(f"/api/images/{image}/corrections", json=said)
    assert client.post(path, json={"subject": "cells"}).status_code == 201
    teacher = Teacher(app.state.parts.settings, app.state.parts.database)

    def is_over() -> bool:
        teacher.advance()
        return client.get(path).json()[0]["state"] not in ("queued", "running")

    until(is_over, 800)
    (lesson,) = client.get(path).json()
    assert lesson["state"] == "done", lesson["message"]
    assert [row["label"] for row in lesson["result"]["classes"]] == ["lower", "upper"]
    taken = tmp_path / "taken.zip"
    taken.write_bytes(client.get(f"/api/bundles/{lesson['bundle']}/bundle.zip").content)
    assert load_bundle(taken).manifest.classes == ["lower", "upper"]
    assert client.get("/api/bundles/nuclei/bundle.zip").status_code == 404


def test_a_lesson_can_be_stopped(app, client, models, colon, monkeypatch):
    database = app.state.parts.database
    study = client.post("/api/studies", json={"name": "stopped"}).json()["id"]
    database.read().execute(
        "INSERT INTO lessons (id, study, owner, name, state, created) VALUES ('x', ?, 'local', 'x', 'queued', 1)",
        (study,),
    )
    teacher = Teacher(app.state.parts.settings, database)
    monkeypatch.setattr(Teacher, "_write_lesson", lambda *_: app.state.parts.settings.store)
    teacher.advance()
    process = teacher._process
    assert client.get(f"/api/studies/{study}/lessons").json()[0]["state"] == "running"
    assert client.post(f"/api/studies/{study}/lessons/stop").json()[0]["state"] == "cancelled"
    teacher.advance()
    assert process.poll() is not None

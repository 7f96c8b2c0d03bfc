"""An image that is too large to hold is worked on by region, and looks the same on the page."""

import io
import json
from functools import partial

import numpy as np
import pandas as pd
import pytest
import tifffile
from fastapi.testclient import TestClient

from organscope.io import image as held
from organscope.pipeline import slides
from organscope.pipeline.memory import Streaming
from organscope.pipeline.slide_tasks import WindowTask
from organscope.server import analysis, queue, worker
from organscope.server.app import create_app
from organscope.server.results import read_header
from organscope.server.settings import Settings
from organscope.server.worker import work_on
from web_pictures import encoded

ADDRESS = "http://127.0.0.1:8765"


@pytest.fixture
def slide(tmp_path, bundle_paths, models, colon, monkeypatch):
    """A client, the id of a finished image that was worked on by region, and its folder."""
    monkeypatch.setattr(held, "MAX_HELD_PX", 10_000)
    (tmp_path / "slides" / "case 1").mkdir(parents=True)
    path = tmp_path / "slides" / "case 1" / "colon.tif"
    tifffile.imwrite(path, colon, tile=(128, 128), compression="zlib", photometric="rgb")
    store = tmp_path / "store"
    settings = Settings(store, bundles=bundle_paths, threads=1, analyse=False, allowed=(tmp_path / "slides",))
    app = create_app(settings)
    with TestClient(app, base_url=ADDRESS) as client:
        study = client.post("/api/studies", json={"name": "slides"}).json()["id"]
        answer = client.post(f"/api/studies/{study}/slides", json={"path": "slides/case 1/colon.tif"})
        image = answer.json()["images"][0]["id"]
        database = app.state.parts.database
        work_on(queue.claim(database, 1), database, models, settings)
        yield client, image, settings.result_folder(image)


def test_a_slide_is_shown_corrected_and_taken_away(slide, finished):
    client, image, out = slide
    details = client.get(f"/api/images/{image}").json()
    assert details["image"]["state"] == "done", details["image"]["message"]
    n_cells = details["summary"]["n_cells"]
    whole_client, _, whole = finished
    assert n_cells == whole_client.get(f"/api/images/{whole}").json()["summary"]["n_cells"]
    assert read_header(out / analysis.COLUMNS)[0]["n"] == n_cells
    assert len(client.get(f"/api/images/{image}/outlines/0/0").content) > 1000
    untouched = labels_from(client, image)
    assert len(np.unique(untouched)) - 1 == n_cells
    said = client.post(f"/api/images/{image}/corrections", json={"action": "delete_cell", "cells": [1, 2]})
    assert said.status_code == 201
    client.post(f"/api/images/{image}/corrections", json={"action": "mark_cell", "cells": [3]})
    expected = np.where(np.isin(untouched, (1, 2)), 0, untouched)
    np.testing.assert_array_equal(labels_from(client, image), expected)
    features = client.get(f"/api/images/{image}/files/cells.geojson").json()["features"]
    names = [feature["properties"]["name"] for feature in features]
    table = pd.read_csv(io.BytesIO(client.get(f"/api/images/{image}/files/cells.csv").content))
    assert names == [str(cell) for cell in table["id"]]
    assert "1" not in names
    assert [f["properties"]["name"] for f in features if "marked" in json.dumps(f)] == ["3"]
    assert client.get(f"/api/images/{image}/report.html").status_code == 200


def test_more_cells_than_a_browser_can_show_are_thinned_out(slide, models, monkeypatch):
    client, image, out = slide
    monkeypatch.setattr(analysis, "_MAX_SHOWN_CELLS", 20)
    table = analysis.cells_of(out)
    analysis.write_view(out, table, 512, 512)
    header, _ = read_header(out / analysis.COLUMNS)
    assert header["n"] <= 20
    assert header["n_all"] == len(table)
    assert client.get(f"/api/images/{image}/outlines/0/0").status_code == 200


def test_a_slide_makes_room_for_a_short_image_and_keeps_its_regions(
    slide, tmp_path, bundle_paths, models, colon, monkeypatch
):
    """A slow slide of 16 regions; a short image arrives while its first ones are worked on."""
    _, _, whole = slide
    monkeypatch.setattr(analysis, "Streaming", partial(Streaming, window_px=128))
    monkeypatch.setattr(queue, "TURN_S", 0.0)
    monkeypatch.setattr(queue, "LONG_S", 0.2)
    worked = []
    monkeypatch.setattr(slides, "WindowTask", lambda *args: worked.append(args[1]) or WindowTask(*args))
    settings = Settings(
        tmp_path / "other", bundles=bundle_paths, threads=1, analyse=False, allowed=(tmp_path / "slides",)
    )
    app = create_app(settings)
    with TestClient(app, base_url=ADDRESS) as client:
        database = app.state.parts.database
        study = client.post("/api/studies", json={"name": "slow"}).json()["id"]
        answer = client.post(f"/api/studies/{study}/slides", json={"path": "slides/case 1/colon.tif"})
        long = answer.json()["images"][0]["id"]
        told = []
        report = queue.report

        def and_another_arrives(database, number, stage, fraction):
            if len(told) == 3:
                client.post(f"/api/studies/{study}/uploads?name=short.png", content=encoded(colon[:90, :90]))
            told.append(fraction)
            return report(database, number, stage, fraction)

        monkeypatch.setattr(worker, "_REPORT_EVERY_S", 0.0)
        monkeypatch.setattr(queue, "report", and_another_arrives)
        states = []
        while (job := queue.claim(database, 1)) is not None:
            work_on(job, database, models, settings)
            rows = client.get(f"/api/studies/{study}").json()["rows"]
            states.append({row["image"]["name"].split("/")[-1]: row["image"]["state"] for row in rows})
        assert states == [
            {"colon.tif": "queued", "short.png": "queued"},
            {"colon.tif": "queued", "short.png": "done"},
            {"colon.tif": "done", "short.png": "done"},
        ]
        assert len(worked) < 2 * 16, "what was done of it was not done again"
        cells = analysis.cells_of(settings.result_folder(long))
    assert len(cells) == len(analysis.cells_of(whole))


def labels_from(client, image: str) -> np.ndarray:
    with tifffile.TiffFile(io.BytesIO(client.get(f"/api/images/{image}/files/labels.ome.tif").content)) as file:
        assert file.is_ome
        return file.asarray()


@pytest.fixture
def stacked(tmp_path, bundle_paths, models, colon):
    """Upload a stack with what was chosen for it, and work on it."""
    settings = Settings(tmp_path / "store", bundles=bundle_paths, threads=1, analyse=False)
    stream = io.BytesIO()
    stack = np.stack([np.full((200, 160), 240, np.uint8), colon[:200, :160, 0], colon[200:400, :160, 0]])
    tifffile.imwrite(stream, stack, imagej=True, metadata={"axes": "ZYX"})
    app = create_app(settings)
    with TestClient(app, base_url=ADDRESS) as client:

        def work(**options):
            made = client.post("/api/studies", json={"name": "stack", **options})
            assert made.status_code == 201, made.text
            study = made.json()["id"]
            answer = client.post(f"/api/studies/{study}/uploads?name=stack.tif", content=stream.getvalue())
            image = answer.json()["images"][0]["id"]
            work_on(queue.claim(app.state.parts.database, 1), app.state.parts.database, models, settings)
            return client.get(f"/api/images/{image}").json(), client

        yield work


def test_what_was_read_of_a_stack_is_said_and_can_be_chosen(stacked):
    first, client = stacked()
    assert first["image"]["state"] == "done", first["image"]["message"]
    assert any(note.startswith("Plane 1 of 3 in z was read") for note in first["findings"]["notes"])
    assert first["summary"]["n_cells"] == 0
    chosen, _ = stacked(z=1)
    assert chosen["options"]["choice"] == {"z": 1}
    assert chosen["summary"]["n_cells"] > 0
    assert not any("Plane" in note for note in chosen["findings"]["notes"])
    tile = client.get(f"/api/images/{chosen['image']['id']}/tiles/0/0/0")
    assert tile.status_code == 200
    wrong, _ = stacked(z=7)
    assert wrong["image"]["state"] == "failed"
    assert "3 z planes" in wrong["image"]["message"]
    assert client.post("/api/studies", json={"project": "mean"}).status_code == 422

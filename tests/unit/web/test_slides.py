"""An image that is too large to hold is worked on by region, and looks the same on the page."""

import io
import json

import numpy as np
import pandas as pd
import pytest
import tifffile
from fastapi.testclient import TestClient

from organscope.jobs import held
from organscope.web import analysis, queue
from organscope.web.app import create_app
from organscope.web.packing import read_header
from organscope.web.settings import Settings
from organscope.web.worker import work_on

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
    monkeypatch.setattr(analysis, "MAX_SHOWN_CELLS", 20)
    table = analysis.cells_of(out)
    analysis.write_view(out, table, 512, 512)
    header, _ = read_header(out / analysis.COLUMNS)
    assert header["n"] <= 20
    assert header["n_all"] == len(table)
    assert client.get(f"/api/images/{image}/outlines/0/0").status_code == 200


def labels_from(client, image: str) -> np.ndarray:
    with tifffile.TiffFile(io.BytesIO(client.get(f"/api/images/{image}/files/labels.ome.tif").content)) as file:
        assert file.is_ome
        return file.asarray()

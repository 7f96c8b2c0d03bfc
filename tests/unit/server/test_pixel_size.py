"""Pixel size on the page: two sides, and another one later; areas follow."""

import io
import json

import pandas as pd
import pytest
import tifffile
from fastapi.testclient import TestClient

from organscope.server import queue
from organscope.server.app import create_app
from organscope.server.settings import Settings
from organscope.server.worker import work_on


@pytest.fixture(scope="module")
def analyzed(tmp_path_factory, bundle_paths, models, colon):
    """A client, a study and its one image, whose file states pixels of 1.0 x 0.5 um."""
    settings = Settings(tmp_path_factory.mktemp("store"), bundles=bundle_paths, threads=1, analyse=False)
    app = create_app(settings)
    file = io.BytesIO()
    tifffile.imwrite(file, colon[:200, :240], photometric="rgb", resolution=(20_000, 10_000),
                     resolutionunit="CENTIMETER", metadata=None)  # fmt: skip
    with TestClient(app, base_url="http://127.0.0.1:8765") as client:
        study = client.post("/api/studies", json={"name": "tall pixels"}).json()["id"]
        answer = client.post(f"/api/studies/{study}/uploads?name=a.tif", content=file.getvalue())
        assert client.post(f"/api/studies/{study}/pixel-size", json={"um_per_px": 0.5}).status_code == 409
        work_on(queue.claim(app.state.parts.database, 1), app.state.parts.database, models, settings)
        yield client, study, answer.json()["images"][0]["id"]


def cells_of(client, image):
    return pd.read_csv(io.StringIO(client.get(f"/api/images/{image}/files/cells.csv").text))


def resized(client, study, um_per_px):
    return client.post(f"/api/studies/{study}/pixel-size", json={"um_per_px": um_per_px})


def check(client, image, size):
    """Everything that leaves the page has this pixel size; the cells."""
    details = client.get(f"/api/images/{image}").json()
    assert details["image"]["um_per_px"] == details["summary"]["um_per_px"] == pytest.approx(size)
    cells = cells_of(client, image)
    area_um2 = size[0] * size[1]
    assert cells["area_um2"].to_numpy() == pytest.approx(cells["area_px"].to_numpy() * area_um2)
    assert cells["centroid_y_um"].to_numpy() == pytest.approx(cells["centroid_y_px"].to_numpy() * size[0])
    assert cells["centroid_x_um"].to_numpy() == pytest.approx(cells["centroid_x_px"].to_numpy() * size[1])
    assert details["findings"]["median_area_um2"] == pytest.approx(cells["area_px"].median() * area_um2)
    features = json.loads(client.get(f"/api/images/{image}/files/cells.geojson").text)["features"]
    measured = [feature["properties"]["measurements"]["area_um2"] for feature in features]
    assert measured == pytest.approx(cells["area_um2"].tolist(), rel=1e-6)
    labels = io.BytesIO(client.get(f"/api/images/{image}/files/labels.ome.tif").content)
    with tifffile.TiffFile(labels) as file:
        assert f'PhysicalSizeX="{size[1]}"' in file.ome_metadata
        assert f'PhysicalSizeY="{size[0]}"' in file.ome_metadata
    return cells, details


def test_areas_follow_another_pixel_size(analyzed):
    client, study, image = analyzed
    before, details = check(client, image, [1.0, 0.5])
    assert any("not square" in note for note in details["findings"]["notes"])
    assert resized(client, study, 0.25).json()["um_per_px"] == [0.25, 0.25]
    square, details = check(client, image, [0.25, 0.25])
    assert not any("not square" in note for note in details["findings"]["notes"])
    assert details["options"]["um_per_px"] == [0.25, 0.25]
    assert square["id"].tolist() == before["id"].tolist()
    assert square["mean_intensity_0"].tolist() == before["mean_intensity_0"].tolist()
    resized(client, study, [0.5, 1.0])
    check(client, image, [0.5, 1.0])
    resized(client, study, None)
    after, details = check(client, image, [1.0, 0.5])
    pd.testing.assert_frame_equal(after, before)
    assert details["options"]["um_per_px"] is None


def test_a_doubtful_size_that_is_given_is_said(analyzed):
    client, study, image = analyzed
    resized(client, study, 50.0)
    details = client.get(f"/api/images/{image}").json()
    assert any("the median cell would be" in note for note in details["findings"]["notes"])
    resized(client, study, None)


@pytest.mark.parametrize("wrong", [0, -1, "a", [1.0], [1.0, 2.0, 3.0], [8.0, 0.5], 1e6])
def test_impossible_sizes_are_refused(analyzed, wrong):
    client, study, image = analyzed
    assert resized(client, study, wrong).status_code == 422
    assert client.post("/api/studies", json={"um_per_px": wrong}).status_code == 422
    check(client, image, [1.0, 0.5])

"""Regions of interest: their cells are those whose center lies in them."""

import io

import pandas as pd
import pytest

from organscope.server.analysis import cells_of


def test_cells_of_a_region_are_counted(finished):
    client, _, image = finished
    path = f"/api/images/{image}/regions"
    row = client.get(f"/api/images/{image}").json()
    cells = cells_of(client.app.state.settings.result_folder(image))
    half = [[0, 0], [256, 0], [256, 512], [0, 512]]
    (left,) = client.post(path, json={"name": "left", "ring": half}).json()
    assert row["image"]["um_per_px"] == [0.5, 0.5]
    assert left["n_cells"] == int((cells["centroid_x_px"] < 255.5).sum())
    assert left["area_px"] == 256 * 512
    assert left["area_mm2"] == pytest.approx(256 * 512 * 0.25 / 1e6)
    assert left["density_per_mm2"] == pytest.approx(left["n_cells"] / left["area_mm2"])
    outside = [[-300, -300], [900, -300], [900, 900], [-300, 900]]
    whole = client.post(path, json={"name": "=whole", "ring": outside}).json()[1]
    assert (whole["n_cells"], whole["area_px"]) == (len(cells), 512 * 512), "only what lies in the image counts"
    table = pd.read_csv(io.BytesIO(client.get(f"{path}.csv").content))
    assert table["region"].tolist() == ["left", "'=whole"]
    assert table["n_cells"].tolist() == [left["n_cells"], len(cells)]
    assert client.post(path, json={"name": "far", "ring": [[600, 600], [700, 600], [700, 700]]}).status_code == 422
    for region in (left, whole):
        client.post(f"{path}/{region['id']}/remove")
    assert client.get(path).json() == []
    assert client.post(f"{path}/{left['id']}/remove").status_code == 404

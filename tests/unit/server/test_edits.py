"""Cells are drawn, reshaped, split, merged and deleted; everything follows at once, and everything can be undone."""

import io

import numpy as np
import pandas as pd
import pytest
import tifffile
from fastapi.testclient import TestClient
from PIL import Image as PillowImage

from disc_pictures import write_discs
from organscope.ops.regionprops import measure_cells
from organscope.server import queue
from organscope.server.app import create_app
from organscope.server.click import grow_cell
from organscope.server.settings import Settings
from organscope.server.worker import work_on
from web_pictures import dark_discs, encoded

PIXEL_UM = 0.5


@pytest.fixture(scope="module")
def desk(tmp_path_factory, bundle_paths, models, colon):
    """Calls of the interface for one finished image, and its pixels."""
    settings = Settings(tmp_path_factory.mktemp("desk"), bundles=bundle_paths, threads=1, analyse=False)
    app = create_app(settings)
    pixels = np.ascontiguousarray(colon[:200, :240])
    with TestClient(app, base_url="http://127.0.0.1:8765") as client:
        study = client.post("/api/studies", json={"name": "edits", "um_per_px": PIXEL_UM}).json()["id"]
        answer = client.post(f"/api/studies/{study}/uploads?name=colon.png", content=encoded(pixels))
        work_on(queue.claim(app.state.parts.database, 1), app.state.parts.database, models, settings)
        yield Desk(client, study, answer.json()["images"][0]["id"]), pixels


class Desk:
    def __init__(self, client: TestClient, study: str, image: str) -> None:
        self.client, self.study, self.image = client, study, image

    def post(self, path: str, body: dict | None = None, status: int = 201) -> dict:
        answer = self.client.post(f"/api/images/{self.image}/{path}", json=body)
        assert answer.status_code == status, answer.text
        return answer.json()

    def labels(self) -> np.ndarray:
        content = self.client.get(f"/api/images/{self.image}/files/labels.ome.tif").content
        return tifffile.imread(io.BytesIO(content)).astype(np.int32)

    def table(self) -> pd.DataFrame:
        return pd.read_csv(io.BytesIO(self.client.get(f"/api/images/{self.image}/files/cells.csv").content))

    def same_everywhere(self, pixels: np.ndarray) -> None:
        """Labels, table, outlines and counts tell of the same cells, measured as the analysis measures."""
        labels, table = self.labels(), self.table()
        expected = pd.DataFrame(measure_cells(labels, pixels, (PIXEL_UM, PIXEL_UM)))
        pd.testing.assert_frame_equal(table[expected.columns.tolist()], expected, check_dtype=False, rtol=1e-9)
        features = self.client.get(f"/api/images/{self.image}/files/cells.geojson").json()["features"]
        assert sorted(int(feature["properties"]["name"]) for feature in features) == table["id"].tolist()
        findings = self.client.get(f"/api/images/{self.image}").json()["findings"]
        assert findings["n_cells"] == len(table)
        assert findings["median_area_px"] == table["area_px"].median()
        row = pd.read_csv(io.BytesIO(self.client.get(f"/api/studies/{self.study}/tables/images.csv").content)).iloc[0]
        assert row["n_cells"] == len(table)
        assert f"{len(table):,}" in self.client.get(f"/api/images/{self.image}/report.html").text
        parquet = self.client.get(f"/api/images/{self.image}/files/cells.parquet").content
        assert pd.read_parquet(io.BytesIO(parquet))["id"].tolist() == table["id"].tolist()


def background_square(labels: np.ndarray, side: int) -> tuple[int, int]:
    free = np.lib.stride_tricks.sliding_window_view(labels == 0, (side, side)).all(axis=(2, 3))
    return tuple(int(v) for v in np.argwhere(free)[0])


def box_of(labels: np.ndarray, cell: int) -> tuple[int, int, int, int]:
    y, x = np.nonzero(labels == cell)
    return int(y.min()), int(x.min()), int(y.max()) + 1, int(x.max()) + 1


def test_a_missed_cell_is_drawn_and_is_there_everywhere(desk):
    page, pixels = desk
    before = page.labels()
    y, x = background_square(before, 10)
    square = [[x + 1, y + 1], [x + 9, y + 1], [x + 9, y + 9], [x + 1, y + 9]]
    now = page.post("edits", {"kind": "draw", "points": square})["now"]
    (drawn,) = now["edited"]
    after = page.labels()
    changed = np.argwhere(after != before)
    assert (changed.min(axis=0).tolist(), changed.max(axis=0).tolist()) == ([y + 1, x + 1], [y + 8, x + 8])
    assert drawn["id"] == before.max() + 1
    assert drawn["measures"]["area_um2"] == 64 * PIXEL_UM**2
    assert sorted(map(tuple, drawn["ring"][:-1])) == sorted(map(tuple, square))
    page.same_everywhere(pixels)
    table = page.table().set_index("id")
    assert table.loc[drawn["id"], "edited"]
    assert np.isnan(table.loc[drawn["id"], "probability"]), "no network gave it a probability"
    assert page.post("undo")["now"]["edited"] == []
    np.testing.assert_array_equal(page.labels(), before)
    assert page.post("redo")["now"]["edited"] == now["edited"]
    page.post("undo")


def test_areas_of_drawn_cells_follow_another_pixel_size(desk):
    page, _ = desk
    y, x = background_square(page.labels(), 10)
    page.post("edits", {"kind": "draw", "points": [[x, y], [x + 8, y], [x + 8, y + 8], [x, y + 8]]})
    for size in (1.0, PIXEL_UM):
        answer = page.client.post(f"/api/studies/{page.study}/pixel-size", json={"um_per_px": size})
        assert answer.status_code == 200, answer.text
        table = page.table()
        assert table["area_um2"].to_numpy() == pytest.approx(table["area_px"].to_numpy() * size**2)
    page.post("undo")


def test_other_cells_keep_their_pixels(desk):
    page, pixels = desk
    before = page.labels()
    top, left, bottom, right = box_of(before, 1)
    around = [[left - 9, top - 9], [right + 9, top - 9], [right + 9, bottom + 9], [left - 9, bottom + 9]]
    page.post("edits", {"kind": "draw", "points": around})
    after = page.labels()
    np.testing.assert_array_equal(after[before > 0], before[before > 0])
    page.same_everywhere(pixels)
    page.post("undo")


def test_a_brush_adds_and_erases(desk):
    page, pixels = desk
    before = page.labels()
    cell = int(np.bincount(before[before > 0]).argmax())
    top, left, bottom, right = box_of(before, cell)
    line = [[(left + right) / 2, top], [(left + right) / 2, bottom]]
    page.post("edits", {"kind": "add", "cells": [cell], "points": line, "radius_px": 6})
    grown = page.labels()
    assert (grown == cell).sum() > (before == cell).sum()
    assert ((grown == cell) >= (before == cell)).all()
    page.same_everywhere(pixels)
    page.post("edits", {"kind": "erase", "cells": [cell], "points": [[left, top], [left, bottom]], "radius_px": 4})
    assert (page.labels() == cell).sum() < (grown == cell).sum()
    page.same_everywhere(pixels)
    page.post("edits", {"kind": "erase", "cells": [cell], "points": line, "radius_px": 400})
    assert not (page.labels() == cell).any(), "a cell that is erased altogether is none"
    page.same_everywhere(pixels)
    for _ in range(3):
        page.post("undo")
    np.testing.assert_array_equal(page.labels(), before)


def test_a_cell_is_split_and_merged_again(desk):
    page, pixels = desk
    before = page.labels()
    cell = int(np.bincount(before[before > 0]).argmax())
    top, left, bottom, right = box_of(before, cell)
    across = [[(left + right) / 2, top - 3], [(left + right) / 2, bottom + 3]]
    now = page.post("edits", {"kind": "split", "cells": [cell], "points": across})["now"]
    parts = [edited["id"] for edited in now["edited"]]
    after = page.labels()
    assert len(parts) >= 2
    assert cell in parts
    np.testing.assert_array_equal(np.isin(after, parts), before == cell)
    page.same_everywhere(pixels)
    page.post("edits", {"kind": "merge", "cells": parts})
    merged = page.labels() == parts[0]
    assert merged[before == cell].all()
    page.same_everywhere(pixels)
    page.post("undo")
    np.testing.assert_array_equal(page.labels(), after)
    page.post("undo")
    np.testing.assert_array_equal(page.labels(), before)


def test_a_bulk_deletion_is_one_undo_and_survives_a_reload(desk):
    page, pixels = desk
    before = page.table()
    cells = before["id"].tolist()[:-3]
    page.post("corrections", {"action": "delete_cell", "cells": cells})
    assert len(page.table()) == 3
    page.same_everywhere(pixels)
    now = page.client.get(f"/api/images/{page.image}").json()["corrections"]
    assert now["can_undo"]
    now = page.post("undo")["now"]
    assert now["deleted"] == []
    assert now["can_redo"]
    pd.testing.assert_frame_equal(page.table(), before)
    assert len(page.post("redo")["now"]["deleted"]) == len(cells)
    page.post("undo")
    page.post("corrections", {"action": "mark_cell", "cells": cells[:1]})
    page.post("redo", status=409)
    page.post("undo")


def test_verdicts_are_undone_like_everything_else(desk):
    page, _ = desk
    page.post("corrections", {"action": "override", "organ": "spleen, red pulp", "note": "seen twice"})
    now = page.post("corrections", {"action": "not_tissue"})["now"]
    assert (now["action"], now["organ"], now["is_reviewed"]) == ("not_tissue", None, True)
    now = page.post("undo")["now"]
    assert (now["organ"], now["note"]) == ("spleen, red pulp", "seen twice")
    assert not page.post("undo")["now"]["is_reviewed"]
    said = page.client.get(f"/api/images/{page.image}/corrections").json()["said"]
    assert [row["action"] for row in said[-4:]] == ["override", "not_tissue", "undo", "undo"], "nothing is lost"


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"kind": "draw", "points": [[1, 1], [2, 2]]}, 422, "3 points"),
        ({"kind": "add", "points": [[1, 1]]}, 422, "1 cells"),
        ({"kind": "add", "cells": [99_999], "points": [[1, 1]]}, 409, "99999"),
        ({"kind": "merge", "cells": [1]}, 422, "2 to 50"),
        ({"kind": "split", "cells": [1], "points": [[0, 0], [0, 1]]}, 422, "one part"),
        ({"kind": "draw", "points": [[0, 0], [0, 0], [0, 0]]}, 422, "found none"),
    ],
)
def test_what_makes_no_cell_is_refused_and_nothing_is_noted(desk, body, status, words):
    page, _ = desk
    before = page.table()
    assert words in page.post("edits", body, status=status)["detail"]
    pd.testing.assert_frame_equal(page.table(), before)


def test_cells_far_apart_are_not_merged(desk):
    page, _ = desk
    table = page.table().sort_values("area_px").iloc[:-1].sort_values("centroid_y_px")
    first, last = (int(table["id"].iloc[place]) for place in (0, -1))
    answer = page.post("edits", {"kind": "merge", "cells": [first, last]}, status=409)
    assert "farther apart" in answer["detail"]


def test_nothing_to_undo_is_said(client, study, png):
    image = client.post(f"/api/studies/{study}/uploads?name=a", content=png).json()["images"][0]["id"]
    assert client.post(f"/api/images/{image}/undo").status_code == 409


def test_a_click_finds_a_missed_cell(desk, models):
    """A cell that is deleted and clicked comes back with about the same pixels; all others keep theirs."""
    client, pixels = desk[0].client, dark_discs()
    study = client.post("/api/studies", json={"name": "discs", "um_per_px": PIXEL_UM}).json()["id"]
    answer = client.post(f"/api/studies/{study}/uploads?name=discs.png", content=encoded(pixels))
    parts = client.app.state.parts
    work_on(queue.claim(parts.database, 1), parts.database, models, parts.settings)
    calls = Desk(client, study, answer.json()["images"][0]["id"])
    before = calls.labels()
    assert before.max() == 36
    truth = before == 15
    y, x = (float(v) for v in np.argwhere(truth)[truth.sum() // 2])
    refused = calls.post("edits", {"kind": "click", "points": [[x, y]]}, 409)
    assert "found cell 15" in refused["detail"]
    calls.post("corrections", {"action": "delete_cell", "cells": [15]})
    calls.post("edits", {"kind": "click", "points": [[x, y]]})
    after = calls.labels()
    found = after == 37
    assert (found & truth).sum() / (found | truth).sum() > 0.8
    np.testing.assert_array_equal(after[(before > 0) & ~truth], before[(before > 0) & ~truth])
    calls.same_everywhere(pixels)
    corner = calls.post("edits", {"kind": "click", "points": [[2, 2]]}, 422)
    assert "nothing that stands out" in corner["detail"]


def test_a_click_finds_each_of_many_cells_by_the_others(tmp_path):
    write_discs(tmp_path, 3)
    found = []
    for path in sorted((tmp_path / "images").iterdir()):
        pixels = np.array(PillowImage.open(path))[:, :, None]
        labels = tifffile.imread(tmp_path / "labels" / f"{path.stem}.tif").astype(np.int32)
        for cell in np.unique(labels)[1:]:
            truth = labels == cell
            seed = tuple(int(v) for v in np.argwhere(truth)[truth.sum() // 2])
            mask = grow_cell(pixels, np.where(truth, 0, labels), seed, 16.0)
            found.append((mask & truth).sum() / (mask | truth).sum())
    assert len(found) > 20
    assert min(found) > 0.6
    assert np.median(found) > 0.8


@pytest.mark.parametrize("sign", [1, -1])
def test_a_click_cuts_touching_cells_without_any_other_cell_to_learn_from(sign):
    y, x = np.mgrid[:80, :80]
    discs = (np.hypot(y - 40, x - 30) < 11) | (np.hypot(y - 40, x - 49) < 11)
    noise = np.random.default_rng(0).normal(0, 4, (80, 80, 3))
    pixels = 120 + sign * 60 * discs[:, :, None] + noise
    cell = grow_cell(pixels, np.zeros((80, 80), np.int32), (40, 28), 22.0)
    truth = discs & (x < 40)
    assert (cell & truth).sum() / (cell | truth).sum() > 0.8
    assert not grow_cell(np.full((80, 80, 3), 100.0), np.zeros((80, 80), np.int32), (40, 28), 22.0).any()

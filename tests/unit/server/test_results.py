"""An analyzed image: verdicts at other prices, corrections, files to take away."""

import io
import zipfile

import numpy as np
import pandas as pd
import pytest
import tifffile

from organscope.data import import_folder, read_index
from organscope.server.corrections import Corrected


@pytest.fixture(scope="module")
def api(finished):
    """Paths of the shared study and image behind short names."""
    client, study, image = finished

    def call(method: str, path: str, **options):
        return client.request(
            method, path.replace("STUDY", f"/api/studies/{study}").replace("IMAGE", f"/api/images/{image}"), **options
        )

    return call


def test_the_image_is_done(api):
    details = api("GET", "IMAGE").json()
    assert details["image"]["state"] == "done"
    assert details["image"]["name"] == "case 1/colon.png"
    assert details["image"]["um_per_px"] == [0.5, 0.5]
    assert details["summary"]["n_cells"] > 50
    assert details["organs"] == ["blue organ", "green organ", "red organ"]
    assert [flag["flag"] for flag in details["findings"]["quality"]] == ["unlike training"]


def test_tiles_and_cells(api):
    tile = api("GET", "IMAGE/tiles/1/0/0")
    assert tile.headers["Content-Type"] == "image/jpeg"
    assert tile.content.startswith(b"\xff\xd8\xff")
    assert api("GET", "IMAGE/tiles/0/2/0").status_code == 404
    assert api("GET", "IMAGE/tiles/31/0/0").status_code == 422
    assert len(api("GET", "IMAGE/cells").content) > 1000
    assert len(api("GET", "IMAGE/outlines/0/0").content) > 1000
    assert api("GET", "IMAGE/evidence").status_code == 404


def test_verdicts_follow_the_price_without_the_network(api):
    plain = api("GET", "IMAGE/verdict").json()["verdicts"][0]
    assert (plain["organ"], plain["decision"]) == ("red organ", "abstain")
    assert "unlike anything" in plain["reason"]
    assert plain["cost"] == pytest.approx(1 - plain["confidence"])
    dear = api("GET", "IMAGE/verdict", params={"positive": "blue organ", "miss_cost": 100}).json()["verdicts"][0]
    assert dear["organ"] == "blue organ"
    assert dear["cost"] == pytest.approx(1 - dear["confidence"])
    assert dear["confidence"] < plain["confidence"]
    in_study = api("GET", "STUDY/verdicts", params={"positive": "blue organ", "miss_cost": 100}).json()["verdicts"]
    assert in_study == [dear]


def test_a_promise_is_told_in_words(api):
    found = api("GET", "IMAGE/verdict", params={"positive": "red organ", "min_recall": 0.9}).json()
    assert isinstance(found["verdicts"][0]["flagged"], bool)
    assert "promised" in " ".join(found["promise"])


@pytest.mark.parametrize(
    "query", [{"positive": "heart"}, {"miss_cost": 0}, {"miss_cost": "nan"}, {"positive": "red organ", "min_recall": 1}]
)
def test_a_question_without_sense_is_refused(api, query):
    answer = api("GET", "IMAGE/verdict", params=query)
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("Expected")


def test_the_report_names_everything(api):
    answer = api("GET", "IMAGE/report.html", params={"positive": "red organ", "miss_cost": 20})
    assert "I don&#39;t know" in answer.text
    assert "missing red organ costs 20 times" in answer.text
    assert "tiny-nuclei 1.0.0" in answer.text
    assert "<script" not in answer.text
    assert "attachment" in answer.headers["Content-Disposition"]
    pdf = api("GET", "STUDY/report.pdf")
    assert pdf.content.startswith(b"%PDF-")


@pytest.mark.parametrize(
    "body",
    [
        {"action": "accept"},
        {"action": "delete_cell"},
        {"action": "delete_cell", "cells": [0]},
        {"action": "delete_cell", "cells": [10**6]},
        {"action": "accept", "organ": "x", "cells": [1]},
        {"action": "burn"},
        {"action": "clear", "more": 1},
    ],
)
def test_corrections_without_sense_are_refused(api, body):
    assert api("POST", "IMAGE/corrections", json=body).status_code == 422


def test_corrections_are_kept_with_who_and_when_and_can_be_taken_back(api):
    before = len(api("GET", "IMAGE/corrections").json()["said"])
    for body in (
        {"action": "override", "organ": "green organ", "note": "=cmd()"},
        {"action": "delete_cell", "cells": [1, 2, 3]},
        {"action": "mark_cell", "cells": [4, 3]},
        {"action": "restore_cell", "cells": [2]},
    ):
        assert api("POST", "IMAGE/corrections", json=body).status_code == 201
    found = api("GET", "IMAGE/corrections").json()
    assert found["now"]["organ"] == "green organ"
    assert (found["now"]["deleted"], found["now"]["marked"]) == ([1], [3, 4])
    assert {said["who"] for said in found["said"]} == {"local"}
    assert len(found["said"]) - before == 7
    row = api("GET", "STUDY").json()["rows"][0]
    assert row["corrections"]["organ"] == "green organ"


def test_files_are_without_deleted_cells(api):
    table = pd.read_csv(io.BytesIO(api("GET", "IMAGE/files/cells.csv").content))
    assert 1 not in set(table["id"])
    assert table.loc[table["id"].isin([3, 4]), "marked"].all()
    parquet = pd.read_parquet(io.BytesIO(api("GET", "IMAGE/files/cells.parquet").content))
    assert parquet["id"].tolist() == table["id"].tolist()
    assert len(api("GET", "IMAGE/files/cells.geojson").json()["features"]) == len(table)
    with tifffile.TiffFile(io.BytesIO(api("GET", "IMAGE/files/labels.ome.tif").content)) as file:
        assert file.is_ome
        assert 'PhysicalSizeX="0.5"' in file.ome_metadata
        assert sorted(set(np.unique(file.asarray())) - {0}) == table["id"].tolist()
    assert api("GET", "IMAGE/files/passwords").status_code == 422


def test_corrected_annotations_are_a_data_set(api, tmp_path):
    answer = api("GET", "STUDY/annotations.zip")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        archive.extractall(tmp_path / "set")
    assert "'=cmd()" in (tmp_path / "set" / "corrections.csv").read_text()
    import_folder(tmp_path / "set", tmp_path / "index")
    (sample,) = read_index(tmp_path / "index").samples()
    assert sample.organ == "green organ"
    assert 1 not in sample.read_labels()
    assert 2 in sample.read_labels()


def test_nothing_reviewed_is_said_plainly(client, study):
    answer = client.get(f"/api/studies/{study}/annotations.zip")
    assert answer.status_code == 409
    assert "reviewed" in answer.json()["detail"]


def test_results_are_not_there_before_they_are(client, study, png):
    image = client.post(f"/api/studies/{study}/uploads?name=a", content=png).json()["images"][0]["id"]
    for path in ("cells", "files/cells.csv", "verdict", "report.html", "tiles/0/0/0"):
        assert client.get(f"/api/images/{image}/{path}").status_code == 409
    assert client.post(f"/api/images/{image}/retry").status_code == 409
    assert client.post(f"/api/images/{image}/cancel").json()["state"] == "cancelled"
    assert client.post(f"/api/images/{image}/retry").json()["state"] == "queued"


def test_a_study_is_removed_with_its_files(client, settings, study, png):
    client.post(f"/api/studies/{study}/uploads?name=a", content=png)
    assert client.delete(f"/api/studies/{study}").status_code == 204
    assert client.get(f"/api/studies/{study}").status_code == 404
    assert not list((settings.store / "uploads").iterdir())
    assert client.get("/api/queue").json()["images"] == []


def test_pages_and_bundles(finished):
    client, study, image = finished
    for path in ("/", f"/studies/{study}", f"/images/{image}", "/docs", "/login"):
        assert client.get(path).status_code == 200
    entries = client.get("/api/bundles").json()
    assert [entry["name"] for entry in entries if entry["used"]][:2] == ["tiny-nuclei", "tiny-organs"]
    assert client.get("/api/health").json()["worker"] is False


def test_an_untouched_image_is_not_reviewed():
    assert not Corrected().is_reviewed
    assert Corrected(deleted={1}).is_reviewed

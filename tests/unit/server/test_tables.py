"""Tables of a study, and reasons in words."""

import io

import pandas as pd
import pytest

from organscope.decision import Policy, RecallGuarantee
from organscope.decision.explain import Explanation, describe_guarantee_plainly, percent, reasons_in_words
from organscope.server.exports import harmless

POLICY = Policy(temperature=1.0, min_confidence=0.6, max_distance=0.4, n_neighbours=2)


def test_one_row_an_image(finished):
    client, study, _ = finished
    answer = client.get(f"/api/studies/{study}/tables/images.csv", params={"positive": "blue organ", "miss_cost": 100})
    table = pd.read_csv(io.BytesIO(answer.content))
    assert table.loc[0, "image"] == "case 1/colon.png"
    assert table.loc[0, "organ"] == "blue organ"
    assert "unlike everything" in table.loc[0, "why"]
    assert table.loc[0, "n_cells"] + table.loc[0, "n_deleted"] > 50


def test_page_table_and_report_say_the_same(finished):
    """Counts, median, doubts and what cannot be ruled out, before and after corrections of cells."""
    client, study, image = finished
    for deleted in ([], [5, 6, 7, 8, 9, 10]):
        if deleted:
            body = {"action": "delete_cell", "cells": deleted}
            assert client.post(f"/api/images/{image}/corrections", json=body).status_code == 201
        page = client.get(f"/api/images/{image}").json()
        said, verdict = page["findings"], client.get(f"/api/images/{image}/verdict").json()["verdicts"][0]
        overview = client.get(f"/api/studies/{study}").json()["rows"][0]
        row = pd.read_csv(io.BytesIO(client.get(f"/api/studies/{study}/tables/images.csv").content)).iloc[0]
        cells = pd.read_csv(io.BytesIO(client.get(f"/api/images/{image}/files/cells.csv").content))
        report = client.get(f"/api/images/{image}/report.html").text
        assert overview["findings"] == said
        assert said["n_cells"] == len(cells) == row["n_cells"] == page["image"]["n_cells"]
        assert said["n_found"] == row["n_found"] == page["summary"]["n_cells"]
        assert f"{said['n_cells']:,}" in report
        assert said["median_area_px"] == row["median_area_px"] == cells["area_px"].median()
        assert said["median_area_um2"] == pytest.approx(cells["area_um2"].median())
        assert row["median_area_um2"] == said["median_area_um2"]
        assert row["quality"] == "; ".join(flag["reason"] for flag in said["quality"]) != ""
        assert all(flag["reason"] in report for flag in said["quality"])
        assert verdict["is_strange"]
        assert row["cannot_be_ruled_out"] == "any organ"
        assert verdict["set_note"].startswith("No organ can be ruled out")
        assert verdict["set_note"] in report
    client.post(f"/api/images/{image}/corrections", json={"action": "restore_cell", "cells": [5, 6, 7, 8, 9, 10]})


def test_images_of_one_name_are_told_apart_in_every_table(client, study, png):
    for _ in range(2):
        client.post(f"/api/studies/{study}/uploads?name=same.png", content=png)
    table = pd.read_csv(io.BytesIO(client.get(f"/api/studies/{study}/tables/images.csv").content))
    assert table["image"].tolist() == ["same.png"] * 2
    assert table["file_stem"].tolist() == ["same", "same_png"]


def test_one_row_a_cell_of_every_image(finished):
    client, study, image = finished
    table = pd.read_csv(io.BytesIO(client.get(f"/api/studies/{study}/tables/cells.csv").content))
    alone = pd.read_csv(io.BytesIO(client.get(f"/api/images/{image}/files/cells.csv").content))
    assert set(table["image"]) == {"case 1/colon.png"}
    assert table["id"].tolist() == alone["id"].tolist()
    assert table["area_px"].tolist() == alone["area_px"].tolist()


def test_an_empty_study_has_empty_tables(client, study):
    for kind in ("images.csv", "cells.csv"):
        assert client.get(f"/api/studies/{study}/tables/{kind}").status_code == 200


@pytest.mark.parametrize(("text", "expected"), [("=cmd()", "'=cmd()"), ("@x", "'@x"), ("a=b", "a=b"), ("", "")])
def test_no_name_is_a_formula(text, expected):
    assert harmless(text) == expected


def doubted(**changes) -> Explanation:
    fields = {"organ": "liver", "probability": 0.9, "likeliest": "liver", "distance": 0.1, "doubt": ""}
    return Explanation(**{**fields, "not_ruled_out": None, **changes})


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"distance": 0.5}, ["unlike everything"]),
        ({"probability": 0.2}, ["No organ is probable enough: liver has 20\u00a0%, and 60\u00a0% are needed."]),
        ({"probability": 0.2, "likeliest": "brain"}, ["At this price the safest answer would be liver"]),
        ({"doubt": "out of focus", "not_ruled_out": "brain"}, ["Out of focus.", "It may be brain"]),
    ],
)
def test_reasons(changes, expected):
    found = reasons_in_words(doubted(**changes), POLICY)
    assert len(found) == len(expected)
    assert all(words in sentence for words, sentence in zip(expected, found, strict=True))


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.0001, "less than 0.1"), (0.05, "5.0"), (0.5, "50"), (0.995, "99.5"), (1.0, "more than 99.9")],
)
def test_a_share_is_never_certain(value, expected):
    assert percent(value) == f"{expected}\u00a0%"


def test_a_promise_is_counted_in_images():
    fields = {"organ": "liver", "asked": 0.9, "confidence": 0.9, "threshold": 0.5, "n_negative": 40, "n_false": 2}
    kept = " ".join(describe_guarantee_plainly(RecallGuarantee(**fields, level=0.9, n_positive=30, n_missed=0)))
    assert "Of 100 images of liver, at least 90 are flagged" in kept
    assert "False-positive rate" in kept
    less = " ".join(describe_guarantee_plainly(RecallGuarantee(**fields, level=0.63, n_positive=5, n_missed=0)))
    assert "cannot be promised" in less
    assert "at least 63" in less
    assert (
        "Nothing can be promised"
        in describe_guarantee_plainly(RecallGuarantee(**fields, level=0.0, n_positive=0, n_missed=0))[0]
    )

"""The command line from real image files to every result file, with the tiny bundles; and with bad input."""

import errno
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image as PillowImage
from shapely.geometry import shape
from typer.testing import CliRunner, Result

from organscope.cli.main import app
from organscope.io import read_labels
from tiny_bundles import ORGANS, write_tiny_classification, write_tiny_segmentation

PER_IMAGE = {"labels.tif", "cells.csv", "cells.parquet", "cells.geojson", "overlay.png"}
CELL_COLUMNS = [
    "id", "centroid_y_px", "centroid_x_px", "area_px", "perimeter_px", "eccentricity", "solidity",
    "mean_intensity_0", "mean_intensity_1", "mean_intensity_2", "probability", "touches_border",
]  # fmt: skip


@pytest.fixture(scope="module")
def bundles(tmp_path_factory) -> list[str]:
    """Options that name the tiny bundles of both tasks."""
    folder = tmp_path_factory.mktemp("bundles")
    paths = [write_tiny_segmentation(folder / "cells"), write_tiny_classification(folder / "organs")]
    return [word for path in paths for word in ("--bundle", str(path))]


@pytest.fixture
def pictures(tmp_path, colon) -> Path:
    """A folder with real crops: RGB PNG, gray 16-bit TIFF with a pixel size, JPEG in a folder below."""
    folder = tmp_path / "pictures"
    (folder / "below").mkdir(parents=True)
    PillowImage.fromarray(colon[:96, :128]).save(folder / "colour.png")
    gray = colon[200:296, 200:328].mean(axis=2).astype(np.uint16) * 257
    tifffile.imwrite(folder / "gray.tif", gray, resolution=(20_000, 20_000), resolutionunit="CENTIMETER")
    PillowImage.fromarray(colon[300:400, 300:400]).save(folder / "below" / "small.jpg", quality=95)
    return folder


def call(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def names_below(folder: Path) -> set[str]:
    """Files below a folder, without the ledger of a run."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {path.as_posix() for path in found if path.parts[0] != ".organscope"}


def test_analyze_writes_every_file_and_nothing_else(tmp_path, pictures, bundles):
    result = call("analyze", pictures, "-o", tmp_path / "out", *bundles)
    assert result.exit_code == 0, result.output
    stems = ("colour", "gray", "below/small")
    expected = {f"{stem}/{name}" for stem in stems for name in PER_IMAGE}
    assert names_below(tmp_path / "out") == expected | {"predictions.csv", "policy.json", "summary.csv", "report.html"}
    assert (tmp_path / "out" / ".organscope" / "ledger.sqlite3").is_file()


def test_labels_tables_and_outlines_tell_of_the_same_cells(tmp_path, pictures, bundles):
    call("segment", pictures / "colour.png", "-o", tmp_path / "out", *bundles[:2])
    folder = tmp_path / "out" / "colour"
    with tifffile.TiffFile(folder / "labels.tif") as file:
        page = file.pages[0]
        assert page.dtype in (np.int32, np.uint32)
        assert page.is_tiled
        assert page.compression != 1
    labels = read_labels(folder / "labels.tif")
    assert labels.shape == (96, 128)
    table = pd.read_parquet(folder / "cells.parquet")
    assert list(table.columns) == CELL_COLUMNS
    assert table["probability"].between(0, 1).all()
    ids, areas = np.unique(labels[labels > 0], return_counts=True)
    np.testing.assert_array_equal(table["id"], ids)
    np.testing.assert_array_equal(table["area_px"], areas)
    pd.testing.assert_frame_equal(pd.read_csv(folder / "cells.csv"), table, check_dtype=False)
    with PillowImage.open(folder / "overlay.png") as overlay:
        assert overlay.size == (128, 96)


def test_geojson_is_what_qupath_reads(tmp_path, pictures, bundles):
    call("segment", pictures / "colour.png", "-o", tmp_path / "out", *bundles[:2])
    folder = tmp_path / "out" / "colour"
    collection = json.loads((folder / "cells.geojson").read_text(encoding="utf-8"))
    table = pd.read_parquet(folder / "cells.parquet")
    assert collection["type"] == "FeatureCollection"
    assert len(collection["features"]) == len(table)
    for feature, row in zip(collection["features"], table.itertuples(), strict=True):
        assert feature["type"] == "Feature"
        assert feature["properties"]["objectType"] == "detection"
        polygon = shape(feature["geometry"])
        assert 0 < polygon.area >= row.area_px * 0.5
        west, north, east, south = polygon.bounds
        assert west <= row.centroid_x_px + 0.5 <= east
        assert north <= row.centroid_y_px + 0.5 <= south
        assert 0 <= west < east <= 128
        assert 0 <= north < south <= 96


def test_known_pixel_size_adds_micrometers(tmp_path, pictures, bundles):
    call("analyze", pictures / "gray.tif", "-o", tmp_path / "out", *bundles)
    table = pd.read_parquet(tmp_path / "out" / "gray" / "cells.parquet")
    np.testing.assert_allclose(table["area_um2"], table["area_px"] * 0.25)
    summary = pd.read_csv(tmp_path / "out" / "summary.csv")
    assert summary.loc[0, "um_per_px_y"] == pytest.approx(0.5)
    assert summary.loc[0, "median_area_um2"] == pytest.approx(summary.loc[0, "median_area_px"] / 4)


def test_predictions_have_the_promised_columns(tmp_path, pictures, bundles):
    result = call("classify", pictures, "-o", tmp_path / "out", *bundles[2:])
    assert result.exit_code == 0, result.output
    assert names_below(tmp_path / "out") == {"predictions.csv", "policy.json"}
    table = pd.read_csv(tmp_path / "out" / "predictions.csv", keep_default_na=False)
    columns = ["image", "organ", "confidence", "decision", "reason", "prediction_set", "promised_recall"]
    columns += ["false_alarm_rate", "distance", "doubt", *(f"p_{organ}" for organ in ORGANS)]
    assert list(table.columns) == columns
    assert list(table["image"]) == [str(pictures / name) for name in ("below/small.jpg", "colour.png", "gray.tif")]
    assert set(table["decision"]) <= {"accept", "abstain"}
    np.testing.assert_allclose(table.iloc[:, 10:].sum(axis=1), 1.0, atol=1e-6)  # written as float64 text
    assert (table["reason"] != "").equals(table["decision"] == "abstain")


def test_report_shows_each_image_and_needs_nothing_else(tmp_path, pictures, bundles):
    call("analyze", pictures, "-o", tmp_path / "out", *bundles)
    text = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert text.count("data:image/jpeg;base64,") == 3
    assert "tiny-nuclei" in text
    assert "tiny-organs" in text
    assert "://" not in text


def test_json_is_all_that_stdout_holds(tmp_path, pictures, bundles):
    (pictures / "broken.tif").write_text("no image")
    result = call("analyze", pictures, "-o", tmp_path / "out", "--json", *bundles)
    assert result.exit_code == 1
    data = json.loads(result.stdout)
    assert [Path(image["image"]).name for image in data["images"]] == ["small.jpg", "colour.png", "gray.tif"]
    assert sum(data["images"][1]["probabilities"].values()) == pytest.approx(1)
    assert data["images"][1]["n_cells"] == len(pd.read_csv(tmp_path / "out" / "colour" / "cells.csv"))
    assert [Path(failure["image"]).name for failure in data["failures"]] == ["broken.tif"]
    assert data["peak_memory_mb"] > 0


@pytest.mark.parametrize("command", ["segment", "classify", "analyze"])
def test_bad_files_are_named_in_one_sentence_and_the_others_finish(tmp_path, pictures, bundles, command):
    whole = (pictures / "colour.png").read_bytes()
    (pictures / "truncated.png").write_bytes(whole[: len(whole) // 2])
    (pictures / "text.tif").write_text("Dear image, where are you?")
    (pictures / "empty.png").touch()
    used = {"segment": bundles[:2], "classify": bundles[2:], "analyze": bundles}[command]
    result = call(command, pictures, "-o", tmp_path / "out", *used)
    assert result.exit_code == 1
    for name in ("truncated.png", "text.tif", "empty.png"):
        lines = [line for line in result.stderr.splitlines() if line.startswith(f"Failed: {pictures / name}: ")]
        assert len(lines) == 1, result.stderr
        assert "Expected" in lines[0]
        assert "Internal error" not in lines[0]
    assert "Traceback" not in result.output
    done = names_below(tmp_path / "out")
    assert not any(name.startswith(("truncated", "text", "empty", ".")) for name in done)
    if command != "classify":
        assert {f"colour/{name}" for name in PER_IMAGE} <= done
    if command != "segment":
        assert len(pd.read_csv(tmp_path / "out" / "predictions.csv")) == 3


def test_summary_lists_failures_with_the_reason(tmp_path, pictures, bundles):
    (pictures / "text.tif").write_text("no image")
    call("analyze", pictures, "-o", tmp_path / "out", *bundles)
    table = pd.read_csv(tmp_path / "out" / "summary.csv")
    assert list(table["status"]) == ["done", "done", "done", "failed"]
    assert table["image"].iloc[-1] == str(pictures / "text.tif")
    assert "Expected" in table["message"].iloc[-1]


def test_output_folder_that_cannot_be_written_is_said_before_any_work(tmp_path, pictures, bundles):
    # Root may write anywhere, so the folder lies below a file.
    (tmp_path / "file").write_text("in the way")
    result = call("analyze", pictures, "-o", tmp_path / "file" / "out", *bundles)
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith("Error: Expected an output folder that can be written")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write into a read-only folder")
def test_read_only_output_folder_is_said_before_any_work(tmp_path, pictures, bundles):
    (tmp_path / "out").mkdir(mode=0o500)
    result = call("analyze", pictures, "-o", tmp_path / "out", *bundles)
    assert result.exit_code == 2
    assert "Permission denied" in result.stderr


def test_result_folder_that_cannot_be_written_fails_that_image_alone(tmp_path, pictures, bundles):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "gray").write_text("a file in the way")
    result = call("analyze", pictures, "-o", tmp_path / "out", *bundles)
    assert result.exit_code == 1
    assert "2 of 3 finished" in result.stderr
    assert (tmp_path / "out" / "gray").read_text() == "a file in the way"
    assert (tmp_path / "out" / "colour" / "labels.tif").is_file()


def test_full_disk_stops_the_run_with_one_sentence_an_image(tmp_path, pictures, bundles, monkeypatch):
    def no_space(path, *_) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr("organscope.pipeline.image.write_overlay", no_space)
    result = call("analyze", pictures, "-o", tmp_path / "out", *bundles)
    assert result.exit_code == 1
    assert result.stderr.count("No space left on device") == 1
    assert result.stderr.count("Not started") == 2
    assert not [name for name in names_below(tmp_path / "out") if "labels" in name or "partial" in name]


def test_two_inputs_with_one_target_are_wrong_use(tmp_path, pictures, bundles, colon):
    PillowImage.fromarray(colon[:64, :64]).save(pictures / "colour.jpg")
    result = call("segment", pictures, "-o", tmp_path / "out", *bundles[:2])
    assert result.exit_code == 2
    assert str(pictures / "colour.jpg") in result.stderr
    assert str(pictures / "colour.png") in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["segment", "nothing.png", "-o", "out"], "found nothing at nothing.png"),
        (["segment", ".", "-o", "out", "--bundle", "nothing"], "found 'nothing'"),
        (["segment", "-o", "out"], "Missing argument"),
        (["segment", "a.png"], "Missing option"),
        (["segment", "a.png", "-o", "out", "--um-per-px", "-1"], "--um-per-px"),
        (["segments"], "No such command"),
        (["bundle", "show", "nothing"], "found 'nothing'"),
        (["evaluate", "nothing", "index"], "nothing"),
        (["train", "segmentation", "nothing.toml", "-o", "run"], "nothing.toml"),
    ],
)
def test_wrong_use_is_exit_code_2_with_a_sentence(pictures, monkeypatch, words, sentence):
    monkeypatch.chdir(pictures)
    result = call(*words)
    assert result.exit_code == 2, result.output
    assert sentence in result.stderr
    assert "Traceback" not in result.output


def test_rerun_replaces_results_and_does_not_take_them_for_images(pictures, bundles):
    first = call("analyze", pictures, "-o", pictures, *bundles)
    before = names_below(pictures)
    second = call("analyze", pictures, "-o", pictures, *bundles)
    assert (first.exit_code, second.exit_code) == (0, 0)
    assert names_below(pictures) == before
    assert len(pd.read_csv(pictures / "summary.csv")) == 3


def test_image_beside_a_folder_of_its_name(tmp_path, pictures, bundles, colon):
    PillowImage.fromarray(colon[:64, :64]).save(pictures / "below.png")
    for _ in range(2):
        result = call("segment", pictures, "-o", tmp_path / "out", *bundles[:2])
        assert result.exit_code == 0, result.output
        done = names_below(tmp_path / "out" / "below")
        assert done == PER_IMAGE | {f"small/{name}" for name in PER_IMAGE}

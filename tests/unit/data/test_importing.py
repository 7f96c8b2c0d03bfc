"""Import from a folder of real files to an index, with every kind of annotation and of bad input."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image as PillowImage

from annotation_writers import polygon_roi, write_aperio, write_cell_masks, write_roi_zip
from mission_standin import COCO_NAME, ORGANS, draw_cells, write_mission_set
from organscope.data import import_folder, importing, read_index
from organscope.errors import DatasetError, InputError, UnknownNameError, UsageError
from organscope.io.geojson import write_geojson_cells


@pytest.fixture(scope="module")
def cells() -> np.ndarray:
    return draw_cells(np.random.default_rng(3), 48, radius_px=4)


@pytest.fixture
def pictures(tmp_path, colon) -> Path:
    """Two real crops of 48 x 48 px, below `images/`."""
    folder = tmp_path / "set"
    (folder / "images").mkdir(parents=True)
    PillowImage.fromarray(colon[:48, :48]).save(folder / "images" / "a.png")
    tifffile.imwrite(folder / "images" / "b.tif", colon[100:148, 100:148].mean(axis=2).astype(np.uint16))
    return folder


def test_label_images_are_used_where_they_lie(tmp_path, pictures, cells):
    (pictures / "labels").mkdir()
    tifffile.imwrite(pictures / "labels" / "a.tif", cells.astype(np.uint16) * 3)
    report = import_folder(pictures, tmp_path / "index", um_per_px=0.5)
    assert (report.layout, report.n_failed) == ("images-labels", 0)
    a, b = read_index(tmp_path / "index").samples()
    assert a.labels_path == pictures / "labels" / "a.tif"
    np.testing.assert_array_equal(a.read_labels(), cells * 3)
    assert b.labels_path is None
    assert a.open().um_per_px == (0.5, 0.5)
    row = report.index.table.iloc[0]
    assert (row["height_px"], row["n_channels"], row["dtype"], row["n_cells"]) == (48, 3, "uint8", cells.max())
    assert sorted(path.name for path in (tmp_path / "index").iterdir()) == [
        "import.json", "index.csv", "index.parquet"]  # fmt: skip


def write_outlines(folder: Path, cells: np.ndarray, format: str) -> None:
    folder.mkdir()
    if format == "geojson":
        with (folder / "a.geojson").open("w") as stream:
            write_geojson_cells(stream, cells)
    else:
        {"xml": write_aperio, "zip": write_roi_zip, "masks": write_cell_masks}[format](
            folder / ("a" if format == "masks" else f"a.{format}"), cells
        )


@pytest.mark.parametrize("format", ["geojson", "xml", "zip", "masks"])
@pytest.mark.parametrize("where", ["labels", "elsewhere"])
def test_outlines_become_label_images(tmp_path, pictures, cells, format, where):
    folder = pictures / "labels" if where == "labels" else tmp_path / "drawn"
    write_outlines(folder, cells, format)
    report = import_folder(
        pictures, tmp_path / "index", annotations=folder if where == "elsewhere" else None, n_folds=2
    )
    assert report.n_failed == 0, report.problems
    a, b = report.index.samples()
    np.testing.assert_array_equal(a.read_labels(), cells)
    assert a.labels_path == tmp_path / "index" / "labels" / "a.tif"
    assert b.labels_path is None
    assert any("1 of 2 images have no annotation" in problem.message for problem in report.problems)


def test_a_mask_of_one_value_is_split_into_pieces(tmp_path, pictures):
    (pictures / "masks").mkdir()
    mask = np.zeros((48, 48), np.uint8)
    mask[2:9, 2:9] = mask[20:30, 20:30] = 255
    PillowImage.fromarray(mask).save(pictures / "masks" / "a.png")
    report = import_folder(pictures, tmp_path / "index", n_folds=2)
    assert report.n_failed == 0
    assert report.index.table["n_cells"][0] == 2
    assert any("touching cells are one" in problem.message for problem in report.problems)
    np.testing.assert_array_equal(report.index.samples()[0].read_labels() > 0, mask > 0)


@pytest.fixture(scope="module")
def mission(tmp_path_factory) -> Path:
    return write_mission_set(tmp_path_factory.mktemp("mission") / "the set", n_train=1, size_px=48)


def test_the_missions_own_set_with_one_call(tmp_path, mission):
    report = import_folder(mission, tmp_path / "index")
    assert (report.layout, report.problems) == ("train-test", [])
    table = report.index.table
    assert sorted(table["organ"].unique()) == sorted(ORGANS)
    assert table["split"].value_counts().to_dict() == {"train": 12, "test": 12}
    assert (table["fold"] == 1).tolist() == (table["split"] == "test").tolist()
    assert set(table["dtype"]) == {"uint16"}
    assert set(table["n_channels"]) == {1}
    listed = json.loads((mission / COCO_NAME).read_text())
    assert table["n_cells"].sum() == len(listed["annotations"])
    areas = [np.bincount(s.read_labels().reshape(-1))[1:].sum() for s in report.index.samples()]
    assert sum(areas) == sum(annotation["area"] for annotation in listed["annotations"])


def test_workers_give_the_same_index(tmp_path, mission, monkeypatch):
    monkeypatch.setattr(importing, "_IMAGES_PER_WORKER", 1)
    alone = import_folder(mission, tmp_path / "a")
    together = import_folder(mission, tmp_path / "b", workers=2)
    assert alone.index.fingerprint() == together.index.fingerprint()
    pd.testing.assert_frame_equal(alone.index.table, together.index.table)


def test_an_interrupted_import_goes_on(tmp_path, mission):
    def interrupt(done: int, total: int) -> None:
        if done == 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_folder(mission, tmp_path / "index", progress=interrupt)
    assert not (tmp_path / "index" / "index.parquet").exists()
    with (tmp_path / "index" / ".import" / "journal.jsonl").open("a") as stream:
        stream.write('{"key": "cut o')
    counts = []
    report = import_folder(mission, tmp_path / "index", progress=lambda done, total: counts.append((done, total)))
    assert report.n_reused == 10
    assert counts[0] == (11, 24)
    assert counts[-1] == (24, 24)
    assert report.index.fingerprint() == import_folder(mission, tmp_path / "other").index.fingerprint()
    assert not (tmp_path / "index" / ".import").exists()


def test_bad_files_are_named_and_the_others_finish(tmp_path, pictures):
    images = pictures / "images"
    whole = (images / "a.png").read_bytes()
    (images / "cut.png").write_bytes(whole[: len(whole) // 2])
    (images / "empty.png").touch()
    (images / "text.tif").write_text("Dear image")
    cut = (images / "b.tif").read_bytes()
    (images / "cut.tif").write_bytes(cut[: len(cut) // 2])
    (images / "odd näme\nof it.png").write_bytes(whole)
    (images / "loop").symlink_to(images)
    (pictures / "labels").mkdir()
    (pictures / "labels" / "a.png").write_bytes(b"")
    tifffile.imwrite(pictures / "labels" / "b.tif", np.ones((47, 48), np.uint16))
    with pytest.raises(DatasetError, match="Rename"):
        import_folder(pictures, tmp_path / "index")
    (images / "cut.tif").rename(images / "cut2.tif")
    report = import_folder(pictures, tmp_path / "index")
    assert report.index.table["id"].tolist() == ["a", "b", "odd näme\nof it"]
    failed = {problem.source for problem in report.problems if problem.failed}
    assert failed == {f"images/{name}" for name in ("a.png", "b.tif", "cut.png", "cut2.tif", "empty.png", "text.tif")}
    assert set(report.index.table["labels"]) == {""}
    assert any("47 x 48" in problem.message for problem in report.problems)
    assert read_index(tmp_path / "index").samples()[2].open().width_px == 48


def test_links_that_lead_nowhere_are_named_and_the_others_finish(tmp_path, pictures):
    (pictures / "images" / "not_fetched.tif").symlink_to(".git/annex/objects/xx/0.tif")
    (pictures / "images" / "plate 2").symlink_to("/mnt/unmounted/plate 2")
    (pictures / "labels").mkdir()
    (pictures / "labels" / "a.png").symlink_to("/mnt/unmounted/a.png")
    report = import_folder(pictures, tmp_path / "index", n_folds=2)
    assert report.index.table["id"].tolist() == ["a", "b"]
    assert report.index.table["labeled"].tolist() == [False, False]
    assert report.index.table["n_cells"].isna().all()
    failed = {problem.source: problem.message for problem in report.problems if problem.failed}
    assert list(failed) == ["images/a.png", "images/not_fetched.tif", "images/plate 2"]
    assert "a link to /mnt/unmounted/plate 2, which does not exist" in failed["images/plate 2"]
    assert "kept without labels" in failed["images/a.png"]


def test_nothing_usable_is_one_error_that_names_the_files(tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "x.png").touch()
    with pytest.raises(InputError, match=r"x\.png"):
        import_folder(tmp_path / "set", tmp_path / "index")


def test_wrong_use_is_said_before_any_work(tmp_path, pictures, mission):
    with pytest.raises(UsageError, match="hold the images"):
        import_folder(pictures, pictures)
    with pytest.raises(UsageError, match="hold the images"):
        import_folder(pictures, tmp_path)
    with pytest.raises(UsageError, match="holdout"):
        import_folder(pictures, tmp_path / "index", holdout=2)
    with pytest.raises(UsageError, match="mix-test"):
        import_folder(mission, tmp_path / "index", holdout=0.2)
    with pytest.raises(UsageError, match="do not match"):
        import_folder(pictures, tmp_path / "index", group="slide")
    with pytest.raises(UnknownNameError, match="layout"):
        import_folder(pictures, tmp_path / "index", format="other")
    with pytest.raises(UsageError, match="COCO"):
        import_folder(pictures, tmp_path / "index", annotations=tmp_path / "nowhere.json")
    with pytest.raises(UsageError, match="groups"):
        import_folder(pictures, tmp_path / "index", n_folds=3)
    assert not (tmp_path / "index" / "index.parquet").exists()


def test_an_index_inside_the_image_folder_can_be_made_again(tmp_path, pictures, cells):
    write_outlines(pictures / "labels", cells, "geojson")
    first = import_folder(pictures, pictures / "index", n_folds=2)
    again = import_folder(pictures, pictures / "index", n_folds=2)
    assert first.index.fingerprint() == again.index.fingerprint()


def test_one_annotation_never_serves_two_images(tmp_path, colon):
    for folder in ("x", "y"):
        (tmp_path / "set" / folder).mkdir(parents=True)
        PillowImage.fromarray(colon[:8, :8]).save(tmp_path / "set" / folder / "a.png")
    (tmp_path / "drawn").mkdir()
    (tmp_path / "drawn" / "a.geojson").write_text('{"type": "FeatureCollection", "features": []}')
    with pytest.raises(UsageError, match="2 images"):
        import_folder(tmp_path / "set", tmp_path / "index", annotations=tmp_path / "drawn")


def test_delivered_folds_are_kept_unless_others_are_asked_for(tmp_path, pictures):
    (pictures / "index.csv").write_text("image,fold,group\nimages/a.png,7,s1\nimages/b.tif,3,s2\n")
    assert import_folder(pictures, tmp_path / "a").index.table["fold"].tolist() == [7, 3]
    assert sorted(import_folder(pictures, tmp_path / "b", n_folds=2).index.table["fold"]) == [1, 2]


def test_real_sets_give_their_own_folds(tmp_path, shared_data):
    source, folder = shared_data / "nuinsseg", tmp_path / "nuinsseg"
    folder.mkdir()
    for name in ("images", "labels"):
        (folder / name).symlink_to(source / name)
    sheet = pd.read_csv(source / "index.csv").groupby(["species", "organ"]).head(2)
    sheet.to_csv(folder / "index.csv", index=False)
    report = import_folder(folder, tmp_path / "index")
    sheet, table = sheet.set_index("name"), report.index.table.set_index("id")
    assert report.problems == []
    assert (table["fold"] == sheet["fold"].reindex(table.index)).all()
    assert (table["n_cells"] == sheet["n_nuclei"].reindex(table.index)).all()
    assert table["group"].nunique() == 31


def test_cells_between_membranes_are_four_connected(tmp_path):
    membranes = np.full((12, 16), 255, np.uint8)
    membranes[:, 8] = 0
    for step in range(8):
        membranes[2 + step, step] = 0  # a diagonal of single pixels
    for number in range(3):
        for name, pixels in (("images", membranes // 2), ("membranes", membranes)):
            path = tmp_path / "stack" / name / f"slice_{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            PillowImage.fromarray(pixels).save(path)
    report = import_folder(tmp_path / "stack", tmp_path / "index")
    assert report.layout == "membranes"
    assert report.index.table["fold"].tolist() == [2, 2, 1]
    labels = report.index.samples()[0].read_labels()
    assert labels.max() == 3
    assert np.array_equal(labels == 0, membranes == 0)


def test_selections_of_other_planes_than_the_one_read_are_left_out(tmp_path):
    """ImageJ stacks: two of six selections lie on the first plane, whichever way positions are written."""
    planes = np.random.default_rng(0).integers(0, 200, (3, 64, 200), np.uint8)
    for name, axes in (("position", "ZYX"), ("z_position", "ZYX"), ("t_position", "TYX")):
        folder = tmp_path / name
        folder.mkdir()
        tifffile.imwrite(folder / "a.tif", planes, imagej=True, metadata={"axes": axes})
        for number in range(6):
            roi = polygon_roi(np.array([[0, 0], [9, 0], [9, 9], [0, 9]]) + np.array([20 * number, 5]))
            setattr(roi, name, number % 3 + 1)
            roi.name = str(number)
            roi.tofile(folder / "a.zip")
        report = import_folder(folder, tmp_path / f"index_{name}")
        assert report.index.table["n_cells"].tolist() == [2]
        assert report.n_failed == 0
        assert any("4 of 6 selections left out" in problem.message for problem in report.problems)

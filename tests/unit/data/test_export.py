"""What is exported gives back exactly the same cells when it is imported."""

import json

import numpy as np
import pytest
import tifffile

from mission_standin import ORGANS, write_mission_set
from organscope.data import export_labels, import_folder, read_index
from organscope.errors import DatasetError, OutputError, UnknownNameError
from organscope.io import read_labels
from organscope.ops.polygons import close_gaps


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    write_mission_set(folder / "set", n_train=1, size_px=40)
    return import_folder(folder / "set", folder / "index").index


@pytest.mark.parametrize("format", ["masks", "coco", "geojson"])
def test_round_trip_through_every_format(tmp_path, index, format):
    report = export_labels(index, tmp_path / "out", format)
    assert (report.n_images, report.n_without, report.problems) == (24, 0, [])
    assert report.n_cells == index.table["n_cells"].sum()
    images = index.samples()[0].image_path.parents[2]
    given = report.path if format == "coco" else tmp_path / "out"
    again = import_folder(images, tmp_path / "again", annotations=given)
    assert again.problems == []
    for before, after in zip(index.samples(), again.index.samples(), strict=True):
        assert before.id == after.id
        np.testing.assert_array_equal(after.read_labels(), before.read_labels())


def test_coco_names_organs_and_images(tmp_path, index):
    export_labels(index, tmp_path, "coco", fold=1)
    document = json.loads((tmp_path / "annotations.json").read_text())
    assert [category["name"] for category in document["categories"]] == sorted(ORGANS)
    assert document["images"][0] == {"id": 1, "file_name": "colon/colon_000.tif", "height": 40, "width": 40}
    assert len(document["images"]) == 12
    ids = [annotation["id"] for annotation in document["annotations"]]
    assert ids == list(range(1, len(ids) + 1))


def test_cells_with_holes_and_in_pieces(tmp_path):
    labels = np.zeros((12, 14), np.int32)
    labels[1:6, 1:6] = 4
    labels[3, 3] = 0
    labels[8, 2] = labels[10, 4] = labels[9, 3] = 2
    (tmp_path / "set" / "images").mkdir(parents=True)
    (tmp_path / "set" / "labels").mkdir()
    tifffile.imwrite(tmp_path / "set" / "images" / "a.tif", labels.astype(np.uint8))
    tifffile.imwrite(tmp_path / "set" / "labels" / "a.tif", labels)
    index = import_folder(tmp_path / "set", tmp_path / "index").index
    for format in ("masks", "coco", "geojson"):
        path = export_labels(index, tmp_path / format, format).path
        again = import_folder(tmp_path / "set" / "images", tmp_path / f"i-{format}", annotations=path).index
        found = again.samples()[0].read_labels()
        np.testing.assert_array_equal(close_gaps(found, 0, 4).labels, close_gaps(labels, 0, 4).labels)


def test_labels_that_cannot_be_read_are_named(tmp_path, index):
    folder = tmp_path / "copy"
    write_mission_set(folder / "set", n_train=1, n_test=0, size_px=40)
    copied = import_folder(folder / "set", folder / "index", format="train-test").index
    copied.samples()[0].labels_path.write_bytes(b"")
    report = export_labels(copied, tmp_path / "out", "coco")
    assert report.n_images == 11
    assert [problem.source for problem in report.problems] == ["train/colon/colon_000"]
    document = json.loads(report.path.read_text())
    assert len(document["images"]) == 11


def test_wrong_wishes_are_refused(tmp_path, index):
    with pytest.raises(UnknownNameError, match="geojson"):
        export_labels(index, tmp_path, "xml")
    with pytest.raises(DatasetError, match="labels"):
        export_labels(index, tmp_path, "coco", fold=9)
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="another folder"):
        export_labels(index, tmp_path / "file" / "out", "coco")


def test_masks_are_label_images_that_anybody_reads(tmp_path, index):
    export_labels(read_index(index.folder), tmp_path, "masks", split="test")
    path = tmp_path / "test" / "lymph node" / "lymph_node_000.tif"
    assert read_labels(path).max() > 0
    assert len(list(tmp_path.rglob("*.tif"))) == 12

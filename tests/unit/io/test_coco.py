"""COCO files: hand-worked run lengths, dangling ids, damage."""

import json
from pathlib import Path, PurePosixPath

import numpy as np
import pytest

from organscope.errors import AnnotationError
from organscope.io import coco
from organscope.io.coco import (
    build_store,
    decode_counts,
    is_coco,
    iterate_items,
    link_images,
    read_coco_cells,
    segmentation_cell,
)
from organscope.ops.polygons import paint_cells

SQUARE = [[1, 1, 3, 1, 3, 3, 1, 3]]


def write(path: Path, **parts) -> Path:
    document = {
        "info": {"year": 2024},
        "images": [{"id": 1, "file_name": "a.tif", "height": 4, "width": 5}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "segmentation": SQUARE}],
        "categories": [{"id": 1, "name": "cell"}],
    }
    path.write_text(json.dumps(document | parts))
    return path


def read(folder: Path, name: str = "a.tif", size=(4, 5), **parts):
    database = folder / "store.sqlite"
    problems = build_store([write(folder / "coco.json", **parts)], database)
    _, more = link_images(database, [PurePosixPath(name)])
    return read_coco_cells(database, PurePosixPath(name), *size), problems + more


def test_polygons_and_both_kinds_of_run_lengths_agree(tmp_path):
    # Down the columns of 4 x 5 pixels: 5 empty, 2 set, 2 empty, 2 set, 9 empty.
    plain = {"size": [4, 5], "counts": [5, 2, 2, 2, 9]}
    packed = {"size": [4, 5], "counts": "52207"}
    np.testing.assert_array_equal(decode_counts("52207"), [5, 2, 2, 2, 9])
    masks = [paint_cells([segmentation_cell(form, 4, 5)], 4, 5).labels.tolist() for form in (SQUARE, plain, packed)]
    assert masks[0] == [[0, 0, 0, 0, 0], [0, 1, 1, 0, 0], [0, 1, 1, 0, 0], [0, 0, 0, 0, 0]]
    assert masks[1] == masks[0]
    assert masks[2] == masks[0]


def test_run_lengths_of_several_characters_and_below_zero():
    """1000, 30, 5, 29: written as 1000, 30, 5 and 29 - 30 = -1 in groups of 5 bits."""
    np.testing.assert_array_equal(decode_counts("Xo0n05O"), [1000, 30, 5, 29])


@pytest.mark.parametrize(
    "segmentation",
    [
        [], None, "text", [[1, 2, 3]], [[1, 2, 3, 4]], [["a", 1, 2, 3, 4, 5]], 7,
        {"size": [4, 5], "counts": [1, 2]}, {"size": [5, 4], "counts": [20]}, {"size": [4, 5], "counts": [30, -10]},
        {"size": [4, 5], "counts": "\u00e4\u00f6"}, {"size": [4, 5], "counts": "P"},
        {"size": [4, 5], "counts": "P" * 40 + "0"},
        {"size": [4, 5], "counts": [[1], 2]}, {"size": [4, 5], "counts": [1.5, 18.5]}, {"size": [4, 5]},
    ],
)  # fmt: skip
def test_damaged_segmentations_are_named_and_the_others_stay(tmp_path, segmentation):
    annotations = [
        {"id": 1, "image_id": 1, "segmentation": SQUARE},
        {"id": 77, "image_id": 1, "segmentation": segmentation},
    ]
    cells, problems = read(tmp_path, annotations=annotations)
    assert len(cells.masks) == 1
    assert problems == []
    assert len(cells.problems) == 1
    assert "annotation 77" in cells.problems[0]


def test_dangling_ids_are_reported_and_not_fatal(tmp_path):
    annotations = [
        {"id": 1, "image_id": 1, "category_id": 1, "segmentation": SQUARE},
        {"id": 2, "image_id": 99, "category_id": 1, "segmentation": SQUARE},
        {"id": 3, "image_id": 1, "category_id": 5, "segmentation": [[0, 0, 1, 0, 1, 1, 0, 1]]},
    ]
    images = [
        {"id": 1, "file_name": "a.tif", "height": 4, "width": 5},
        {"id": 2, "file_name": "gone.tif", "height": 4, "width": 5},
        {"id": 2, "file_name": "again.tif", "height": 4, "width": 5},
    ]
    cells, problems = read(tmp_path, annotations=annotations, images=images)
    assert len(cells.masks) == 2
    text = " | ".join(problems)
    for part in ("1 image ids repeat", "2 -> 99", "left out", "3 -> 5", "were kept", "gone.tif"):
        assert part in text


def test_another_size_than_the_image_is_refused(tmp_path):
    with pytest.raises(AnnotationError, match="8 x 9"):
        read(tmp_path, size=(8, 9))


def test_images_are_found_by_the_end_of_their_path(tmp_path):
    def linked(file_name: str, *paths: str) -> list[str]:
        images = [{"id": 1, "file_name": file_name}]
        build_store([write(tmp_path / "coco.json", images=images)], tmp_path / "store.sqlite")
        found, problems = link_images(tmp_path / "store.sqlite", [PurePosixPath(path) for path in paths])
        return sorted(str(path) for path in found) or problems

    both = ("train/liver/a.tif", "test/liver/a.tif")
    assert linked("train/liver/a.tif", *both) == ["train/liver/a.tif"]
    assert linked("C:\\data\\test\\liver\\a.tif", *both) == ["test/liver/a.tif"]
    assert linked("a.tif", "deep/er/a.tif") == ["deep/er/a.tif"]
    assert "several files" in linked("liver/a.tif", *both)[0]
    assert "not in the folder" in linked("train/lung/a.tif", *both)[0]


@pytest.mark.parametrize("content", ["", "[1, 2]", '{"images": [', '{"images": [{"id": 1}', "no json", '{"a": 1} x{'])
def test_what_is_no_coco_file(tmp_path, content):
    (tmp_path / "x.json").write_text(content)
    if not is_coco(tmp_path / "x.json"):
        with pytest.raises(AnnotationError, match=r"x\.json"):
            build_store([tmp_path / "x.json"], tmp_path / "store.sqlite")


def test_json_is_streamed_in_small_pieces(tmp_path, monkeypatch):
    document = {
        "a": [{"x": [1, 2, {"y": 'ü\\" ]}'}]}, 1234567, True],
        "b": {"deep": [1]},
        "c": [],
        "d": 12345.5e-3,
        "e": "f",
    }
    (tmp_path / "x.json").write_text(json.dumps(document, indent=3), encoding="utf-8")
    expected = [("a", item) for item in document["a"]] + [(key, document[key]) for key in "bde"]
    for size in (1, 2, 3, 7):
        monkeypatch.setattr(coco, "_CHUNK_CHARACTERS", size)
        assert list(iterate_items(tmp_path / "x.json")) == expected
    (tmp_path / "empty.json").write_text(" {} ")
    assert list(iterate_items(tmp_path / "empty.json")) == []


def test_many_annotations_are_stored_in_batches(tmp_path, monkeypatch):
    monkeypatch.setattr(coco, "_ROWS_AT_ONCE", 3)
    annotations = [{"id": n, "image_id": 1, "segmentation": SQUARE} for n in range(10)]
    cells, problems = read(tmp_path, annotations=annotations)
    assert len(cells.masks) == 10
    assert problems == []

"""Folder layouts: each is recognized, and says the same as its files."""

from pathlib import Path

import pytest

from organscope.data.layouts import LAYOUTS, find_layout
from organscope.errors import DatasetError, UnknownNameError


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def facts(folder: Path, format: str | None = None) -> tuple[str, list[tuple]]:
    found = find_layout(folder, format)
    entries = found.listing.entries
    below = [entry.annotation and entry.annotation.relative_to(folder).as_posix() for entry in entries]
    return found.layout.name, [(e.id, e.organ, e.split, a) for e, a in zip(entries, below, strict=True)]


def test_images_and_labels_flat(tmp_path):
    touch(tmp_path, "images/a.png", "images/b.png", "labels/a.tif")
    assert facts(tmp_path) == ("images-labels", [("a", "", "", "labels/a.tif"), ("b", "", "", None)])


def test_membranes_hold_the_last_third_of_the_stack_back(tmp_path):
    touch(tmp_path, *(f"{part}/slice_{n:02}.png" for part in ("images", "membranes") for n in range(10)))
    found = find_layout(tmp_path)
    entries = found.listing.entries
    assert found.layout.name == "membranes"
    assert [entry.fold for entry in entries] == [2] * 7 + [1] * 3
    assert all(entry.shows_membranes for entry in entries)
    assert entries[4].annotation == tmp_path / "membranes" / "slice_04.png"


def test_images_and_labels_with_a_folder_an_organ(tmp_path):
    touch(tmp_path, "images/lymph node/a.ome.tif", "labels/lymph node/a.png", "labels/a.png", "notes.txt")
    assert facts(tmp_path) == (
        "images-labels",
        [("lymph node/a", "lymph node", "", "labels/lymph node/a.png")],
    )


def test_images_and_masks_in_train_and_test(tmp_path):
    touch(tmp_path, "train/images/a.tif", "train/masks/a.tif", "test/images/a.tif", "test/masks/a.tif")
    assert facts(tmp_path)[1] == [
        ("test/a", "", "test", "test/masks/a.tif"),
        ("train/a", "", "train", "train/masks/a.tif"),
    ]


def test_train_and_test_with_organs(tmp_path):
    touch(tmp_path, "train/small intestine/a.tif", "train/skin_1/a.tif", "test/small intestine/a.tif", "all.json")
    assert facts(tmp_path) == (
        "train-test",
        [
            ("test/small intestine/a", "small intestine", "test", None),
            ("train/skin_1/a", "skin_1", "train", None),
            ("train/small intestine/a", "small intestine", "train", None),
        ],
    )


def test_nuinsseg_as_published(tmp_path):
    touch(tmp_path, "human salivary gland/tissue images/h_1.png", "human salivary gland/label masks modify/h_1.tif")
    found = find_layout(tmp_path)
    (entry,) = found.listing.entries
    assert found.layout.name == "nuinsseg"
    assert (entry.organ, entry.species, entry.group) == ("salivary gland", "human", "human salivary gland")
    assert entry.annotation.name == "h_1.tif"


def test_one_mask_file_a_cell(tmp_path):
    touch(tmp_path, "a/images/a.png", "a/masks/1.png", "a/masks/2.png", "b/images/b.png", "b/masks/1.png")
    assert facts(tmp_path) == ("cell-masks", [("a", "", "", "a/masks"), ("b", "", "", "b/masks")])


def test_a_folder_an_organ_with_annotations_beside_the_images(tmp_path):
    touch(tmp_path, "liver/a.tif", "liver/a.xml", "lung/b.tif", "lung/b_mask.png", "lung/c.tif")
    assert facts(tmp_path) == (
        "organ-folders",
        [
            ("liver/a", "liver", "", "liver/a.xml"),
            ("lung/b", "lung", "", "lung/b_mask.png"),
            ("lung/c", "lung", "", None),
        ],
    )


def test_plain_images_anywhere(tmp_path):
    touch(tmp_path, "a.tif", "deep/er/b.png", "deep/er/b.geojson", "deep/er/readme.md")
    assert facts(tmp_path) == ("images", [("a", "", "", None), ("deep/er/b", "", "", "deep/er/b.geojson")])


def test_a_sheet(tmp_path):
    sheet = "name,image,label,organ,species,fold,um_per_px\n"
    sheet += "x,images/human_liver/x.png,labels/x.png,liver,human,2,0.25\ny,images/mouse_liver/y.png,,liver,mouse,,\n"
    (tmp_path / "index.csv").write_text(sheet)
    touch(tmp_path, "images/human_liver/x.png", "images/mouse_liver/y.png")
    found = find_layout(tmp_path)
    x, y = found.listing.entries
    assert found.layout.name == "table"
    assert (x.id, x.organ, x.species, x.group) == ("x", "liver", "human", "human_liver")
    assert (x.fold, x.um_per_px) == (2, (0.25, 0.25))
    assert x.annotation == tmp_path / "labels" / "x.png"
    assert (y.group, y.fold, y.um_per_px, y.annotation) == ("mouse_liver", 0, None, None)


@pytest.mark.parametrize(
    ("sheet", "message"),
    [("image,fold\na.png,one\n", "a.png"), ("image,split\na.png,validation\n", "validation"), ("image\n", "no image")],
)
def test_a_sheet_with_impossible_values(tmp_path, sheet, message):
    touch(tmp_path, "a.png")
    (tmp_path / "index.csv").write_text(sheet)
    with pytest.raises(DatasetError, match=message):
        find_layout(tmp_path, "table")


def test_a_layout_can_be_forced(tmp_path):
    touch(tmp_path, "liver/a.tif", "lung/b.tif")
    assert facts(tmp_path, "images") == ("images", [("liver/a", "", "", None), ("lung/b", "", "", None)])
    with pytest.raises(DatasetError, match="nuinsseg"):
        find_layout(tmp_path, "nuinsseg")
    with pytest.raises(UnknownNameError, match="organ-folders"):
        find_layout(tmp_path, "unheard of")


def test_an_unknown_layout_lists_those_that_are_known(tmp_path):
    touch(tmp_path, "notes.txt", "images/.hidden.png")
    with pytest.raises(DatasetError) as caught:
        find_layout(tmp_path)
    assert all(f"  {layout.name}" in str(caught.value) for layout in LAYOUTS)
    with pytest.raises(DatasetError, match="Check the path"):
        find_layout(tmp_path / "nowhere")


def test_what_an_index_inside_the_folder_holds_is_no_image(tmp_path):
    touch(tmp_path, "a.tif", "index/index.parquet", "index/labels/a.tif")
    assert facts(tmp_path) == ("images", [("a", "", "", None)])

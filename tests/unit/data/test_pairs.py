"""Folders of images beside folders of labels, in the spelling of many tools."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from organscope.data.discovery import Role, read_folder_name
from organscope.data.layouts import Found, find_layout
from organscope.errors import DatasetError


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def pairs(found: Found, folder: Path) -> dict[str, str | None]:
    return {
        str(entry.path): entry.annotation and entry.annotation.relative_to(folder).as_posix()
        for entry in found.listing.entries
    }


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        ("imagesTr/c_{}_0000.png", "labelsTr/c_{}.png"),
        ("raw/{}.png", "label/{}.png"),
        ("Images/{}.png", "Masks/{}.tif"),
        ("image/{}.png", "mask/{}.png"),
        ("train/raw/{}.png", "train/label/{}.png"),
        ("data/train/x/{}.png", "data/train/y/{}.png"),
        ("img/{}.png", "gt/{}.png"),
        ("images/{}.png", "GroundTruth/{}.png"),
        ("images/{}.png", "labels/{}_gt.png"),
        ("images/image_{}.png", "masks/mask_{}.png"),
        ("images/{}.tif", "labels/{}_cp_masks.tif"),
        ("images/train/{}.png", "labels/train/{}.png"),
        ("train_images/{}.png", "train_masks/{}.png"),
        ("{}.png", "masks/{}.png"),
        ("{}.png", "{}_cp_masks.png"),
        ("{}_img.png", "{}_masks.png"),
        ("{}.tif", "{}_seg.tif"),
        ("{}.png", "{}-mask.png"),
    ],
)
def test_images_find_their_labels(tmp_path, images, labels):
    wanted = {images.format(f"a{n}"): labels.format(f"a{n}") for n in range(3)}
    found = find_layout(touch(tmp_path, *wanted, *wanted.values()))
    assert pairs(found, tmp_path) == wanted
    assert {entry.organ for entry in found.listing.entries} == {""}
    assert {entry.split for entry in found.listing.entries} == {"train" if "rain" in images or "Tr" in images else ""}


def test_the_layout_is_stated_with_its_evidence(tmp_path):
    found = find_layout(touch(tmp_path, "raw/a.png", "raw/b.png", "gt/a_gt.png", "gt/c.png"))
    assert found.sentence == (
        "Layout images-labels: raw/ + gt/, because 1 of 2 images have a label file of their name, such as a.png and "
        "a_gt.png."
    )
    assert found.listing.remarks == ["1 label files have no image of their name and were passed over: gt/c.png."]


def test_parts_of_a_set_are_no_organs(tmp_path):
    names = [f"{part}/{kind}/{part}1.png" for part in ("train", "valid", "test") for kind in ("images", "labels")]
    found = find_layout(touch(tmp_path, *names))
    assert {entry.id: (entry.split, entry.organ) for entry in found.listing.entries} == {
        "train/train1": ("train", ""),
        "valid/valid1": ("train", ""),
        "test/test1": ("test", ""),
    }
    assert any("part for validation" in remark for remark in found.listing.remarks)


def test_flat_parts_are_no_organs(tmp_path):
    found = find_layout(touch(tmp_path, "train2017/a.jpg", "val2017/b.jpg", "annotations/instances_val2017.json"))
    assert found.layout.name == "train-test"
    assert [(e.id, e.organ, e.split) for e in found.listing.entries] == [
        ("train2017/a", "", "train"),
        ("val2017/b", "", "train"),
    ]


def test_a_test_part_without_labels_is_not_held_back(tmp_path):
    found = find_layout(touch(tmp_path, "imagesTr/a_0000.png", "labelsTr/a.png", "imagesTs/b_0000.png"))
    assert [(entry.id, entry.split) for entry in found.listing.entries] == [("a", "train"), ("b_0000", "")]
    assert any("test part (1 images) has no labels" in remark for remark in found.listing.remarks)


def test_channels_in_files_of_their_own_are_one_image(tmp_path):
    found = find_layout(touch(tmp_path, "imagesTr/a_0000.png", "imagesTr/a_0001.png", "labelsTr/a.png"))
    assert pairs(found, tmp_path) == {"imagesTr/a_0000.png": "labelsTr/a.png"}
    assert any("up to 2 channels" in remark for remark in found.listing.remarks)


def test_folders_above_are_organs_or_groups(tmp_path):
    names = [f"{organ}/{kind}/a.png" for organ in ("liver", "lung") for kind in ("images", "masks")]
    found = find_layout(touch(tmp_path / "organs", *names))
    assert [(entry.id, entry.organ) for entry in found.listing.entries] == [("liver/a", "liver"), ("lung/a", "lung")]
    names = [f"patient_{n}/{kind}/a.png" for n in (1, 2) for kind in ("images", "masks")]
    found = find_layout(touch(tmp_path / "patients", *names))
    assert [(entry.group, entry.organ) for entry in found.listing.entries] == [("patient_1", ""), ("patient_2", "")]
    assert "groups" in " ".join(found.listing.remarks)


def test_one_file_a_cell_below_parts(tmp_path):
    names = [f"stage1_train/{n}/{file}.png" for n in "ab" for file in (f"images/{n}", "masks/1", "masks/2")]
    found = find_layout(touch(tmp_path, *names, "stage1_test/c/images/c.png"))
    assert found.layout.name == "cell-masks"
    assert [(e.id, e.split, e.annotation is None) for e in found.listing.entries] == [
        ("c", "", True),
        ("a", "train", False),
        ("b", "train", False),
    ]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("images/a.png", "labels/z.png"), r"none fits: z\.png; an image is a\.png"),
        (("images/a.png", "labels/a.png", "masks/a.png"), r"labels/ and masks/ .*--annotations"),
        (("images/a.png", "raw/a.png", "masks/a.png"), r"found images/ and raw/.*--annotations"),
        (("liver/a.png", "train/b.png"), r"found train/: its name is that of a part"),
        (("liver/a.png", "labels/b.png", "c/d.png"), r"found labels/: its name is that of a folder of images"),
        (("images/a_1.png", "images/a-1.png", "labels/mask_a_1.png"), r"Expected one image for"),
    ],
)  # fmt: skip
def test_two_readings_are_asked_for(tmp_path, names, message):
    with pytest.raises(DatasetError, match=message):
        find_layout(touch(tmp_path, *names))


def test_labels_beside_other_images_do_not_confuse(tmp_path):
    names = ("images/a.png", "masks/a.png", "raw/z.png", "overlays/a.png")
    found = find_layout(touch(tmp_path, *names))
    assert pairs(found, tmp_path) == {"images/a.png": "masks/a.png"}
    assert any("raw/ (1 images) was passed over" in remark for remark in found.listing.remarks)


def test_label_images_never_become_an_organ(tmp_path):
    labels = np.zeros((40, 40), np.uint8)
    labels[5:15, 5:15], labels[20:30, 20:30] = 1, 2
    noise = np.random.default_rng(0).integers(0, 255, (40, 40)).astype(np.uint8)
    for name, pixels in (("pics/a.png", noise), ("lab/a.png", labels)):
        (tmp_path / name).parent.mkdir()
        PillowImage.fromarray(pixels).save(tmp_path / name)
    with pytest.raises(DatasetError, match=r"lab/: its files look like label images.*pics --annotations .*lab"):
        find_layout(tmp_path)
    found = find_layout(tmp_path, apart=tmp_path / "lab")
    assert [str(entry.path) for entry in found.listing.entries] == ["pics/a.png"]


def test_files_of_a_kind_that_is_not_read_are_a_failure(tmp_path):
    found = find_layout(touch(tmp_path, "images/train/a.png", "labels/train/a.txt", "data.yaml"))
    assert pairs(found, tmp_path) == {"images/train/a.png": None}
    assert "labels/ holds 1 files of a kind that is not read, .txt (YOLO)" in found.listing.failures[0]


@pytest.mark.parametrize(
    ("name", "role", "split"),
    [
        ("imagesTs", Role.IMAGES, "test"),
        ("Test_Images", Role.IMAGES, "test"),
        ("stage1_train", None, "train"),
        ("val2017", None, "train"),
        ("testset", None, "test"),
        ("testis", None, ""),
        ("training masks", Role.LABELS, "train"),
        ("lymph node", None, ""),
    ],
)
def test_names_of_folders(name, role, split):
    found = read_folder_name(name)
    assert (found.role, found.split) == (role, split)

"""Nothing in an imported folder is passed over without a word."""

from organscope.data.importing import tell_passed_over
from organscope.data.layouts import find_layout


def test_what_was_not_used_is_named(tmp_path):
    used = ["images/a.png", "labels/a.png"]
    quiet = ["README.md", "LICENSE", ".DS_Store", "Thumbs.db", "images/._a.png", "dataset.json", "~$index.xlsx"]
    others = ["overlays/a.png", "overlays/b.png", "meta.csv", "labels/a.txt"]
    for name in [*used, *quiet, *others, "index/index.parquet", "index/index.csv", "slide.zarr/0/0"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "more labels").symlink_to("/mnt/unmounted/labels")
    entries = find_layout(tmp_path).listing.entries
    remarks, failures = tell_passed_over(tmp_path, entries, [])
    assert remarks == [
        "Passed over: a.txt in labels/.",
        "Passed over: meta.csv. A table is read as the sheet of a set if it is named index.csv.",
        "Passed over: 2 images .png in overlays/, such as a.png.",
        "Passed over: slide.zarr.",
    ]
    assert failures == [
        "more labels is a link to /mnt/unmounted/labels, which does not exist; what it means is missing."
    ]


def test_files_of_cellpose_are_told_by_whether_masks_are_there(tmp_path):
    for name in ("a.png", "a_cp_masks.png", "a_seg.npy", "b.png", "b_seg.npy", "a_flows.tif"):
        (tmp_path / name).touch()
    entries = find_layout(tmp_path).listing.entries
    assert [(entry.path.name, entry.annotation is not None) for entry in entries] == [("a.png", True), ("b.png", False)]
    remarks, failures = tell_passed_over(tmp_path, entries, [])
    assert remarks[0] == "Passed over: a_flows.tif."
    assert "the masks beside them were used" in remarks[1]
    assert "such as b_seg.npy" in failures[0]

"""Names of downloads: told apart on every file system, and the same when more images arrive."""

from pathlib import PureWindowsPath

import pytest

from organscope.server.store import RESERVED, file_stems, plain_part


def stems(*names: str) -> list[str]:
    return list(file_stems([], [{"id": str(n), "name": name} for n, name in enumerate(names)]).values())


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("slide1/img_001.tif", "slide2/img_001.tif"), ["slide1_img_001", "slide2_img_001"]),
        (("img.tif", "img.png", "img.tif", "img.tif"), ["img", "img_png", "img_tif", "img-2"]),
        (("A.png", "a.PNG"), ["A", "a_PNG"]),
        (("a/b_c.png", "a_b/c.png"), ["a_b_c", "a_b_c_png"]),
        (("slide.ome.tif",), ["slide"]),
        (("\u7d30\u80de 1.png", "\u7d30\u80de 2.png"), ["\u7d30\u80de_1", "\u7d30\u80de_2"]),
        (("...", "***.png"), ["image", "image_png"]),
    ],
)
def test_no_two_images_have_one_name(names, expected):
    assert stems(*names) == expected


@pytest.mark.parametrize("name", ["con.tif", "AUX.png", "lpt1.tif", "nul", "a:b?.png", "end..png", "x" * 300 + ".tif"])
def test_every_file_system_takes_the_name(name):
    (stem,) = stems(name)
    assert stem.split(".")[0].casefold() not in RESERVED
    assert not set(stem) & set('<>:"/\\|?*')
    assert len(f"{stem}-cells.parquet".encode()) < 255
    assert PureWindowsPath(stem).name == stem == stem.strip(". ")


def test_a_name_stays_when_more_images_arrive():
    known = [{"id": "a", "name": "img.tif", "file_stem": "img"}]
    assert file_stems(known, [{"id": "b", "name": "IMG.tif"}]) == {"b": "IMG_tif"}


def test_an_empty_text_has_a_name():
    assert plain_part("///", "study") == "study"

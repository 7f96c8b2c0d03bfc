"""Masks are read as what they are: numbers, one value, classes, borders, colors; doubtful ones are refused."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image as PillowImage
from scipy import ndimage

from organscope.errors import AnnotationError
from organscope.io.mask_kinds import MASK_KINDS, Mask, looks_like_labels, read_mask

SIZE = (120, 160)
N_CELLS = 12


@pytest.fixture(scope="module")
def cells() -> np.ndarray:
    """Twelve discs, numbered, apart from each other and from the border."""
    labels = np.zeros(SIZE, np.int32)
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    for number in range(N_CELLS):
        row, column = divmod(number, 4)
        labels[(y - 20 - 40 * row) ** 2 + (x - 20 - 40 * column) ** 2 <= (8 + number % 3) ** 2] = number + 1
    return labels


def read(folder: Path, values: np.ndarray, kind: str | None = None, name: str = "mask.png", **how) -> Mask:
    path = folder / name
    if path.suffix == ".tif":
        tifffile.imwrite(path, values, **how)
    elif path.suffix == ".npy":
        np.save(path, values)
    else:
        PillowImage.fromarray(values).save(path, **how)
    return read_mask(path, *SIZE, kind)


def test_numbers_of_cells_stay_as_they_are(tmp_path, cells):
    mask = read(tmp_path, (cells * 7).astype(np.uint16), name="mask.tif")
    assert (mask.kind, mask.n_cells, mask.is_changed, mask.notes) == ("instances", N_CELLS, False, [])
    np.testing.assert_array_equal(mask.labels, cells * 7)


def test_a_few_cells_in_pieces_are_cells_still(tmp_path, cells):
    crossed = cells.copy()
    crossed[18:23, :40] = 0
    mask = read(tmp_path, crossed.astype(np.uint8))
    assert (mask.kind, mask.n_cells, mask.is_changed) == ("instances", N_CELLS, False)


@pytest.mark.parametrize("high", [1, 255])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, bool])
def test_one_value_is_split_into_pieces(tmp_path, cells, high, dtype):
    mask = read(tmp_path, ((cells > 0) * high).astype(dtype), name="mask.tif")
    assert (mask.kind, mask.n_cells, mask.is_changed) == ("binary", N_CELLS, True)
    assert "touching cells are one" in mask.notes[0]
    np.testing.assert_array_equal(mask.labels > 0, cells > 0)


def test_cells_of_0_in_a_frame_of_255(tmp_path, cells):
    inverted = np.where(cells > 0, 0, 255).astype(np.uint8)
    mask = read(tmp_path, inverted)
    assert (mask.kind, mask.n_cells) == ("inverted", N_CELLS)
    assert "inverted" in mask.notes[0]
    assert read(tmp_path, inverted, "inverted").n_cells == N_CELLS
    assert read(tmp_path, inverted, "binary").n_cells == 1


def test_gaps_between_crowded_cells_are_no_cells(tmp_path):
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    crowded = ((y + 12) % 24 - 12) ** 2 + ((x + 12) % 24 - 12) ** 2 <= 14**2
    with pytest.raises(AnnotationError, match=r"both of which may be background. Say what it is: --masks"):
        read(tmp_path, (crowded * 255).astype(np.uint8))
    assert read(tmp_path, (crowded * 255).astype(np.uint8), "binary").kind == "binary"


@pytest.mark.parametrize("values", [(1, 2), (127, 255), (3, 9)])
def test_classes_are_split_and_kept(tmp_path, cells, values):
    odd, even = values
    numbers = np.where(cells == 0, 0, np.where(cells % 2, odd, even)).astype(np.uint8)
    mask = read(tmp_path, numbers)
    assert (mask.kind, mask.n_cells) == ("classes", N_CELLS)
    assert sorted(mask.classes) == sorted([str(odd), str(even)] * 6)
    found = np.array(["", *mask.classes])[mask.labels]
    np.testing.assert_array_equal(found[cells > 0], numbers[cells > 0].astype(str))
    assert f"2 values in 12 pieces were read as classes ({odd}, {even})" in mask.notes[0]
    assert read(tmp_path, numbers, "instances").n_cells == 2


def test_background_that_is_not_0(tmp_path, cells):
    mask = read(tmp_path, np.where(cells == 0, 2, 1).astype(np.uint8))
    assert (mask.kind, mask.n_cells) == ("binary", N_CELLS)
    assert "2, which lies all around, was read as background" in mask.notes[0]
    mask = read(tmp_path, (cells + 1).astype(np.uint8))
    assert (mask.kind, mask.n_cells, mask.is_changed) == ("instances", N_CELLS, True)
    np.testing.assert_array_equal(mask.labels > 0, cells > 0)


@pytest.mark.parametrize("width_px", [1, 2])
def test_insides_with_borders_are_whole_cells(tmp_path, cells, width_px):
    inside = ndimage.binary_erosion(cells > 0, np.ones((3, 3)), iterations=width_px)
    mask = read(tmp_path, np.where(inside, 1, np.where(cells > 0, 2, 0)).astype(np.uint8))
    assert (mask.kind, mask.n_cells) == ("borders", N_CELLS)
    np.testing.assert_array_equal(mask.labels > 0, cells > 0)


def test_touching_cells_with_borders_stay_apart(tmp_path):
    cells = np.zeros(SIZE, np.int32)
    cells[10:40, 10:40], cells[10:40, 40:70] = 1, 2
    eroded = ndimage.grey_erosion(cells, (3, 3))
    numbers = np.where((eroded != cells) & (cells > 0), 2, cells > 0)
    numbers[10:40, 39:41] = 2
    mask = read(tmp_path, numbers.astype(np.uint8))
    assert (mask.kind, mask.n_cells) == ("borders", 2)


def test_grays_at_edges_are_no_cells(tmp_path, cells):
    binary = PillowImage.fromarray(((cells > 0) * 255).astype(np.uint8))
    smooth = np.asarray(binary.resize((320, 240)).resize(SIZE[::-1], PillowImage.Resampling.BICUBIC))
    mask = read(tmp_path, smooth)
    assert (mask.kind, mask.n_cells) == ("binary", N_CELLS)
    assert "grays at edges" in mask.notes[0]


def test_numbers_that_were_interpolated_are_refused(tmp_path, cells):
    smooth = PillowImage.fromarray((cells * 20).astype(np.uint8)).resize((320, 240)).resize(SIZE[::-1])
    with pytest.raises(AnnotationError, match=r"--masks instances, binary, inverted, classes"):
        read(tmp_path, np.asarray(smooth))


def test_a_jpeg_is_no_label_image(tmp_path, cells):
    binary = ((cells > 0) * 255).astype(np.uint8)
    for name, how in [("mask.jpg", {"quality": 90}), ("mask.tif", {"compression": "jpeg"})]:
        with pytest.raises(AnnotationError, match="found a JPEG"):
            read(tmp_path, binary, name=name, **how)
        with pytest.raises(AnnotationError, match="found a JPEG"):
            read(tmp_path, binary, "instances", name=name, **how)
        assert read(tmp_path, binary, "binary", name=name, **how).n_cells == N_CELLS


def test_colors_are_values(tmp_path, cells):
    colors = np.random.default_rng(0).integers(60, 255, (N_CELLS + 1, 3)).astype(np.uint8)
    colors[0] = 0
    mask = read(tmp_path, colors[cells])
    assert (mask.kind, mask.n_cells, mask.is_changed) == ("instances", N_CELLS, True)
    two = np.array([[0, 0, 0], [200, 0, 0], [0, 0, 200]], np.uint8)[np.where(cells == 0, 0, 1 + cells % 2)]
    assert (read(tmp_path, two).kind, read(tmp_path, two).n_cells) == ("classes", N_CELLS)
    gray = np.repeat(((cells > 0) * 255).astype(np.uint8)[:, :, None], 3, axis=2)
    mask = read(tmp_path, gray)
    assert (mask.kind, mask.n_cells) == ("binary", N_CELLS)
    assert "equal channels" in mask.notes[0]
    clear = np.dstack([colors[np.maximum(cells, 1)], (cells > 0) * 255]).astype(np.uint8)
    assert read(tmp_path, clear).n_cells == N_CELLS


def test_an_image_is_no_mask(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (*SIZE, 3)).astype(np.uint8)
    with pytest.raises(AnnotationError, match="colors: an image"):
        read(tmp_path, noise)
    with pytest.raises(AnnotationError, match="--masks"):
        read(tmp_path, noise[:, :, 0])


@pytest.mark.parametrize("shape", [(4, *SIZE), (3, *SIZE)])
def test_several_planes_are_refused(tmp_path, shape, cells):
    with pytest.raises(AnnotationError, match=r"found (3|4) (planes|pages)"):
        read(tmp_path, np.broadcast_to(cells.astype(np.uint16), shape), name="mask.tif", photometric="minisblack")


def test_an_empty_mask_says_that_there_is_no_cell(tmp_path):
    mask = read(tmp_path, np.zeros(SIZE, np.uint8))
    assert (mask.kind, mask.n_cells, mask.is_changed) == ("empty", 0, False)
    with pytest.raises(AnnotationError, match="found 255 in every pixel"):
        read(tmp_path, np.full(SIZE, 255, np.uint8))


def test_probabilities_need_a_word(tmp_path, cells):
    likely = ndimage.gaussian_filter((cells > 0).astype(np.float32), 1)
    with pytest.raises(AnnotationError, match="--masks binary"):
        read(tmp_path, likely, name="mask.npy")
    assert read(tmp_path, likely, "binary", name="mask.npy").n_cells == N_CELLS


def test_a_cell_of_half_the_image_is_named(tmp_path, cells):
    large = cells.copy()
    large[:, 80:] = 99
    large[:, 60:80] = 99
    assert any("one cell covers 6" in note for note in read(tmp_path, large.astype(np.uint8)).notes)


def test_every_kind_can_be_asked_for(tmp_path, cells):
    for kind in MASK_KINDS:
        assert read(tmp_path, cells.astype(np.uint8), kind).labels.shape == SIZE


def test_label_images_are_told_from_micrographs(tmp_path, cells, colon):
    micrograph = tmp_path / "image.png"
    PillowImage.fromarray(colon[: SIZE[0], : SIZE[1]]).save(micrograph)
    assert not looks_like_labels(micrograph)
    for name, values in {"a": cells, "b": (cells > 0) * 255, "c": np.where(cells > 0, 0, 255)}.items():
        PillowImage.fromarray(values.astype(np.uint8)).save(tmp_path / f"{name}.png")
        assert looks_like_labels(tmp_path / f"{name}.png")
    blank = np.full((*SIZE, 3), 255, np.uint8)
    PillowImage.fromarray(blank).save(micrograph)
    assert not looks_like_labels(micrograph)


def test_ignored_pixels_beside_numbers_of_cells_stay(tmp_path, cells):
    ignored = np.where(cells == 3, -1, cells)
    mask = read(tmp_path, ignored, name="mask.tif")
    assert (mask.kind, mask.is_changed, mask.n_cells) == ("instances", False, N_CELLS - 1)
    assert "ignored" in mask.notes[0]
    with pytest.raises(AnnotationError, match="--masks instances"):
        read(tmp_path, ignored, "classes", name="mask.tif")
    with pytest.raises(AnnotationError, match="from 0"):
        read(tmp_path, ignored - 1, name="mask.tif")

"""Label images: written so that QuPath and Fiji read them, read without guessing."""

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image as PillowImage

from organscope.errors import AnnotationError, OutputError
from organscope.io import read_labels, write_labels
from organscope.io.labels import read_label_region


@pytest.fixture
def labels(rng):
    return np.kron(rng.permutation(20).reshape(4, 5), np.ones((30, 40), int)).astype(np.int32) * 5_000


def test_written_as_tiled_compressed_int32(tmp_path, labels):
    write_labels(tmp_path / "labels.tif", labels, um_per_px=0.25)
    np.testing.assert_array_equal(read_labels(tmp_path / "labels.tif"), labels)
    with tifffile.TiffFile(tmp_path / "labels.tif") as file:
        page = file.pages.first
        assert (page.dtype, page.is_tiled, page.compression, page.photometric) == (np.int32, True, 8, 1)
        assert page.get_resolution("micrometer") == pytest.approx((4, 4))


def test_unwritable_place(tmp_path, labels):
    with pytest.raises(OutputError, match="does not exist"):
        write_labels(tmp_path / "gone" / "labels.tif", labels)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.uint32, np.int64, np.float32])
def test_tiff_of_any_whole_numbers(tmp_path, labels, dtype):
    small = (labels // 5_000).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", small)
    np.testing.assert_array_equal(read_labels(tmp_path / "a.tif"), small)


def test_png_and_npy(tmp_path, labels):
    small = (labels // 2).astype(np.uint16)
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(small))
    np.save(tmp_path / "a.npy", small)
    for name in ("a.png", "a.npy"):
        found = read_labels(tmp_path / name)
        np.testing.assert_array_equal(found, small)
        assert found.dtype == np.int32


def test_numbers_behind_a_color_table_are_the_labels(tmp_path, labels):
    """Fiji saves label images with a color table, and binary masks inverted: neither changes the numbers."""
    small = (labels // 5_000).astype(np.uint8)
    colors = np.random.default_rng(0).integers(0, 256, (3, 256))
    tifffile.imwrite(tmp_path / "a.tif", small, photometric="palette", colormap=colors.astype(np.uint16))
    tifffile.imwrite(tmp_path / "b.tif", small, photometric="miniswhite")
    image = PillowImage.fromarray(small, "L")
    image.putpalette(colors.T.astype(np.uint8).tobytes())
    image.save(tmp_path / "c.png")
    for name in ("a.tif", "b.tif", "c.png"):
        np.testing.assert_array_equal(read_labels(tmp_path / name), small)


def test_stack_is_refused_and_single_channel_is_not(tmp_path, labels):
    np.save(tmp_path / "a.npy", labels[:, :, None])
    np.testing.assert_array_equal(read_labels(tmp_path / "a.npy"), labels)
    np.save(tmp_path / "b.npy", np.stack([labels, labels]))
    with pytest.raises(AnnotationError, match="one number a pixel"):
        read_labels(tmp_path / "b.npy")


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (np.zeros((8, 8, 3), np.uint8), "3 channels"),
        (np.full((8, 8), 0.5, np.float32), "not probabilities"),
        (np.full((8, 8), np.nan, np.float32), "not probabilities"),
        (np.full((8, 8), -1, np.int32), "-1"),
        (np.full((8, 8), 2**31, np.uint32), "2147483648"),
    ],
)
def test_values_that_are_no_cell_numbers(tmp_path, values, found):
    tifffile.imwrite(tmp_path / "a.tif", values)
    with pytest.raises(AnnotationError, match=found):
        read_labels(tmp_path / "a.tif")


@pytest.mark.parametrize("name", ["a.tif", "a.npy"])
def test_ignored_pixels_are_background_unless_asked_for(tmp_path, name):
    known = np.array([[-1, 0, 7], [-1, 7, 7]], np.int32)
    if name == "a.npy":
        np.save(tmp_path / name, known)
    else:
        write_labels(tmp_path / name, known)
    np.testing.assert_array_equal(read_labels(tmp_path / name, keep_ignored=True), known)
    np.testing.assert_array_equal(read_labels(tmp_path / name), np.maximum(known, 0))
    part = read_label_region(tmp_path / name, 0, 0, 2, 1, keep_ignored=True)
    np.testing.assert_array_equal(part, [[-1], [-1]])


@pytest.mark.parametrize("name", ["a.tif", "a.npy", "a.png"])
def test_unreadable_files(tmp_path, name):
    (tmp_path / name).write_bytes(b"nothing of the kind")
    with pytest.raises(AnnotationError, match=name):
        read_labels(tmp_path / name)
    with pytest.raises(AnnotationError):
        read_labels(tmp_path / "gone.tif")


def test_real_labels(shared_data, tmp_path):
    path = sorted((shared_data / "dsb2018" / "labels").glob("*.png"))[0]
    labels = read_labels(path)
    write_labels(tmp_path / "a.tif", labels)
    np.testing.assert_array_equal(read_labels(tmp_path / "a.tif"), labels)
    assert labels.max() > 0

"""Labels that come strip by strip: the same pixels, smaller levels, the same bytes each time."""

import numpy as np
import pytest
import tifffile

from organscope.errors import OutputError
from organscope.io import open_image, read_labels
from organscope.io.labels import TILE_PX, ZarrLabels, level_sizes, write_label_pyramid


def labels(shape) -> np.ndarray:
    y, x = np.mgrid[: shape[0], : shape[1]]
    cells = (y // 20) * 1000 + x // 25 + 1
    return np.where((y % 20 < 14) & (x % 25 < 17), cells, 0).astype(np.int32)


def strips(pixels):
    return (pixels[top : top + TILE_PX] for top in range(0, len(pixels), TILE_PX))


@pytest.mark.parametrize("shape", [(1, 1), (256, 256), (300, 1500), (2050, 700)])
def test_file_has_the_labels_and_its_levels(tmp_path, shape):
    pixels = labels(shape)
    write_label_pyramid(tmp_path / "labels.ome.tif", strips(pixels), shape, (0.25, 0.5))
    np.testing.assert_array_equal(read_labels(tmp_path / "labels.ome.tif"), pixels)
    with tifffile.TiffFile(tmp_path / "labels.ome.tif") as file:
        assert file.is_bigtiff
        assert file.is_ome
        assert [level.shape for level in file.series[0].levels] == level_sizes(shape)
        for step, level in enumerate(file.series[0].levels):
            np.testing.assert_array_equal(level.asarray(), pixels[:: 4**step, :: 4**step])
    assert [path.name for path in tmp_path.iterdir()] == ["labels.ome.tif"]
    with open_image(tmp_path / "labels.ome.tif") as image:
        assert image.um_per_px == pytest.approx((0.25, 0.5))


def test_same_labels_give_the_same_bytes(tmp_path):
    pixels = labels((600, 1100))
    for name in ("a.tif", "b.tif"):
        write_label_pyramid(tmp_path / name, strips(pixels), pixels.shape)
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()


def test_interruption_leaves_nothing(tmp_path):
    def broken():
        yield labels((256, 1500))
        raise OSError(28, "No space left on device")

    with pytest.raises(OutputError, match="No space left"):
        write_label_pyramid(tmp_path / "labels.ome.tif", broken(), (600, 1500))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("um_per_px", [None, (0.5, 0.25)])
def test_zarr_has_the_labels_and_its_levels(tmp_path, um_per_px):
    pixels = labels((600, 1500))
    zarr_labels = ZarrLabels(tmp_path / "labels.ome.zarr", pixels.shape, um_per_px)
    for strip in strips(pixels):
        zarr_labels.take(strip)
    with open_image(tmp_path / "labels.ome.zarr") as image:
        assert image.um_per_px == um_per_px
        assert len(image.levels) == 2
        np.testing.assert_array_equal(image.read_whole()[:, :, 0], pixels)
        np.testing.assert_array_equal(image.read_whole(1)[:, :, 0], pixels[::4, ::4])

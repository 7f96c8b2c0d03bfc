"""The reader is chosen by content; what no reader takes is one clear sentence."""

import pickle
import subprocess
import sys

import numpy as np
import pytest
import tifffile
from PIL import Image as PillowImage

from organscope.errors import ImageReadError, ShapeError, UsageError
from organscope.io import open_image


@pytest.fixture
def five_channels(tmp_path, rng):
    path = tmp_path / "five channels ü\n.tif"
    pixels = rng.integers(0, 4096, (40, 30, 5), dtype=np.uint16)
    tifffile.imwrite(path, pixels.transpose(2, 0, 1), tile=(16, 16), compression="zlib", metadata={"axes": "CYX"})
    return path, pixels


@pytest.mark.parametrize(("content", "found"), [(b"", "empty"), (b"no picture\n", "no known format")])
def test_content_that_is_no_image(tmp_path, content, found):
    path = tmp_path / "text.tif"
    path.write_bytes(content)
    with pytest.raises(ImageReadError, match=found) as error:
        open_image(path)
    assert str(path) in str(error.value)


def test_missing_file_and_plain_folder(tmp_path):
    with pytest.raises(ImageReadError, match="No such file"):
        open_image(tmp_path / "gone.png")
    with pytest.raises(ImageReadError, match="a folder that is no OME-Zarr"):
        open_image(tmp_path)


def test_format_is_found_from_content_not_from_the_name(tmp_path, colon):
    path = tmp_path / "really a png.tif"
    PillowImage.fromarray(colon).save(path, format="png")
    with open_image(path) as image:
        np.testing.assert_array_equal(image.read_whole(), colon)


def test_odd_names_regions_and_pickling(five_channels):
    path, pixels = five_channels
    with open_image(path) as image:
        again = pickle.loads(pickle.dumps(image))
        np.testing.assert_array_equal(image.read(7, 3, 20, 25), pixels[7:27, 3:28])
        np.testing.assert_array_equal(again.read(7, 3, 20, 25), pixels[7:27, 3:28])
        assert (image.name, image.height_px, image.width_px) == (path.name, 40, 30)


def test_chosen_channel_survives_pickling(five_channels):
    path, pixels = five_channels
    with open_image(path, channel=3, um_per_px=0.5) as image:
        again = pickle.loads(pickle.dumps(image))
    assert (again.n_channels, again.um_per_px) == (1, (0.5, 0.5))
    np.testing.assert_array_equal(again.read_whole(), pixels[:, :, 3:4])


@pytest.mark.parametrize("wrong", [{"channel": 5}, {"channel": -1}, {"um_per_px": 0.0}, {"um_per_px": float("nan")}])
def test_impossible_wishes_are_wrong_use(five_channels, wrong):
    with pytest.raises(UsageError):
        open_image(five_channels[0], **wrong)


@pytest.mark.parametrize("region", [(0, 0, 41, 30), (-1, 0, 5, 5), (0, 26, 5, 5), (0, 0, 0, 5)])
def test_region_must_lie_inside(five_channels, region):
    with open_image(five_channels[0]) as image, pytest.raises(ShapeError, match="Clip the region"):
        image.read(*region)


def test_level_must_exist(five_channels):
    with open_image(five_channels[0]) as image, pytest.raises(ShapeError, match="level from 0 to 0"):
        image.read_whole(level=1)


def test_closing_twice_is_fine(five_channels):
    image = open_image(five_channels[0])
    image.close()
    image.close()


def test_import_is_light():
    """Libraries that only some formats need are loaded when such a file is opened."""
    heavy = {"zarr", "openslide", "pandas", "pyarrow", "matplotlib", "torch", "tensorflow"}
    code = f"import sys, organscope.io; print(sorted({heavy!r} & set(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"

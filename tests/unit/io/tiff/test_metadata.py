"""Pixel size and bits used, from what files state; never from the pixels."""

import numpy as np
import pytest
import tifffile

from organscope.io import open_image

PIXELS = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)
APERIO = "Aperio Image Library v11.2.1\n64x64 [0,0 64x64] (32x32) JPEG/RGB Q=70|AppMag = 20|MPP = 0.4990|Left = 25"


@pytest.mark.parametrize(
    ("options", "um_per_px"),
    [
        ({}, None),
        ({"resolution": (20_000, 20_000), "resolutionunit": "CENTIMETER"}, 0.5),
        ({"resolution": (50_800, 50_800), "resolutionunit": "INCH"}, 0.5),
        ({"resolution": (4, 4), "resolutionunit": "NONE"}, None),
        ({"resolution": (72, 72), "resolutionunit": "INCH"}, None),
        ({"resolution": (300, 300), "resolutionunit": "INCH"}, None),
        ({"resolution": (0, 0), "resolutionunit": "INCH"}, None),
        ({"imagej": True, "resolution": (4, 4), "metadata": {"unit": "um"}}, 0.25),
        ({"imagej": True, "resolution": (0.25, 0.25), "metadata": {"unit": "nm"}}, 0.004),
        ({"imagej": True, "resolution": (4, 4)}, None),
        ({"ome": True, "metadata": {"PhysicalSizeX": 0.325}}, 0.325),
        ({"ome": True, "metadata": {"PhysicalSizeX": 325, "PhysicalSizeXUnit": "nm"}}, 0.325),
        ({"ome": True, "metadata": {"PhysicalSizeX": 1, "PhysicalSizeXUnit": "pixel"}}, None),
        ({"ome": True}, None),
        ({"description": APERIO, "metadata": None}, 0.499),
    ],
)
def test_pixel_size(tmp_path, options, um_per_px):
    tifffile.imwrite(tmp_path / "a.tif", PIXELS, **options)
    with open_image(tmp_path / "a.tif") as image:
        assert image.um_per_px == (None if um_per_px is None else pytest.approx((um_per_px, um_per_px), rel=1e-6))


@pytest.mark.parametrize(
    ("dtype", "options", "value_range"),
    [
        (np.uint8, {}, (0, 255)),
        (np.uint16, {}, (0, 65_535)),
        (np.int16, {}, (0, 32_767)),
        (np.float32, {}, (0, 1)),
        (np.uint16, {"ome": True, "metadata": {"SignificantBits": 12}}, (0, 4_095)),
        (np.uint16, {"bitspersample": 12, "compression": None}, (0, 4_095)),
        (np.uint16, {"extratags": [(281, 3, 1, 4_095, True)]}, (0, 4_095)),
        (np.uint16, {"extratags": [(281, 3, 1, 3_871, True)]}, (0, 65_535)),
        (np.float32, {"extratags": [(340, 11, 1, 0.0, True), (341, 11, 1, 255.0, True)]}, (0, 255)),
    ],
)
def test_black_and_white(tmp_path, dtype, options, value_range):
    if "bitspersample" in options:
        packed_in_12_bits(tmp_path / "a.tif")
    else:
        tifffile.imwrite(tmp_path / "a.tif", PIXELS.astype(dtype), **options)
    with open_image(tmp_path / "a.tif") as image:
        assert image.value_range == value_range


def packed_in_12_bits(path):
    """tifffile reads packed samples but does not write them: store the packed bytes, then correct the tag."""
    packed = pack(PIXELS)
    tifffile.imwrite(path, packed.reshape(64, 96), metadata=None)
    with tifffile.TiffFile(path, mode="r+") as file:
        tags = file.pages.first.tags
        tags["ImageWidth"].overwrite(64)
        tags["BitsPerSample"].overwrite(12)


def pack(samples):
    """12-bit samples, two in three bytes, most significant bits first."""
    first, second = samples.reshape(-1, 2).T
    rows = np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], axis=1)
    return rows.astype(np.uint8)

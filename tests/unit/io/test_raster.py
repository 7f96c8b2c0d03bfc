"""PNG, JPEG and BMP: modes, bit depths, the size guard, damage."""

import struct
import zlib
from contextlib import suppress

import imagecodecs
import numpy as np
import pytest
from PIL import Image as PillowImage

from organscope.errors import ImageReadError
from organscope.io import open_image


def read(path, **options):
    with open_image(path, **options) as image:
        pixels = image.read_whole()
        assert pixels.shape == (image.height_px, image.width_px, image.n_channels)
        assert pixels.dtype == image.dtype
        return pixels


@pytest.mark.parametrize(("n_channels", "suffix"), [(1, "png"), (2, "png"), (3, "png"), (4, "png"), (3, "bmp")])
def test_modes_that_keep_their_values(tmp_path, rng, n_channels, suffix):
    pixels = rng.integers(0, 256, (20, 30, n_channels), dtype=np.uint8)
    PillowImage.fromarray(pixels.squeeze()).save(tmp_path / f"a.{suffix}")
    np.testing.assert_array_equal(read(tmp_path / f"a.{suffix}"), pixels)
    np.testing.assert_array_equal(
        read(tmp_path / f"a.{suffix}", channel=n_channels - 1), pixels[:, :, n_channels - 1 : n_channels]
    )


def test_palette_becomes_rgb_and_keeps_transparency(tmp_path, colon):
    palette = PillowImage.fromarray(colon[:50, :60]).quantize(16)
    palette.save(tmp_path / "a.png")
    np.testing.assert_array_equal(read(tmp_path / "a.png"), np.asarray(palette.convert("RGB")))
    palette.save(tmp_path / "b.png", transparency=3)
    assert read(tmp_path / "b.png").shape == (50, 60, 4)


def test_one_bit_becomes_black_and_white(tmp_path, rng):
    pixels = rng.random((20, 30)) > 0.5
    PillowImage.fromarray(pixels).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read(tmp_path / "a.png")[:, :, 0], pixels * np.uint8(255))


@pytest.mark.parametrize("n_channels", [1, 2, 3, 4])
def test_sixteen_bits_stay_sixteen_bits(tmp_path, rng, n_channels):
    pixels = rng.integers(0, 65_536, (20, 30, n_channels), dtype=np.uint16)
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(pixels.squeeze()))
    np.testing.assert_array_equal(read(tmp_path / "a.png"), pixels)
    with open_image(tmp_path / "a.png") as image:
        assert image.value_range == (0, 65_535)


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_jpeg(tmp_path, colon, mode):
    PillowImage.fromarray(colon).convert(mode).save(tmp_path / "a.jpg", quality=95)
    assert read(tmp_path / "a.jpg").shape == (512, 512, 1 if mode == "L" else 3)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_orientation_is_applied_as_viewers_do(tmp_path, colon, orientation, suffix):
    from PIL import ImageOps

    path = tmp_path / f"a.{suffix}"
    exif = PillowImage.Exif()
    exif[274] = orientation
    PillowImage.fromarray(colon[:40, :70]).save(path, exif=exif)
    with PillowImage.open(path) as viewer:
        expected = np.asarray(ImageOps.exif_transpose(viewer))
    np.testing.assert_array_equal(read(path), expected)


@pytest.mark.parametrize(("dots_per_inch", "um_per_px"), [(50_800, 0.5), (72, None), (96, None), (300, None)])
def test_pixel_size(tmp_path, dots_per_inch, um_per_px):
    PillowImage.new("L", (8, 8)).save(tmp_path / "a.png", dpi=(dots_per_inch, dots_per_inch))
    with open_image(tmp_path / "a.png") as image:
        # PNG stores whole pixels a metre, so the last digits are lost.
        assert image.um_per_px == (None if um_per_px is None else pytest.approx((um_per_px, um_per_px), rel=1e-5))


def test_decompression_bomb_is_refused_before_decoding(tmp_path):
    """200 megapixels in a file of some bytes, without pixels: decoding would fail in another way."""
    path = tmp_path / "a.png"
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", 20_000, 10_000, 8, 2, 0, 0, 0)), (b"IDAT", b""), (b"IEND", b"")]
    packed = [struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(packed))
    with pytest.raises(ImageReadError, match=r"200 megapixels.*tiled TIFF.*--max-megapixels"):
        open_image(path)
    with open_image(path, max_pixels=200_000_000) as image:
        assert image.width_px == 20_000


def test_larger_images_than_pillow_allows_open_without_a_warning(tmp_path, monkeypatch, colon):
    monkeypatch.setattr(PillowImage, "MAX_IMAGE_PIXELS", 100)
    PillowImage.fromarray(colon).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read(tmp_path / "a.png"), colon)


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "sixteen.png"])
def test_truncated_anywhere(tmp_path, rng, suffix):
    path = tmp_path / f"a.{suffix}"
    if suffix == "sixteen.png":
        path.write_bytes(imagecodecs.png_encode(rng.integers(0, 65_536, (40, 40, 3), dtype=np.uint16)))
    else:
        PillowImage.fromarray(rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(path)
    whole, content = read(path), path.read_bytes()
    for length in [*range(8, len(content), 97), len(content) - 100]:
        path.write_bytes(content[:length])
        with pytest.raises(ImageReadError, match="Copy or export it again"):
            read(path)
    # The end mark alone may be missing, as then no pixel is.
    path.write_bytes(content[:-1])
    with suppress(ImageReadError):
        np.testing.assert_array_equal(read(path), whole)


def test_opening_does_not_decode(tmp_path, colon):
    path = tmp_path / "a.png"
    PillowImage.fromarray(colon).save(path)
    path.write_bytes(path.read_bytes()[:5_000])
    with open_image(path) as image, pytest.raises(ImageReadError):
        image.read(0, 0, 1, 1)

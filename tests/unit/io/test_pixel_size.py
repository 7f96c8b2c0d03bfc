"""The pixel size that files state: both sides, every unit, every place; and which statements are not believed."""

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image as PillowImage

from organscope.io import open_image, read_labels, write_labels
from organscope.io.labels import ZarrLabels, write_label_pyramid

PIXELS = np.arange(48 * 64, dtype=np.uint8).reshape(48, 64)
APERIO = "Aperio Image Library v11.2.1\n64x64 [0,0 64x64] (32x32) JPEG/RGB Q=70|AppMag = 20|MPP = 0.4990|Left = 25"


def size_of(path):
    """Pixel size and notes."""
    with open_image(path) as image:
        return image.um_per_px, " ".join(image.notes)


def ome(path, **sizes):
    tifffile.imwrite(path, PIXELS, ome=True, metadata={"axes": "YX", **sizes})
    return path


@pytest.mark.parametrize(
    "options",
    [
        {"resolution": (20_000, 10_000), "resolutionunit": "CENTIMETER"},
        {"resolution": (50_800, 25_400), "resolutionunit": "INCH"},
        {"ome": True, "metadata": {"axes": "YX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 1.0}},
        {
            "ome": True,
            "metadata": {"axes": "YX", "PhysicalSizeX": 500, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 1.0},
        },
        {
            "ome": True,
            "metadata": {"axes": "YX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.001, "PhysicalSizeYUnit": "mm"},
        },
        *(
            {"imagej": True, "resolution": (2 * one, one), "metadata": {"unit": unit}}
            for unit, one in [("um", 1), ("micron", 1), ("\\u00B5m", 1), ("nm", 0.001), ("mm", 1_000), ("cm", 10_000)]
        ),
        {"imagej": True, "resolution": (50_800, 25_400), "metadata": {"unit": "inch"}},
    ],
)
def test_both_sides_of_tiff(tmp_path, options):
    tifffile.imwrite(tmp_path / "a.tif", PIXELS, **options)
    size, notes = size_of(tmp_path / "a.tif")
    assert size == pytest.approx((1.0, 0.5), rel=1e-5)
    assert "not square: 1 um high and 0.5 um wide" in notes


def test_imagej_with_a_unit_of_its_own_along_y(tmp_path):
    metadata = {"unit": "um", "yunit": "nm"}
    tifffile.imwrite(tmp_path / "a.tif", PIXELS, imagej=True, resolution=(2, 0.001), metadata=metadata)
    assert size_of(tmp_path / "a.tif")[0] == pytest.approx((1.0, 0.5), rel=1e-5)


@pytest.mark.parametrize("unit", ["pixel", "pixels", ""])
def test_imagej_without_a_length(tmp_path, unit):
    tifffile.imwrite(tmp_path / "a.tif", PIXELS, imagej=True, resolution=(2, 1), metadata={"unit": unit})
    assert size_of(tmp_path / "a.tif") == (None, "")


@pytest.mark.parametrize(("suffix", "dots"), [("png", (50_800, 25_400)), ("bmp", (50_800, 25_400))])
def test_both_sides_of_png_and_bmp(tmp_path, suffix, dots):
    PillowImage.fromarray(PIXELS).save(tmp_path / f"a.{suffix}", dpi=dots)
    size, notes = size_of(tmp_path / f"a.{suffix}")
    assert size == pytest.approx((1.0, 0.5), rel=1e-4)
    assert "not square" in notes


def test_both_sides_of_jpeg(tmp_path):
    path = tmp_path / "a.jpg"
    PillowImage.fromarray(PIXELS).save(path, dpi=(50_800, 25_400))
    assert size_of(path)[0] == pytest.approx((1.0, 0.5))
    with_unit(path, 2, 20_000, 10_000)
    assert size_of(path)[0] == pytest.approx((1.0, 0.5))
    with_unit(path, 0, 2, 1)
    size, notes = size_of(path)
    assert size is None
    assert "not square" in notes
    with_unit(path, 1, 72, 72)
    assert size_of(path)[0] is None


def with_unit(path, unit, across, down):
    """Change the density in the JFIF head of a JPEG."""
    data = bytearray(path.read_bytes())
    place = data.index(b"JFIF\0") + 7
    data[place : place + 5] = bytes([unit]) + across.to_bytes(2, "big") + down.to_bytes(2, "big")
    path.write_bytes(data)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_turns_the_size_too(tmp_path, orientation):
    exif = PillowImage.Exif()
    exif[274] = orientation
    PillowImage.fromarray(PIXELS).save(tmp_path / "a.png", dpi=(50_800, 25_400), exif=exif)
    tags = [(274, 3, 1, orientation, True)]
    tifffile.imwrite(tmp_path / "a.tif", PIXELS, resolution=(50_800, 25_400), resolutionunit="INCH", extratags=tags)
    expected = (1.0, 0.5) if orientation < 5 else (0.5, 1.0)
    for name in ("a.png", "a.tif"):
        size, notes = size_of(tmp_path / name)
        assert size == pytest.approx(expected, rel=1e-4)
        assert "not square: " + ("1 um high" if orientation < 5 else "0.5 um high") in notes


@pytest.mark.parametrize(
    ("axes", "unit", "scale", "whole", "expected"),
    [
        ("yx", "micrometer", [1.0, 0.5], None, (1.0, 0.5)),
        ("xy", "micrometer", [0.5, 1.0], None, (1.0, 0.5)),
        ("czyx", "nanometer", [1, 3000, 1000, 500], None, (1.0, 0.5)),
        ("yx", "millimeter", [0.002, 0.001], [0.5, 0.5], (1.0, 0.5)),
        ("yx", None, [1.0, 0.5], None, None),
        ("yx", "micrometer", [0.0, 0.5], None, None),
    ],
)
def test_both_sides_of_zarr(tmp_path, axes, unit, scale, whole, expected):
    shape = [{"y": 48, "x": 64}.get(axis, 1) for axis in axes]
    group = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=2)
    group.create_array("0", shape=shape, dtype="uint8")[...] = 7
    units = {} if unit is None else {"unit": unit}
    described = [{"name": axis, "type": "channel" if axis == "c" else "space", **units} for axis in axes]
    transforms = [{"type": "scale", "scale": scale}, {"type": "translation", "translation": [9.0] * len(axes)}]
    multiscale = {"version": "0.4", "axes": described}
    multiscale["datasets"] = [{"path": "0", "coordinateTransformations": transforms}]
    if whole:
        multiscale["coordinateTransformations"] = [{"type": "scale", "scale": whole}]
    group.attrs["multiscales"] = [multiscale]
    size, notes = size_of(tmp_path / "a.zarr")
    assert size == (expected if expected is None else pytest.approx(expected))
    assert ("not from" in notes or "no size" in notes) == (0.0 in scale)


@pytest.mark.parametrize("dpi", [72, 96, 150, 300, 600, 1_200, 2_400, 4_800, 3_000, 9_600])
@pytest.mark.parametrize("unit", ["INCH", "CENTIMETER"])
def test_resolution_of_a_printer_is_said_and_not_used(tmp_path, dpi, unit):
    per_unit = dpi if unit == "INCH" else round(dpi / 2.54)
    tifffile.imwrite(tmp_path / "a.tif", PIXELS, resolution=(per_unit, per_unit), resolutionunit=unit, metadata=None)
    size, notes = size_of(tmp_path / "a.tif")
    assert size is None
    assert f"{dpi:,} dots per inch" in notes or unit == "CENTIMETER"
    assert "taken as unknown" in notes
    assert "--um-per-px" in notes


@pytest.mark.parametrize("dpi", [96, 300, 2_400])
def test_resolution_of_a_printer_in_png(tmp_path, dpi):
    PillowImage.fromarray(PIXELS).save(tmp_path / "a.png", dpi=(dpi, dpi))
    size, notes = size_of(tmp_path / "a.png")
    assert size is None
    assert f"{dpi:,} dots per inch" in notes


@pytest.mark.parametrize("dpi", [25_400, 50_800, 101_600])
def test_inches_may_be_those_of_a_microscope(tmp_path, dpi):
    tifffile.imwrite(tmp_path / "a.tif", PIXELS, resolution=(dpi, dpi), resolutionunit="INCH", metadata=None)
    assert size_of(tmp_path / "a.tif") == (pytest.approx((25_400 / dpi,) * 2), "")


@pytest.mark.parametrize(
    ("y", "x"), [(0, 0), (-0.5, -0.5), ("NaN", "NaN"), ("INF", "INF"), (1e-9, 1e-9), (250, 250), (0.5, 0), (8, 0.5)]
)
def test_impossible_sizes_are_said_and_not_used(tmp_path, y, x):
    size, notes = size_of(ome(tmp_path / "a.ome.tif", PhysicalSizeX=x, PhysicalSizeY=y))
    assert size is None
    assert "taken as unknown" in notes


def test_a_unit_that_is_no_length(tmp_path):
    path = ome(tmp_path / "a.ome.tif", PhysicalSizeX=2, PhysicalSizeXUnit="reference frame", PhysicalSizeY=2)
    size, notes = size_of(path)
    assert size is None
    assert "'reference frame'" in notes


def test_one_side_alone_is_taken_for_both(tmp_path):
    size, notes = size_of(ome(tmp_path / "a.ome.tif", PhysicalSizeX=0.5))
    assert size == (0.5, 0.5)
    assert "along x only" in notes


def test_aperio_has_one_number(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", PIXELS, description=APERIO, metadata=None)
    assert size_of(tmp_path / "a.tif") == ((0.499, 0.499), "")


def test_a_size_that_is_given_silences_the_file(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", PIXELS, resolution=(300, 300), resolutionunit="INCH", metadata=None)
    with open_image(tmp_path / "a.tif", um_per_px=0.25) as image:
        assert (image.um_per_px, image.notes) == ((0.25, 0.25), ())
    with open_image(tmp_path / "a.tif", um_per_px=(1.0, 0.5)) as image:
        assert image.um_per_px == (1.0, 0.5)
        assert "not square: 1 um high and 0.5 um wide" in image.notes[0]


def test_what_is_written_is_read_back(tmp_path):
    labels, size = PIXELS.astype(np.int32), (0.65, 0.325)
    write_labels(tmp_path / "a.tif", labels, size)
    write_label_pyramid(tmp_path / "b.ome.tif", [labels], labels.shape, size)
    ZarrLabels(tmp_path / "c.ome.zarr", labels.shape, size).take(labels)
    for name in ("a.tif", "b.ome.tif", "c.ome.zarr"):
        assert size_of(tmp_path / name)[0] == pytest.approx(size), name
    np.testing.assert_array_equal(read_labels(tmp_path / "a.tif"), labels)

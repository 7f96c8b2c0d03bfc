"""Images at an address of a local server: the pixels of the file, and only the bytes of the region."""

import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image as PillowImage

from organscope.errors import ImageReadError, MissingExtraError
from organscope.io import image_files, open_image
from organscope.io.remote import is_url, located
from range_server import serving

pytest.importorskip("aiohttp")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("served")


@pytest.fixture(scope="module")
def server(folder):
    with serving(folder) as running:
        yield running


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (1500, 2000, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    "layout",
    [
        {"tile": (256, 256), "compression": "zlib", "photometric": "rgb"},
        {"photometric": "rgb"},
        {"photometric": "rgb", "byteorder": ">", "bigtiff": True},
        {"rowsperstrip": 64, "compression": "lzw", "photometric": "rgb"},
    ],
    ids=["tiled", "contiguous", "contiguous, big endian", "strips"],
)
def test_a_region_of_a_tiff_costs_little_more_than_its_bytes(server, folder, pixels, layout):
    path = folder / "a slide.tif"
    tifffile.imwrite(path, pixels, **layout)
    server.n_bytes = 0
    with open_image(f"{server.address}/a slide.tif") as image:
        np.testing.assert_array_equal(image.read(300, 400, 100, 200), pixels[300:400, 400:600])
        assert server.n_bytes < 3_000_000 < path.stat().st_size
        assert (image.height_px, image.width_px, image.name) == (1500, 2000, "a slide.tif")


def test_planes_one_after_the_other_and_one_channel(server, folder, rng):
    stack = rng.integers(0, 4096, (3, 70, 90), dtype=np.uint16)
    tifffile.imwrite(folder / "stack.ome.tif", stack, photometric="minisblack", metadata={"axes": "CYX"})
    for channel, expected in ((None, stack), (1, stack[1:2])):
        with open_image(f"{server.address}/stack.ome.tif", channel=channel) as image:
            np.testing.assert_array_equal(image.read(5, 7, 20, 30), expected[:, 5:25, 7:37].transpose(1, 2, 0))


@pytest.mark.parametrize("version", [2, 3])
def test_zarr(server, folder, rng, version):
    plane = rng.integers(0, 65_536, (70, 90), dtype=np.uint16)
    group = zarr.open_group(folder / f"{version}.ome.zarr", mode="w", zarr_format=version)
    group.create_array("0", shape=plane.shape, chunks=(32, 32), dtype="u2")[...] = plane
    content = {"multiscales": [{"axes": ["y", "x"], "datasets": [{"path": "0"}]}]}
    group.attrs.update(content if version == 2 else {"ome": content})
    with open_image(f"{server.address}/{version}.ome.zarr") as image:
        np.testing.assert_array_equal(image.read(30, 40, 20, 30)[:, :, 0], plane[30:50, 40:70])
    with pytest.raises(ImageReadError, match=r"none\.zarr"):
        open_image(f"{server.address}/none.zarr")


def test_an_address_can_be_pickled_and_keeps_its_slashes(server, folder, pixels):
    tifffile.imwrite(folder / "b.tif", pixels[:64, :64], photometric="rgb")
    address = f"{server.address}/b.tif?version=2"
    ((path, stem),) = image_files([Path(address)])
    assert (str(path), stem, path.name) == (address, "b", "b.tif?version=2")
    assert str(pickle.loads(pickle.dumps(path))) == address
    with open_image(path) as image:
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(image)).read_whole(), pixels[:64, :64])


def test_what_is_no_address():
    assert [is_url(located(name)) for name in ("a.tif", "/data/https:/a.tif", "C:/a.tif", "https:", ".", "")] == [
        False
    ] * 6
    assert is_url(located("s3://bucket/key.tif"))


def test_nothing_there_and_no_server(server):
    with pytest.raises(ImageReadError, match="nothing there"):
        open_image(f"{server.address}/none.tif")
    with pytest.raises(ImageReadError, match="Could not read"):
        open_image("http://127.0.0.1:9/none.tif")


def test_a_server_without_ranges_is_named(folder, pixels):
    tifffile.imwrite(folder / "c.tif", pixels, photometric="rgb")
    with serving(folder, with_ranges=False) as server, pytest.raises(ImageReadError, match="only the whole"):
        open_image(f"{server.address}/c.tif")


def test_images_are_to_be_downloaded(server, folder, pixels):
    PillowImage.fromarray(pixels[:9, :9]).save(folder / "d.png")
    with pytest.raises(ImageReadError, match="Download"):
        open_image(f"{server.address}/d.png")
    (folder / "e.mrxs").write_bytes(b"MRXS")
    with pytest.raises(ImageReadError, match="vendor"):
        open_image(f"{server.address}/e.mrxs")


def test_a_truncated_file_is_named(server, folder, pixels):
    tifffile.imwrite(folder / "whole.tif", pixels, photometric="rgb")
    (folder / "cut.tif").write_bytes((folder / "whole.tif").read_bytes()[:-5000])
    with pytest.raises(ImageReadError, match="truncated"):
        open_image(f"{server.address}/cut.tif")


@pytest.mark.parametrize(("address", "package"), [("s3://bucket/a.tif", "s3fs"), ("gs://bucket/a.zarr", "gcsfs")])
def test_the_extra_is_named_before_the_work_starts(monkeypatch, address, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=rf"found no {package}.*organscope\[remote\]"):
        image_files([address])

"""What is color, which plane and channel is read, and that it is said."""

import pickle

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image as PillowImage

from organscope.errors import AnnotationError, ShapeError, UsageError
from organscope.io import open_image, read_labels
from organscope.io.selection import Channels, Choice, Selection, named_channels

N = 48


@pytest.fixture
def planes(rng):
    return rng.integers(0, 255, (5, N, N + 9), dtype=np.uint8)


def plane_of(path, **options):
    with open_image(path, **options) as image:
        return image.read_whole()[:, :, 0], image


def write_zarr(folder, pixels, axes, **more):
    group = zarr.open_group(folder, mode="w", zarr_format=2)
    group.create_array("0", shape=pixels.shape, chunks=(1,) * (pixels.ndim - 2) + (32, 32), dtype=pixels.dtype)[...] = (
        pixels
    )
    group.attrs["multiscales"] = [
        {"version": "0.4", "axes": [{"name": axis} for axis in axes], "datasets": [{"path": "0"}]}
    ]
    group.attrs.update(more)


@pytest.mark.parametrize("n", [2, 3, 4, 5])
@pytest.mark.parametrize("writer", ["tifffile", "tiled", "pillow", "named"])
def test_gray_pages_are_pages_and_never_colors(tmp_path, planes, n, writer):
    path = tmp_path / "a.tif"
    if writer == "pillow":
        first, *others = (PillowImage.fromarray(plane) for plane in planes[:n])
        first.save(path, save_all=True, append_images=others)
    else:
        options = {"tile": (16, 16), "compression": "zlib"} if writer == "tiled" else {}
        metadata = {"axes": "QYX"} if writer == "named" else None
        tifffile.imwrite(path, planes[:n], photometric="minisblack", metadata=metadata, **options)
    pixels, image = plane_of(path)
    np.testing.assert_array_equal(pixels, planes[0])
    assert (image.n_channels, image.selection.n_pages, image.selection.page) == (1, n, 0)
    (note,) = image.notes
    assert note.startswith(f"Page 1 of {n} was read")
    assert f"--page 0 to {n - 1}" in note
    pixels, image = plane_of(path, page=n - 1)
    np.testing.assert_array_equal(pixels, planes[n - 1])
    assert image.notes == ()
    with pytest.raises(UsageError, match=rf"from 0 to {n - 1}, found {n}: .* holds {n} pages"):
        open_image(path, page=n)


def test_pages_of_rgb(tmp_path, rng):
    pixels = rng.integers(0, 255, (3, N, N, 3), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb", metadata=None)
    with open_image(tmp_path / "a.tif", page=2) as image:
        np.testing.assert_array_equal(image.read_whole(), pixels[2])
        assert (image.channels.is_color, image.selection.n_pages) == (True, 3)


def test_channel_of_a_file_of_pages_is_its_page(tmp_path, planes):
    """Programs that know no channels write them as pages."""
    tifffile.imwrite(tmp_path / "a.tif", planes, photometric="minisblack", metadata=None)
    pixels, image = plane_of(tmp_path / "a.tif", channel=3)
    np.testing.assert_array_equal(pixels, planes[3])
    assert image.selection.page == 3
    assert pickle.loads(pickle.dumps(image)).selection == image.selection


@pytest.mark.parametrize("n", [2, 3, 4])
@pytest.mark.parametrize("kind", ["imagej", "ome", "samples", "planar", "zarr"])
def test_channels_that_are_no_colors_have_to_be_chosen(tmp_path, planes, n, kind):
    path = tmp_path / ("a.zarr" if kind == "zarr" else "a.tif")
    stack = planes[:n]
    if kind == "zarr":
        write_zarr(path, stack, "cyx")
    elif kind in ("samples", "planar"):
        pixels = stack.transpose(1, 2, 0) if kind == "samples" else stack
        config = "contig" if kind == "samples" else "separate"
        tifffile.imwrite(path, pixels, photometric="minisblack", planarconfig=config, metadata=None)
    else:
        tifffile.imwrite(path, stack, photometric="minisblack", metadata={"axes": "CYX"}, **{kind: True})
    with open_image(path) as image:
        np.testing.assert_array_equal(image.read_whole(), stack.transpose(1, 2, 0))
        assert not image.channels.is_color
        with pytest.raises(ShapeError, match=rf"found {n} channels .*--channel"):
            image.visible(image.read_whole())
    pixels, image = plane_of(path, channel=n - 1)
    np.testing.assert_array_equal(pixels, stack[-1])
    np.testing.assert_array_equal(image.visible(image.read_whole())[:, :, 0], stack[-1])
    assert (image.selection.channel, image.selection.n_channels) == (n - 1, n)
    if n >= 3:
        with open_image(path, channel="rgb") as image:
            np.testing.assert_array_equal(image.visible(image.read_whole()), stack[:3].transpose(1, 2, 0))


@pytest.mark.parametrize("kind", ["ome", "zarr", "imagej"])
def test_channel_whose_name_says_nuclei_is_looked_at(tmp_path, planes, kind):
    names = ["GFP", "Cy3", "DAPI", "Cy5"]
    path = tmp_path / ("a.zarr" if kind == "zarr" else "a.tif")
    if kind == "zarr":
        write_zarr(path, planes[:4], "cyx", omero={"channels": [{"label": name} for name in names]})
    elif kind == "ome":
        metadata = {"axes": "CYX", "Channel": {"Name": names}}
        tifffile.imwrite(path, planes[:4], photometric="minisblack", metadata=metadata, ome=True)
    else:
        tifffile.imwrite(path, planes[:4], imagej=True, metadata={"axes": "CYX", "Labels": names})
    with open_image(path) as image:
        np.testing.assert_array_equal(image.visible(image.read_whole())[:, :, 0], planes[2])
        assert image.n_channels == 4
        (note,) = image.notes
        assert note.startswith('Channel 3 of 4, "DAPI", was looked at')
        assert '3 "Cy5"' in note
    pixels, image = plane_of(path, channel="cy3")
    np.testing.assert_array_equal(pixels, planes[1])
    assert (image.notes, image.selection.channel) == ((), 1)
    with pytest.raises(UsageError, match=r"none of that name for 'red'.*2 .DAPI"):
        open_image(path, channel="red")


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (("FITC", "Hoechst 33342"), (1,)),
        (("nuclei", "membrane"), (0,)),
        (("DAPI_1", "DAPI_2"), ()),
        (("Cy3", "H2B-mCherry"), (1,)),
        (("Red", "Green", "Blue"), (0, 1, 2)),
        (("R", "G", "B", "A"), (0, 1, 2)),
        (("Red", "Green", "DAPI"), (2,)),
        (("Red", "Green"), ()),
        (("spindle", "pink"), ()),
        (("", ""), ()),
        (("PI", "GFP"), (0,)),
    ],
)
def test_names_of_channels(names, shown):
    assert named_channels(names).shown == shown


def test_alpha_is_not_looked_at(tmp_path, rng):
    assert Channels.unnamed(2, has_alpha=True).shown == (0,)
    pixels = rng.integers(0, 255, (N, N, 2), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="minisblack", extrasamples=["unassalpha"], metadata=None)
    with open_image(tmp_path / "a.tif") as image:
        np.testing.assert_array_equal(image.visible(image.read_whole()), pixels[:, :, :1])


def test_zarr_in_red_green_and_blue_is_color_and_said(tmp_path, planes):
    colors = [{"color": color, "label": str(k)} for k, color in enumerate(("FF0000", "00FF00", "0000FF"))]
    write_zarr(tmp_path / "a.zarr", planes[:3], "cyx", omero={"channels": colors})
    with open_image(tmp_path / "a.zarr") as image:
        assert image.channels.shown == (0, 1, 2)
        assert "were taken as one color image" in image.notes[0]


@pytest.mark.parametrize("kind", ["imagej", "ome", "shaped", "zarr", "compressed", "volumetric"])
def test_stack_in_z(tmp_path, planes, kind):
    path = tmp_path / ("a.zarr" if kind == "zarr" else "a.tif")
    options = {"metadata": {"axes": "ZYX"}, "photometric": "minisblack"}
    if kind in ("imagej", "ome"):
        options[kind] = True
    if kind == "compressed":
        options |= {"compression": "zlib", "rowsperstrip": 7}
    if kind == "volumetric":
        options |= {"volumetric": True, "tile": (16, 16, 16)}
    if kind == "zarr":
        write_zarr(path, planes, "zyx")
    else:
        tifffile.imwrite(path, planes, **options)
    pixels, image = plane_of(path)
    np.testing.assert_array_equal(pixels, planes[0])
    assert image.notes[0].startswith("Plane 1 of 5 in z was read (--plane z=0)")
    pixels, image = plane_of(path, z=3)
    np.testing.assert_array_equal(pixels, planes[3])
    assert image.notes == ()
    with open_image(path, project="max") as image:
        np.testing.assert_array_equal(image.read_whole()[:, :, 0], planes.max(axis=0))
        np.testing.assert_array_equal(image.read(7, 3, 20, 30)[:, :, 0], planes.max(axis=0)[7:27, 3:33])
        assert (image.selection.z, image.selection.n_z) == (None, 5)
        assert image.notes == ("The brightest of 5 z planes was taken at every pixel (--project max).",)
        again = pickle.loads(pickle.dumps(image))
        np.testing.assert_array_equal(again.read_whole()[:, :, 0], planes.max(axis=0))
    with pytest.raises(UsageError, match="holds 5 z planes"):
        open_image(path, z=5)
    with pytest.raises(UsageError, match="holds 5 z planes"):
        open_image(path, t=1)


@pytest.mark.parametrize("axes", ["TZCYX", "TCZYX", "ZTCYX", "CTZYX"])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_hyperstack(tmp_path, rng, axes, compression):
    sizes = {"T": 2, "Z": 3, "C": 4}
    stack = rng.integers(0, 255, (*(sizes[axis] for axis in axes[:3]), N, N), dtype=np.uint16)
    tifffile.imwrite(
        tmp_path / "a.ome.tif", stack, photometric="minisblack", metadata={"axes": axes}, compression=compression
    )
    with open_image(tmp_path / "a.ome.tif", z=2, t=1, channel=3) as image:
        index = tuple({"T": 1, "Z": 2, "C": 3}[axis] for axis in axes[:3])
        np.testing.assert_array_equal(image.read_whole()[:, :, 0], stack[index])
        assert (image.selection.n_t, image.selection.n_z, image.selection.n_channels) == (2, 3, 4)
    with open_image(tmp_path / "a.ome.tif", t=1, channel=0, project="max") as image:
        chosen = stack.transpose(*(axes.index(axis) for axis in "TCZYX"))[1, 0]
        np.testing.assert_array_equal(image.read_whole()[:, :, 0], chosen.max(axis=0))


def test_images_of_an_ome_tiff(tmp_path, planes):
    with tifffile.TiffWriter(tmp_path / "a.ome.tif") as writer:
        writer.write(planes[0, :20, :30], metadata={"axes": "YX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5})
        writer.write(planes[1], metadata={"axes": "YX", "PhysicalSizeX": 0.25, "PhysicalSizeY": 0.25})
    pixels, image = plane_of(tmp_path / "a.ome.tif")
    np.testing.assert_array_equal(pixels, planes[1])
    assert (image.selection.series, image.selection.n_series) == (1, 2)
    assert image.notes[0].startswith("Image 2 of 2 was read, because none is larger (--series 1)")
    pixels, image = plane_of(tmp_path / "a.ome.tif", series=0)
    np.testing.assert_array_equal(pixels, planes[0, :20, :30])


def test_images_of_bioformats2raw(tmp_path, planes):
    outer = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=2)
    outer.attrs["bioformats2raw.layout"] = 3
    write_zarr(tmp_path / "a.zarr" / "0", planes[0, :20, :30], "yx")
    write_zarr(tmp_path / "a.zarr" / "1", planes[1], "yx")
    pixels, image = plane_of(tmp_path / "a.zarr")
    np.testing.assert_array_equal(pixels, planes[1])
    assert image.selection.n_series == 2
    np.testing.assert_array_equal(plane_of(tmp_path / "a.zarr", series=0)[0], planes[0, :20, :30])


def test_frames_of_an_animated_png(tmp_path, planes):
    first, *others = (PillowImage.fromarray(plane) for plane in planes[:3])
    first.save(tmp_path / "a.png", save_all=True, append_images=others)
    pixels, image = plane_of(tmp_path / "a.png")
    np.testing.assert_array_equal(pixels, planes[0])
    assert image.notes[0].startswith("Page 1 of 3")
    np.testing.assert_array_equal(plane_of(tmp_path / "a.png", page=2)[0], planes[2])


def test_several_label_images_in_one_file_are_refused(tmp_path, planes):
    tifffile.imwrite(tmp_path / "a.tif", planes[:3], photometric="minisblack", metadata=None)
    with pytest.raises(AnnotationError, match="found 3 pages"):
        read_labels(tmp_path / "a.tif")


@pytest.mark.parametrize("wrong", [{"page": -1}, {"project": "mean"}, {"project": "max", "z": 1}, {"channel": "-1"}])
def test_choices_that_no_file_can_have(wrong):
    with pytest.raises(UsageError):
        Choice(**wrong)


def test_one_plane_needs_no_words(tmp_path, planes):
    tifffile.imwrite(tmp_path / "a.tif", planes[0])
    with open_image(tmp_path / "a.tif") as image:
        assert (image.notes, image.selection) == ((), Selection(channel=0))
    with open_image(tmp_path / "a.tif", project="max", z=None) as image:
        assert image.notes == ()

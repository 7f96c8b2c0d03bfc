"""A scaled image read by region, and maps brought back band by band, equal the whole, bit by bit."""

import numpy as np
import pytest
import tifffile

from organscope.inference import maps as scaled
from organscope.inference import predict_maps, segment_image
from organscope.inference.maps import rescale_bands, scale_image
from organscope.inference.scale import Sizing
from organscope.io import open_image
from organscope.models import SegmentationSpec
from organscope.ops.instances import Decoder
from organscope.ops.resample import axis_taps, resample
from small_unet import HALO_PX, STRIDE_PX, SmallUnet


@pytest.mark.parametrize("factor", [0.3, 0.5, 1.7])
def test_a_region_equals_that_part_of_the_whole(colon, opened, factor, monkeypatch):
    image = scale_image(opened(colon[:300, :260]), factor)
    whole = image.read_whole()
    assert whole.shape == (round(300 * factor), round(260 * factor), 3)
    assert whole.dtype == np.uint8
    monkeypatch.setattr(scaled, "_MAX_READ_PX", 5000)
    height, width = image.height_px, image.width_px
    y, x = height // 3, width // 4
    assert np.array_equal(image.read(y, x, height - y, width - x - 3), whole[y:, x : width - 3])


def test_pixel_size_and_range_are_those_of_the_scaled_image(colon, opened):
    image = scale_image(opened(colon, um_per_px=0.25), 0.5)
    assert image.um_per_px == (0.5, 0.5)
    assert image.value_range == (0, 255)


def test_16_bit_and_float_keep_their_type(opened, rng):
    for dtype in (np.uint16, np.float32):
        pixels = (rng.random((64, 64)) * 60000).astype(dtype)
        halved = scale_image(opened(pixels), 0.5).read_whole()
        assert halved.dtype == dtype
        # Rounding to integers, at most.
        assert halved.mean() == pytest.approx(pixels.mean(), rel=0.01)


def test_a_smaller_level_is_read_where_it_suffices(tmp_path, colon, monkeypatch):
    path = tmp_path / "pyramid.tif"
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(colon, subifds=1, tile=(64, 64), photometric="rgb")
        tiff.write(colon[::2, ::2], subfiletype=1, tile=(64, 64), photometric="rgb")
    with open_image(path) as image:
        assert len(image.levels) == 2
        found = scale_image(image, 0.5).read_whole()
        assert np.array_equal(found, colon[::2, ::2])
        assert scale_image(image, 0.75).read_whole().shape == (384, 384, 3)


@pytest.mark.parametrize("wanted", [(200, 150), (80, 60), (613, 311)])
def test_bands_are_brought_back_as_the_whole_is(rng, wanted, monkeypatch):
    maps = rng.random((157, 91, 2), dtype=np.float32)
    expected = resample(maps, axis_taps(157, wanted[0]), axis_taps(91, wanted[1]))
    monkeypatch.setattr(scaled, "_MAX_PIECE_PX", 3000)
    bands = [maps[:1], maps[1:40], maps[40:41], maps[41:]]
    found = list(rescale_bands(bands, (157, 91), wanted))
    assert len(found) > 1
    assert np.array_equal(np.concatenate(found), expected)


@pytest.mark.parametrize("factor", [0.4, 1.9])
def test_tiles_equal_the_whole_at_another_scale(colon, cells_bundle, opened, factor):
    spec = SegmentationSpec(stride_px=STRIDE_PX, halo_px=HALO_PX, maps=["foreground", "distance"], decoder=Decoder())
    bundle = SmallUnet(cells_bundle.manifest.model_copy(update={"spec": spec}))
    image = opened(np.ascontiguousarray(colon[:300, :411]))
    whole = predict_maps(image, bundle, factor=factor, max_tile_px=None)
    assert whole.shape == (300, 411, 2)
    assert np.array_equal(predict_maps(image, bundle, factor=factor, max_tile_px=20_000), whole)


def test_cells_at_another_scale_do_not_depend_on_tiles(colon, sized_bundle, opened):
    image = opened(colon)
    options = {"sizing": Sizing(diameter_px=44)}
    whole = segment_image(image, sized_bundle, max_tile_px=None, **options)
    tiled = segment_image(image, sized_bundle, max_tile_px=10_000, **options)
    assert whole.scale.factor == 0.5
    assert whole.labels.max() > 50
    assert np.array_equal(tiled.labels, whole.labels)
    assert np.array_equal(tiled.probability, whole.probability)

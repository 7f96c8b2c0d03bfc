"""Maps of windows are parts of the maps of the whole, bit by bit."""

import numpy as np
import pytest

from organscope.inference import predict_maps
from organscope.inference.regions import WindowMaps
from organscope.models import SegmentationSpec
from organscope.ops.instances import Decoder
from small_unet import HALO_PX, STRIDE_PX, SmallUnet


def unet(manifest) -> SmallUnet:
    spec = SegmentationSpec(stride_px=STRIDE_PX, halo_px=HALO_PX, maps=["foreground", "distance"], decoder=Decoder())
    return SmallUnet(manifest.model_copy(update={"spec": spec}))


@pytest.mark.parametrize("size", [(300, 410), (65, 300), (3, 7), (1, 1)])
@pytest.mark.parametrize("factor", [1.0, 0.6, 1.4])
def test_windows_equal_the_whole(colon, cells_bundle, opened, size, factor):
    image = opened(np.ascontiguousarray(colon[: size[0], : size[1]]))
    bundle = unet(cells_bundle.manifest)
    whole = predict_maps(image, bundle, factor=factor, max_tile_px=None)
    windows = WindowMaps(image, bundle, factor=factor, window_px=150, max_tile_px=30_000)
    covered = np.zeros(size, int)
    for number, window in enumerate(windows.windows()):
        covered[window] += 1
        assert np.array_equal(windows.maps(number), whole[window])
    assert (covered == 1).all()


def test_all_tiles_have_one_shape(colon, cells_bundle, opened, monkeypatch):
    bundle = unet(cells_bundle.manifest)
    shapes = set()
    run = bundle.run
    monkeypatch.setattr(bundle, "run", lambda batch: shapes.add(batch.shape) or run(batch))
    windows = WindowMaps(opened(colon), bundle, factor=0.7, window_px=200, max_tile_px=20_000)
    for number in range(len(windows.windows())):
        windows.maps(number)
    assert len(shapes) == 1
    assert shapes == {(1, windows.rows.tile_px, windows.columns.tile_px, 3)}


def test_tiles_without_tissue_are_not_predicted(colon, cells_bundle, opened):
    bundle = unet(cells_bundle.manifest)
    image = opened(colon)
    whole = predict_maps(image, bundle, max_tile_px=None)

    def found_in(top, bottom, left, right):
        return left < 100

    windows = WindowMaps(image, bundle, factor=1.0, window_px=256, max_tile_px=20_000, has_tissue=found_in, ahead=False)
    assert windows.columns.windows == (slice(0, 256), slice(256, 512))
    assert np.array_equal(windows.maps(0)[:, :100], whole[:256, :100])
    assert not windows.maps(0)[:, -20:].any()
    assert windows.maps(1) is None

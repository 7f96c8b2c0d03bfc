"""Tiled prediction equals the prediction of the whole, bit by bit."""

import numpy as np
import pytest

from organscope.errors import ManifestError, UsageError
from organscope.inference import predict_maps
from organscope.models import SegmentationSpec
from organscope.ops.instances import Decoder
from organscope.ops.intensity import Preprocessing
from small_unet import HALO_PX, STRIDE_PX, SmallUnet

CENTRE_COLOUR = Preprocessing(mean=(0.7, 0.6, 0.5), std=(0.2, 0.25, 0.3))


def unet(manifest, halo_px: int = HALO_PX) -> SmallUnet:
    spec = SegmentationSpec(stride_px=STRIDE_PX, halo_px=halo_px, maps=["foreground", "distance"], decoder=Decoder())
    return SmallUnet(manifest.model_copy(update={"spec": spec, "preprocessing": CENTRE_COLOUR}))


@pytest.mark.parametrize("size", [(512, 512), (387, 510), (65, 300), (3, 7), (1, 1)])
@pytest.mark.parametrize("max_tile_px", [20_000, 100_000])
def test_tiles_equal_the_whole(colon, cells_bundle, opened, size, max_tile_px):
    image = opened(np.ascontiguousarray(colon[: size[0], : size[1]]))
    bundle = unet(cells_bundle.manifest)
    whole = predict_maps(image, bundle, max_tile_px=None)
    assert whole.shape == (*size, 2)
    assert whole.dtype == np.float32
    # The same sums in the same order, so not even the last bit differs.
    assert np.array_equal(predict_maps(image, bundle, max_tile_px=max_tile_px), whole)


def test_a_halo_below_the_receptive_field_would_show(colon, cells_bundle, opened):
    image, bundle = opened(colon), unet(cells_bundle.manifest, halo_px=4)
    whole = predict_maps(image, bundle, max_tile_px=None)
    assert not np.array_equal(predict_maps(image, bundle, max_tile_px=20_000), whole)


def test_intensities_are_those_of_the_whole_image(colon, cells_bundle, opened):
    half_dark = colon.copy()
    half_dark[:, 256:] //= 4
    image, bundle = opened(half_dark), unet(cells_bundle.manifest)
    assert np.array_equal(
        predict_maps(image, bundle, max_tile_px=20_000), predict_maps(image, bundle, max_tile_px=None)
    )


def test_a_bundle_for_organs_is_refused(colon, organs_bundle, opened):
    with pytest.raises(UsageError, match="which is for classification"):
        predict_maps(opened(colon), organs_bundle)


def test_a_network_with_other_maps_than_its_manifest_is_refused(colon, cells_bundle, opened):
    bundle = unet(cells_bundle.manifest)
    spec = bundle.manifest.spec.model_copy(update={"maps": ["foreground"]})
    bundle.manifest = bundle.manifest.model_copy(update={"spec": spec})
    with pytest.raises(ManifestError, match=r"found \(1, 512, 512, 2\)"):
        predict_maps(opened(colon), bundle)

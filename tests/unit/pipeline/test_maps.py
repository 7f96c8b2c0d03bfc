"""What the network says of every pixel, as OME-Zarr."""

import numpy as np
import zarr

import organscope as osc
from organscope.inference.maps import MAX_TILE_PX
from organscope.inference.regions import WindowMaps
from organscope.io import open_image


def test_maps_are_those_of_the_network(tmp_path, picture, models):
    result = osc.run(
        picture, tmp_path / "out", task="segment", models=str(models.cells.source), maps=True, um_per_px=0.5
    )
    assert not result.failures
    group = zarr.open_group(tmp_path / "out" / "colon" / "maps.ome.zarr", mode="r")
    written = group["0"]
    labels = [channel["label"] for channel in group.attrs["ome"]["omero"]["channels"]]
    assert labels == [str(name) for name in models.cells.manifest.spec.maps]
    assert written.dtype == np.float16
    assert group.attrs["ome"]["multiscales"][0]["datasets"][0]["coordinateTransformations"][0]["scale"] == [1, 0.5, 0.5]
    factor = result.images[0].scale.factors
    with open_image(picture) as image:
        maps = WindowMaps(image, models.cells, factor=factor, window_px=2048, max_tile_px=MAX_TILE_PX).maps(0)
    np.testing.assert_allclose(np.moveaxis(written[:], 0, 2), maps, atol=2e-3)
    cells = osc.read_labels(tmp_path / "out" / "colon" / "labels.tif") > 0
    assert written[0][cells].mean() > written[0][~cells].mean()


def test_maps_are_no_image_of_the_next_run(tmp_path, picture, models):
    options = {"task": "segment", "models": str(models.cells.source), "maps": True}
    osc.run(picture, tmp_path / "colon-out", **options)
    again = osc.run(tmp_path, tmp_path / "colon-out", **options)
    assert [image.target.source.name for image in again.images] == ["colon.png"]

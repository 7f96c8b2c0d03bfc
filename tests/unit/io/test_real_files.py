"""Real images of every kind that is at hand."""

import numpy as np
from PIL import Image as PillowImage

from organscope.io import image_files, open_image


def test_sets_beside_the_checkout(shared_data):
    for folder, n_channels in [("nuinsseg", 3), ("dsb2018/images", 1), ("isbi2012_em", 1)]:
        found = image_files([shared_data / folder])
        assert len(found) > 20
        path = found[0][0]
        with open_image(path) as image, PillowImage.open(path) as picture:
            pixels = np.asarray(picture)
            np.testing.assert_array_equal(image.read_whole().squeeze(), pixels)
            assert (image.n_channels, image.um_per_px, image.levels[0].downsample) == (n_channels, None, 1)

"""Bundles and images that the tests of this room share."""

from pathlib import Path

import numpy as np
import pytest
import tifffile

from organscope.io import Image, open_image
from organscope.models import Bundle, SegmentationSpec, load_bundle
from organscope.ops.instances import Decoder
from tiny_bundles import tiny_classification, tiny_segmentation, write_tiny_segmentation


@pytest.fixture(scope="session")
def cells_bundle(tmp_path_factory) -> Bundle:
    """Finds what is dark; halo 4 px, stride 4 px."""
    return tiny_segmentation(tmp_path_factory.mktemp("bundles") / "cells")


@pytest.fixture(scope="session")
def organs_bundle(tmp_path_factory) -> Bundle:
    """Tells red, green and blue fields of 64 px apart."""
    return tiny_classification(tmp_path_factory.mktemp("bundles") / "organs")


@pytest.fixture
def opened(tmp_path):
    """Write pixels to a tiled TIFF and open it."""

    def write_and_open(pixels: np.ndarray, **options) -> Image:
        path: Path = tmp_path / "image.tif"
        photometric = "rgb" if pixels.ndim == 3 else "minisblack"
        tifffile.imwrite(path, pixels, tile=(64, 64), photometric=photometric)
        return open_image(path, **options)

    return write_and_open


@pytest.fixture(scope="session")
def sized_bundle(tmp_path_factory) -> Bundle:
    """Finds what is dark, and says that its cells were 22 px wide at 0.5 um a pixel."""
    spec = SegmentationSpec(
        stride_px=4,
        halo_px=4,
        maps=["foreground", "distance"],
        decoder=Decoder(head="distance"),
        typical_diameter_px=22.0,
    )
    return load_bundle(write_tiny_segmentation(tmp_path_factory.mktemp("bundles") / "sized", spec=spec), threads=1)

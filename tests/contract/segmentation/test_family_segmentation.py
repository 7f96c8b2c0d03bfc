"""Every option of the family at once, from images to a verified bundle whose tiles equal the whole."""

import numpy as np
import pytest

from disc_pictures import CONFIG, write_discs
from organscope.data import import_folder, read_index
from organscope.inference import predict_maps, segment_image
from organscope.io import open_image
from organscope.models import load_bundle, verify_bundle
from organscope.ops.instances import HEAD_MAPS
from organscope.training.segmentation.train import train_segmentation

EVERYTHING = (
    'network.block="plain"',
    'network.skip="concat"',
    "network.attention=true",
    "network.decoders=2",
    'network.head="flow"',
    'loss.overlap="focal_tversky"',
    "loss.positive_weight=2.0",
    "augmentation.elastic_px=1.5",
    "augmentation.illumination=0.2",
    "augmentation.jpeg=0.5",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("discs")
    write_discs(folder / "set", 20)
    import_folder(folder / "set", folder / "index", holdout=0.2, seed=0)
    (folder / "config.toml").write_text(CONFIG.format(index="index"))
    train_segmentation(folder / "config.toml", folder / "run", overrides=EVERYTHING)
    return folder


def test_the_bundle_verifies_and_finds_cells(folder):
    bundle = load_bundle(folder / "run" / "bundle")
    assert verify_bundle(bundle).ok
    assert bundle.manifest.spec.maps == list(HEAD_MAPS["flow"])
    assert bundle.manifest.spec.decoder.head == "flow"
    scores = {s.metric: s.value for s in bundle.manifest.scores}
    # Nine discs on a dark ground, after 60 steps with every augmentation: most are found.
    assert scores["pq"] > 0.6
    assert "attention gates, two decoders" in bundle.read("README.md").decode()


def test_tiles_equal_the_whole(folder):
    bundle = load_bundle(folder / "run" / "bundle")
    sample = read_index(folder / "index").samples(fold=1)[0]
    with open_image(sample.image_path) as image:
        whole = predict_maps(image, bundle, max_tile_px=None)
        tiled = predict_maps(image, bundle, max_tile_px=40 * 40)
        # Windows of other sizes may be added up in another order.
        assert np.abs(whole - tiled).max() < 1e-5
        labels = [segment_image(image, bundle, max_tile_px=limit).labels for limit in (None, 40 * 40)]
    assert np.array_equal(*labels)

"""A tiny network learns from three images of another kind, and says what it gained and lost."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageOps

from disc_pictures import CONFIG, write_discs
from organscope.data import import_folder
from organscope.errors import ConfigError, DatasetError
from organscope.models import load_bundle, verify_bundle
from organscope.training.segmentation.finetune import finetune_segmentation
from organscope.training.segmentation.train import train_segmentation

QUICK = (
    "fit.crop_px=64",
    "fit.epochs=3",
    "fit.steps_per_epoch=20",
    "fit.average=0.8",
    'fit.precision="float32"',
    "fit.learning_rate=0.01",
)


def write_dark_discs(folder: Path, n_pictures: int) -> None:
    """The discs of the other test, dark on a bright ground."""
    write_discs(folder, n_pictures)
    for file in (folder / "images").iterdir():
        ImageOps.invert(Image.open(file)).save(file)


@pytest.fixture(scope="module")
def bright(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("bright")
    write_discs(folder / "set", 20)
    import_folder(folder / "set", folder / "index", holdout=0.2, seed=0)
    (folder / "config.toml").write_text(CONFIG.format(index="index"))
    train_segmentation(folder / "config.toml", folder / "run")
    return folder


@pytest.fixture(scope="module")
def tuned(bright, tmp_path_factory):
    folder = tmp_path_factory.mktemp("dark")
    write_dark_discs(folder / "set", 3)
    import_folder(folder / "set", folder / "index")
    base = load_bundle(bright / "run" / "bundle")
    options = {"data": folder / "index", "reference": bright / "index", "overrides": QUICK}
    return folder, finetune_segmentation(base, folder / "run", **options)


def test_it_gets_better_on_the_new_images_and_says_what_it_lost(tuned):
    folder, found = tuned
    table = found.comparison.set_index(["data", "metric"])
    # Inverted images: nothing fitted before, most does after 60 steps on one image.
    assert table.loc[("new", "dice"), "change"] > 0.2
    assert table.loc[("new", "dice"), "n_images"] == 1
    assert {"missed_rate", "false_rate", "pq"} <= set(table.loc["reference"].index)
    assert np.allclose(table["after"] - table["before"], table["change"], equal_nan=True)
    written = pd.read_csv(folder / "run" / "finetuning.csv")
    assert len(written) == len(found.comparison)
    assert found.notes == ()


def test_the_result_is_a_normal_bundle(tuned, bright):
    folder, _ = tuned
    bundle = load_bundle(folder / "run" / "bundle")
    assert verify_bundle(bundle).ok
    base = load_bundle(bright / "run" / "bundle").manifest
    assert bundle.manifest.name == "tiny-tuned"
    assert bundle.manifest.weights.architecture == base.weights.architecture
    assert bundle.manifest.preprocessing == base.preprocessing
    assert "Went on from the weights of the bundle tiny" in bundle.read("README.md").decode()
    assert bundle.manifest.spec.typical_diameter_px == pytest.approx(16, abs=4)


def test_a_trained_bundle_states_its_operating_points(tuned):
    from organscope.inference import choose_operating_point

    _, found = tuned
    table = found.bundle.table(found.bundle.manifest.spec.operating_points)
    recall = table.set_index("threshold").sort_index(ascending=False)["n_found"]
    assert (recall.diff().dropna() >= 0).all()
    assert choose_operating_point(found.bundle, 0.5).min_recall == 0.5


def test_two_images_are_too_few(bright, tmp_path):
    write_dark_discs(tmp_path / "set", 2)
    import_folder(tmp_path / "set", tmp_path / "index")
    with pytest.raises(DatasetError, match="at least 3 images"):
        finetune_segmentation(load_bundle(bright / "run" / "bundle"), tmp_path / "run", data=tmp_path / "index")


def test_another_network_than_the_bundles_is_refused(bright, tmp_path):
    config = tmp_path / "config.toml"
    config.write_text((bright / "config.toml").read_text().replace("depth = 2", "depth = 3"))
    with pytest.raises(ConfigError, match=r"network\.depth to be that of the bundle \(2\), found 3"):
        finetune_segmentation(load_bundle(bright / "run" / "bundle"), tmp_path / "run", config_file=config)


def test_another_head_goes_on_with_everything_else(bright, tmp_path):
    base = load_bundle(bright / "run" / "bundle")
    options = {"config_file": bright / "config.toml", "overrides": ("network.head=flow", *QUICK, "fit.epochs=1")}
    bundle = finetune_segmentation(base, tmp_path / "run", **options).bundle
    assert bundle.manifest.spec.decoder.head == "flow"
    assert bundle.manifest.weights.architecture == base.manifest.weights.architecture | {"head": "flow"}
    assert verify_bundle(bundle).ok

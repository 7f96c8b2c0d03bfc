"""The mission's set, in its own shape: imported with one call, trained with its own configuration, scored on test/."""

from pathlib import Path

import pandas as pd

from mission_standin import ORGANS, write_mission_set
from organscope.data import import_folder
from organscope.evaluation import evaluate_bundle
from organscope.training.segmentation.train import train_segmentation

CONFIG = Path(__file__).parents[3] / "configs" / "mission_segmentation.toml"
QUICK = (
    "network.base_filters=4",
    "network.depth=2",
    "fit.crop_px=48",
    "fit.batch=4",
    "fit.steps_per_epoch=10",
    "fit.epochs=1",
    'fit.precision="float32"',
)


def test_the_cells_of_the_mission_train_and_score(tmp_path):
    report = import_folder(write_mission_set(tmp_path / "set"), tmp_path / "indexes" / "mission")
    assert report.n_failed == 0
    (tmp_path / "configs").mkdir()
    config = tmp_path / "configs" / CONFIG.name
    config.write_text(CONFIG.read_text())
    bundle = train_segmentation(config, tmp_path / "run", overrides=QUICK)
    split = pd.read_csv(tmp_path / "run" / "split.csv")
    assert set(split.loc[split["part"] == "test", "id"].str.split("/").str[0]) == {"test"}
    assert set(split.loc[split["part"] != "test", "id"].str.split("/").str[0]) == {"train"}
    scored = evaluate_bundle(bundle, report.index, fold=1)
    assert len(scored.per_image) == len(ORGANS)

"""The mission's set, in its own shape: imported with one call, trained with its own configuration, scored on test/."""

from pathlib import Path

import pandas as pd

from mission_standin import ORGANS, write_mission_set
from organscope.data import import_folder
from organscope.evaluation import evaluate_bundle
from organscope.training.classification.train import train_classification

CONFIG = Path(__file__).parents[2] / "configs" / "mission_classification.toml"
QUICK = (
    'network.backbone="resnet10t"',
    "network.arguments.channels=[8,8,16,16]",
    "field.field_px=64",
    "field.input_px=64",
    "fit.epochs=2",
    "fit.batch=8",
    "fit.warm_up_epochs=0",
    'fit.precision="fp32"',
)


def test_the_organs_of_the_mission_train_and_score(tmp_path):
    report = import_folder(write_mission_set(tmp_path / "set", n_train=4), tmp_path / "indexes" / "mission")
    assert report.n_failed == 0
    (tmp_path / "configs").mkdir()
    config = tmp_path / "configs" / CONFIG.name
    config.write_text(CONFIG.read_text())
    bundle = train_classification(config, tmp_path / "run", overrides=QUICK)
    assert bundle.manifest.classes == sorted(ORGANS)
    split = pd.read_csv(tmp_path / "run" / "split.csv")
    assert set(split.loc[split["part"] == "test", "id"].str.split("/").str[0]) == {"test"}
    assert set(split.loc[split["part"] != "test", "id"].str.split("/").str[0]) == {"train"}
    scored = evaluate_bundle(bundle, report.index, fold=1, baseline=False)
    assert set(scored.per_image["id"].str.split("/").str[0]) == {"test"}
    assert len(scored.per_image) == len(ORGANS)

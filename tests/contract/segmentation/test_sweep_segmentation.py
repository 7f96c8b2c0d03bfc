"""Two real trials of the cell segmentation, from an empty folder to a winner."""

import pytest
from typer.testing import CliRunner

from disc_pictures import CONFIG, write_discs
from organscope.cli.main import app
from organscope.data import import_folder
from organscope.training.config import read_settings
from organscope.training.segmentation.config import SegmentationConfig

SPACE = """
task = "segmentation"
config = "config.toml"
epochs = 1

[trial]
fit = { steps_per_epoch = 2, batch = 2 }

[pruner]
kind = "none"

[parameters]
"network.base_filters" = { values = [4, 8] }
"fit.learning_rate" = { min = 1e-3, max = 1e-2, log = true }
augmentation = { min = 0.0, max = 1.5, sets = { "augmentation.stain" = [0.0, 0.15], "augmentation.zoom" = [1.0, 1.5] } }
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("discs")
    write_discs(folder / "set", 12)
    import_folder(folder / "set", folder / "index", holdout=0.2, seed=0)
    (folder / "config.toml").write_text(CONFIG.format(index="index"))
    (folder / "filters.toml").write_text(SPACE)
    return folder


def test_two_trials_end_with_a_winner_that_train_takes(folder):
    words = ["sweep", str(folder / "filters.toml"), "-n", "2", "-o", str(folder / "sweep"), "--track", "none"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert "[2/2] trial 1 complete  score " in result.stderr
    best = read_settings(SegmentationConfig, folder / "sweep" / "best.toml")
    assert best.network.base_filters in (4, 8)
    assert best.fit.steps_per_epoch == 20
    assert 1.0 <= best.augmentation.zoom <= 1.75
    assert (folder / "sweep" / "trials" / "0000" / "bundle" / "graph.onnx").exists()

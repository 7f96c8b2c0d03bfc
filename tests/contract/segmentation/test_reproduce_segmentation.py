"""A run of the cell finder, and a fine-tuning, are trained again from their folders: the same numbers."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from disc_pictures import CONFIG, write_discs
from organscope.cli.main import app
from organscope.data import import_folder
from organscope.models import load_bundle
from organscope.training.segmentation.finetune import finetune_segmentation
from organscope.training.segmentation.train import train_segmentation

QUICK = ("fit.epochs=2", "fit.steps_per_epoch=8", 'fit.precision="auto"')


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("discs")
    write_discs(folder / "set", 8)
    import_folder(folder / "set", folder / "index", holdout=0.2, seed=0)
    (folder / "config.toml").write_text(CONFIG.format(index="index"))
    train_segmentation(folder / "config.toml", folder / "run", overrides=QUICK)
    return folder


def test_the_same_numbers_again(folder):
    result = CliRunner().invoke(app, ["reproduce", str(folder / "run"), "-o", str(folder / "again")])
    assert result.exit_code == 0, result.output
    assert "The same numbers: all 2 epochs, every score and every output" in result.stdout
    kinds = [load_bundle(folder / name / "bundle").has_integers for name in ("run", "again")]
    assert kinds[0] == kinds[1]


def test_a_fine_tuning_goes_on_from_the_same_bundle(folder):
    base = load_bundle(folder / "run" / "bundle")
    overrides = (*QUICK, "fit.crop_px=64")
    finetune_segmentation(base, folder / "tuned", data=folder / "index", overrides=overrides)
    result = CliRunner().invoke(app, ["reproduce", str(folder / "tuned")])
    assert result.exit_code == 0, result.output
    assert "The same numbers" in result.stdout

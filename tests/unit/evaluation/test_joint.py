"""A bundle for cells that is calibrated beside one for images."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import tiny_bundles
from organscope.decision import softmax
from organscope.errors import DatasetError, UsageError
from organscope.evaluation.joint import HEADING, calibrate_together, read_both
from organscope.models import Bundle, load_bundle

ORGANS = tiny_bundles.ORGANS
N = 240


@dataclass(frozen=True)
class Study:
    """Two bundles, and what the cells said out of fold."""

    images: Bundle
    cells: Bundle
    scores: Path


def opinions(rng: np.random.Generator, labels: np.ndarray) -> np.ndarray:
    """Probabilities that name about three of four organs rightly."""
    logits = rng.normal(size=(len(labels), len(ORGANS)))
    logits[np.arange(len(labels)), labels] += 1.5
    return softmax(2 * logits)


@pytest.fixture
def study(tmp_path) -> Study:
    rng = np.random.default_rng(0)
    labels = np.arange(N) % len(ORGANS)
    ids, columns = [f"image {k}" for k in range(N)], [f"p_{organ}" for organ in ORGANS]
    table = pd.DataFrame(opinions(rng, labels), columns=columns).assign(id=ids, label=labels, part="out of fold")
    content = tiny_bundles.as_parquet(table)
    images = tiny_bundles.reseal(
        tiny_bundles.write_tiny_classification(tmp_path / "organs"), {"calibration.parquet": content}
    )
    scores = tmp_path / "scores"
    scores.mkdir()
    told = {"id": ids, "dataset": "dots", "organ": np.array(ORGANS)[labels], "group": ids, "fold": np.arange(N) // 60}
    of_cells = pd.DataFrame(opinions(rng, labels), columns=columns).assign(**told)
    # In another order, as one bundle after the other names its images.
    of_cells.sample(frac=1, random_state=0).to_parquet(scores / "per_image.parquet")
    return Study(load_bundle(images), tiny_bundles.tiny_cell_organs(tmp_path / "cells"), scores)


def test_both_are_right_more_often_and_as_often_as_they_say(study, tmp_path):
    both = read_both(study.images, study.scores)
    alone = [(part.argmax(axis=1) == both.labels).mean() for part in (both.image, both.cells)]
    bundle = calibrate_together(study.images, study.cells, study.scores, tmp_path / "out", version="2.0.0")
    figures = {score.metric: score for score in bundle.manifest.scores}
    assert figures["together_accuracy"].value > max(alone) + 0.03
    assert figures["together_accuracy"].low < figures["together_accuracy"].value < figures["together_accuracy"].high
    assert figures["together_ece"].value < 0.08
    assert figures["together_set_coverage"].value >= 0.85
    assert figures["together_accepted_fraction"].value >= 0.95
    assert figures["together_accuracy"].n_images == N


def test_the_bundle_says_with_which_other_one_it_decides(study, tmp_path):
    bundle = calibrate_together(study.images, study.cells, study.scores, tmp_path / "out", version="2.0.0")
    together = bundle.manifest.spec.together
    assert together.image_bundle == "tiny-organs 1.0.0"
    assert together.policy.temperature < 1, "two opinions that agree are surer together than each of them"
    assert together.policy.max_distance == study.images.policy.max_distance
    assert {entry.n_positive for entry in together.policy.contract.organs} == {N // 3}
    assert bundle.manifest.version == "2.0.0"
    assert bundle.manifest.spec.policy == study.cells.manifest.spec.policy
    again = calibrate_together(study.images, bundle, study.scores, tmp_path / "again")
    assert len(again.manifest.scores) == len(bundle.manifest.scores)
    assert again.read("README.md").decode().count(HEADING) == 1


def test_a_calibration_that_is_not_out_of_fold_is_refused(study, tmp_path):
    plain = tiny_bundles.tiny_classification(tmp_path / "plain")
    with pytest.raises(UsageError, match="to be calibrated out of fold"):
        calibrate_together(plain, study.cells, study.scores, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_scores_of_other_images_and_missing_ones_are_refused(study, tmp_path):
    with pytest.raises(DatasetError, match="the scores of single images"):
        read_both(study.images, tmp_path / "nowhere")
    path = study.scores / "per_image.parquet"
    table = pd.read_parquet(path)
    table.assign(organ=ORGANS[0]).to_parquet(path)
    with pytest.raises(DatasetError, match="found others"):
        read_both(study.images, study.scores)
    table.drop(columns="p_red organ").to_parquet(path)
    with pytest.raises(DatasetError, match="found no p_red organ"):
        read_both(study.images, study.scores)

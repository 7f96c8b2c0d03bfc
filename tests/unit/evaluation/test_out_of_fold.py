"""Bundles of a cross-validation scored together."""

import dataclasses

import pandas as pd
import pytest

from organscope.errors import DatasetError, UsageError
from organscope.evaluation import evaluate_bundle, evaluate_out_of_fold
from organscope.evaluation.evaluate import folds_of, score_bundle
from organscope.evaluation.results import pool_scored
from organscope.models import Score, load_bundle
from tiny_bundles import write_tiny_classification


def _measured_on(folder, subset):
    score = Score(dataset="tiny", subset=subset, n_images=1, metric="accuracy", value=0.9)
    return load_bundle(write_tiny_classification(folder, scores=[score]), threads=1)


@pytest.fixture(scope="module")
def members(tmp_path_factory):
    folder = tmp_path_factory.mktemp("members")
    return [_measured_on(folder / str(fold), f"fold {fold}") for fold in (1, 2)]


def test_one_model_for_all_folds_is_the_same_as_at_once(members, organ_index):
    pooled = evaluate_out_of_fold(members, organ_index)
    whole = evaluate_bundle(members[0], organ_index)
    assert pooled.subset == "out of fold 1, 2"
    columns = ["model", "metric", "value"]
    pd.testing.assert_frame_equal(pooled.scores[columns], whole.scores[columns])
    assert sorted(pooled.per_image["id"]) == sorted(whole.per_image["id"])
    assert pooled.bundle == whole.bundle


def test_segmentation_pools_its_cells(nuclei, cell_index):
    pooled = evaluate_out_of_fold([nuclei, nuclei], cell_index, folds=[1, 2])
    whole = evaluate_bundle(nuclei, cell_index)
    for metric in ("pq", "pooled_ap_50", "cell_ece"):
        assert pooled.score(metric) == pytest.approx(whole.score(metric))
    assert len(pooled.tables["cells"]) == len(whole.tables["cells"])


def test_folds_come_from_the_manifest(members, organs):
    assert folds_of(members) == [(1,), (2,)]
    with pytest.raises(UsageError, match="Name the fold of each bundle with --fold"):
        folds_of([organs])


def test_what_does_not_belong_together_is_refused(members, organs, nuclei, organ_index):
    with pytest.raises(UsageError, match="folds of its own, found 1, 1"):
        evaluate_out_of_fold([members[0], members[0]], organ_index)
    with pytest.raises(UsageError, match="one fold for each of 2"):
        evaluate_out_of_fold(members, organ_index, folds=[1])
    one = score_bundle(members[0], organ_index, fold=1)
    with pytest.raises(DatasetError, match="scored once"):
        pool_scored([one, one])
    with pytest.raises(DatasetError, match="on one index"):
        pool_scored([one, dataclasses.replace(one, fingerprint="other")])
    with pytest.raises(UsageError, match="same classes"):
        pool_scored([one, dataclasses.replace(one, classes=("liver",))])

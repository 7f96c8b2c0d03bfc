"""Scores on disk."""

import json

import numpy as np
import pandas as pd
import pytest

from organscope.errors import OutputError
from organscope.evaluation import evaluate_bundle, write_evaluation


@pytest.fixture(scope="module")
def evaluation(nuclei, cell_index):
    return evaluate_bundle(nuclei, cell_index)


def test_everything_is_written_and_read_back(evaluation, tmp_path):
    files = write_evaluation(evaluation, tmp_path / "out")
    names = ["scores.json", "scores.csv", "per_image.csv", "per_image.parquet", "by_organ.csv", "cells.parquet"]
    assert [path.name for path in files] == names
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(names)

    pd.testing.assert_frame_equal(pd.read_parquet(files[3]), evaluation.per_image)
    assert len(pd.read_csv(files[1])) == len(evaluation.scores)
    document = json.loads(files[0].read_text("utf-8"))
    assert document["bundle"] == "tiny-nuclei 1.0.0"
    assert document["data_fingerprint"] == evaluation.fingerprint
    assert document["scores"][0]["metric"] == "dice"
    assert document["scores"][0]["value"] == pytest.approx(evaluation.score("dice"))


def test_an_undefined_figure_is_null(evaluation, tmp_path):
    evaluation.scores.loc[0, "low"] = np.nan
    write_evaluation(evaluation, tmp_path)
    assert json.loads((tmp_path / "scores.json").read_text("utf-8"))["scores"][0]["low"] is None


def test_a_folder_that_cannot_be_made_is_refused(evaluation, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="another folder"):
        write_evaluation(evaluation, tmp_path / "file")

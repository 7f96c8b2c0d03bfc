"""Recall is chosen from what was measured, and its price is said."""

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage

from organscope.errors import UsageError
from organscope.inference import choose_operating_point, segment_image


class Measured:
    """A bundle with a table of operating points."""

    def __init__(self, bundle, table):
        spec = bundle.manifest.spec.model_copy(update={"operating_points": "points.parquet"})
        self.manifest = bundle.manifest.model_copy(update={"spec": spec})
        self._table = table

    def table(self, file):
        assert file == "points.parquet"
        return self._table


@pytest.fixture
def measured(cells_bundle):
    rows = [
        ("he", 0.5, 10, 1000, 900, 800, 50, 600),
        ("he", 0.3, 10, 1000, 1300, 930, 300, 650),
        ("he", 0.1, 10, 1000, 2500, 990, 1200, 660),
        ("glow", 0.5, 5, 200, 200, 196, 2, 180),
        ("glow", 0.3, 5, 200, 210, 198, 10, 181),
        ("glow", 0.1, 5, 200, 300, 199, 90, 181),
        ("empty", 0.1, 5, 0, 3, 0, 3, 0),
    ]
    columns = ["dataset", "threshold", "n_images", "n_truth", "n_predicted", "n_found", "n_false", "n_matched_50"]
    return Measured(cells_bundle, pd.DataFrame(rows, columns=columns))


def test_the_highest_threshold_that_is_enough_everywhere(measured):
    point = choose_operating_point(measured, 0.9)
    assert point.faint_threshold == 0.3
    figures = point.figures.set_index("dataset")
    assert figures.loc["he", "recall"] == 0.93
    assert figures.loc["he", "false_per_true"] == 0.3
    assert figures.loc["he", "default_recall"] == 0.8
    assert "93.0% of the cells at 0.30 false cells a true one" in point.sentence
    assert choose_operating_point(measured, 0.95).faint_threshold == 0.1


def test_nothing_changes_where_the_usual_threshold_is_enough(measured):
    assert choose_operating_point(measured, 0.7).faint_threshold is None


def test_what_cannot_be_reached_is_said(measured):
    point = choose_operating_point(measured, 0.995)
    assert point.faint_threshold == 0.1
    assert not point.reached
    assert "more than was reached" in point.sentence
    assert choose_operating_point(measured, 0.99).reached


def test_a_bundle_without_measures_is_refused(cells_bundle):
    with pytest.raises(UsageError, match="Leave --min-cell-recall out"):
        choose_operating_point(cells_bundle, 0.9)


def test_faint_cells_do_not_depend_on_tiles(colon, cells_bundle, opened):
    image = opened(ndimage.gaussian_filter(colon, (2, 2, 0)))
    usual = segment_image(image, cells_bundle)
    whole = segment_image(image, cells_bundle, faint_threshold=0.1, max_tile_px=None)
    tiled = segment_image(image, cells_bundle, faint_threshold=0.1, max_tile_px=10_000)
    assert whole.labels.max() > usual.labels.max()
    assert np.array_equal(tiled.labels, whole.labels)
    assert np.array_equal(tiled.probability, whole.probability)
    clear = usual.labels > 0
    assert (whole.labels[clear] > 0).all()

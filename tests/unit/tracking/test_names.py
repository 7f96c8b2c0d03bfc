"""One name for each metric."""

import pytest

from organscope.tracking.base import metric_names, row_key


def test_rows_of_both_trainers_get_the_same_names():
    keras = {"epoch": 3, "loss": 1.0, "pq": 0.3, "score": 0.3, "learning_rate": 1e-3, "n_images": 8, "seconds": 2.0}
    lightning = {"epoch": 3, "loss": 1.0, "nll": 2.0, "score": -2.0, "learning_rate": 1e-3, "seconds": 2, "best": True}
    shared = {"train/loss", "learning_rate", "seconds_per_epoch", "validation/score"}
    assert set(metric_names(keras)) == shared | {"validation/pq"}
    assert set(metric_names(lightning)) == shared | {"validation/nll"}


@pytest.mark.parametrize("key", ["loss", "seconds", "images_per_s", "score", "balanced_accuracy"])
def test_a_name_leads_back_to_its_key(key):
    (name,) = metric_names({key: 1.0})
    assert row_key(name) == row_key(key) == key

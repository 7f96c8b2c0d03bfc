"""Which weights a training keeps."""

from organscope.train.segmentation.fit import Progress


def test_a_worse_epoch_is_kept_only_where_the_last_one_is_asked_for():
    best, last = Progress(best_score=0.9), Progress(best_score=0.9)

    assert not best.note(0.5, "best")
    assert last.note(0.5, "last")
    assert (best.epochs_without_gain, last.epochs_without_gain) == (1, 0)

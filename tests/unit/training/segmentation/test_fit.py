"""Which weights a training keeps, and in how many bits it computes."""

import pytest

from organscope.training.segmentation import fit
from organscope.training.segmentation.fit import Progress


@pytest.mark.parametrize(
    ("device", "has", "policy"),
    [("CPU:0", True, "mixed_bfloat16"), ("CPU:0", False, "float32"), ("cuda:0", False, "mixed_bfloat16")],
)
def test_half_the_bits_only_where_the_processor_has_them(monkeypatch, device, has, policy):
    monkeypatch.setattr(fit, "processor_has_bfloat16", lambda: has)
    monkeypatch.setattr(fit, "device_name", lambda: device)
    assert fit.dtype_policy("auto") == policy
    assert fit.dtype_policy("bfloat16") == "mixed_bfloat16"
    assert fit.dtype_policy("float32") == "float32"


def test_the_device_is_named_by_the_framework():
    assert "cpu" in fit.device_name().lower()


def test_a_worse_epoch_is_kept_only_where_the_last_one_is_asked_for():
    best, last = Progress(best_score=0.9), Progress(best_score=0.9)

    assert not best.note(0.5, "best")
    assert last.note(0.5, "last")
    assert (best.epochs_without_gain, last.epochs_without_gain) == (1, 0)

"""The small rules of the fit: learning rate, moving average, standardizing, averaging over fields."""

import numpy as np
import pytest
import torch
from torch import nn

from organscope.ops.intensity import Preprocessing, standardize
from organscope.training.classification import fit
from organscope.training.classification.fit import image_means, rate_share, standardize_batch, update_average


@pytest.mark.parametrize(("has", "precision"), [(True, "bf16-mixed"), (False, "32-true")])
@pytest.mark.skipif(torch.cuda.is_available(), reason="an accelerator is asked in place of the processor")
def test_half_the_bits_only_where_the_processor_has_them(monkeypatch, has, precision):
    monkeypatch.setattr(fit, "processor_has_bfloat16", lambda: has)
    assert fit.lightning_precision("auto") == precision
    assert fit.lightning_precision("bf16") == "bf16-mixed"
    assert fit.lightning_precision("fp32") == "32-true"


def test_the_learning_rate_rises_then_falls_to_nothing():
    shares = [rate_share(step, warm_up_steps=4, total_steps=20) for step in range(21)]
    assert shares[:4] == [0.25, 0.5, 0.75, 1.0]
    assert shares[4] == 1.0
    assert shares[12] == pytest.approx(0.5)
    assert shares[20] == pytest.approx(0.0)
    assert shares[4:] == sorted(shares[4:], reverse=True)


def test_there_may_be_no_warm_up():
    assert rate_share(0, warm_up_steps=0, total_steps=10) == 1.0


def test_the_average_moves_by_its_share():
    average, network = nn.BatchNorm1d(1), nn.BatchNorm1d(1)
    nn.init.constant_(average.weight, 1.0)
    nn.init.constant_(network.weight, 3.0)
    network.num_batches_tracked.fill_(7)
    update_average(average, network, decay=0.75, step=10_000)
    assert average.weight.item() == 1.5
    assert average.num_batches_tracked.item() == 7


def test_the_first_steps_forget_the_start_sooner():
    average, network = nn.Linear(1, 1), nn.Linear(1, 1)
    nn.init.constant_(average.weight, 0.0)
    nn.init.constant_(network.weight, 1.0)
    update_average(average, network, decay=0.99, step=1)
    assert average.weight.item() == pytest.approx(1 - 2 / 11)


def test_torch_and_numpy_standardize_alike(rng):
    spec = Preprocessing(mean=(0.5, 0.3, 0.4), std=(0.1, 0.2, 0.15))
    field = rng.random((8, 6, 3), dtype=np.float32)
    batch = standardize_batch(torch.from_numpy(field).permute(2, 0, 1)[None], spec)
    # One division in float32.
    np.testing.assert_allclose(batch[0].permute(1, 2, 0).numpy(), standardize(field, spec), atol=1e-6)


def test_fields_are_averaged_by_image():
    values = np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]])
    means = image_means(values, np.array([0, 0, 1]))
    np.testing.assert_array_equal(means, [[0.5, 0.5], [0.5, 0.5]])

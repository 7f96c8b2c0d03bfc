"""The losses of the organ classifier against numbers worked by hand."""

import math

import pytest
import torch

from organscope.errors import ConfigError, UnknownNameError
from organscope.training.classification.config import LossConfig
from organscope.training.classification.fit import OrganLoss, balanced_weights, cross_entropy, smooth_targets

#: Two images: probabilities (3/4, 1/4) and (1/2, 1/2).
LOGITS = torch.tensor([[math.log(3.0), 0.0], [0.0, 0.0]])
TARGETS = torch.eye(2)
ORGANS = ["liver", "spleen"]
#: Logarithms and exponentials in float32.
ROUNDING = 1e-6


def loss_of(counts: tuple[float, float] = (3.0, 1.0), **settings) -> OrganLoss:
    return OrganLoss(LossConfig(**settings), ORGANS, torch.tensor(counts))


def test_smoothing_spreads_its_share_over_all_organs():
    targets = smooth_targets(torch.tensor([1]), n_organs=4, label_smoothing=0.2)
    torch.testing.assert_close(targets, torch.tensor([[0.05, 0.85, 0.05, 0.05]]))


def test_plain_is_the_mean_of_minus_log_probability():
    expected = -(math.log(3 / 4) + math.log(1 / 2)) / 2
    assert loss_of()(LOGITS, TARGETS).item() == pytest.approx(expected, abs=ROUNDING)


def test_weights_are_inverse_to_frequency_with_mean_one_over_the_images():
    weights = balanced_weights(torch.tensor([3.0, 1.0]))
    torch.testing.assert_close(weights, torch.tensor([2 / 3, 2.0]))
    assert (3 * weights[0] + weights[1]).item() == pytest.approx(4, abs=ROUNDING)


def test_class_weighted_counts_the_rare_organ_more():
    expected = -(2 / 3 * math.log(3 / 4) + 2 * math.log(1 / 2)) / 2
    found = loss_of(kind="class_weighted")(LOGITS, TARGETS).item()
    assert found == pytest.approx(expected, abs=ROUNDING)


def test_focal_counts_the_sure_image_less():
    expected = -((1 / 4) ** 2 * math.log(3 / 4) + (1 / 2) ** 2 * math.log(1 / 2)) / 2
    assert loss_of(kind="focal", focus=2.0)(LOGITS, TARGETS).item() == pytest.approx(expected, abs=ROUNDING)


def test_logit_adjustment_adds_the_log_of_the_prior():
    # Priors (3/4, 1/4) turn the odds 3:1 and 1:1 into 9:1 and 3:1.
    expected = -(math.log(9 / 10) + math.log(1 / 4)) / 2
    found = loss_of(kind="logit_adjusted")(LOGITS, TARGETS).item()
    assert found == pytest.approx(expected, abs=ROUNDING)


def test_the_positive_class_weighs_more_in_every_kind():
    expected = -(math.log(3 / 4) + 5 * math.log(1 / 2)) / 2
    found = loss_of(positive_class="spleen", positive_weight=5.0)(LOGITS, TARGETS).item()
    assert found == pytest.approx(expected, abs=ROUNDING)


def test_mixed_targets_share_the_loss():
    mixed = torch.tensor([[0.25, 0.75]])
    expected = -(0.25 * math.log(3 / 4) + 0.75 * math.log(1 / 4))
    found = cross_entropy(LOGITS[:1], mixed, torch.ones(2)).item()
    assert found == pytest.approx(expected, abs=ROUNDING)


def test_focal_gradient_is_finite_where_the_network_is_certain():
    logits = torch.tensor([[60.0, -60.0]], requires_grad=True)
    loss_of(kind="focal", focus=0.5)(logits, TARGETS[:1]).backward()
    assert torch.isfinite(logits.grad).all()


def test_an_unknown_positive_class_is_named():
    with pytest.raises(UnknownNameError, match=r"'lung'.*liver, spleen"):
        loss_of(positive_class="lung")


def test_an_organ_without_training_images_is_refused():
    with pytest.raises(ConfigError, match="none of 'spleen'"):
        loss_of(counts=(3.0, 0.0))


def test_a_weight_without_a_class_is_a_wrong_configuration():
    with pytest.raises(ValueError, match="positive_weight is set without positive_class"):
        LossConfig(positive_weight=2.0)

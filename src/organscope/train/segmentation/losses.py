"""What the network is told about its errors."""

import keras
from keras import ops

from organscope.train.segmentation.config import LossSettings


class MapLoss(keras.losses.Loss):
    """Weighted cross-entropy and soft Dice of the foreground, cross-entropy of the second map.

    The second map's target is a fraction; cross-entropy against a fraction is least where the prediction
    equals it, and its gradient does not fade as that of a squared error behind a sigmoid does.
    """

    def __init__(self, settings: LossSettings) -> None:
        super().__init__(name="map_loss")
        self.settings = settings

    def call(self, y_true, y_pred):
        """Mean loss of a batch: truth in [0, 1] and logits, both (n, y, x, 2)."""
        entropy = _cross_entropy(y_true, y_pred)
        truth, probability = y_true[..., 0], ops.sigmoid(y_pred[..., 0])
        weight = 1 + (self.settings.positive_weight - 1) * truth
        loss = ops.mean(weight * entropy[..., 0])
        loss += self.settings.dice_weight * _soft_dice_loss(truth, probability)
        return loss + self.settings.height_weight * ops.mean(entropy[..., 1])


def _cross_entropy(target, logits):
    return ops.relu(logits) - logits * target + ops.log1p(ops.exp(-ops.abs(logits)))


def _soft_dice_loss(target, probability):
    """1 - Dice over the batch (Milletari et al. 2016), defined for an empty batch by the added ones."""
    overlap = ops.sum(target * probability)
    return 1 - (2 * overlap + 1) / (ops.sum(target) + ops.sum(probability) + 1)

"""What the network is told about its errors."""

import keras
from keras import ops

from organscope.train.segmentation.config import LossSettings


class MapLoss(keras.losses.Loss):
    """Weighted cross-entropy and overlap of the foreground, cross-entropy of the head's maps.

    The target of a head's map is a fraction; cross-entropy against a fraction is least where the prediction
    equals it, and its gradient does not fade as that of a squared error behind a sigmoid does. Directions are
    learned inside true cells alone: outside they mean nothing.
    """

    def __init__(self, settings: LossSettings) -> None:
        super().__init__(name="map_loss")
        self.settings = settings

    def call(self, y_true, y_pred):
        """Mean loss of a batch: truth in [0, 1] and logits, both (n, y, x, k).

        A further map of the truth says which pixels are known (1); the others (0) teach neither cell nor background.
        """
        n_maps = y_pred.shape[-1]
        entropy = _cross_entropy(y_true[..., :n_maps], y_pred)
        truth, probability = y_true[..., 0], ops.sigmoid(y_pred[..., 0])
        mean = ops.mean
        if y_true.shape[-1] > n_maps:
            known = y_true[..., n_maps]
            truth, probability = truth * known, probability * known
            mean = _mean_where(known)
        weight = 1 + (self.settings.positive_weight - 1) * truth
        loss = mean(weight * entropy[..., 0])
        loss += self.settings.overlap_weight * self._overlap_loss(truth, probability)
        loss += self.settings.height_weight * mean(entropy[..., 1])
        if y_pred.shape[-1] > 2:
            inside = ops.sum(truth[..., None] * entropy[..., 2:]) / (ops.sum(truth) + 1)
            loss += self.settings.flow_weight * inside / (y_pred.shape[-1] - 2)
        return loss

    def _overlap_loss(self, truth, probability):
        """1 - overlap over the batch, or the mean over its crops; defined where no cell is by the added ones.

        Dice (Milletari et al. 2016); Tversky, equation 3 of Salehi et al. (2017), of which Dice is the case that
        weighs missed and false pixels alike; focal Tversky, equation 5 of Abraham and Khan (2019).
        """
        missed_weight = 0.5 if self.settings.overlap == "dice" else self.settings.missed_weight
        axes = (1, 2) if self.settings.overlap_of == "crop" else None
        both = ops.sum(truth * probability, axis=axes)
        missed = ops.sum(truth, axis=axes) - both
        false = ops.sum(probability, axis=axes) - both
        loss = 1 - (2 * both + 1) / (2 * (both + missed_weight * missed + (1 - missed_weight) * false) + 1)
        if self.settings.overlap == "focal_tversky":
            # The root has no slope at 0, where a perfect batch would make it infinite.
            loss = ops.power(loss + 1e-6, 1 / self.settings.focus)
        return ops.mean(loss)


def _mean_where(known):
    """The mean over the pixels that are known; 0 where none is."""
    n_known = ops.maximum(ops.sum(known), 1)
    return lambda values: ops.sum(values * known) / n_known


def _cross_entropy(target, logits):
    return ops.relu(logits) - logits * target + ops.log1p(ops.exp(-ops.abs(logits)))

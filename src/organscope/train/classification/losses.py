"""What a wrong organ costs while training: plain, class-weighted, focal or logit-adjusted cross-entropy.

Targets are distributions over the organs, because mixed pictures and label smoothing both need them.
"""

from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from organscope.errors import ConfigError, UnknownNameError
from organscope.train.classification.config import LossConfig


def smooth_targets(organs: Int[Tensor, " n"], n_organs: int, label_smoothing: float) -> Float[Tensor, "n organ"]:
    """One-hot targets of which `label_smoothing` is spread evenly over all organs (Szegedy et al. 2016, eq. 7)."""
    one_hot = functional.one_hot(organs, n_organs).float()
    return one_hot * (1.0 - label_smoothing) + label_smoothing / n_organs


def balanced_weights(counts: Float[Tensor, " organ"]) -> Float[Tensor, " organ"]:
    """Weights inverse to how often an organ was trained on; their mean over the training pictures is 1."""
    return counts.sum() / (len(counts) * counts)


def cross_entropy(
    logits: Float[Tensor, "n organ"],
    targets: Float[Tensor, "n organ"],
    weights: Float[Tensor, " organ"],
    focus: float = 0.0,
) -> Float[Tensor, ""]:
    """Mean over n of -sum_k w_k t_k (1 - p_k)^focus log p_k.

    `focus` 0 is the cross-entropy; above 0 it is the focal loss (Lin et al. 2017, eq. 4), in which organs that
    the network is already sure of count less.
    """
    log_probs = functional.log_softmax(logits, dim=1)
    losses = -weights * targets * log_probs
    if focus > 0:
        losses = losses * (1.0 - log_probs.exp()).clamp(min=0.0) ** focus
    return losses.sum(dim=1).mean()


class OrganLoss(nn.Module):
    """The loss that a configuration names, for organs with the given numbers of training pictures.

    Args:
        config: Kind, label smoothing, positive class and its weight.
        organs: Names of the classes, in the order of the logits.
        counts: How often each organ is drawn, in any unit, all above 0.

    Raises:
        UnknownNameError: `positive_class` is none of the organs.
        ConfigError: An organ has no training picture.
    """

    def __init__(self, config: LossConfig, organs: list[str], counts: Float[Tensor, " organ"]) -> None:
        super().__init__()
        if float(counts.min()) <= 0:
            empty = organs[int(counts.argmin())]
            raise ConfigError(f"Expected at least one training picture of each organ, found none of {empty!r}.")
        weights = balanced_weights(counts) if config.kind == "class_weighted" else counts.new_ones(len(organs))
        if config.positive_class is not None:
            if config.positive_class not in organs:
                raise UnknownNameError(
                    f"loss.positive_class is {config.positive_class!r}, which is none of the organs: "
                    f"{', '.join(organs)}."
                )
            weights[organs.index(config.positive_class)] *= config.positive_weight
        self.focus = config.focus if config.kind == "focal" else 0.0
        # Menon et al. 2021, eq. 10: adding the log prior while training makes the plain logits favour no organ.
        strength = config.adjustment if config.kind == "logit_adjusted" else 0.0
        self.register_buffer("weights", weights, persistent=False)
        self.register_buffer("shift", strength * (counts / counts.sum()).log(), persistent=False)

    def forward(self, logits: Float[Tensor, "n organ"], targets: Float[Tensor, "n organ"]) -> Float[Tensor, ""]:
        return cross_entropy(logits + self.shift, targets, self.weights, self.focus)

"""The head fitted once more in closed form, when the features no longer change: regularised least squares.

With few images an exact fit finds more than gradient descent does. Copies count as images of their organ: gray
ones, turned ones, others stained stronger or weaker (`copies`), so that what differs between a copy and its image
counts little. The result is linear like the head it joins, so evidence stays exact. (Least squares towards the
indicator of the organ: Hastie, Tibshirani and Friedman, The Elements of Statistical Learning, 2009, section 4.2; the
penalty: equation 3.44.)
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Float64, Int, Int64

from organscope.evaluation.metrics.classification import classification_scores
from organscope.ops.intensity import Preprocessing
from organscope.training.classification.config import DiscriminantConfig
from organscope.training.classification.copies import Alter
from organscope.training.classification.data import Images, channels_first
from organscope.training.classification.fit import image_means, standardize_batch
from organscope.training.classification.network import VARIANCE_FLOOR, OrganNetwork
from organscope.training.teaching.head import ridge

_BATCH = 16


@dataclass(frozen=True)
class _Linear:
    """A linear function of the pooled features.

    Attributes:
        weights: One row an organ.
        bias: One number an organ.
    """

    weights: Float64[np.ndarray, "organ d"]
    bias: Float64[np.ndarray, " organ"]

    def __call__(self, features: Float[np.ndarray, "n d"]) -> Float64[np.ndarray, "n organ"]:
        return features @ self.weights.T + self.bias

    def scaled(self, factor: float) -> "_Linear":
        """All logits times a factor."""
        return _Linear(self.weights * factor, self.bias * factor)

    def plus(self, other: "_Linear") -> "_Linear":
        """The sum of the logits."""
        return _Linear(self.weights + other.weights, self.bias + other.bias)


@dataclass(frozen=True)
class Pooled:
    """Features of fields, as the head averages them.

    Attributes:
        features: One row a field.
        owners: Which image each was cut from, from 0.
    """

    features: Float[np.ndarray, "n d"]
    owners: Int64[np.ndarray, " n"]


def pooled_features(network: OrganNetwork, pictures: Images, preprocessing: Preprocessing, alter: Alter) -> Pooled:
    """Features of every field of copies of the images, in floating point."""
    parts, owners = [], []
    with torch.inference_mode():
        for first in range(0, len(pictures), _BATCH):
            numbers = range(first, min(first + _BATCH, len(pictures)))
            fields = [pictures.fields(number) for number in numbers]
            owners += [np.repeat(np.array(numbers), [len(part) for part in fields])]
            images = channels_first(alter(np.concatenate(fields))).float() / 255.0
            maps = network.stage_maps(standardize_batch(images, preprocessing))
            parts.append(torch.cat(network.head.features(maps), dim=1).numpy())
    return Pooled(np.concatenate(parts), np.concatenate(owners))


def joined_heads(
    network: OrganNetwork,
    features: Float[np.ndarray, "n d"],
    organs: Int[np.ndarray, " n"],
    weights: Float64[np.ndarray, " n"],
    config: DiscriminantConfig,
) -> dict[str, _Linear]:
    """The head of a trained network, the discriminant, and both together.

    Args:
        network: In evaluation mode.
        features: Of training images and of their copies.
        organs: Their numbers; every organ occurs.
        weights: How much each counts in the discriminant.
        config: Penalty, and the discriminant's share of the logits.

    Returns:
        `own`, `discriminant` and `joined`, on one scale: the spread over the organs that the own head gives to
        these features.
    """
    own = head_function(network)
    plain = fit_discriminant(features, organs, weights, config.penalty)
    discriminant = plain.scaled(float(own(features).std(axis=1).mean() / plain(features).std(axis=1).mean()))
    joined = own.scaled(1 - config.share).plus(discriminant.scaled(config.share))
    return {"own": own, "discriminant": discriminant, "joined": joined}


def score_heads(
    heads: dict[str, _Linear], pooled: dict[str, Pooled], organs: Int[np.ndarray, " picture"]
) -> pd.DataFrame:
    """Accuracy, macro-F1 and negative log-likelihood of each head on each set of copies: one row a pair."""
    rows = []
    for name, head in heads.items():
        for copies, part in pooled.items():
            logits = head(part.features)
            probs = np.exp(logits - logits.max(axis=1, keepdims=True))
            probs = image_means(probs / probs.sum(axis=1, keepdims=True), part.owners)
            scores = classification_scores(probs, organs)
            rows.append(
                {"head": name, "copies": copies} | {key: scores[key] for key in ("accuracy", "macro_f1", "nll")}
            )
    return pd.DataFrame(rows)


def head_function(network: OrganNetwork) -> _Linear:
    """The head as one linear function of all features."""
    linears = list(network.head.linears)
    weights = np.concatenate([linear.weight.detach().numpy() for linear in linears], axis=1)
    bias = np.mean([linear.bias.detach().numpy() for linear in linears], axis=0)
    return _Linear(weights.astype(np.float64) / len(linears), bias.astype(np.float64))


def set_head_function(network: OrganNetwork, function: _Linear) -> None:
    """Give the head of a network another linear function, in place."""
    linears = list(network.head.linears)
    edges = np.cumsum([linear.in_features for linear in linears])[:-1]
    with torch.no_grad():
        for linear, part in zip(linears, np.split(function.weights * len(linears), edges, axis=1), strict=True):
            linear.weight.copy_(torch.from_numpy(part))
            linear.bias.copy_(torch.from_numpy(function.bias))


def fit_discriminant(
    features: Float[np.ndarray, "n d"],
    organs: Int[np.ndarray, " n"],
    weights: Float64[np.ndarray, " n"],
    penalty: float,
) -> _Linear:
    """Least squares towards 1 for the own organ and 0 for the others, all organs taken for equally frequent.

    Args:
        features: One row an image.
        organs: From 0, every organ up to the last occurs.
        weights: How much each image counts beside others of its organ, more than 0.
        penalty: Of squared weights of standardized features; taken times the number of features.
    """
    n_organs = int(organs.max()) + 1
    shares = weights / np.bincount(organs, weights=weights)[organs] / n_organs
    rows = features.astype(np.float64)
    mean = shares @ rows
    # What hardly varies is not amplified: the one image that wakes a silent channel would outshout all others.
    spread = np.sqrt(shares @ (rows - mean) ** 2 + VARIANCE_FLOOR)
    scale = np.sqrt(shares)[:, None]
    towards = scale * (np.eye(n_organs)[organs] - 1.0 / n_organs)
    directions = ridge(scale * ((rows - mean) / spread), towards, penalty).T / spread
    return _Linear(directions, -directions @ mean)

"""The head fitted once more in closed form, when the features no longer change: linear discriminant analysis.

With few pictures the covariance of the features within an organ says more than gradient descent finds: directions in
which pictures of one organ differ are worth little. Gray copies count as pictures of their organ, as much as is asked
for, so that colour, in which a copy differs from its picture, is such a direction. The result is linear like the head
it joins, so evidence stays exact. (Fisher 1936; shrinkage of the covariance as in Friedman, Regularized Discriminant
Analysis, 1989, eq. 18.)
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Float64, Int, Int64, UInt8

from organscope.metrics.classification import classification_scores
from organscope.ops.preprocess import Preprocessing
from organscope.train.classification.config import DiscriminantConfig
from organscope.train.classification.data import Pictures, channels_first
from organscope.train.classification.fit import picture_means, standardise_batch
from organscope.train.classification.network import OrganNetwork

BATCH = 16
#: Percentiles of a gray copy that become black and white, as wherever images are scaled.
BLACK, WHITE = 1.0, 99.8


@dataclass(frozen=True)
class Linear:
    """A linear function of the pooled features.

    Attributes:
        weights: One row an organ.
        bias: One number an organ.
    """

    weights: Float64[np.ndarray, "organ d"]
    bias: Float64[np.ndarray, " organ"]

    def __call__(self, features: Float[np.ndarray, "n d"]) -> Float64[np.ndarray, "n organ"]:
        return features @ self.weights.T + self.bias

    def scaled(self, factor: float) -> "Linear":
        """All logits times a factor."""
        return Linear(self.weights * factor, self.bias * factor)

    def plus(self, other: "Linear") -> "Linear":
        """The sum of the logits."""
        return Linear(self.weights + other.weights, self.bias + other.bias)


@dataclass(frozen=True)
class Pooled:
    """Features of fields, as the head averages them.

    Attributes:
        features: One row a field.
        owners: Which picture each was cut from, from 0.
    """

    features: Float[np.ndarray, "n d"]
    owners: Int64[np.ndarray, " n"]


def pooled_features(network: OrganNetwork, pictures: Pictures, preprocessing: Preprocessing, *, gray: bool) -> Pooled:
    """Features of every field of the pictures, in floating point; of gray copies where asked for."""
    parts, owners = [], []
    with torch.inference_mode():
        for first in range(0, len(pictures), BATCH):
            numbers = range(first, min(first + BATCH, len(pictures)))
            fields = [pictures.fields(number) for number in numbers]
            owners += [np.repeat(np.array(numbers), [len(part) for part in fields])]
            batch = np.concatenate(fields)
            images = channels_first(gray_copies(batch) if gray else batch).float() / 255.0
            maps = network.stage_maps(standardise_batch(images, preprocessing))
            parts.append(torch.cat(network.head.features(maps), dim=1).numpy())
    return Pooled(np.concatenate(parts), np.concatenate(owners))


def gray_copies(fields: UInt8[np.ndarray, "n y x 3"]) -> UInt8[np.ndarray, "n y x 3"]:
    """The mean of red, green and blue, each field stretched from its own black to its own white."""
    gray = fields.mean(axis=3, dtype=np.float32)
    low, high = np.percentile(gray, (BLACK, WHITE), axis=(1, 2), keepdims=True)
    scaled = np.clip((gray - low) / np.maximum(high - low, 1e-3), 0.0, 1.0)
    return np.repeat(np.rint(scaled * 255).astype(np.uint8)[..., None], 3, axis=3)


def joined_heads(
    network: OrganNetwork,
    features: Float[np.ndarray, "n d"],
    organs: Int[np.ndarray, " n"],
    weights: Float64[np.ndarray, " n"],
    config: DiscriminantConfig,
) -> dict[str, Linear]:
    """The head of a trained network, the discriminant, and both together.

    Args:
        network: In evaluation mode.
        features: Of training pictures and of their gray copies.
        organs: Their numbers; every organ occurs.
        weights: How much each counts in the discriminant.
        config: Shrinkage, and the discriminant's share of the logits.

    Returns:
        `own`, `discriminant` and `joined`, on one scale: the spread over the organs that the own head gives to
        these features.
    """
    own = head_function(network)
    plain = fit_discriminant(features, organs, weights, config.shrinkage)
    discriminant = plain.scaled(float(own(features).std(axis=1).mean() / plain(features).std(axis=1).mean()))
    joined = own.scaled(1 - config.share).plus(discriminant.scaled(config.share))
    return {"own": own, "discriminant": discriminant, "joined": joined}


def score_heads(
    heads: dict[str, Linear], pooled: dict[str, Pooled], organs: Int[np.ndarray, " picture"]
) -> pd.DataFrame:
    """Accuracy, macro-F1 and negative log-likelihood of each head on each set of copies: one row a pair."""
    rows = []
    for name, head in heads.items():
        for copies, part in pooled.items():
            logits = head(part.features)
            probs = np.exp(logits - logits.max(axis=1, keepdims=True))
            probs = picture_means(probs / probs.sum(axis=1, keepdims=True), part.owners)
            scores = classification_scores(probs, organs)
            rows.append(
                {"head": name, "copies": copies} | {key: scores[key] for key in ("accuracy", "macro_f1", "nll")}
            )
    return pd.DataFrame(rows)


def head_function(network: OrganNetwork) -> Linear:
    """The head as one linear function of all features."""
    linears = list(network.head.linears)
    weights = np.concatenate([linear.weight.detach().numpy() for linear in linears], axis=1)
    bias = np.mean([linear.bias.detach().numpy() for linear in linears], axis=0)
    return Linear(weights.astype(np.float64) / len(linears), bias.astype(np.float64))


def set_head_function(network: OrganNetwork, function: Linear) -> None:
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
    shrinkage: float,
) -> Linear:
    """A linear discriminant that takes all organs for equally frequent.

    Args:
        features: One row a picture.
        organs: From 0, every organ up to the last occurs.
        weights: How much each picture counts, more than 0.
        shrinkage: From 0 (the covariance as it is) to 1 (the same variance in all directions).
    """
    rows, shares = features.astype(np.float64), weights / weights.sum()
    # From the first row on, so that what never varies varies by exactly nothing.
    moved = rows - rows[0]
    spread = np.sqrt(shares @ (moved - shares @ moved) ** 2)
    spread = np.where(spread > 0, spread, 1.0)
    rows = rows / spread
    of_organs = np.bincount(organs, weights=shares)
    sums = np.zeros((len(of_organs), rows.shape[1]))
    np.add.at(sums, organs, shares[:, None] * rows)
    means = sums / of_organs[:, None]
    within = np.sqrt(shares)[:, None] * (rows - means[organs])
    centre = means.mean(axis=0)
    directions = _solve_shrunk(within, means - centre, shrinkage)
    bias = -0.5 * ((means + centre) * directions).sum(axis=1)
    return Linear(directions / spread, bias)


def _solve_shrunk(
    within: Float64[np.ndarray, "n d"], means: Float64[np.ndarray, "organ d"], shrinkage: float
) -> Float64[np.ndarray, "organ d"]:
    """Means times the inverse of the shrunk covariance, which is the sum of the squares of `within`.

    With more features than rows the inverse is taken among the rows (Woodbury's identity): the covariance of ten
    thousand features would fill a gigabyte.
    """
    n, width = within.shape
    level = shrinkage * float((within**2).sum()) / width
    if level == 0 or n >= width:
        return np.linalg.solve((1 - shrinkage) * within.T @ within + level * np.eye(width), means.T).T
    inner = within @ within.T + level / max(1 - shrinkage, 1e-12) * np.eye(n)
    return (means - np.linalg.solve(inner, within @ means.T).T @ within) / level

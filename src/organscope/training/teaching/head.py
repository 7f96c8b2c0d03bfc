"""A linear head on frozen features, and what it answers for groups that it has not seen."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int, Int64

from organscope.decision import nearest_distance
from organscope.errors import DatasetError

_PENALTY = 0.001
"""Of squared weights, times the number of features; chosen on sets that no figure is quoted of (docs/teach.md)."""

_MAX_FOLDS = 20
"""With more groups than this, several are left out at once."""

_VARIANCE_FLOOR = 1e-4
"""Share of the mean variance that is added to each feature's: what hardly varies is not amplified."""

_STEADY_IMAGES = 2
"""Fewest images of a class with which any of it can be left out."""


@dataclass(frozen=True)
class LinearHead:
    """Standardized features, and one linear function of them a class.

    Attributes:
        mean: Subtracted from the features.
        spread: Divides them then.
        weights: From standardized features to logits.
        bias: Added to the logits.
    """

    mean: Float64[np.ndarray, " d"]
    spread: Float64[np.ndarray, " d"]
    weights: Float64[np.ndarray, "d c"]
    bias: Float64[np.ndarray, " c"]

    def embed(self, features: Float[np.ndarray, "n d"]) -> Float32[np.ndarray, "n d"]:
        """Standardized features, in which distances are measured."""
        return ((features - self.mean) / self.spread).astype(np.float32)

    def logits(self, features: Float[np.ndarray, "n d"]) -> Float64[np.ndarray, "n c"]:
        """One number a class."""
        return self.embed(features) @ self.weights + self.bias


@dataclass(frozen=True)
class Rows:
    """Features that a head learns from or answers for.

    Attributes:
        features: One row a field, or a copy of a field.
        owners: Number of the image that each is of.
    """

    features: Float[np.ndarray, "n d"]
    owners: Int64[np.ndarray, " n"]

    def __add__(self, other: "Rows") -> "Rows":
        return Rows(np.concatenate([self.features, other.features]), np.concatenate([self.owners, other.owners]))

    def where(self, wanted: Bool[np.ndarray, " image"]) -> "Rows":
        """The rows of some of the images."""
        chosen = wanted[self.owners]
        return Rows(self.features[chosen], self.owners[chosen])


@dataclass(frozen=True)
class HeldOut:
    """How images are left out so that each is answered by a head that saw nothing of its group.

    Attributes:
        folds: Number of each image's fold, from 0.
        single_group: Classes whose images all come from one group: of these only single images can be left out.
        note: A sentence that says what was left out.
    """

    folds: Int64[np.ndarray, " image"]
    single_group: tuple[str, ...]
    note: str


@dataclass(frozen=True)
class Answers:
    """Answers for images of groups that the answering head had not seen.

    Attributes:
        logits: One row a field.
        distances: Of each field to the nearest fields that the answering head learned from.
    """

    logits: Float64[np.ndarray, "field c"]
    distances: Float[np.ndarray, " field"]


def fit_head(rows: Rows, labels: Int[np.ndarray, " image"], n_classes: int, *, penalty: float = _PENALTY) -> LinearHead:
    """Regularized least squares towards the indicator of the class, in closed form.

    Hastie, Tibshirani and Friedman, The Elements of Statistical Learning (2009), sections 3.4.1 and 4.2. Classes count
    equally, images of a class count equally, rows of an image count equally.

    Args:
        rows: To learn from.
        labels: Class of every image.
        n_classes: A class without a row gets the logit 0 everywhere.
        penalty: See `PENALTY`.
    """
    of_row = labels[rows.owners]
    share = 1.0 / np.bincount(rows.owners)[rows.owners]
    share /= np.bincount(of_row, weights=share, minlength=n_classes)[of_row]
    share /= share.sum()
    features = rows.features.astype(np.float64)
    mean = share @ features
    variance = share @ (features - mean) ** 2
    spread = np.sqrt(variance + _VARIANCE_FLOOR * variance.mean() + 1e-12)
    scale = np.sqrt(share)[:, None]
    present = np.bincount(of_row, minlength=n_classes) > 0
    towards = scale * (np.eye(n_classes)[of_row] - present / present.sum())
    weights = ridge(scale * ((features - mean) / spread), towards, penalty)
    return LinearHead(mean, spread, weights, np.zeros(n_classes))


def leave_groups_out(
    labels: Int[np.ndarray, " image"],
    groups: Sequence[str],
    classes: Sequence[str],
    *,
    seed: int = 0,
    what: str = "images",
) -> HeldOut:
    """Divide images (or cells) so that no group lies in two folds; single images where a class has but one group.

    Args:
        labels: Class of each image.
        groups: Patient or slide of each image; "" where unknown, which counts as a group of its own.
        classes: Names.
        seed: Of the division.
        what: Is divided, for messages.

    Raises:
        DatasetError: A class has a single image, so that it cannot be left out and known.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    counts = np.bincount(labels, minlength=len(classes))
    if (counts < _STEADY_IMAGES).any():
        few = ", ".join(classes[number] for number in np.flatnonzero(counts < _STEADY_IMAGES))
        raise DatasetError(
            f"Expected at least {_STEADY_IMAGES} {what} of every class, found fewer of {few}. Add some, or leave the "
            "class out of the index."
        )
    units = np.array([group or f"\0{number}" for number, group in enumerate(groups)], dtype=object)
    single = tuple(name for number, name in enumerate(classes) if len(set(units[labels == number])) == 1)
    alone = np.isin(labels, [classes.index(name) for name in single])
    units[alone] = [f"\0{number}" for number in np.flatnonzero(alone)]
    _, codes = np.unique(units.astype(str), return_inverse=True)
    n_units = int(codes.max()) + 1
    folds = codes.astype(np.int64)
    if n_units > _MAX_FOLDS:
        splits = StratifiedGroupKFold(min(_MAX_FOLDS, int(counts.max())), shuffle=True, random_state=seed)
        with warnings.catch_warnings():
            # Classes with fewer images than folds are spread as far as they go.
            warnings.filterwarnings("ignore", message="The least populated class")
            for number, (_, held) in enumerate(splits.split(codes[:, None], labels, codes)):
                folds[held] = number
    return HeldOut(folds, single, _note(groups, single, len(classes), what))


def answers_out_of_group(
    fields: Rows,
    copies: Rows,
    labels: Int[np.ndarray, " image"],
    folds: Int[np.ndarray, " image"],
    n_classes: int,
    n_neighbors: int,
) -> Answers:
    """Answer for each fold by a head that is fitted on all the others.

    Args:
        fields: Of all images; each is answered for.
        copies: What is learned from besides.
        labels: Class of each image.
        folds: Of each image.
        n_classes: Number of classes.
        n_neighbors: k of the distances.
    """
    logits = np.zeros((len(fields.features), n_classes))
    distances = np.zeros(len(fields.features), np.float32)
    for fold in np.unique(folds):
        others = folds != fold
        known = fields.where(others)
        head = fit_head(known + copies.where(others), labels, n_classes)
        held = ~others[fields.owners]
        asked = fields.features[held]
        logits[held] = head.logits(asked)
        distances[held] = nearest_distance(head.embed(asked), head.embed(known.features), n_neighbors)
    return Answers(logits, distances)


def image_probabilities(
    probabilities: Float[np.ndarray, "field c"], owners: Int[np.ndarray, " field"]
) -> Float64[np.ndarray, "image c"]:
    """Mean over the fields of each image, as an image is classified."""
    sums = np.zeros((int(owners.max()) + 1, probabilities.shape[1]))
    np.add.at(sums, owners, probabilities)
    return sums / np.bincount(owners)[:, None]


def ridge(
    rows: Float64[np.ndarray, "n d"], towards: Float64[np.ndarray, "n c"], penalty: float
) -> Float64[np.ndarray, "d c"]:
    """Least squares with a penalty, solved among the rows where these are fewer than the features."""
    n, width = rows.shape
    level = penalty * width
    if n >= width:
        return np.linalg.solve(rows.T @ rows + level * np.eye(width), rows.T @ towards)
    return rows.T @ np.linalg.solve(rows @ rows.T + level * np.eye(n), towards)


def _note(groups: Sequence[str], single: Sequence[str], n_classes: int, what: str) -> str:
    n_groups = len({group for group in groups if group})
    if not n_groups:
        return (
            "The index names no groups (patients, slides), so single images were left out. If several images are of "
            "one slide, expect less on new slides; a column 'group' in the sheet says which belong together."
        )
    sentence = (
        f"Each {what.removesuffix('s')} was answered by a head that had seen nothing of its group ({n_groups} groups)."
    )
    if not single:
        return sentence
    which = "every class" if len(single) == n_classes else ", ".join(single)
    return (
        f"{sentence} Of {which} there is one group only, so single {what} were left out: what is said of it holds "
        f"for further {what} of the same slide or patient, and nothing is known about others."
    )

"""Out-of-distribution detection by k-NN distance in feature space, and limits of image quality.

Sun, Ming, Zhu and Li: Out-of-Distribution Detection with Deep Nearest Neighbors, ICML 2022. An embedding is
brought to length 1; its distance to the k-th nearest training embedding says how unknown it is.

Does an image look like the training images, before the network is believed?

The look of a field is `ops.texture.texture_features`: gray levels and power spectrum with brightness and contrast
divided out, so that color cannot count. Training images, and training images that were spoilt on purpose, are
each described by a normal distribution; an image is refused if it is far from the training images, or more like
spoilt ones than the training images are (quadratic discriminant). All numbers are data that travel in the bundle.

How the fields of an image look, as its policy judges them.
"""

from collections.abc import Iterable

import numpy as np
from jaxtyping import Float, Float64, Int8, Real, UInt8
from pydantic import BaseModel, ConfigDict, Field, model_validator

from organscope.errors import ShapeError, ValueRangeError
from organscope.ops.features import N_FEATURES, gray_contrast, texture_features

_CHUNK = 1 << 22
"""Distances held at once (32 MB), so that memory stays flat however many cells are asked about."""


def unit_norm(features: Real[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
    """Each row divided by its length, in float32; a row of zeros stays zeros.

    Raises:
        ValueRangeError: A number is not finite.
    """
    exact = features.astype(np.float64)
    if not np.isfinite(exact).all():
        raise ValueRangeError("Expected finite features, found infinity or not-a-number. Check the network's weights.")
    length = np.linalg.norm(exact, axis=1, keepdims=True)
    return (exact / np.where(length > 0, length, 1.0)).astype(np.float32)


def eight_bits(features: Float[np.ndarray, "m d"]) -> Int8[np.ndarray, "m d"]:
    """Each row in whole numbers from -127 to 127 of (almost) the same direction."""
    largest = np.abs(features).max(axis=1, keepdims=True)
    return np.rint(features / np.where(largest > 0, largest, 1.0) * 127).astype(np.int8)


def nearest_distance(
    features: Float[np.ndarray, "n d"], reference: Real[np.ndarray, "m _"], n_neighbors: int
) -> Float[np.ndarray, " n"]:
    """Distance from each embedding to its k-th nearest reference embedding.

    Args:
        features: Of the images in question; of any length, brought to length 1 here.
        reference: Of the training images; brought to length 1 here too.
        n_neighbors: k, from 1 to m.

    Returns:
        Euclidean distances between vectors of length 1: 0 (known) to 2 (opposite), float32.

    Raises:
        ShapeError: The embeddings differ in length, or there are fewer than k references.
        ValueRangeError: A number is not finite.
    """
    if features.shape[1] != reference.shape[1]:
        raise ShapeError(
            f"Expected features of {reference.shape[1]} numbers as in the reference, found "
            f"{features.shape[1]}. Use features and reference of one and the same network."
        )
    if not 1 <= n_neighbors <= len(reference):
        raise ShapeError(
            f"Expected at least {n_neighbors} reference embeddings (and k of 1 or more), found "
            f"{len(reference)}. Choose fewer neighbors or give more references."
        )
    known = unit_norm(reference)
    asked = unit_norm(features)
    step = max(1, _CHUNK // len(known))
    chunks = [_kth_distance(asked[at : at + step], known, n_neighbors) for at in range(0, len(asked), step)]
    return np.concatenate(chunks) if chunks else np.zeros(0, np.float32)


def fit_distance_limit(held_out: Float[np.ndarray, " n"], in_domain_pass: float) -> float:
    """The distance that the stated share of held-out, in-domain images stays within.

    Args:
        held_out: Distances of images of the training domain that are not in the reference set.
        in_domain_pass: Share in (0, 1] that must pass, 0.95 in the paper.

    Raises:
        ShapeError: There is no distance.
        ValueRangeError: The share leaves (0, 1].
    """
    if len(held_out) == 0:
        raise ShapeError("Expected distances of held-out images, found none. Hold some images out.")
    if not 0 < in_domain_pass <= 1:
        raise ValueRangeError(f"Expected a share in (0, 1], found {in_domain_pass}. Ask for 0.95, for example.")
    # "higher" takes an observed distance, so that at least that share passes, not nearly.
    return float(np.quantile(held_out.astype(np.float64), in_domain_pass, method="higher"))


def _kth_distance(
    asked: Float[np.ndarray, "n d"], known: Float[np.ndarray, "m d"], n_neighbors: int
) -> Float[np.ndarray, " n"]:
    a, b = asked.astype(np.float64), known.astype(np.float64)
    squared = (a * a).sum(axis=1)[:, None] + (b * b).sum(axis=1)[None, :] - 2.0 * (a @ b.T)
    kth = np.partition(squared, n_neighbors - 1, axis=1)[:, n_neighbors - 1]
    return np.sqrt(np.clip(kth, 0.0, 4.0)).astype(np.float32)


BLANK = "nearly blank: there is too little contrast to see tissue"
STRANGE = "texture unlike that of the training images, as of another kind of microscope, stain or damage"

UNKNOWN_SCALE = (
    "texture unlike that of the training images, as of another stain, scanner or pixel size; `organscope analyze`, "
    "which measures the cells, sees it at their size"
)

_MAGNIFICATION = "magnification"
"""How the words of faults of scale begin. Another laboratory's stain can look the same, so none is named for it."""


class ReferenceDistribution(BaseModel):
    """Looks of images of one kind, as a normal distribution.

    Attributes:
        center: Mean look.
        whitening: Rows of a matrix; the length of its product with (look - center) is the Mahalanobis distance.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    centre: tuple[float, ...]
    whitening: tuple[tuple[float, ...], ...]

    @model_validator(mode="after")
    def _check_lengths(self) -> "ReferenceDistribution":
        if {len(row) for row in self.whitening} != {len(self.centre)}:
            raise ValueError(f"whitening must have rows of {len(self.centre)} numbers, as the center")
        return self

    def surprise(self, looks: Float[np.ndarray, "n f"]) -> Float64[np.ndarray, " n"]:
        """Squared Mahalanobis distance: how improbable each look is for this kind."""
        apart = (looks - np.array(self.centre)) @ np.array(self.whitening).T
        return (apart * apart).sum(axis=1)


class LookFault(BaseModel):
    """One way in which an image can be spoilt.

    Attributes:
        words: What is said of an image that fails.
        cloud: Looks of training images that were spoilt so.
        limit: How much less surprising an image may be for that cloud than for the training cloud.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    words: str
    cloud: ReferenceDistribution
    limit: float


class QualityLimits(BaseModel):
    """What an image must look like.

    Attributes:
        min_contrast: Least difference between the 99th and the 1st percentile of gray, of 255.
        training: Looks of training images, as they are and as other scanners could have made them.
        max_surprise: Largest surprise of an image under `training`.
        faults: Spoilt images.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    min_contrast: float = Field(ge=0, le=255)
    training: ReferenceDistribution
    max_surprise: float
    faults: tuple[LookFault, ...] = ()

    def at_known_scale(self) -> "QualityLimits":
        """The same without faults of scale, for an image that is shown with cells as large as those of the training."""
        kept = tuple(fault for fault in self.faults if not fault.words.startswith(_MAGNIFICATION))
        return self.model_copy(update={"faults": kept})


def quality_issue(
    contrasts: Float[np.ndarray, " n"],
    looks: Float[np.ndarray, "m f"],
    limits: QualityLimits | None,
    *,
    scale_known: bool = False,
) -> str:
    """What is wrong with the look of an image, in words; empty where nothing is, or where nothing is known.

    Fields without tissue do not count, unless no field has any. Of the others the median counts, so that a fold or a
    pen mark in one field costs nothing.

    Args:
        contrasts: `gray_contrast` of each field.
        looks: `texture_features` of each field.
        limits: Of the policy; None where the bundle has none.
        scale_known: The image is shown with cells as large as those of the training.

    Raises:
        ShapeError: There is no field, or the looks have another number of features.
    """
    if limits is None:
        return ""
    if scale_known:
        limits = limits.at_known_scale()
    if len(contrasts) == 0 or looks.shape != (len(contrasts), len(limits.training.centre)):
        raise ShapeError(
            f"Expected looks of {len(limits.training.centre)} numbers, one row a contrast, found {looks.shape} for "
            f"{len(contrasts)}. Measure them with texture_features."
        )
    seen = contrasts >= limits.min_contrast
    if not seen.any():
        return BLANK
    excess = np.median(look_excess(looks[seen], limits), axis=0)
    if excess.max() <= 0:
        return ""
    # What is far from the spoilt images too, another kind of microscope for instance, must not get their name.
    surprise = [float(np.median(fault.cloud.surprise(looks[seen]))) for fault in limits.faults]
    named = [(own, fault.words) for own, fault in zip(surprise, limits.faults, strict=True)]
    nearest = min(named, default=(np.inf, STRANGE))
    if nearest[0] > limits.max_surprise:
        return STRANGE
    return UNKNOWN_SCALE if nearest[1].startswith(_MAGNIFICATION) else nearest[1]


def look_excess(looks: Float[np.ndarray, "n f"], limits: QualityLimits) -> Float64[np.ndarray, "n tests"]:
    """By how much each test is exceeded: strangeness first, then each fault; above 0 fails."""
    known = limits.training.surprise(looks)
    faults = [known - fault.cloud.surprise(looks) - fault.limit for fault in limits.faults]
    return np.stack([known - limits.max_surprise, *faults], axis=1)


class QualityMonitor:
    """Collects the looks of the fields of one image, and says what is wrong with them."""

    def __init__(self, limits: QualityLimits | None, *, scale_known: bool = False) -> None:
        self._limits = limits
        self._scale_known = scale_known
        self._contrasts: list[float] = []
        self._looks: list[np.ndarray] = []

    def watch(self, fields: Iterable[UInt8[np.ndarray, "y x 3"]]) -> Iterable[UInt8[np.ndarray, "y x 3"]]:
        """The same fields, measured as they pass; nothing is measured where nothing would be judged."""
        for field in fields:
            if self._limits is not None:
                self._contrasts.append(gray_contrast(field))
                self._looks.append(texture_features(field))
            yield field

    def fault(self) -> str:
        """What is wrong, in words; empty where nothing is."""
        looks = np.array(self._looks).reshape(-1, N_FEATURES)
        contrasts = np.array(self._contrasts, np.float64)
        return quality_issue(contrasts, looks, self._limits, scale_known=self._scale_known)

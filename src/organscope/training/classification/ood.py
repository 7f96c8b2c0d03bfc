"""What training images look like, and what they would look like if they were spoilt."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, UInt8

from organscope.data.index import Sample
from organscope.decision import QualityLimits, fit_quality
from organscope.inference.preprocess import ImageNormalizer
from organscope.ops.corruptions import blurred, compressed, filled, magnified, noisy
from organscope.ops.features import gray_contrast, texture_features
from organscope.ops.intensity import Preprocessing
from organscope.ops.resample import resize_field
from organscope.training.classification.config import FieldConfig

_MAX_IMAGES = 600
"""More images say little more about how they look; they are thinned evenly."""

_Image = UInt8[np.ndarray, "y x 3"]

_BLUR_PX = (2.0, 6.0)
"""Standard deviation of what is called blurred, in halves of a pixel of the network's input."""

SPOILT: dict[str, Callable[[_Image, float, np.random.Generator], _Image]] = {
    "magnification about half that of the training images, or less": lambda field, _, __: magnified(field, 0.5),
    "magnification about double that of the training images, or more": lambda field, _, __: magnified(field, 2.0),
    "blurred": lambda field, fine, random: blurred(field, random.uniform(*_BLUR_PX) * fine),
}
"""By the words for what is wrong; `fine` is how many image pixels make half a pixel of the network's input."""


@dataclass(frozen=True)
class _TrainingLooks:
    """Looks (`texture_features`) of one field an image.

    Attributes:
        contrasts: `gray_contrast` of the fields.
        looks: Of the fields as they are.
        tolerated: Of copies as other scanners could have made them.
        spoilt: Of spoilt copies, by the words for what is wrong.
    """

    contrasts: Float64[np.ndarray, " n"]
    looks: Float64[np.ndarray, "n f"]
    tolerated: Float64[np.ndarray, "n f"]
    spoilt: dict[str, Float64[np.ndarray, "n f"]]


def fit_looks(
    samples: Sequence[Sample], field: FieldConfig, preprocessing: Preprocessing, *, seed: int = 0
) -> QualityLimits | None:
    """The limits on the look of an image, from training images; None where there are too few.

    Raises:
        ImageReadError: An image cannot be read.
    """
    found = measure_looks(samples, field, preprocessing, seed=seed)
    return fit_quality(found.contrasts, found.looks, found.tolerated, found.spoilt)


def measure_looks(
    samples: Sequence[Sample], field: FieldConfig, preprocessing: Preprocessing, *, seed: int = 0
) -> _TrainingLooks:
    """Measure the middle field of each image, one tolerated and each kind of spoilt copy of it.

    Copies are made at the full resolution of the image, as the real thing would be.
    """
    random = np.random.default_rng(seed)
    fine = field.field_px / field.input_px / 2
    contrasts, looks, tolerated = [], [], []
    spoilt: dict[str, list[np.ndarray]] = {words: [] for words in SPOILT}

    def shown(image: _Image) -> _Image:
        whole = filled(image, field.field_px, field.field_px)[: field.field_px, : field.field_px]
        return resize_field(np.ascontiguousarray(whole), field.input_px, field.input_px)

    for sample in samples[:: -(-len(samples) // _MAX_IMAGES)]:
        image = _middle(sample, field.field_px, preprocessing)
        plain = shown(image)
        contrasts.append(gray_contrast(plain))
        looks.append(texture_features(plain))
        tolerated.append(texture_features(shown(_tolerated_copy(image, fine, random))))
        for words, spoil in SPOILT.items():
            spoilt[words].append(texture_features(shown(spoil(image, fine, random))))
    return _TrainingLooks(
        np.array(contrasts), np.array(looks), np.array(tolerated), {w: np.array(part) for w, part in spoilt.items()}
    )


def _tolerated_copy(image: _Image, fine: float, random: np.random.Generator) -> _Image:
    """As another scanner could have made it: up to 25 % larger or smaller, a little soft, noisy and compressed."""
    copy = magnified(image, float(np.exp(random.uniform(-1, 1) * np.log(1.25))))
    copy = noisy(blurred(copy, random.uniform(0, 1) * fine), random.uniform(0, 5), random)
    return compressed(copy, int(random.uniform(50, 98)))


def _middle(sample: Sample, side_px: int, preprocessing: Preprocessing) -> _Image:
    with sample.open() as image:
        preparation = ImageNormalizer(image, preprocessing)
        height, width = min(side_px, image.height_px), min(side_px, image.width_px)
        top, left = (image.height_px - height) // 2, (image.width_px - width) // 2
        return preparation.as_bytes(image.read(top, left, height, width))

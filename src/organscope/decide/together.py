"""One answer from an image and its cells, calibrated beside each other."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Float64, Int
from pydantic import BaseModel, ConfigDict, Field

from organscope.decide.calibration import fit_temperature, softmax
from organscope.decide.conformal import fit_conformal
from organscope.decide.contract import fit_contract
from organscope.decide.policy import Policy
from organscope.decide.policy_fit import fit_min_confidence
from organscope.decide.pooling import pool_answers

TARGET_ERROR = 0.02
"""Largest share of wrong answers among the accepted, on the pictures that the limit is fitted on."""

MIN_COVERAGE = 0.98
"""Share of the pictures that must be accepted all the same; distance and look refuse some more."""


class Together(BaseModel):
    """How an image and its cells decide together; part of a bundle for cells, made for one bundle for images.

    Attributes:
        image_bundle: Name and version of the bundle for images.
        policy: Temperature of the pooled answer, least confidence, contract and sets. Limits on distance are those of
            the bundle for images; looks are judged by it alone.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    image_bundle: str = Field(min_length=1)
    policy: Policy

    def probabilities(
        self, image: Float[np.ndarray, "n c"], cells: Float[np.ndarray, "n c"]
    ) -> Float64[np.ndarray, "n c"]:
        """Of each organ, from the image and from all its cells, which count alike (`pool_answers`); one row a picture.

        Args:
            image: Calibrated probabilities; a row sums to 1.
            cells: The same from the cells of each picture, with the organs in the same order.
        """
        return softmax(_pooled_logits(image, cells), self.policy.temperature)


def fit_together(
    image: Float[np.ndarray, "n c"],
    cells: Float[np.ndarray, "n c"],
    labels: Int[np.ndarray, " n"],
    organs: Sequence[str],
    *,
    image_bundle: str,
    image_policy: Policy,
) -> Together:
    """Fit temperature, limit, contract and sets on pictures that neither network was trained on.

    Args:
        image: As in `Together.probabilities`; so for `cells`.
        labels: True organ of each picture.
        organs: Names of the classes.
        image_bundle: Name and version of the bundle for images.
        image_policy: Its own policy, for the limit on distance.

    Raises:
        ShapeError: There is no row, or not one label a row.
        ValueRangeError: A label is no class.
    """
    pooled = _pooled_logits(image, cells)
    temperature = fit_temperature(pooled, labels)
    probabilities = softmax(pooled, temperature)
    right = probabilities.argmax(axis=1) == labels
    fitted = {
        "temperature": temperature,
        "min_confidence": fit_min_confidence(probabilities.max(axis=1), right, TARGET_ERROR, MIN_COVERAGE),
        "contract": fit_contract(probabilities, labels, organs),
        "conformal": fit_conformal(probabilities, labels),
        "quality": None,
    }
    return Together(image_bundle=image_bundle, policy=image_policy.model_copy(update=fitted))


def _pooled_logits(image: Float[np.ndarray, "n c"], cells: Float[np.ndarray, "n c"]) -> Float64[np.ndarray, "n c"]:
    return np.log(np.stack([pool_answers(*pair) for pair in zip(image, cells, strict=True)]))

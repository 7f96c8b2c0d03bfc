"""Does a picture look like the training pictures, before the network is believed?

The look of a field is `ops.texture.texture_features`: gray levels and power spectrum with brightness and contrast
divided out, so that colour cannot count. Training pictures, and training pictures that were spoilt on purpose, are
each described by a normal distribution; a picture is refused if it is far from the training pictures, or more like
spoilt ones than the training pictures are (quadratic discriminant). All numbers are data that travel in the bundle.
"""

import numpy as np
from jaxtyping import Float, Float64
from pydantic import BaseModel, ConfigDict, Field, model_validator

from organscope.errors import ShapeError

BLANK = "nearly blank: there is too little contrast to see tissue"
STRANGE = "texture unlike that of the training pictures, as of another kind of microscope, stain or damage"


class LookCloud(BaseModel):
    """Looks of pictures of one kind, as a normal distribution.

    Attributes:
        centre: Mean look.
        whitening: Rows of a matrix; the length of its product with (look - centre) is the Mahalanobis distance.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    centre: tuple[float, ...]
    whitening: tuple[tuple[float, ...], ...]

    @model_validator(mode="after")
    def _check_lengths(self) -> "LookCloud":
        if {len(row) for row in self.whitening} != {len(self.centre)}:
            raise ValueError(f"whitening must have rows of {len(self.centre)} numbers, as the centre")
        return self

    def surprise(self, looks: Float[np.ndarray, "n f"]) -> Float64[np.ndarray, " n"]:
        """Squared Mahalanobis distance: how improbable each look is for this kind."""
        apart = (looks - np.array(self.centre)) @ np.array(self.whitening).T
        return (apart * apart).sum(axis=1)


class LookFault(BaseModel):
    """One way in which a picture can be spoilt.

    Attributes:
        words: What is said of a picture that fails.
        cloud: Looks of training pictures that were spoilt so.
        limit: How much less surprising a picture may be for that cloud than for the training cloud.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    words: str
    cloud: LookCloud
    limit: float


class QualityLimits(BaseModel):
    """What a picture must look like.

    Attributes:
        min_contrast: Least difference between the 99th and the 1st percentile of gray, of 255.
        training: Looks of training pictures, as they are and as other scanners could have made them.
        max_surprise: Largest surprise of a picture under `training`.
        faults: Spoilt pictures.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    min_contrast: float = Field(ge=0, le=255)
    training: LookCloud
    max_surprise: float
    faults: tuple[LookFault, ...] = ()


def look_fault(
    contrasts: Float[np.ndarray, " n"], looks: Float[np.ndarray, "m f"], limits: QualityLimits | None
) -> str:
    """What is wrong with the look of a picture, in words; empty where nothing is, or where nothing is known.

    Fields without tissue do not count, unless no field has any. Of the others the median counts, so that a fold or a
    pen mark in one field costs nothing.

    Args:
        contrasts: `gray_contrast` of each field.
        looks: `texture_features` of each field.
        limits: Of the policy; None where the bundle has none.

    Raises:
        ShapeError: There is no field, or the looks have another number of features.
    """
    if limits is None:
        return ""
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
    # What is far from the spoilt pictures too, another kind of microscope for instance, must not get their name.
    surprise = [float(np.median(fault.cloud.surprise(looks[seen]))) for fault in limits.faults]
    named = [(own, fault.words) for own, fault in zip(surprise, limits.faults, strict=True)]
    nearest = min(named, default=(np.inf, STRANGE))
    return nearest[1] if nearest[0] <= limits.max_surprise else STRANGE


def look_excess(looks: Float[np.ndarray, "n f"], limits: QualityLimits) -> Float64[np.ndarray, "n tests"]:
    """By how much each test is exceeded: strangeness first, then each fault; above 0 fails."""
    known = limits.training.surprise(looks)
    faults = [known - fault.cloud.surprise(looks) - fault.limit for fault in limits.faults]
    return np.stack([known - limits.max_surprise, *faults], axis=1)

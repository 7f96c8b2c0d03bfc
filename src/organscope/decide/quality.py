"""Does a picture look like the training pictures, before the network is asked?

The look is `ops.texture.texture_features`: contrast, the distribution of gray levels and the power spectrum of what
the network is shown, in gray with contrast divided out, so that neither colour nor brightness counts. Each test is a
linear function of the look; its limit is fitted on training pictures.
"""

import numpy as np
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field, model_validator

from organscope.errors import ShapeError


class LookTest(BaseModel):
    """One fault that is looked for.

    Attributes:
        words: What is said of a picture that fails: `blurred`.
        direction: The score is the scalar product of this with the standardised look.
        limit: A score above this fails.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    words: str
    direction: tuple[float, ...]
    limit: float


class QualityLimits(BaseModel):
    """What the look of a picture must be.

    Attributes:
        centre: Mean look of training pictures and tolerated copies of them.
        scale: Standard deviation of each number of it.
        whitening: Rows that make the standardised looks of training pictures uncorrelated with variance 1.
        max_distance: Length of the whitened look that a picture may have (Mahalanobis distance).
        tests: Faults with a direction of their own.
        min_contrast: Least difference between the 99th and the 1st percentile of gray, of 255.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    centre: tuple[float, ...]
    scale: tuple[float, ...]
    whitening: tuple[tuple[float, ...], ...]
    max_distance: float = Field(gt=0)
    tests: tuple[LookTest, ...] = ()
    min_contrast: float = Field(0.0, ge=0)

    @model_validator(mode="after")
    def _check_lengths(self) -> "QualityLimits":
        n = len(self.centre)
        lengths = {len(self.scale), *(len(row) for row in self.whitening), *(len(t.direction) for t in self.tests)}
        if lengths != {n} or min(self.scale) <= 0:
            raise ValueError(f"scale, whitening and tests must have {n} numbers as the centre, scale above 0")
        return self

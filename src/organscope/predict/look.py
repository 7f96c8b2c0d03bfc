"""How the fields of an image look, as its policy judges them."""

from collections.abc import Iterable

import numpy as np
from jaxtyping import UInt8

from organscope.decide.quality import QualityLimits, look_fault
from organscope.ops.texture import N_FEATURES, gray_contrast, texture_features


class LookJudge:
    """Collects the looks of the fields of one image, and says what is wrong with them."""

    def __init__(self, limits: QualityLimits | None) -> None:
        self._limits = limits
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
        return look_fault(np.array(self._contrasts, np.float64), looks, self._limits)

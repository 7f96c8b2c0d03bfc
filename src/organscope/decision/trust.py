"""Whether to rely on the cells that were found in an image, from how surely the network answered.

A network that meets an image unlike its training finds too few cells or wrong ones, and looks as it always does. But
its maps are then fainter and flatter inside cells than at home. A linear rule, fitted on images whose cells are known
(many of them degraded on purpose, or of another kind than any that trained the network), estimates from a few such
figures the panoptic quality of the image and the shares of cells that are missed and that are false.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float64
from pydantic import BaseModel, ConfigDict, Field, model_validator

TrustLevel = Literal["ok", "check", "do not rely"]

_N_REASONS = 2
"""At most so many are given, those that speak against the image most."""

_SLIGHT = 0.02
"""What lowers the estimate of quality by less is no reason."""


class LinearEstimate(BaseModel):
    """A figure in [0, 1] as a weighted sum of standardized figures.

    Attributes:
        weights: One for each figure of the rule.
        intercept: What a typical image has.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    weights: tuple[float, ...] = Field(min_length=1)
    intercept: float

    def apply(self, standardized: Float64[np.ndarray, " f"]) -> float:
        """The estimate, kept in [0, 1]."""
        return float(np.clip(self.intercept + np.dot(self.weights, standardized), 0.0, 1.0))


class TrustRule(BaseModel):
    """How a bundle judges its own answer on an image.

    Attributes:
        features: Names of figures, see `organscope.inference.trust`.
        center: Mean of each over the images that it was fitted on.
        spread: Their standard deviation.
        lowest: Smallest value of each that was seen; a smaller one counts as this.
        highest: Largest value of each that was seen.
        quality: Panoptic quality of the image.
        missed: Share of its true cells that are not found.
        false: Share of the found cells that are none.
        ok_from: An estimated quality from here on is `ok`.
        check_from: From here on it is `check`, below `do not rely`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    features: tuple[str, ...] = Field(min_length=1)
    center: tuple[float, ...]
    spread: tuple[float, ...]
    lowest: tuple[float, ...]
    highest: tuple[float, ...]
    quality: LinearEstimate
    missed: LinearEstimate
    false: LinearEstimate
    ok_from: float = Field(ge=0, le=1)
    check_from: float = Field(ge=0, le=1)

    @model_validator(mode="after")
    def _fits(self) -> "TrustRule":
        lists = (self.center, self.spread, self.lowest, self.highest)
        estimates = (self.quality.weights, self.missed.weights, self.false.weights)
        if any(len(values) != len(self.features) for values in (*lists, *estimates)):
            raise ValueError("one number for each feature is needed in every list")
        if min(self.spread) <= 0 or self.check_from > self.ok_from:
            raise ValueError("spread must be positive, and check_from at most ok_from")
        return self

    def judge(self, figures: Mapping[str, float] | None) -> "CellsTrust":
        """What the cells of an image are worth.

        Args:
            figures: A value for each of `features`; None where no cell was found.
        """
        if figures is None:
            return CellsTrust(
                "check", reasons=("no cell was found, so nothing tells an empty image from a strange one",)
            )
        standardized = self._standardized(figures)
        quality = self.quality.apply(standardized)
        level = "ok" if quality >= self.ok_from else "check" if quality >= self.check_from else "do not rely"
        return CellsTrust(
            level=level,
            quality=quality,
            missed=self.missed.apply(standardized),
            false=self.false.apply(standardized),
            reasons=() if level == "ok" else self._reasons(standardized, figures),
        )

    def _standardized(self, figures: Mapping[str, float]) -> Float64[np.ndarray, " f"]:
        values = np.clip([figures[name] for name in self.features], self.lowest, self.highest)
        return (values - np.array(self.center)) / np.array(self.spread)

    def _reasons(self, standardized: Float64[np.ndarray, " f"], figures: Mapping[str, float]) -> tuple[str, ...]:
        """Sentences on what lowers the estimate most, the strongest first."""
        lowered: dict[str, float] = {}
        for name, part in zip(self.features, standardized * np.array(self.quality.weights), strict=True):
            reason = _reason(name, figures)
            lowered[reason] = lowered.get(reason, 0.0) - part
        strongest = sorted(lowered.items(), key=lambda entry: -entry[1])[:_N_REASONS]
        return tuple(reason for reason, by in strongest if by >= _SLIGHT)


@dataclass(frozen=True)
class CellsTrust:
    """What the cells found in one image are worth.

    Attributes:
        level: `ok`; `check`: look before you count on them; `do not rely`.
        quality: Estimated panoptic quality, in [0, 1]; None where no cell was found.
        missed: Estimated share of the true cells that are not found; None as `quality`.
        false: Estimated share of the found cells that are none; None as `quality`.
        reasons: What speaks against them, in words; none where they are `ok`.
    """

    level: TrustLevel
    quality: float | None = None
    missed: float | None = None
    false: float | None = None
    reasons: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """For a person; empty where the cells are `ok`."""
        if self.level == "ok":
            return ""
        advice = {
            "check": "Look at the outlines before you rely on these cells",
            "do not rely": "Do not rely on these cells",
        }[self.level]
        about = "" if self.missed is None else f": about {self.missed:.0%} of the true cells may be missing"
        because = f" ({'; '.join(self.reasons)})" if self.reasons else ""
        return f"{advice}{about}{because}."

    def row(self) -> dict[str, str | float | None]:
        """As tables and JSON name it."""
        return {
            "cells_trust": self.level,
            "cells_trust_reasons": "; ".join(self.reasons),
            "cells_quality": _rounded(self.quality),
            "cells_missed": _rounded(self.missed),
            "cells_false": _rounded(self.false),
        }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _reason(feature: str, figures: Mapping[str, float]) -> str:
    """What a figure that lowers the estimate means to a person."""
    if feature in ("size", "size_squared"):
        larger = figures.get("size", 0.0) > 0
        return f"the cells look much {'larger' if larger else 'smaller'} than those that it learned from"
    if feature in ("unsure", "soft", "sure"):
        return "borders between cells and background are unclear to the network"
    if feature.startswith(("inside_", "varies_")):
        return "the inside of the cells looks unlike that of the cells that it learned from"
    return "the network is unsure of many cells that it found"

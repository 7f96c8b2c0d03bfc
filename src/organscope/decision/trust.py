"""Whether to rely on the cells that were found in an image, from how surely the network answered.

A network that meets an image unlike its training finds too few cells or wrong ones, and looks as it always does. But
its maps are then fainter and flatter inside cells than at home. An additive rule (piecewise linear curves), fitted on
images whose cells are known (many of them degraded on purpose, or of another kind than any that trained the network),
estimates from a few such figures the panoptic quality of the image and the shares of cells that are missed and false.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float64
from pydantic import BaseModel, ConfigDict, Field, model_validator

TrustLevel = Literal["ok", "check", "do not rely"]

_N_REASONS = 2
"""At most so many are given, those that speak against the image most."""

_FEW_CELLS = "fewer than four cells were found, too few to tell an empty image from a strange one"

_SLIGHT = 0.02
"""What lowers the estimate of quality by less is no reason."""


class AdditiveEstimate(BaseModel):
    """A share in [0, 1] as a sum of curves, one of each figure.

    Attributes:
        intercept: Where every curve is 0.
        heights: Of each figure's curve at its knots; between them it is straight, beyond them flat.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    intercept: float
    heights: tuple[tuple[float, ...], ...] = Field(min_length=1)

    def parts(self, knots: Sequence[Sequence[float]], values: Sequence[float]) -> Float64[np.ndarray, " f"]:
        """What each figure adds."""
        return np.array([np.interp(*one) for one in zip(values, knots, self.heights, strict=True)])

    def apply(self, knots: Sequence[Sequence[float]], values: Sequence[float]) -> float:
        """The estimate, kept in [0, 1]."""
        return float(np.clip(self.intercept + self.parts(knots, values).sum(), 0.0, 1.0))


class TrustRule(BaseModel):
    """How a bundle judges its own answer on an image.

    Attributes:
        features: Names of figures, see `organscope.inference.trust`.
        knots: Of each figure, where its curves bend, rising; the first and last are the least and most that was seen.
        quality: Panoptic quality of the image.
        missed: Share of its true cells that are not found.
        false: Share of the found cells that are none.
        ok_from: An estimated quality from here on is `ok`.
        check_from: From here on it is `check`, below `do not rely`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    features: tuple[str, ...] = Field(min_length=1)
    knots: tuple[tuple[float, ...], ...]
    quality: AdditiveEstimate
    missed: AdditiveEstimate
    false: AdditiveEstimate
    ok_from: float = Field(ge=0, le=1)
    check_from: float = Field(ge=0, le=1)

    @model_validator(mode="after")
    def _fits(self) -> "TrustRule":
        lengths = [len(knots) for knots in self.knots]
        estimates = (self.quality, self.missed, self.false)
        if len(lengths) != len(self.features) or any([*map(len, one.heights)] != lengths for one in estimates):
            raise ValueError("knots of each feature are needed, and a height for each knot")
        if any(np.any(np.diff(knots) <= 0) for knots in self.knots) or self.check_from > self.ok_from:
            raise ValueError("knots must rise, and check_from be at most ok_from")
        return self

    def judge(self, figures: Mapping[str, float] | None) -> "CellsTrust":
        """What the cells of an image are worth.

        Args:
            figures: A value for each of `features`; None where fewer than four cells were found.
        """
        if figures is None:
            return CellsTrust(
                "check",
                reasons=("fewer than four cells were found, too few to tell an empty image from a strange one",),
            )
        values = [figures[name] for name in self.features]
        quality = self.quality.apply(self.knots, values)
        level: TrustLevel = (
            "ok" if quality >= self.ok_from else "check" if quality >= self.check_from else "do not rely"
        )
        return CellsTrust(
            level=level,
            quality=quality,
            missed=self.missed.apply(self.knots, values),
            false=self.false.apply(self.knots, values),
            reasons=() if level == "ok" else self._reasons(values),
        )

    def _reasons(self, values: Sequence[float]) -> tuple[str, ...]:
        """Sentences on what lowers the estimate most against a usual image, the strongest first."""
        usual = [knots[len(knots) // 2] for knots in self.knots]
        added = self.quality.parts(self.knots, values) - self.quality.parts(self.knots, usual)
        lowered: dict[str, float] = {}
        for name, value, part in zip(self.features, values, added, strict=True):
            reason = _reason(name, value)
            lowered[reason] = lowered.get(reason, 0.0) - part
        strongest = sorted(lowered.items(), key=lambda entry: -entry[1])[:_N_REASONS]
        return tuple(reason for reason, by in strongest if by >= _SLIGHT)


@dataclass(frozen=True)
class CellsTrust:
    """What the cells found in one image are worth.

    Attributes:
        level: `ok`; `check`: look before you count on them; `do not rely`.
        quality: Estimated panoptic quality, in [0, 1]; None where fewer than four cells were found.
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


def _reason(feature: str, value: float) -> str:
    """What a figure that lowers the estimate means to a person."""
    if feature == "size":
        return f"the cells look much {'larger' if value > 0 else 'smaller'} than those that it learned from"
    if feature in ("unsure", "soft", "sure"):
        return "borders between cells and background are unclear to the network"
    if feature.startswith(("inside_", "varies_")):
        return "the inside of the cells looks unlike that of the cells that it learned from"
    return "the network is unsure of many cells that it found"

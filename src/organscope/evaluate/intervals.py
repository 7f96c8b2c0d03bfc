"""What is drawn when an interval is bootstrapped: whole groups where there are enough, else pictures."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Int64, Shaped

MIN_GROUPS = 10
N_RESAMPLES = 1000
LEVEL = 0.95
SEED = 0


@dataclass(frozen=True)
class ResamplingUnit:
    """What stays together when pictures are drawn with replacement.

    Attributes:
        name: "group" or "picture".
        groups: One number a picture; equal numbers are drawn together.
        note: A sentence that says what was drawn and why, for whoever reads the interval.
    """

    name: str
    groups: Int64[np.ndarray, " n"]
    note: str


def choose_unit(groups: Shaped[np.ndarray, " n"], organs: Shaped[np.ndarray, " n"] | None = None) -> ResamplingUnit:
    """Groups (slides, patients) where there are at least 10, else single pictures.

    Args:
        groups: Name of each picture's group.
        organs: For scores by class. Where an organ comes from one group only, drawing groups would draw
            organs, so pictures are drawn.
    """
    codes, names = pd.factorize(groups)
    if names.size == codes.size or names.size < MIN_GROUPS:
        reason = "" if names.size == codes.size else f", because there are only {names.size} groups"
        return _pictures(codes.size, reason)
    if organs is not None:
        groups_of_organ = pd.Series(codes).groupby(np.asarray(organs)).nunique()
        n_single = int((groups_of_organ < 2).sum())
        if n_single:
            reason = f", because {n_single} of {groups_of_organ.size} organs come from a single group"
            return _pictures(codes.size, reason)
    note = f"Intervals: 95 % bootstrap over {names.size} groups of {codes.size} pictures."
    return ResamplingUnit("group", codes.astype(np.int64), note)


def _pictures(n_images: int, reason: str) -> ResamplingUnit:
    caution = "; variation between groups (slides, patients) is not in them" if reason else ""
    note = f"Intervals: 95 % bootstrap over {n_images} pictures{reason}{caution}."
    return ResamplingUnit("picture", np.arange(n_images), note)

"""Copies of training pictures for the closed-form head: ways in which pictures of one organ may differ."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import product

import numpy as np
import torch
from jaxtyping import UInt8

from organscope.ops.alterations import gray_copy, stain_shifted
from organscope.train.classification.augment import change_geometry
from organscope.train.classification.config import AugmentationConfig, ClassificationConfig
from organscope.train.classification.data import channels_first

Fields = UInt8[np.ndarray, "n y x 3"]
Alter = Callable[[Fields], Fields]

#: Side of a turned copy as a share of the field: it shows most of the field, so that it can lie at several places.
TURNED_CROP = 0.84


@dataclass(frozen=True)
class Copies:
    """One copy of every training picture.

    Attributes:
        weight: How much a copy counts beside its picture.
        alter: From fields to the fields of the copies.
    """

    weight: float
    alter: Alter


def training_copies(config: ClassificationConfig) -> list[Copies]:
    """The pictures as they are, and the copies that the configuration asks for."""
    known = config.discriminant
    copies = [Copies(1.0, as_they_are)]
    if known.gray_weight > 0:
        copies.append(Copies(known.gray_weight, gray_copies))
    geometry = config.augmentation.model_copy(update={"crop": TURNED_CROP, "shift": 1.0})
    turned = [
        partial(turned_copies, geometry=geometry, generator=torch.Generator().manual_seed(seed))
        for seed in range(known.turned + known.turned_gray)
    ]
    copies += [Copies(1.0, alter) for alter in turned[: known.turned]]
    copies += [Copies(known.gray_weight, partial(_gray_after, alter)) for alter in turned[known.turned :]]
    if known.stain > 0:
        strengths = (1 / (1 + known.stain), 1.0, 1 + known.stain)
        pairs = [pair for pair in product(strengths, repeat=2) if pair != (1.0, 1.0)]
        copies += [Copies(known.stain_weight, partial(stained_copies, haematoxylin=h, eosin=e)) for h, e in pairs]
    return copies


def as_they_are(fields: Fields) -> Fields:
    """The same fields."""
    return fields


def gray_copies(fields: Fields) -> Fields:
    """Each field in gray, stretched from its own black to its own white."""
    return np.stack([gray_copy(field) for field in fields])


def _gray_after(alter: Alter, fields: Fields) -> Fields:
    return gray_copies(alter(fields))


def turned_copies(fields: Fields, geometry: AugmentationConfig, generator: torch.Generator) -> Fields:
    """Each field shown turned, mirrored, magnified and from elsewhere, as in training; a little smaller."""
    changed = change_geometry(channels_first(fields).float(), geometry, generator).clamp(0.0, 255.0)
    return changed.round().to(torch.uint8).permute(0, 2, 3, 1).numpy()


def stained_copies(fields: Fields, haematoxylin: float, eosin: float) -> Fields:
    """Each field with its stains so many times as strong."""
    return np.stack([stain_shifted(field, haematoxylin, eosin) for field in fields])

"""Copies of training images for the closed-form head: ways in which images of one organ may differ."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import product

import numpy as np
import torch
from jaxtyping import UInt8

from organscope.ops.corruptions import gray_copy, stain_shifted
from organscope.training.classification.augment import change_geometry
from organscope.training.classification.config import AugmentationConfig, ClassificationConfig
from organscope.training.classification.data import channels_first

_Fields = UInt8[np.ndarray, "n y x 3"]
Alter = Callable[[_Fields], _Fields]

#: Side of a turned copy as a share of the field: it shows most of the field, so that it can lie at several places.
_TURNED_CROP = 0.84


@dataclass(frozen=True)
class _Copies:
    """One copy of every training image.

    Attributes:
        weight: How much a copy counts beside its image.
        alter: From fields to the fields of the copies.
    """

    weight: float
    alter: Alter


def training_copies(config: ClassificationConfig) -> list[_Copies]:
    """The images as they are, and the copies that the configuration asks for."""
    known = config.discriminant
    copies = [_Copies(1.0, as_they_are)]
    if known.gray_weight > 0:
        copies.append(_Copies(known.gray_weight, gray_copies))
    geometry = config.augmentation.model_copy(update={"crop": _TURNED_CROP, "shift": 1.0})
    turned = [
        partial(_turned_copies, geometry=geometry, generator=torch.Generator().manual_seed(seed))
        for seed in range(known.turned + known.turned_gray)
    ]
    copies += [_Copies(1.0, alter) for alter in turned[: known.turned]]
    copies += [_Copies(known.gray_weight, partial(_gray_after, alter)) for alter in turned[known.turned :]]
    if known.stain > 0:
        strengths = (1 / (1 + known.stain), 1.0, 1 + known.stain)
        pairs = [pair for pair in product(strengths, repeat=2) if pair != (1.0, 1.0)]
        copies += [_Copies(known.stain_weight, partial(_stained_copies, haematoxylin=h, eosin=e)) for h, e in pairs]
    return copies


def as_they_are(fields: _Fields) -> _Fields:
    """The same fields."""
    return fields


def gray_copies(fields: _Fields) -> _Fields:
    """Each field in gray, stretched from its own black to its own white."""
    return np.stack([gray_copy(field) for field in fields])


def _gray_after(alter: Alter, fields: _Fields) -> _Fields:
    return gray_copies(alter(fields))


def _turned_copies(fields: _Fields, geometry: AugmentationConfig, generator: torch.Generator) -> _Fields:
    """Each field shown turned, mirrored, magnified and from elsewhere, as in training; a little smaller."""
    changed = change_geometry(channels_first(fields).float(), geometry, generator).clamp(0.0, 255.0)
    return changed.round().to(torch.uint8).permute(0, 2, 3, 1).numpy()


def _stained_copies(fields: _Fields, haematoxylin: float, eosin: float) -> _Fields:
    """Each field with its stains so many times as strong."""
    return np.stack([stain_shifted(field, haematoxylin, eosin) for field in fields])

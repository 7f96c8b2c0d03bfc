"""What a classifier says of altered copies: does it know structure or stain, does it abstain from spoilt pictures?"""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from jaxtyping import UInt8

from organscope.bundle import Bundle
from organscope.dataset.index import Sample
from organscope.evaluate.gray_copy import gray_copy
from organscope.evaluate.intervals import SEED
from organscope.images import Image
from organscope.images.selection import Channels
from organscope.images.source import Level
from organscope.metrics.bootstrap import bootstrap_mean
from organscope.metrics.classification import classification_scores
from organscope.ops.alterations import blank, blurred, magnified, stain_shifted
from organscope.ops.preprocess import scale_intensity, to_rgb
from organscope.predict import classify_image

Alteration = Callable[[Image], Image]

AS_IT_IS = "as it is"
SPOILT = "spoilt"
"""Copies of this kind should be abstained from; of all others the organ should still be named."""

BLUR_PX = 5.0
_WHITE, _NOISE = 240.0, 4.0


class PixelSource:
    """Pixels in memory as the source of an image."""

    n_channels = 3
    dtype = np.dtype(np.uint8)
    value_range = (0.0, 255.0)
    channels = Channels.unnamed(3, is_color=True)
    pixel_notes = ()

    def __init__(self, pixels: UInt8[np.ndarray, "y x 3"], image: Image) -> None:
        self._pixels = pixels
        self.levels = (Level(*pixels.shape[:2], 1.0),)
        self.um_per_px, self.selection, self.notes = image.um_per_px, image.selection, image.notes

    def read(self, level: int, y_px: int, x_px: int, height_px: int, width_px: int) -> UInt8[np.ndarray, "y x 3"]:
        """A view of the held pixels."""
        return self._pixels[y_px : y_px + height_px, x_px : x_px + width_px]

    def close(self) -> None:
        """Nothing is open."""


def altered(image: Image, change: Callable[[UInt8[np.ndarray, "y x 3"]], UInt8[np.ndarray, "y2 x2 3"]]) -> Image:
    """A copy of an image, in 8 bits, that was changed as a whole.

    Raises:
        ImageReadError: The file is damaged.
    """
    pixels = np.rint(scale_intensity(to_rgb(image.visible(image.read_whole())), *image.value_range) * 255).astype(
        np.uint8
    )
    return image.with_source(PixelSource(np.ascontiguousarray(change(pixels)), image))


def _blank_like(pixels: UInt8[np.ndarray, "y x 3"]) -> UInt8[np.ndarray, "y x 3"]:
    return blank(*pixels.shape[:2], _WHITE, _NOISE, np.random.default_rng(SEED))


COPIES: dict[tuple[str, str], Alteration] = {
    ("gray, contrast stretched", "structure"): gray_copy,
    ("haematoxylin x 1.4, eosin x 0.7", "stain"): lambda image: altered(image, lambda p: stain_shifted(p, 1.4, 0.7)),
    ("haematoxylin x 0.7, eosin x 1.4", "stain"): lambda image: altered(image, lambda p: stain_shifted(p, 0.7, 1.4)),
    ("half the magnification", SPOILT): lambda image: altered(image, lambda p: magnified(p, 0.5)),
    ("double the magnification", SPOILT): lambda image: altered(image, lambda p: magnified(p, 2.0)),
    (f"blurred by {BLUR_PX:g} px", SPOILT): lambda image: altered(image, lambda p: blurred(p, BLUR_PX)),
    ("blank", SPOILT): lambda image: altered(image, _blank_like),
}
"""By name and kind."""


def score_copies(bundle: Bundle, samples: Sequence[Sample], progress: Callable[[int, int], None]) -> pd.DataFrame:
    """Classify every kind of copy of every picture; one copy is in memory at a time.

    Returns:
        One row a copy: `id`, `group`, `organ` (true), `copy`, `kind`, `predicted`, `decision`, `reason` and
        `p_<organ>` for every organ of the bundle.
    """
    classes = bundle.manifest.classes
    rows = []
    for position, sample in enumerate(samples):
        progress(position, len(samples))
        with sample.open() as image:
            for (name, kind), alter in COPIES.items():
                found = classify_image(alter(image), bundle)
                rows.append(
                    {
                        "id": sample.id,
                        "group": sample.group,
                        "organ": sample.organ,
                        "copy": name,
                        "kind": kind,
                        "predicted": classes[int(np.argmax(found.probabilities))],
                        "decision": found.decision.decision,
                        "reason": found.decision.reason,
                        **{f"p_{organ}": float(p) for organ, p in zip(classes, found.probabilities, strict=True)},
                    }
                )
    progress(len(samples), len(samples))
    return pd.DataFrame(rows)


def copies_table(pictures: pd.DataFrame, copies: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
    """One row a kind of copy, the pictures as they are first.

    Returns:
        `copy`, `kind`, `n_images`, `accuracy`, `macro_f1` (both of the most probable organ, whether or not it is
        accepted), `accepted` (share that is not abstained from) with its 95 % interval over pictures, and
        `accuracy_of_accepted`.
    """
    plain = pictures.assign(copy=AS_IT_IS, kind=AS_IT_IS)
    columns = [column for column in copies.columns if column in plain.columns]
    everything = pd.concat([plain[columns], copies[columns]], ignore_index=True)
    rows = []
    for name in everything["copy"].drop_duplicates():
        part = everything[everything["copy"] == name]
        labels = pd.Index(classes).get_indexer(part["organ"]).astype(np.int64)
        scores = classification_scores(part[[f"p_{organ}" for organ in classes]].to_numpy(), labels)
        accepted = (part["decision"] == "accept").to_numpy()
        right = (part["predicted"] == part["organ"]).to_numpy()
        low, high = bootstrap_mean(accepted.astype(np.int64), np.arange(len(part)), seed=SEED)
        rows.append(
            {
                "copy": name,
                "kind": part["kind"].iloc[0],
                "n_images": len(part),
                "accuracy": scores["accuracy"],
                "macro_f1": scores["macro_f1"],
                "accepted": accepted.mean(),
                "accepted_low": low,
                "accepted_high": high,
                "accuracy_of_accepted": right[accepted].mean() if accepted.any() else np.nan,
            }
        )
    return pd.DataFrame(rows)

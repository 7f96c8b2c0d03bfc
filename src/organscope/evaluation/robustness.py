"""Robustness: scores on altered copies of the images, and leakage between parts.

A copy of an image without color, to see what a model knows beyond the stain.

Is something that was scored also among what may have been trained on?
"""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Num, UInt8, UInt64

from organscope.data.checks.images import MAX_DISTANCE
from organscope.data.index import Index, Sample
from organscope.evaluation.metrics.classification import classification_scores
from organscope.evaluation.statistics import SEED, bootstrap_mean
from organscope.inference import classify_image
from organscope.io import Image
from organscope.io.selection import Channels
from organscope.io.source import Level
from organscope.models import Bundle
from organscope.ops.corruptions import blank, blurred, magnified, stain_shifted
from organscope.ops.features import VIEW_PX, hash_distances, perceptual_hashes
from organscope.ops.intensity import gray_range, scale_intensity, to_rgb
from organscope.ops.resample import resize_field


class _GraySource:
    """The mean of red, green and blue of an image, held in memory."""

    n_channels = 1
    dtype = np.dtype(np.uint8)
    value_range = (0.0, 255.0)
    channels = Channels.unnamed(1)

    def __init__(self, image: Image) -> None:
        rgb = to_rgb(image.visible(image.read_whole()))
        scaled = scale_intensity(rgb.mean(axis=2, keepdims=True, dtype=np.float32), *gray_range(rgb))
        self._pixels = np.rint(scaled * 255).astype(np.uint8)
        self.levels = image.levels[:1]
        self.um_per_px = image.um_per_px
        self.selection, self.notes = image.selection, image.notes
        self.pixel_notes: tuple[str, ...] = ()

    def read(self, level: int, y_px: int, x_px: int, height_px: int, width_px: int) -> Num[np.ndarray, "y x c"]:
        """A view of the held pixels."""
        return self._pixels[y_px : y_px + height_px, x_px : x_px + width_px]

    def close(self) -> None:
        """Nothing is open."""


def gray_copy(image: Image) -> Image:
    """The image in 8-bit gray, its 1st percentile black and its 99.8th white, so that neither tells the stain.

    Raises:
        ImageReadError: The file is damaged.
        ShapeError: The image has several channels that are no colors, and none was chosen.
        ValueRangeError: No pixel is finite.
    """
    return image.with_source(_GraySource(image))


_Alteration = Callable[[Image], Image]

_AS_IT_IS = "as it is"
_SPOILT = "spoilt"
"""Copies of this kind should be abstained from; of all others the organ should still be named."""

_BLUR_PX = 5.0
_WHITE, _NOISE = 240.0, 4.0


class _PixelSource:
    """Pixels in memory as the source of an image."""

    n_channels = 3
    dtype = np.dtype(np.uint8)
    value_range = (0.0, 255.0)
    channels = Channels.unnamed(3, is_color=True)
    pixel_notes: tuple[str, ...] = ()

    def __init__(self, pixels: UInt8[np.ndarray, "y x 3"], image: Image) -> None:
        self._pixels = pixels
        height_px, width_px, _ = pixels.shape
        self.levels: tuple[Level, ...] = (Level(height_px, width_px, 1.0),)
        self.um_per_px, self.selection, self.notes = image.um_per_px, image.selection, image.notes

    def read(self, level: int, y_px: int, x_px: int, height_px: int, width_px: int) -> UInt8[np.ndarray, "y x 3"]:
        """A view of the held pixels."""
        return self._pixels[y_px : y_px + height_px, x_px : x_px + width_px]

    def close(self) -> None:
        """Nothing is open."""


def _altered(image: Image, change: Callable[[UInt8[np.ndarray, "y x 3"]], UInt8[np.ndarray, "y2 x2 3"]]) -> Image:
    """A copy of an image, in 8 bits, that was changed as a whole.

    Raises:
        ImageReadError: The file is damaged.
    """
    pixels = np.rint(scale_intensity(to_rgb(image.visible(image.read_whole())), *image.value_range) * 255).astype(
        np.uint8
    )
    return image.with_source(_PixelSource(np.ascontiguousarray(change(pixels)), image))


def _blank_like(pixels: UInt8[np.ndarray, "y x 3"]) -> UInt8[np.ndarray, "y x 3"]:
    height_px, width_px, _ = pixels.shape
    return blank(height_px, width_px, _WHITE, _NOISE, np.random.default_rng(SEED))


COPIES: dict[tuple[str, str], _Alteration] = {
    ("gray, contrast stretched", "structure"): gray_copy,
    ("haematoxylin x 1.4, eosin x 0.7", "stain"): lambda image: _altered(image, lambda p: stain_shifted(p, 1.4, 0.7)),
    ("haematoxylin x 0.7, eosin x 1.4", "stain"): lambda image: _altered(image, lambda p: stain_shifted(p, 0.7, 1.4)),
    ("half the magnification", _SPOILT): lambda image: _altered(image, lambda p: magnified(p, 0.5)),
    ("double the magnification", _SPOILT): lambda image: _altered(image, lambda p: magnified(p, 2.0)),
    (f"blurred by {_BLUR_PX:g} px", _SPOILT): lambda image: _altered(image, lambda p: blurred(p, _BLUR_PX)),
    ("blank", _SPOILT): lambda image: _altered(image, _blank_like),
}
"""By name and kind."""


def score_copies(bundle: Bundle, samples: Sequence[Sample], progress: Callable[[int, int], None]) -> pd.DataFrame:
    """Classify every kind of copy of every image; one copy is in memory at a time.

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


def copies_table(images: pd.DataFrame, copies: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
    """One row a kind of copy, the images as they are first.

    Returns:
        `copy`, `kind`, `n_images`, `accuracy`, `macro_f1` (both of the most probable organ, whether or not it is
        accepted), `accepted` (share that is not abstained from) with its 95 % interval over images, and
        `accuracy_of_accepted`.
    """
    plain = images.assign(copy=_AS_IT_IS, kind=_AS_IT_IS)
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


def leak_table(index: Index, scored: Iterable[str]) -> pd.DataFrame:
    """Images that were scored and have a twin, or their slide, on the other side of the split.

    Args:
        index: All images.
        scored: Ids of those that were scored; all others may have been trained on.

    Returns:
        One row a finding: `kind` ("near duplicate" or "shared group"), `id` of the scored image (of a group the
        first one), `other` (id of its twin, or name of the group), `n_images` (scored images that it concerns).

    Raises:
        ImageReadError: An image cannot be read.
    """
    inside = set(scored)
    samples = index.samples()
    ours = [sample for sample in samples if sample.id in inside]
    others = [sample for sample in samples if sample.id not in inside]
    return pd.DataFrame([*_twins(ours, others), *_groups(ours, others)], columns=["kind", "id", "other", "n_images"])


def _twins(ours: Sequence[Sample], others: Sequence[Sample]) -> list[dict]:
    if not ours or not others:
        return []
    asked, known = np.stack([_hashes(s) for s in ours]), np.stack([_hashes(s) for s in others])
    close = hash_distances(asked[:, 0], known) <= MAX_DISTANCE
    # An image without structure has hash 0, as every other such image.
    close &= asked[:, :1].astype(bool) & known[:, 0].astype(bool)
    return [
        {"kind": "near duplicate", "id": ours[i].id, "other": others[j].id, "n_images": 1}
        for i, j in np.argwhere(close).tolist()
    ]


def _groups(ours: Sequence[Sample], others: Sequence[Sample]) -> list[dict]:
    elsewhere = {sample.group for sample in others}
    by_group: dict[str, list[str]] = {}
    for sample in ours:
        by_group.setdefault(sample.group, []).append(sample.id)
    return [
        {"kind": "shared group", "id": ids[0], "other": group, "n_images": len(ids)}
        for group, ids in sorted(by_group.items())
        if group and group in elsewhere
    ]


def _hashes(sample: Sample) -> UInt64[np.ndarray, " 8"]:
    with sample.open() as image:
        gray = to_rgb(image.visible(image.read_whole())).mean(axis=2, keepdims=True, dtype=np.float32)
    scaled = scale_intensity(gray - gray.min(), 0.0, float(np.ptp(gray)))
    return perceptual_hashes(resize_field(scaled, VIEW_PX, VIEW_PX)[:, :, 0])

"""Is something that was scored also among what may have been trained on?"""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from jaxtyping import UInt64

from organscope.dataset.checks.duplicates import MAX_DISTANCE
from organscope.dataset.index import Index, Sample
from organscope.ops.likeness import VIEW_PX, hash_distances, perceptual_hashes
from organscope.ops.preprocess import scale_intensity, to_rgb
from organscope.ops.resize import resize_field


def leak_table(index: Index, scored: Iterable[str]) -> pd.DataFrame:
    """Pictures that were scored and have a twin, or their slide, on the other side of the split.

    Args:
        index: All pictures.
        scored: Ids of those that were scored; all others may have been trained on.

    Returns:
        One row a finding: `kind` ("near duplicate" or "shared group"), `id` of the scored picture (of a group the
        first one), `other` (id of its twin, or name of the group), `n_images` (scored pictures that it concerns).

    Raises:
        ImageReadError: A picture cannot be read.
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
    # A picture without structure has hash 0, as every other such picture.
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

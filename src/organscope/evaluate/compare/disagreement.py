"""The pictures on which models disagree most."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Int32, Num

from organscope.dataset.index import Index
from organscope.evaluate.compare.comparison import Comparison, Measures
from organscope.evaluate.compare.models import Model
from organscope.predict import segment_image

MAX_SHOWN_PX = 16_000_000
"""Larger pictures are not shown."""

MOST_OUTLINED = 4
"""Models whose cells are drawn on one picture; of more, the best and the worst there."""


@dataclass(frozen=True)
class Seen:
    """A picture and what models make of it.

    Attributes:
        id: Of the picture.
        pixels: y x c, as in the file.
        value_range: What black and white are.
        labels: int32 y x of the cells by name of the model, "truth" first; empty for organs.
    """

    id: str
    pixels: Num[np.ndarray, "y x c"]
    value_range: tuple[float, float]
    labels: dict[str, Int32[np.ndarray, "y x"]]


def picture_table(pictures: Mapping[str, pd.DataFrame], measures: Measures) -> pd.DataFrame:
    """One row a picture, the largest disagreement first.

    Returns:
        `id`, `dataset`, `organ`, `disagreement` and for each model its score of the picture (segmentation), or its
        answer and probability (`NAME`, `NAME probability`). Disagreement in [0, 1] is the largest difference of two
        models: of their scores; or of their probabilities, half the sum over all organs (total variation).
    """
    first = next(iter(pictures.values()))
    table = first[["id", "dataset", "organ"]].copy()
    if "predicted" in first:
        table["disagreement"] = _variation(pictures)
        for name, answers in pictures.items():
            shown = answers.filter(like="p_").to_numpy().max(axis=1)
            table = table.assign(**{name: answers["predicted"], f"{name} probability": shown})
    else:
        scores = np.stack([answers[measures.main].to_numpy() for answers in pictures.values()])
        table["disagreement"] = scores.max(axis=0) - scores.min(axis=0)
        table = table.assign(**dict(zip(pictures, scores, strict=True)))
    return table.sort_values(["disagreement", "id"], ascending=[False, True], ignore_index=True)


def _variation(pictures: Mapping[str, pd.DataFrame]) -> np.ndarray:
    organs = sorted({column for table in pictures.values() for column in table if column.startswith("p_")})
    probs = [table.reindex(columns=organs, fill_value=0.0).to_numpy(np.float64) for table in pictures.values()]
    largest = np.zeros(len(probs[0]))
    for first, second in itertools.combinations(probs, 2):
        largest = np.maximum(largest, np.abs(first - second).sum(axis=1) / 2)
    return largest


def seen_pictures(comparison: Comparison, index: Index, n_pictures: int) -> Iterator[Seen]:
    """The pictures of the largest disagreement, segmented once more where outlines are to be drawn.

    Args:
        comparison: Whose pictures.
        index: That was scored.
        n_pictures: At most so many; those without disagreement and very large ones are left out.

    Raises:
        ImageReadError: A picture cannot be read.
    """
    samples = {sample.id: sample for sample in index.samples()}
    rows = comparison.pictures[comparison.pictures["disagreement"] > 0].head(n_pictures)
    for row in rows.to_dict("records"):
        sample = samples[row["id"]]
        with sample.open() as image:
            if image.height_px * image.width_px > MAX_SHOWN_PX:
                continue
            labels = {}
            if comparison.task == "segmentation":
                labels["truth"] = sample.read_labels()
                for model in _outlined(comparison.models, row):
                    labels[model.name] = segment_image(image, model.bundle).labels
            yield Seen(sample.id, image.displayed(image.read_whole()), image.value_range, labels)


def _outlined(models: Sequence[Model], row: dict) -> list[Model]:
    if len(models) <= MOST_OUTLINED:
        return list(models)
    ranked = sorted(models, key=lambda model: -row[model.name])
    return [ranked[0], ranked[-1]]

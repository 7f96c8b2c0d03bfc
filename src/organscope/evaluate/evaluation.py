"""What an evaluation hands back."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from organscope.bundle import Score

SCORE_COLUMNS = ["model", "dataset", "subset", "n_images", "metric", "value", "low", "high", "unit"]
BUNDLE = "bundle"
#: First in a manifest; the other figures follow in the order in which they were computed.
MOST_TELLING = (
    *("pq", "dice", "aji", "ap_50", "mean_ap", "pooled_ap_50", "pooled_mean_ap", "missed_rate", "false_rate"),
    *("accuracy", "colour_forest_accuracy", "gray_forest_accuracy", "gray_accuracy", "image_accuracy"),
    *("macro_f1", "macro_auc", "ece"),
)


@dataclass(frozen=True)
class Evaluation:
    """Scores of one bundle on one part of an index.

    Attributes:
        task: "segmentation" or "classification".
        bundle: Name and version of the bundle.
        subset: "all", or the folds that were scored ("fold 1").
        fingerprint: Of the index that was scored.
        scores: One row a model, data set and metric: `model` ("bundle" or the name of a baseline),
            `dataset`, `subset`, `n_images`, `metric`, `value`, `low`, `high` (95 % interval) and `unit`
            ("group" or "picture": what was drawn for the interval).
        per_image: One row a picture, in order of id.
        tables: More tables by name. Segmentation: `by_organ` and `cells` (one row a predicted cell: `id` of
            the picture, `cell`, `probability`, `matched` at IoU .5). Classification: see `organ_tables`.
        notes: Sentences that belong beside the scores.
    """

    task: str
    bundle: str
    subset: str
    fingerprint: str
    scores: pd.DataFrame
    per_image: pd.DataFrame
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def score(self, metric: str, *, dataset: str | None = None, model: str = BUNDLE) -> float:
        """The value of one metric; the first data set's without `dataset`."""
        rows = self.scores[(self.scores["metric"] == metric) & (self.scores["model"] == model)]
        if dataset is not None:
            rows = rows[rows["dataset"] == dataset]
        return float(rows["value"].iloc[0])


def manifest_scores(evaluation: Evaluation) -> list[Score]:
    """The scores as a bundle's manifest lists them; see `scores_of`."""
    return scores_of(evaluation.scores)


def scores_of(scores: pd.DataFrame) -> list[Score]:
    """Rows of `SCORE_COLUMNS` as a bundle's manifest lists them, the most telling first; undefined ones are left out.

    The rows of another model than the bundle carry its name before the metric: `colour_forest_accuracy`.
    """
    table = scores[np.isfinite(scores["value"])].copy()
    table["metric"] = [
        metric if model == BUNDLE else f"{model}_{metric}"
        for model, metric in zip(table["model"], table["metric"], strict=True)
    ]
    rank = {metric: position for position, metric in enumerate(MOST_TELLING)}
    order = table["metric"].map(lambda metric: rank.get(metric, len(rank))).argsort(kind="stable")
    return [
        Score(
            dataset=row.dataset or "unnamed",
            subset=row.subset,
            n_images=row.n_images,
            metric=row.metric,
            value=row.value,
            low=row.low if np.isfinite(row.low) else None,
            high=row.high if np.isfinite(row.high) else None,
        )
        for row in table.iloc[order].itertuples()
    ]

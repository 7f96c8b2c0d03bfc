"""Which differences between models are real: paired tests on the same pictures, corrected for their number."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from jaxtyping import Int64

from organscope.evaluate.compare.comparison import Measures
from organscope.evaluate.intervals import SEED, choose_unit
from organscope.metrics.classification import confusion_matrix, per_class_scores
from organscope.metrics.paired import PairedDifference, holm, mcnemar, paired_difference, paired_mean_difference

N_RESAMPLES_OF_CLASSES = 4000
MCNEMAR, BOOTSTRAP = "McNemar", "paired bootstrap"
SMALLEST_PROBABILITY = 1e-12


def paired_tests(pictures: Mapping[str, pd.DataFrame], reference: str, measures: Measures) -> pd.DataFrame:
    """Test the reference against each other model, score by score and data set by data set.

    Accuracy is tested by McNemar's exact test, the rest by a paired bootstrap, which draws groups where there are
    enough (see `choose_unit`). p-values are corrected by Holm's method over the models, for each score of a data set.

    Args:
        pictures: By model: one row a picture, the same pictures in the same order.
        reference: One of the models.
        measures: Of the task.

    Returns:
        `dataset`, `metric`, `model`, `reference`, `difference` (the model minus the reference), `low`, `high` (95 %
        interval), `unit`, `test`, `only_model` and `only_reference` (pictures that only one has right; McNemar
        only), `p`, `p_holm`.
    """
    others = [name for name in pictures if name != reference]
    rows = []
    for dataset, part in pictures[reference].groupby("dataset", sort=True):
        for metric in measures.tested:
            family = [
                {"dataset": dataset, "metric": metric, "model": name, "reference": reference}
                | _test(metric, pictures[name].loc[part.index], part)
                for name in others
            ]
            adjusted = holm(np.array([row["p"] for row in family], dtype=np.float64))
            rows += [row | {"p_holm": float(p)} for row, p in zip(family, adjusted, strict=True)]
    return pd.DataFrame(rows)


def _test(metric: str, model: pd.DataFrame, reference: pd.DataFrame) -> dict:
    is_organs = "correct" in reference
    unit = choose_unit(reference["group"].to_numpy(), reference["organ"].to_numpy() if is_organs else None)
    row = {"test": BOOTSTRAP, "only_model": np.nan, "only_reference": np.nan, "unit": unit.name}
    if metric in ("balanced_accuracy", "macro_f1"):
        found = _class_difference(metric, model, reference, unit.groups)
    else:
        first, second = (_values(metric, table) for table in (model, reference))
        found = paired_mean_difference(first, second, unit.groups, seed=SEED)
    row |= {"difference": found.value, "low": found.low, "high": found.high, "p": found.p_value}
    if metric == "accuracy":
        test = mcnemar(model["correct"].to_numpy(bool), reference["correct"].to_numpy(bool))
        row |= {"test": MCNEMAR, "only_model": test.only_first, "only_reference": test.only_second, "p": test.p_value}
    return row


def _values(metric: str, pictures: pd.DataFrame) -> np.ndarray:
    """The score of each picture whose mean is the score of all."""
    if metric == "accuracy":
        return pictures["correct"].to_numpy(np.float64)
    if metric == "nll":
        truth = pictures.columns.get_indexer("p_" + pictures["organ"])
        probability = pictures.to_numpy()[np.arange(len(pictures)), truth].astype(np.float64)
        return -np.log(np.maximum(probability, SMALLEST_PROBABILITY))
    return pictures[metric].to_numpy(np.float64)


def _class_difference(
    metric: str, model: pd.DataFrame, reference: pd.DataFrame, groups: Int64[np.ndarray, " n"]
) -> PairedDifference:
    names = pd.Index(sorted({*reference["organ"], *reference["predicted"], *model["predicted"]}))
    truth, first, second = (
        names.get_indexer(column).astype(np.int64)
        for column in (reference["organ"], model["predicted"], reference["predicted"])
    )

    def score(drawn: np.ndarray, predicted: np.ndarray) -> float:
        found = per_class_scores(confusion_matrix(truth[drawn], predicted[drawn], n_classes=len(names)))
        values = found["recall" if metric == "balanced_accuracy" else "f1"]
        return float(values[found["n"] > 0].mean())

    return paired_difference(
        lambda drawn: score(drawn, first) - score(drawn, second),
        groups,
        n_resamples=N_RESAMPLES_OF_CLASSES,
        seed=SEED,
    )

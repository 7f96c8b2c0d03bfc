"""Score a classification bundle picture by picture, beside forests that see only colours."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float, Int64

from organscope.bundle import Bundle
from organscope.dataset.index import Sample
from organscope.errors import DatasetError, UsageError
from organscope.evaluate.intervals import LEVEL, N_RESAMPLES, SEED, ResamplingUnit, choose_unit
from organscope.metrics.bootstrap import bootstrap_interval, bootstrap_mean, bootstrap_ratio
from organscope.metrics.classification import classification_scores
from organscope.predict import classify_image

BASELINE_METRICS = ("accuracy", "balanced_accuracy", "macro_f1", "macro_auc")


def check_organs(samples: Sequence[Sample], classes: Sequence[str], bundle: str) -> None:
    """Refuse pictures whose organ the bundle cannot answer.

    Raises:
        UsageError: No picture has an organ that the bundle knows.
        DatasetError: Some have not; names the first.
    """
    unknown = [sample for sample in samples if sample.organ not in classes]
    if len(unknown) == len(samples):
        organs = ", ".join(sorted({sample.organ or "(none)" for sample in samples})[:5])
        raise UsageError(
            f"Expected organs that {bundle} knows ({', '.join(classes[:5])} ...), found {organs}. "
            "Choose another bundle or index."
        )
    if unknown:
        raise DatasetError(
            f"Expected an organ that {bundle} knows for every picture, found {unknown[0].organ!r} for "
            f"{unknown[0].id} ({len(unknown)} such pictures). Leave them out of the index."
        )


def score_pictures(bundle: Bundle, samples: Sequence[Sample], progress: Callable[[int, int], None]) -> pd.DataFrame:
    """Classify each picture; one picture is in memory at a time.

    Returns:
        One row a picture: `id`, `dataset`, `organ` (true), `group`, `fold`, `predicted` (the most probable
        organ, also where the decision is to abstain), `correct`, `confidence`, `decision`, `reason`,
        `distance`, `prediction_set` (organs separated by semicolons) with `set_size` and `in_set` (it holds the true
        one), and `p_<organ>` for every organ of the bundle.
    """
    classes = bundle.manifest.classes
    rows = []
    for position, sample in enumerate(samples):
        progress(position, len(samples))
        with sample.open() as image:
            found = classify_image(image, bundle)
        rows.append(_picture_row(sample, classes, found))
    progress(len(samples), len(samples))
    return pd.DataFrame(rows)


def summarise(pictures: pd.DataFrame, classes: Sequence[str]) -> tuple[pd.DataFrame, str]:
    """Scores of the pictures of one data set with 95 % intervals.

    `classification_scores`; `accepted_fraction` and `accepted_accuracy` of the decision policy; `set_coverage` and
    `set_size` (mean) of its prediction sets, where it has any.

    Returns:
        Columns `metric`, `value`, `low`, `high`, `unit`; and the note on the intervals.
    """
    unit = choose_unit(pictures["group"].to_numpy(), pictures["organ"].to_numpy())
    labels, probs = organ_labels(pictures, classes), probabilities(pictures, classes)
    rows = _rows_with_intervals(probs, labels, unit)
    accepted = (pictures["decision"] == "accept").to_numpy(np.int64)
    hits = accepted * pictures["correct"].to_numpy()
    rows["accepted_fraction"] = (accepted.mean(), *bootstrap_mean(accepted, unit.groups, seed=SEED))
    accuracy = hits.sum() / accepted.sum() if accepted.any() else np.nan
    rows["accepted_accuracy"] = (accuracy, *bootstrap_ratio(hits, accepted, unit.groups, seed=SEED))
    if pictures["set_size"].any():
        for metric, column in (("set_coverage", "in_set"), ("set_size", "set_size")):
            values = pictures[column].to_numpy(np.int64)
            rows[metric] = (values.mean(), *bootstrap_mean(values, unit.groups, seed=SEED))
    return _score_table(rows, unit), unit.note


def summarise_baseline(
    pictures: pd.DataFrame, probs: Float[np.ndarray, "n classes"], classes: Sequence[str]
) -> pd.DataFrame:
    """The scores of a baseline on the same pictures, in the columns of `summarise`."""
    unit = choose_unit(pictures["group"].to_numpy(), pictures["organ"].to_numpy())
    rows = _rows_with_intervals(probs, organ_labels(pictures, classes), unit)
    return _score_table({name: rows[name] for name in BASELINE_METRICS}, unit)


def organ_labels(pictures: pd.DataFrame, classes: Sequence[str]) -> Int64[np.ndarray, " n"]:
    """True class of each picture."""
    return pd.Index(classes).get_indexer(pictures["organ"]).astype(np.int64)


def probabilities(pictures: pd.DataFrame, classes: Sequence[str]) -> Float[np.ndarray, "n classes"]:
    """The columns `p_<organ>` as an array."""
    return pictures[[f"p_{organ}" for organ in classes]].to_numpy()


def _picture_row(sample: Sample, classes: Sequence[str], found) -> dict:
    predicted = classes[int(np.argmax(found.probabilities))]
    names = [classes[number] for number in found.decision.prediction_set]
    return {
        "id": sample.id,
        "dataset": sample.dataset,
        "organ": sample.organ,
        "group": sample.group,
        "fold": sample.fold,
        "predicted": predicted,
        "correct": predicted == sample.organ,
        "confidence": float(found.decision.confidence),
        "decision": found.decision.decision,
        "reason": found.decision.reason,
        "distance": found.decision.distance,
        "prediction_set": "; ".join(names),
        "set_size": len(names),
        "in_set": sample.organ in names,
        **{f"p_{organ}": float(p) for organ, p in zip(classes, found.probabilities, strict=True)},
    }


def _rows_with_intervals(
    probs: Float[np.ndarray, "n classes"], labels: Int64[np.ndarray, " n"], unit: ResamplingUnit
) -> dict[str, tuple[float, float, float]]:
    values = classification_scores(probs, labels)
    intervals = bootstrap_interval(
        lambda drawn: classification_scores(probs[drawn], labels[drawn]),
        unit.groups,
        n_resamples=N_RESAMPLES,
        level=LEVEL,
        seed=SEED,
    )
    return {name: (values[name], *intervals[name]) for name in values}


def _score_table(rows: dict[str, tuple[float, float, float]], unit: ResamplingUnit) -> pd.DataFrame:
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["value", "low", "high"])
    return table.rename_axis("metric").reset_index().assign(unit=unit.name)

"""Score a classification bundle image by image, beside forests that see only colors.

Organs that occur in several species: are they told apart in each of them?

Trained on one species and scored on another, this is a test across slides and animals. Only the organs that both have
count, and an answer is the most probable of these.

Everything about the answers of a classifier that is more than one number.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float, Int64

from organscope.data.index import Sample
from organscope.decision import fit_recall_guarantees, recall_guarantee
from organscope.errors import DatasetError, UsageError
from organscope.evaluation.metrics.classification import (
    classification_scores,
    confusion_matrix,
    net_benefit,
    one_vs_rest_auc,
    per_class_scores,
    reliability_table,
    risk_coverage,
)
from organscope.evaluation.results import Predictions
from organscope.evaluation.robustness import copies_table
from organscope.evaluation.statistics import (
    LEVEL,
    N_RESAMPLES,
    SEED,
    ResamplingUnit,
    bootstrap_interval,
    bootstrap_mean,
    bootstrap_ratio,
    choose_unit,
)
from organscope.inference import classify_image
from organscope.models import Bundle

_BASELINE_METRICS = ("accuracy", "balanced_accuracy", "macro_f1", "macro_auc")


def check_organs(samples: Sequence[Sample], classes: Sequence[str], bundle: str) -> None:
    """Refuse images whose organ the bundle cannot answer.

    Raises:
        UsageError: No image has an organ that the bundle knows.
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
            f"Expected an organ that {bundle} knows for every image, found {unknown[0].organ!r} for "
            f"{unknown[0].id} ({len(unknown)} such images). Leave them out of the index."
        )


def score_images(bundle: Bundle, samples: Sequence[Sample], progress: Callable[[int, int], None]) -> pd.DataFrame:
    """Classify each image; one image is in memory at a time.

    Returns:
        One row an image: `id`, `dataset`, `organ` (true), `group`, `fold`, `predicted` (the most probable
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
        rows.append(_image_row(sample, classes, found))
    progress(len(samples), len(samples))
    return pd.DataFrame(rows)


def summarize(images: pd.DataFrame, classes: Sequence[str]) -> tuple[pd.DataFrame, str]:
    """Scores of the images of one data set with 95 % intervals.

    `classification_scores`; `accepted_fraction` and `accepted_accuracy` of the decision policy; `set_coverage` and
    `set_size` (mean) of its prediction sets, where it has any.

    Returns:
        Columns `metric`, `value`, `low`, `high`, `unit`; and the note on the intervals.
    """
    unit = choose_unit(images["group"].to_numpy(), images["organ"].to_numpy())
    labels, probs = organ_labels(images, classes), probabilities(images, classes)
    rows = _rows_with_intervals(probs, labels, unit)
    accepted = (images["decision"] == "accept").to_numpy(np.int64)
    hits = accepted * images["correct"].to_numpy()
    rows["accepted_fraction"] = (accepted.mean(), *bootstrap_mean(accepted, unit.groups, seed=SEED))
    accuracy = hits.sum() / accepted.sum() if accepted.any() else np.nan
    rows["accepted_accuracy"] = (accuracy, *bootstrap_ratio(hits, accepted, unit.groups, seed=SEED))
    if images["set_size"].any():
        for metric, column in (("set_coverage", "in_set"), ("set_size", "set_size")):
            values = images[column].to_numpy(np.int64)
            rows[metric] = (values.mean(), *bootstrap_mean(values, unit.groups, seed=SEED))
    return _score_table(rows, unit), unit.note


def summarize_baseline(
    images: pd.DataFrame, probs: Float[np.ndarray, "n classes"], classes: Sequence[str]
) -> pd.DataFrame:
    """The scores of a baseline on the same images, in the columns of `summarise`."""
    unit = choose_unit(images["group"].to_numpy(), images["organ"].to_numpy())
    rows = _rows_with_intervals(probs, organ_labels(images, classes), unit)
    return _score_table({name: rows[name] for name in _BASELINE_METRICS}, unit)


def organ_labels(images: pd.DataFrame, classes: Sequence[str]) -> Int64[np.ndarray, " n"]:
    """True class of each image."""
    return pd.Index(classes).get_indexer(images["organ"]).astype(np.int64)


def probabilities(images: pd.DataFrame, classes: Sequence[str]) -> Float[np.ndarray, "n classes"]:
    """The columns `p_<organ>` as an array."""
    return images[[f"p_{organ}" for organ in classes]].to_numpy()


def _image_row(sample: Sample, classes: Sequence[str], found) -> dict:
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


def species_table(images: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
    """One row a species, with the organs that occur in more than one.

    Returns:
        `species`, `organs`, `n_images`, `balanced_accuracy` among just these organs with its 95 % interval over
        images, `accepted` (share of answers of the bundle that are relied on) and `wrong_among_accepted` (share of
        these that name another organ, of all the bundle knows). No row where no organ occurs in two species.
    """
    if "species" not in images:
        return pd.DataFrame()
    known = images[(images["species"] != "") & images["organ"].isin(list(classes))]
    shared = known.groupby("organ")["species"].nunique()
    organs = sorted(shared[shared > 1].index)
    if len(organs) < 2:
        return pd.DataFrame()
    return pd.DataFrame(
        [_row(name, part, organs) for name, part in known[known["organ"].isin(organs)].groupby("species", sort=True)]
    )


def _row(name: str, images: pd.DataFrame, organs: Sequence[str]) -> dict:
    among = np.array(organs)[images[[f"p_{organ}" for organ in organs]].to_numpy().argmax(axis=1)]
    truth = images["organ"].to_numpy()
    accepted = (images["decision"] == "accept").to_numpy()
    wrong = (images["predicted"] != images["organ"]).to_numpy()

    def balanced(drawn: np.ndarray) -> dict[str, float]:
        recalls = [(among[drawn] == organ)[truth[drawn] == organ] for organ in organs]
        return {"": float(np.mean([part.mean() for part in recalls if part.size]))}

    everything = np.arange(len(images))
    low, high = bootstrap_interval(balanced, everything, seed=SEED)[""]
    return {
        "species": name,
        "organs": "; ".join(organs),
        "n_images": len(images),
        "balanced_accuracy": balanced(everything)[""],
        "balanced_accuracy_low": low,
        "balanced_accuracy_high": high,
        "accepted": accepted.mean(),
        "wrong_among_accepted": wrong[accepted].mean() if accepted.any() else np.nan,
    }


_THRESHOLDS = np.arange(0.01, 1.0, 0.01)
_CLASS_METRICS = ("recall", "precision", "f1", "auc")


def organ_tables(scored: Predictions) -> dict[str, pd.DataFrame]:
    """The tables of an evaluation.

    Returns:
        `per_class` (recall, precision, F1 and AUC of each organ with 95 % intervals), `confusion` (true organs in
        rows), `reliability`, `risk_coverage`, `net_benefit` (one row an organ and threshold), `contract` (the highest
        recall that these images, as calibration set, would allow to promise) and, where there is something to say,
        `prediction_sets`, `species`, `leaks`, `copies` and `copies_per_image`.
    """
    images, classes = scored.pictures, scored.classes
    labels, probs = organ_labels(images, classes), probabilities(images, classes)
    confusion = confusion_matrix(labels, probs.argmax(axis=1), n_classes=len(classes))
    square = pd.DataFrame(confusion, columns=list(classes))
    square.insert(0, "organ", list(classes))
    correct = images["correct"].to_numpy(bool)
    tables = {
        "per_class": _per_class(images, probs, labels, classes),
        "confusion": square,
        "reliability": pd.DataFrame(reliability_table(probs.max(axis=1), correct)),
        "risk_coverage": pd.DataFrame(risk_coverage(images["confidence"].to_numpy(), correct)),
        "net_benefit": _net_benefit(probs, labels, classes),
        "contract": _contract(probs, labels, classes),
        "prediction_sets": _prediction_sets(images),
        "species": species_table(images, classes),
        "leaks": scored.leaks,
        "copies_per_image": scored.copies,
    }
    if len(scored.copies):
        tables["copies"] = copies_table(images, scored.copies, classes)
    return {name: table for name, table in tables.items() if len(table)}


def _per_class(
    images: pd.DataFrame, probs: Float[np.ndarray, "n c"], labels: Int64[np.ndarray, " n"], classes: Sequence[str]
) -> pd.DataFrame:
    """Scores of each organ; an interval says nothing where resamples lack the organ, so these are left out of it."""
    unit = choose_unit(images["group"].to_numpy(), images["organ"].to_numpy())

    def scores(drawn: np.ndarray) -> dict[str, float]:
        return _class_scores(probs[drawn], labels[drawn], classes)

    values = scores(np.arange(len(labels)))
    intervals = bootstrap_interval(scores, unit.groups, n_resamples=N_RESAMPLES, level=LEVEL, seed=SEED)
    rows = []
    for number, organ in enumerate(classes):
        row = {"organ": organ, "n": int((labels == number).sum())}
        for metric in _CLASS_METRICS:
            name = f"{metric} {organ}"
            row[metric] = values[name]
            row[f"{metric}_low"], row[f"{metric}_high"] = intervals[name]
        rows.append(row)
    return pd.DataFrame(rows)


def _class_scores(
    probs: Float[np.ndarray, "n c"], labels: Int64[np.ndarray, " n"], classes: Sequence[str]
) -> dict[str, float]:
    """Not-a-number for what an organ without images has not: a recall, an F1, an AUC."""
    found = per_class_scores(confusion_matrix(labels, probs.argmax(axis=1), n_classes=len(classes)))
    absent = found["n"] == 0
    columns = {
        "recall": np.where(absent, np.nan, found["recall"]),
        "precision": found["precision"],
        "f1": np.where(absent, np.nan, found["f1"]),
        "auc": one_vs_rest_auc(probs, labels),
    }
    return {
        f"{metric} {organ}": float(columns[metric][k]) for metric in _CLASS_METRICS for k, organ in enumerate(classes)
    }


def _net_benefit(
    probs: Float[np.ndarray, "n c"], labels: Int64[np.ndarray, " n"], classes: Sequence[str]
) -> pd.DataFrame:
    parts = []
    for number in np.unique(labels):
        curve = pd.DataFrame(net_benefit(probs[:, number], labels == number, _THRESHOLDS))
        curve.insert(0, "organ", classes[number])
        parts.append(curve)
    return pd.concat(parts, ignore_index=True)


def _contract(probs: Float[np.ndarray, "n c"], labels: Int64[np.ndarray, " n"], classes: Sequence[str]) -> pd.DataFrame:
    contract = fit_recall_guarantees(probs, labels, classes)
    rows = []
    for entry in contract.organs:
        if not entry.n_positive:
            continue
        found = recall_guarantee(contract, entry.organ, entry.levels[-1])
        low, high = found.false_alarm_interval
        rows.append(
            {
                "organ": entry.organ,
                "n_positive": entry.n_positive,
                "promised_recall": found.level,
                "threshold": found.threshold,
                "false_alarm_rate": found.false_alarm_rate,
                "false_alarm_low": low,
                "false_alarm_high": high,
            }
        )
    return pd.DataFrame(rows)


def _prediction_sets(images: pd.DataFrame) -> pd.DataFrame:
    """Coverage and mean size of the sets by organ; nothing where the bundle makes none."""
    if not images["set_size"].any():
        return pd.DataFrame()
    grouped = images.groupby("organ", sort=True)
    table = grouped.agg(n=("id", "size"), coverage=("in_set", "mean"), mean_size=("set_size", "mean"))
    return table.reset_index()

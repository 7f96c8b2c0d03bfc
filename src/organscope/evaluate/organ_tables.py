"""Everything about the answers of a classifier that is more than one number."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float, Int64

from organscope.decide import fit_contract, promise
from organscope.evaluate.classification import organ_labels, probabilities
from organscope.evaluate.copies import copies_table
from organscope.evaluate.intervals import LEVEL, N_RESAMPLES, SEED, choose_unit
from organscope.evaluate.scored import Scored
from organscope.evaluate.species import species_table
from organscope.metrics.bootstrap import bootstrap_interval
from organscope.metrics.calibration import reliability_table
from organscope.metrics.classification import confusion_matrix, one_vs_rest_auc, per_class_scores
from organscope.metrics.decision_curves import net_benefit, risk_coverage

THRESHOLDS = np.arange(0.01, 1.0, 0.01)
CLASS_METRICS = ("recall", "precision", "f1", "auc")


def organ_tables(scored: Scored) -> dict[str, pd.DataFrame]:
    """The tables of an evaluation.

    Returns:
        `per_class` (recall, precision, F1 and AUC of each organ with 95 % intervals), `confusion` (true organs in
        rows), `reliability`, `risk_coverage`, `net_benefit` (one row an organ and threshold), `contract` (the highest
        recall that these pictures, as calibration set, would allow to promise) and, where there is something to say,
        `prediction_sets`, `species`, `leaks`, `copies` and `copies_per_image`.
    """
    pictures, classes = scored.pictures, scored.classes
    labels, probs = organ_labels(pictures, classes), probabilities(pictures, classes)
    confusion = confusion_matrix(labels, probs.argmax(axis=1), n_classes=len(classes))
    square = pd.DataFrame(confusion, columns=list(classes))
    square.insert(0, "organ", list(classes))
    correct = pictures["correct"].to_numpy(bool)
    tables = {
        "per_class": _per_class(pictures, probs, labels, classes),
        "confusion": square,
        "reliability": pd.DataFrame(reliability_table(probs.max(axis=1), correct)),
        "risk_coverage": pd.DataFrame(risk_coverage(pictures["confidence"].to_numpy(), correct)),
        "net_benefit": _net_benefit(probs, labels, classes),
        "contract": _contract(probs, labels, classes),
        "prediction_sets": _prediction_sets(pictures),
        "species": species_table(pictures, classes),
        "leaks": scored.leaks,
        "copies_per_image": scored.copies,
    }
    if len(scored.copies):
        tables["copies"] = copies_table(pictures, scored.copies, classes)
    return {name: table for name, table in tables.items() if len(table)}


def _per_class(
    pictures: pd.DataFrame, probs: Float[np.ndarray, "n c"], labels: Int64[np.ndarray, " n"], classes: Sequence[str]
) -> pd.DataFrame:
    """Scores of each organ; an interval says nothing where resamples lack the organ, so these are left out of it."""
    unit = choose_unit(pictures["group"].to_numpy(), pictures["organ"].to_numpy())

    def scores(drawn: np.ndarray) -> dict[str, float]:
        return _class_scores(probs[drawn], labels[drawn], classes)

    values = scores(np.arange(len(labels)))
    intervals = bootstrap_interval(scores, unit.groups, n_resamples=N_RESAMPLES, level=LEVEL, seed=SEED)
    rows = []
    for number, organ in enumerate(classes):
        row = {"organ": organ, "n": int((labels == number).sum())}
        for metric in CLASS_METRICS:
            name = f"{metric} {organ}"
            row[metric] = values[name]
            row[f"{metric}_low"], row[f"{metric}_high"] = intervals[name]
        rows.append(row)
    return pd.DataFrame(rows)


def _class_scores(
    probs: Float[np.ndarray, "n c"], labels: Int64[np.ndarray, " n"], classes: Sequence[str]
) -> dict[str, float]:
    """Not-a-number for what an organ without pictures has not: a recall, an F1, an AUC."""
    found = per_class_scores(confusion_matrix(labels, probs.argmax(axis=1), n_classes=len(classes)))
    absent = found["n"] == 0
    columns = {
        "recall": np.where(absent, np.nan, found["recall"]),
        "precision": found["precision"],
        "f1": np.where(absent, np.nan, found["f1"]),
        "auc": one_vs_rest_auc(probs, labels),
    }
    return {
        f"{metric} {organ}": float(columns[metric][k]) for metric in CLASS_METRICS for k, organ in enumerate(classes)
    }


def _net_benefit(
    probs: Float[np.ndarray, "n c"], labels: Int64[np.ndarray, " n"], classes: Sequence[str]
) -> pd.DataFrame:
    parts = []
    for number in np.unique(labels):
        curve = pd.DataFrame(net_benefit(probs[:, number], labels == number, THRESHOLDS))
        curve.insert(0, "organ", classes[number])
        parts.append(curve)
    return pd.concat(parts, ignore_index=True)


def _contract(probs: Float[np.ndarray, "n c"], labels: Int64[np.ndarray, " n"], classes: Sequence[str]) -> pd.DataFrame:
    contract = fit_contract(probs, labels, classes)
    rows = []
    for entry in contract.organs:
        if not entry.n_positive:
            continue
        found = promise(contract, entry.organ, entry.levels[-1])
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


def _prediction_sets(pictures: pd.DataFrame) -> pd.DataFrame:
    """Coverage and mean size of the sets by organ; nothing where the bundle makes none."""
    if not pictures["set_size"].any():
        return pd.DataFrame()
    grouped = pictures.groupby("organ", sort=True)
    table = grouped.agg(n=("id", "size"), coverage=("in_set", "mean"), mean_size=("set_size", "mean"))
    return table.reset_index()

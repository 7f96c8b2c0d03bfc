"""Decide again on stored probabilities, without images and without the network."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow
from jaxtyping import Bool, Float
from pyarrow import csv

from organscope.decision import Answers, RecallGuarantee, decide_all, rules_for
from organscope.decision.costs import CostsLike
from organscope.errors import DatasetError
from organscope.models import load_bundle
from organscope.pipeline.models import Models
from organscope.pipeline.outputs import promised_columns, write_table
from organscope.pipeline.plan import DECISIONS, POLICY, PREDICTIONS, prepare_output
from organscope.pipeline.results import StoredPolicy, read_policy, stored_policy


@dataclass(frozen=True)
class Redecision:
    """New decisions on stored probabilities.

    Attributes:
        table: One row an image, as written to `path`.
        path: `decisions.csv`.
        bundle: Name and version of the bundle that decided.
        promise: What is promised for the organ that must not be missed; None where none was named.
    """

    table: pd.DataFrame
    path: Path
    bundle: str
    promise: RecallGuarantee | None


def decide_again(
    out: Path,
    *,
    positive: str | None = None,
    min_recall: float | None = None,
    costs: CostsLike | None = None,
    bundle: str | None = None,
) -> Redecision:
    """Read the predictions of an earlier run and write new decisions beside them.

    Args:
        out: Output folder of `classify` or `analyze`.
        positive: Organ that must not be missed.
        min_recall: Recall to promise for it.
        costs: The prices of mistakes, as a file or as a dictionary; see `organscope.decision.costs_from`.
        bundle: Decide with the policy of this bundle, not the one of the run; it must know the same organs.

    Raises:
        DatasetError: There are no predictions, or they lack a column.
        UsageError: An organ or a bundle is unknown, or nothing can be promised with this bundle.
        OutputError: The decisions cannot be written.
    """
    predictions = read_predictions(out / PREDICTIONS)
    stored = read_policy(out / POLICY) if bundle is None else stored_policy(Models(organs=load_bundle(bundle)))
    probabilities = _probabilities(predictions, stored, out / PREDICTIONS)
    rules = rules_for(stored.policy, stored.organs, positive=positive, min_recall=min_recall, costs=costs)
    answers = decide_all(
        probabilities,
        predictions["distance"].to_numpy(np.float64),
        stored.policy,
        doubts=predictions["doubt"].tolist(),
        rules=rules,
    )
    table = _decisions_table(predictions["image"], answers, stored, probabilities)
    prepare_output(out)
    write_table(out / DECISIONS, table)
    return Redecision(table, out / DECISIONS, stored.bundle, rules.promise)


def read_predictions(path: Path) -> pd.DataFrame:
    """The predictions of a run, each number exactly as it was written.

    Raises:
        DatasetError: There is no such file, or it is no such table.
    """
    try:
        text = {"image": pyarrow.string(), "doubt": pyarrow.string()}
        found = csv.read_csv(
            path,
            # The name of a file may hold a line break.
            parse_options=csv.ParseOptions(newlines_in_values=True),
            convert_options=csv.ConvertOptions(column_types=text, strings_can_be_null=False),
        )
    except FileNotFoundError:
        raise DatasetError(
            f"Expected predictions in {path}, found no such file. Name the output folder of classify or analyze."
        ) from None
    except (OSError, ValueError) as error:
        raise DatasetError(f"Expected predictions in {path}, found: {error}. Run classify again.") from None
    table = found.to_pandas()
    if missing := {"image", "distance", "doubt"} - set(table.columns):
        raise DatasetError(
            f"Expected the columns image, distance and doubt in {path}, found no {', '.join(sorted(missing))}. "
            "Run classify again with this version."
        )
    return table


def _decisions_table(
    images: Sequence[str] | pd.Series, answers: Answers, stored: StoredPolicy, probabilities: Float[np.ndarray, "n c"]
) -> pd.DataFrame:
    """One row an image: organ, confidence, decision, reason, and what else the policy and the rules say."""
    names = np.array(stored.organs, object)
    columns = {
        "image": list(images),
        "organ": names[answers.organ_index],
        "confidence": answers.confidence,
        "decision": np.where(answers.accepted, "accept", "abstain"),
        "reason": answers.reasons,
    }
    if answers.in_set is not None:
        columns["prediction_set"] = _set_names(answers.in_set, names, probabilities)
    for name, values in promised_columns(stored.policy, stored.organs).items():
        columns[name] = values[answers.organ_index]
    if answers.flagged is not None:
        columns["flagged"] = answers.flagged
    return pd.DataFrame(columns)


def _set_names(
    in_set: Bool[np.ndarray, "n c"], names: np.ndarray, probabilities: Float[np.ndarray, "n c"]
) -> list[str]:
    """The organs of each prediction set, the most probable first, as one text."""
    order = np.argsort(-probabilities, axis=1, kind="stable")
    inside = np.take_along_axis(in_set, order, axis=1)
    return ["; ".join(names[row[keep]]) for row, keep in zip(order, inside, strict=True)]


def _probabilities(predictions: pd.DataFrame, stored: StoredPolicy, path: Path) -> Float[np.ndarray, "n c"]:
    wanted = [f"p_{organ}" for organ in stored.organs]
    found = [column for column in predictions.columns if column.startswith("p_")]
    if set(wanted) != set(found):
        raise DatasetError(
            f"Expected probabilities of the {len(wanted)} organs of {stored.bundle} in {path}, found those of "
            f"{len(found)} ({', '.join(found[:3])} ...). Name the bundle that gave them with --bundle."
        )
    numbers = predictions[wanted].apply(pd.to_numeric, errors="coerce").to_numpy(np.float64)
    if bad := np.flatnonzero(~(np.abs(numbers.sum(axis=1) - 1) < 1e-3)).tolist():
        raise DatasetError(
            f"Expected probabilities that sum to 1 in every row of {path}, found row {bad[0] + 2} otherwise. "
            "Run classify again."
        )
    return numbers

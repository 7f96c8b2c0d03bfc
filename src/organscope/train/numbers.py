"""The numbers of two runs side by side."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from organscope.bundle import Bundle
from organscope.train.record import RunRecord

COLUMNS = ("part", "metric", "then", "now", "difference")

OF_THE_CLOCK = frozenset({"epoch", "seconds", "memory_mb", "images_per_s", "waiting_share", "n_images", "best"})
"""What an epoch tells beside its numbers."""


@dataclass(frozen=True)
class Numbers:
    """How far two runs differ.

    Attributes:
        table: `COLUMNS`, one row a number: of the last epoch that both have, then of the scored pictures.
        n_epochs: That both have.
        first_difference: Where the epochs first differ, in words; empty where they do not.
        output_difference: Largest difference of what the two bundles give for the test input; none without two bundles
            of one shape.
        same: Every number of every epoch, every score and every output is the same to the last digit.
    """

    table: pd.DataFrame
    n_epochs: int
    first_difference: str
    output_difference: float | None
    same: bool


def compare_numbers(then: RunRecord, now: RunRecord) -> Numbers:
    """Compare epochs, scores and outputs of two runs of one configuration."""
    pairs = list(zip(then.epochs, now.epochs, strict=False))
    last = pairs[-1]
    rows = [("epoch {}".format(last[0]["epoch"]), *row) for row in _pair(*last)]
    rows += _scores(then.bundle, now.bundle)
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    first = _first_difference(pairs)
    outputs = _outputs(then.bundle, now.bundle)
    # A run that was stopped has fewer epochs, and no bundle: what it has is compared.
    whole = then.bundle is None or (len(then.epochs) == len(now.epochs) and outputs == 0)
    same = whole and not first and bool((table["difference"].fillna(0) == 0).all())
    return Numbers(table, len(pairs), first, outputs, same)


def _pair(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[tuple[str, float, float, float]]:
    for name in then:
        if name not in OF_THE_CLOCK:
            yield name, *_difference(then[name], now.get(name))


def _difference(then: float | None, now: float | None) -> tuple[float, float, float]:
    """Both as numbers, and the later less the earlier; two that are missing do not differ."""
    a, b = (float("nan") if value is None else float(value) for value in (then, now))
    if np.isnan(a) and np.isnan(b):
        return a, b, 0.0
    return a, b, float("inf") if np.isnan(a) or np.isnan(b) else b - a


def _scores(then: Bundle | None, now: Bundle | None) -> list[tuple[str, str, float, float, float]]:
    if then is None or now is None:
        return []
    values = [{(s.dataset, s.subset, s.metric): s.value for s in bundle.manifest.scores} for bundle in (then, now)]
    return [
        (f"{dataset}, {subset}", metric, *_difference(value, values[1].get((dataset, subset, metric))))
        for (dataset, subset, metric), value in values[0].items()
    ]


def _first_difference(pairs: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> str:
    for then, now in pairs:
        for name, a, b, difference in _pair(then, now):
            if difference != 0:
                return f"{name} of epoch {then['epoch']} ({a:.7g} then, {b:.7g} now)"
    return ""


def _outputs(then: Bundle | None, now: Bundle | None) -> float | None:
    if then is None or now is None:
        return None
    tensors = [bundle.tensors(bundle.manifest.test.file) for bundle in (then, now)]
    if any(name not in tensors[1] or tensors[1][name].shape != values.shape for name, values in tensors[0].items()):
        return None
    return max(float(np.abs(values - tensors[1][name]).max(initial=0)) for name, values in tensors[0].items())

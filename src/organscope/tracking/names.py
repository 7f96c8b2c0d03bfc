"""One name for each metric, whichever framework trains."""

from collections.abc import Mapping
from typing import Any

NAMES = {"loss": "train/loss", "seconds": "seconds_per_epoch"}
PLAIN = ("learning_rate", "images_per_s", "memory_mb", "waiting_share")
STEP_LOSS = "train/step_loss"
VALIDATION = "validation/"


def metric_names(row: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of an epoch by their common names.

    What no other rule names was measured on the inner validation pictures: `pq` becomes `validation/pq`. Truth
    values, counts of the run and what is no number are left out; infinities and not-a-number stay.
    """
    known = {key: value for key, value in row.items() if isinstance(value, int | float) and not isinstance(value, bool)}
    return {
        NAMES.get(key, key if key in PLAIN else VALIDATION + key): float(value)
        for key, value in known.items()
        if key not in ("epoch", "n_images")
    }


def row_key(metric: str) -> str:
    """The key of `metrics.jsonl` that a metric's common name belongs to; a key is returned as it is."""
    common = {name: key for key, name in NAMES.items()}
    return common.get(metric, metric.removeprefix(VALIDATION))

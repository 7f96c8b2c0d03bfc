"""Where models differ: organ by organ."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from organscope.evaluate.intervals import SEED
from organscope.metrics.paired import paired_mean_difference
from organscope.metrics.segmentation import defined_mean

FEWEST_PICTURES = 5
"""Drawing from fewer pictures shows no doubt, though there is most."""


def organ_differences(pictures: Mapping[str, pd.DataFrame], reference: str, column: str) -> pd.DataFrame:
    """The mean score of each organ by each model, and how far it is from the reference.

    An organ's pictures often come from one slide, so pictures are drawn for the intervals, not groups.

    Args:
        pictures: By model: one row a picture, the same pictures in the same order.
        reference: One of the models.
        column: Score of a picture.

    Returns:
        `dataset`, `organ`, `n_images`, `model`, `value`, `difference` (the model minus the reference), `low`, `high`
        (95 % interval of the difference; not-a-number for fewer than 5 pictures). Empty where no organ is known.
    """
    rows = []
    for (dataset, organ), part in pictures[reference].groupby(["dataset", "organ"], sort=True):
        if not organ:
            continue
        second = part[column].to_numpy(np.float64)
        for name, table in pictures.items():
            first = table.loc[part.index, column].to_numpy(np.float64)
            gap = paired_mean_difference(first, second, np.arange(len(part)), n_resamples=2000, seed=SEED)
            row = {
                "dataset": dataset,
                "organ": organ,
                "n_images": len(part),
                "model": name,
                "value": float(defined_mean(first)),
            }
            ends = (gap.low, gap.high) if len(part) >= FEWEST_PICTURES else (np.nan, np.nan)
            rows.append(row | {"difference": gap.value, "low": ends[0], "high": ends[1]})
    columns = ["dataset", "organ", "n_images", "model", "value", "difference", "low", "high"]
    return pd.DataFrame(rows, columns=columns)

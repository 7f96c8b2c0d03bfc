"""Few misses at a known price: how low the threshold must be for a wanted recall, as measured on held-out images.

The table is made with the bundle (`organscope.training.segmentation.tuning`): one row a data set and threshold
of faint cells, with counts over its images. What `found` and `false` mean is in
`organscope.evaluation.metrics.segmentation`.
"""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from organscope.errors import IntegrityError, UsageError
from organscope.inference.preprocess import require_task
from organscope.models import Bundle

COLUMNS = {
    "dataset": "str",
    "threshold": "float64",
    "n_images": "int64",
    "n_truth": "int64",
    "n_predicted": "int64",
    "n_found": "int64",
    "n_false": "int64",
    "n_matched_50": "int64",
}
"""Of the table; the highest threshold is the decoder's own, at which there are no faint cells."""


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold for faint cells and what it did on held-out images.

    Attributes:
        min_recall: What was asked for.
        faint_threshold: For `segment_image`; None where the bundle's own threshold is low enough.
        figures: One row a data set: `dataset`, `n_images`, `recall` (true cells found), `false_per_true` (false cells
            for each true one), `recall_iou_50`, and `default_recall` and `default_false_per_true`, the same two
            without faint cells.
    """

    min_recall: float
    faint_threshold: float | None
    figures: pd.DataFrame

    @property
    def reached(self) -> bool:
        """Whether it found as many cells as were asked for, in every data set."""
        return bool((self.figures["recall"] >= self.min_recall).all())

    def as_data(self) -> dict[str, Any]:
        """All of it as plain data, for scripts and for the folder of the results."""
        return {
            "min_recall": self.min_recall,
            "reached": self.reached,
            "faint_threshold": self.faint_threshold,
            "held_out": self.figures.to_dict("records"),
            "sentence": self.sentence,
        }

    @property
    def sentence(self) -> str:
        """What a person should know before relying on it."""
        parts = [
            f"on {row.n_images} held-out images of {row.dataset} it found {row.recall:.1%} of the cells at "
            f"{row.false_per_true:.2f} false cells a true one, where the usual threshold finds "
            f"{row.default_recall:.1%} at {row.default_false_per_true:.2f}"
            for row in self.figures.itertuples()
        ]
        short = "" if self.reached else "more than was reached; the most that can be had is taken: "
        how = "the usual threshold is enough"
        if self.faint_threshold is not None:
            how = f"cells are kept down to a foreground probability of {self.faint_threshold:g}"
        return (
            f"Recall {self.min_recall:g}: {short}{how}; {'; '.join(parts)}. "
            "Found means that half of a cell is marked, or a mark lies in it. Images of other kinds can differ."
        )


def choose_operating_point(bundle: Bundle, min_recall: float) -> OperatingPoint:
    """The highest threshold that finds at least this share of the true cells of every held-out data set.

    Where none does, the highest of those that find most in the data set where most are missed; `reached` and
    `sentence` say so.

    Args:
        bundle: For segmentation.
        min_recall: In (0, 1).

    Raises:
        UsageError: The bundle has no table of operating points.
        IntegrityError: The table is damaged.
    """
    require_task(bundle, "segmentation")
    table = operating_points(bundle)
    recall = table["n_found"] / table["n_truth"]
    worst = recall.groupby(table["threshold"]).min()
    enough = worst.index[worst >= min(min_recall, worst.max())]
    threshold, usual = float(enough.max()), float(worst.index.max())
    return OperatingPoint(min_recall, None if threshold == usual else threshold, _figures(table, threshold, usual))


def operating_points(bundle: Bundle) -> pd.DataFrame:
    """The bundle's table, with the columns `COLUMNS`, data sets without a true cell left out.

    Raises:
        UsageError: The bundle has none.
        IntegrityError: It is damaged.
    """
    name = bundle.manifest.segmentation.operating_points
    if name is None:
        raise UsageError(
            f"Expected a bundle with a table of missed and false cells by threshold, found none in "
            f"'{bundle.manifest.name}'. Leave --min-cell-recall out, or train the bundle again with this version."
        )
    table = bundle.table(name)
    if missing := sorted(set(COLUMNS) - set(table.columns)):
        raise IntegrityError(
            f"Expected {', '.join(missing)} in {name} of {bundle.source}, found none. Export it again."
        )
    return table[table["n_truth"] > 0]


def _figures(table: pd.DataFrame, threshold: float, usual: float) -> pd.DataFrame:
    chosen, default = (table[table["threshold"] == t].set_index("dataset") for t in (threshold, usual))
    return pd.DataFrame(
        {
            "n_images": chosen["n_images"],
            "recall": chosen["n_found"] / chosen["n_truth"],
            "false_per_true": chosen["n_false"] / chosen["n_truth"],
            "recall_iou_50": chosen["n_matched_50"] / chosen["n_truth"],
            "default_recall": default["n_found"] / default["n_truth"],
            "default_false_per_true": default["n_false"] / default["n_truth"],
        }
    ).reset_index()

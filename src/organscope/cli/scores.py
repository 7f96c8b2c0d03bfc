"""Scores with their intervals as a table."""

import math

from organscope.cli.printing import output_console, plain_table
from organscope.evaluate import Evaluation


def print_scores(evaluation: Evaluation) -> None:
    """Print the bundle's scores, and those of the baselines below them, with 95 % intervals."""
    console = output_console()
    console.print(f"{evaluation.bundle}, {evaluation.subset}\n")
    table = plain_table("model", "data", "images", "metric", "value", "95 % interval", numbers=("images", "value"))
    for row in evaluation.scores.itertuples():
        interval = "" if math.isnan(row.low) else f"{row.low:.3f} to {row.high:.3f} (by {row.unit})"
        table.add_row(
            row.model,
            row.dataset,
            str(row.n_images),
            row.metric,
            "-" if math.isnan(row.value) else f"{row.value:.3f}",
            interval,
        )
    console.print(table)
    for note in evaluation.notes:
        console.print(f"\n{note}")

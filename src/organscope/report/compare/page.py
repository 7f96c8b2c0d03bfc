"""One HTML page of a comparison."""

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pandas as pd

from organscope import __version__
from organscope.evaluate.compare import Comparison, Seen
from organscope.evaluate.compare.comparison import SMALLER_IS_BETTER
from organscope.evaluate.compare.write import SHOWN, interval, p_text
from organscope.images.atomic import atomic_path
from organscope.report.compare import figures
from organscope.report.compare.pictures import entries_of
from organscope.report.dataset.figures import Drawing, draw
from organscope.report.dataset.style import data_uri
from organscope.report.rendering import page_environment

PAGE_NAME = "compare.html"
FULL_SHADE = 0.3
"""Difference of an organ that gets the fullest colour."""


def write_comparison_page(comparison: Comparison, seen: Iterable[Seen], folder: str | Path) -> list[Path]:
    """Write `compare.html`, and its figures as PNG, to a folder that exists.

    Args:
        comparison: What is shown.
        seen: Pictures of the largest disagreement, in the order of the page; taken one by one.
        folder: To write to.

    Raises:
        OutputError: The folder is not writable or the disk is full.
    """
    folder = Path(folder)
    drawings = draw_figures(comparison)
    written = [folder / PAGE_NAME]
    with atomic_path(folder / PAGE_NAME) as temporary:
        text = _render(comparison, drawings, seen)
        temporary.write_text(text, encoding="utf-8", errors="replace")
    for drawing in drawings:
        written.append(folder / f"{drawing.name}.png")
        with atomic_path(written[-1]) as temporary:
            temporary.write_bytes(drawing.light)
    return written


def draw_figures(comparison: Comparison) -> list[Drawing]:
    """Quality against cost and, where models come from run folders, their learning curves."""
    caption = "Up and to the left is better. In the other colour: the model that the others are tested against."
    drawings = [draw("cost", "Quality against speed and size", caption, partial(figures.plot_cost, comparison))]
    if any(len(model.epochs()) for model in comparison.models):
        caption = "By epoch, on the inner validation pictures of each training; losses of different heads differ."
        drawings.append(draw("curves", "Learning curves", caption, partial(figures.plot_curves, comparison)))
    return drawings


def _render(comparison: Comparison, drawings: list[Drawing], seen: Iterable[Seen]) -> str:
    environment = page_environment()
    environment.filters |= {"interval": interval, "p": p_text, "named": lambda metric: SHOWN.get(metric, metric)}
    return environment.get_template("compare.html.j2").render(
        comparison=comparison,
        best=_best(comparison),
        drawings=drawings,
        tests=[row for _, row in comparison.tests.iterrows()],
        costs=comparison.costs.to_dict("records"),
        organs=_organ_rows(comparison),
        entries=entries_of(comparison, seen),
        created=datetime.now(UTC),
        organscope_version=__version__,
        data_uri=data_uri,
        isna=pd.isna,
    )


def _best(comparison: Comparison) -> set[tuple[str, str, str]]:
    """Data set, score and model of the best value of each column; more than one model where they are equal."""
    found = set()
    for (dataset, metric), part in comparison.scores.groupby(["dataset", "metric"]):
        top = part["value"].min() if metric in SMALLER_IS_BETTER else part["value"].max()
        found |= {(dataset, metric, name) for name in part.loc[part["value"] == top, "model"]}
    return found


def _organ_rows(comparison: Comparison) -> list[dict]:
    """One row an organ with a cell a model; the shade says how far it is from the reference."""
    rows = []
    for (dataset, organ), part in comparison.organs.groupby(["dataset", "organ"], sort=True):
        by_model = part.set_index("model")
        cells = [by_model.loc[name] for name in comparison.names]
        n_images = int(part["n_images"].iloc[0])
        shown = [{"row": cell, "style": _shade(cell["difference"])} for cell in cells]
        rows.append({"dataset": dataset, "organ": organ, "n_images": n_images, "cells": shown})
    return rows


def _shade(difference: float) -> str:
    """Blue where better, orange where worse; transparent, so that it fits on light and on dark ground."""
    colour = "0, 114, 178" if difference > 0 else "213, 94, 0"
    return f"background: rgba({colour}, {min(abs(difference) / FULL_SHADE, 1) * 0.55:.2f})"

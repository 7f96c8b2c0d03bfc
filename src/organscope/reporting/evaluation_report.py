"""One HTML page of an evaluation.

The figures of an evaluation; each a function from a table to a Matplotlib figure.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from organscope import __version__
from organscope.evaluation import Evaluation
from organscope.io.paths import atomic_path
from organscope.reporting.dataset_figures import Drawing, Theme, data_uri, draw, new_figure
from organscope.reporting.run_report import page_environment

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


#: More organs make no readable panels; those with the most images are drawn.
_MAX_PANELS = 6
_MAX_THRESHOLD = 0.6
_ROW_INCHES = 0.21


def _plot_confusion(confusion: pd.DataFrame, theme: Theme) -> "Figure":
    """Share of the images of each organ (rows) that were given each answer (columns), with their numbers."""
    counts = confusion.drop(columns="organ").to_numpy()
    seen = (counts.sum(axis=0) + counts.sum(axis=1)) > 0
    counts, names = counts[np.ix_(seen, seen)], confusion["organ"][seen].tolist()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure = new_figure(1.6 + 0.24 * len(names))
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues" if theme.name == "light" else "Blues_r", vmin=0, vmax=1, aspect="auto")
    for row, column in np.argwhere(counts > 0):
        # On the half of the scale that is near the ground the text has the color of text.
        color = theme.ground if shares[row, column] > 0.5 else theme.text
        axes.text(column, row, str(counts[row, column]), ha="center", va="center", fontsize=7, color=color)
    axes.set(xlabel="answer", ylabel="truth", xticks=range(len(names)), yticks=range(len(names)))
    axes.set_xticklabels(names, rotation=90)
    axes.set_yticklabels(names)
    return figure


def _plot_reliability(reliability: pd.DataFrame, theme: Theme, *, unit: str) -> "Figure":
    """Share that is right against probability, a point a bin, larger where more answers lie; the line is perfect."""
    known = reliability[reliability["n"] > 0]
    figure = new_figure(3.4)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=theme.line, linewidth=1)
    sizes = 15 + 200 * known["n"] / known["n"].max()
    axes.scatter(known["confidence"], known["accuracy"], s=sizes, color=theme.bar, linewidths=0, alpha=0.85, zorder=3)
    for row in known.itertuples():
        axes.annotate(
            f"{row.n:,.0f}", (row.confidence, row.accuracy), xytext=(7, -9), textcoords="offset points", fontsize=7
        )
    axes.set(xlabel=f"probability of the answer (the number is how many {unit})", ylabel="share that is right")
    axes.set(xlim=(0, 1.03), ylim=(-0.04, 1.05))
    return figure


def _plot_risk_coverage(curve: pd.DataFrame, theme: Theme) -> "Figure":
    """Wrong among the accepted against the share that is accepted, as the confidence limit falls."""
    figure = new_figure(3.0)
    axes = figure.subplots()
    axes.step(curve["coverage"], curve["risk"], where="post", color=theme.bar, linewidth=1.8)
    axes.axhline(curve["risk"].iloc[-1], color=theme.mark, linewidth=1, linestyle="--")
    axes.set(xlabel="share of images accepted", ylabel="wrong among accepted")
    axes.set(xlim=(0, 1), ylim=(0, max(0.05, 1.15 * curve["risk"].max())))
    return figure


def _plot_net_benefit(curves: pd.DataFrame, frequent: list[str], theme: Theme) -> "Figure":
    """What acting on the probability is worth, beside acting always and never; one panel an organ."""
    organs = frequent[:_MAX_PANELS]
    n_rows = -(-len(organs) // 3)
    figure = new_figure(0.4 + 2.1 * n_rows)
    panels = figure.subplots(n_rows, 3, squeeze=False, sharex=True)
    for axes in panels.flat[len(organs) :]:
        axes.set_visible(False)
    for axes, organ in zip(panels.flat, organs, strict=False):
        _net_benefit_panel(axes, curves[curves["organ"] == organ], theme)
        axes.set_title(organ)
    for axes in panels[:, 0]:
        axes.set(ylabel="net benefit")
    panels.flat[0].legend(fontsize=7, frameon=False)
    return figure


def _plot_per_class(per_class: pd.DataFrame, theme: Theme) -> "Figure":
    """Recall and precision of each organ with their intervals."""
    rows = per_class[per_class["n"] > 0].reset_index(drop=True)
    figure = new_figure(0.9 + _ROW_INCHES * max(len(rows), 4))
    for axes, metric in zip(figure.subplots(1, 2, sharey=True), ("recall", "precision"), strict=True):
        value = rows[metric].to_numpy()
        reach = np.nan_to_num(np.stack([value - rows[f"{metric}_low"], rows[f"{metric}_high"] - value])).clip(min=0)
        places = np.arange(len(rows))
        axes.errorbar(
            value, places, xerr=reach, fmt="o", color=theme.bar, ecolor=theme.line, elinewidth=2, markersize=4
        )
        axes.set(xlabel=f"{metric}, 95 % interval", xlim=(-0.03, 1.03), yticks=places)
        axes.set_yticklabels([f"{row.organ} ({row.n})" for row in rows.itertuples()])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.grid(axis="x", linewidth=0.5)
    return figure


def _net_benefit_panel(axes: "Axes", curve: pd.DataFrame, theme: Theme) -> None:
    shown = curve[curve["threshold"] <= _MAX_THRESHOLD]
    axes.plot(shown["threshold"], shown["model"], color=theme.bar, linewidth=1.8, label="act on the model")
    axes.plot(shown["threshold"], shown["all"], color=theme.mark, linewidth=1, linestyle="--", label="act always")
    axes.axhline(0, color=theme.line, linewidth=1, label="never act")
    top = float(shown["model"].max())
    axes.set(ylim=(-0.15 * max(top, 0.01), 1.2 * max(top, 0.01)), xlabel="threshold")


PAGE_NAME = "evaluation.html"
_MAX_ROWS = 60


@dataclass(frozen=True)
class _TableEntry:
    """A table of the page: its title, what it says, and its rows."""

    title: str
    caption: str
    table: pd.DataFrame


#: By name of the table: title and caption, in the order of the page.
_TABLES = {
    "copies": (
        "Altered copies",
        "The same images through the same model. Copies in gray or in another stain show what it knows of structure; "
        "spoilt ones should not be accepted.",
    ),
    "species": (
        "Across species",
        "Organs that several species have; balanced accuracy among just these. For a model trained on one species the "
        "row of another one is a test on other slides and other animals.",
    ),
    "contract": (
        "What recall could be promised",
        "With these images as calibration set: the highest recall that the images of an organ allow to promise "
        "with 90 % confidence for exchangeable images, and the share of images of other organs flagged too.",
    ),
    "prediction_sets": (
        "Prediction sets",
        "How often the set holds the true organ, and how many organs it names on average.",
    ),
    "leaks": (
        "Leaks",
        "Scored images that have a twin, or images of the same group (slide, patient), outside the scored part.",
    ),
    "by_organ": ("By organ", "Means over the images of each organ; error rates over its cells; 95 % intervals."),
    "per_class": ("Each organ", "Recall, precision, F1 and area under the ROC curve with 95 % intervals."),
}


def write_evaluation_page(evaluation: Evaluation, folder: str | Path) -> Path:
    """Write `evaluation.html` to a folder that exists.

    Raises:
        OutputError: The folder is not writable or the disk is full.
    """
    target = Path(folder) / PAGE_NAME
    with atomic_path(target) as temporary:
        temporary.write_text(_render_evaluation_page(evaluation), encoding="utf-8", errors="replace")
    return target


def _render_evaluation_page(evaluation: Evaluation) -> str:
    """The page as HTML that needs no other file; every text from outside is escaped."""
    environment = page_environment()
    environment.filters["shown"] = shown
    return environment.get_template("evaluation.html.j2").render(
        evaluation=evaluation,
        created=datetime.now(UTC),
        organscope_version=__version__,
        drawings=_draw_figures(evaluation),
        tables=_table_entries(evaluation),
        max_rows=_MAX_ROWS,
        data_uri=data_uri,
    )


def _draw_figures(evaluation: Evaluation) -> list[Drawing]:
    """The figures that the tables of an evaluation allow."""
    tables = evaluation.tables
    plots = []
    if "auc" in tables.get("per_class", ()):
        caption = (
            "Each organ's recall and precision; the number of its images stands beside the name. Where all of few "
            "images are right, resampling them shows no doubt, though there is some."
        )
        plots.append(("per-class", "Organs", caption, partial(_plot_per_class, tables["per_class"])))
    if "confusion" in tables:
        caption = "How many of each organ were named what; the shade is the share of the row."
        plots.append(("confusion", "Confusion", caption, partial(_plot_confusion, tables["confusion"])))
    if "reliability" in tables:
        caption = "Where probabilities mean what they say, points lie on the line."
        unit = "answers for single cells" if "cells" in tables else "pictures"
        plot = partial(_plot_reliability, tables["reliability"], unit=unit)
        plots.append(("reliability", "Reliability", caption, plot))
    if "risk_coverage" in tables:
        caption = "Abstaining from the least sure answers; the dashed line is without abstaining."
        plot = partial(_plot_risk_coverage, tables["risk_coverage"])
        plots.append(("risk-coverage", "Risk and coverage", caption, plot))
    if "net_benefit" in tables:
        caption = (
            "True positives an image that acting at a threshold is worth, false alarms taken off at the price that "
            "the threshold implies (Vickers and Elkin 2006). The organs with the most images."
        )
        frequent = evaluation.per_image["organ"].value_counts().index.tolist()
        plot = partial(_plot_net_benefit, tables["net_benefit"], frequent)
        plots.append(("net-benefit", "Net benefit", caption, plot))
    return [draw(*plot) for plot in plots]


def _table_entries(evaluation: Evaluation) -> Sequence[_TableEntry]:
    """The tables that the page shows, in order."""
    return [
        _TableEntry(title, caption, evaluation.tables[name])
        for name, (title, caption) in _TABLES.items()
        if name in evaluation.tables
    ]


def shown(value: object) -> str:
    """A value for a table: whole numbers as they are, others with three decimals, a dash where there is none."""
    if isinstance(value, bool | str):
        return str(value)
    if pd.isna(value):
        return "–"
    return f"{value:,d}" if isinstance(value, int) else f"{value:.3f}"

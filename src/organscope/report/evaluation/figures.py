"""The figures of an evaluation; each a function from a table to a Matplotlib figure."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from organscope.report.dataset.style import Theme, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: More organs make no readable panels; those with the most pictures are drawn.
MAX_PANELS = 6
MAX_THRESHOLD = 0.6
ROW_INCHES = 0.21


def plot_confusion(confusion: pd.DataFrame, theme: Theme) -> "Figure":
    """Share of the pictures of each organ (rows) that were given each answer (columns), with their numbers."""
    counts = confusion.drop(columns="organ").to_numpy()
    seen = (counts.sum(axis=0) + counts.sum(axis=1)) > 0
    counts, names = counts[np.ix_(seen, seen)], confusion["organ"][seen].tolist()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure = new_figure(1.6 + 0.24 * len(names))
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues" if theme.name == "light" else "Blues_r", vmin=0, vmax=1, aspect="auto")
    for row, column in np.argwhere(counts > 0):
        # On the half of the scale that is near the ground the text has the colour of text.
        colour = theme.ground if shares[row, column] > 0.5 else theme.text
        axes.text(column, row, str(counts[row, column]), ha="center", va="center", fontsize=7, color=colour)
    axes.set(xlabel="answer", ylabel="truth", xticks=range(len(names)), yticks=range(len(names)))
    axes.set_xticklabels(names, rotation=90)
    axes.set_yticklabels(names)
    return figure


def plot_reliability(reliability: pd.DataFrame, theme: Theme, *, unit: str) -> "Figure":
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


def plot_risk_coverage(curve: pd.DataFrame, theme: Theme) -> "Figure":
    """Wrong among the accepted against the share that is accepted, as the confidence limit falls."""
    figure = new_figure(3.0)
    axes = figure.subplots()
    axes.step(curve["coverage"], curve["risk"], where="post", color=theme.bar, linewidth=1.8)
    axes.axhline(curve["risk"].iloc[-1], color=theme.mark, linewidth=1, linestyle="--")
    axes.set(xlabel="share of pictures accepted", ylabel="wrong among accepted")
    axes.set(xlim=(0, 1), ylim=(0, max(0.05, 1.15 * curve["risk"].max())))
    return figure


def plot_net_benefit(curves: pd.DataFrame, frequent: list[str], theme: Theme) -> "Figure":
    """What acting on the probability is worth, beside acting always and never; one panel an organ."""
    organs = frequent[:MAX_PANELS]
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


def plot_per_class(per_class: pd.DataFrame, theme: Theme) -> "Figure":
    """Recall and precision of each organ with their intervals."""
    rows = per_class[per_class["n"] > 0].reset_index(drop=True)
    figure = new_figure(0.9 + ROW_INCHES * max(len(rows), 4))
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
    shown = curve[curve["threshold"] <= MAX_THRESHOLD]
    axes.plot(shown["threshold"], shown["model"], color=theme.bar, linewidth=1.8, label="act on the model")
    axes.plot(shown["threshold"], shown["all"], color=theme.mark, linewidth=1, linestyle="--", label="act always")
    axes.axhline(0, color=theme.line, linewidth=1, label="never act")
    top = float(shown["model"].max())
    axes.set(ylim=(-0.15 * max(top, 0.01), 1.2 * max(top, 0.01)), xlabel="threshold")

"""The figures of a data set; each a function from a summary to a Matplotlib figure."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from organscope.dataset.summary import Summary
from organscope.dataset.summary.distributions import Measure, quantiles_of
from organscope.report.dataset.style import THEMES, Theme, new_figure, themed, to_png

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: More organs make no readable figure; those with the most images are drawn.
MAX_ORGANS = 40
ROW_INCHES = 0.21
FRAME_INCHES = 0.8
MAX_SWATCHES = 60
BINS_A_BAR = 5
#: What Matplotlib calls the 5th, 25th, 50th, 75th and 95th percentile of a box.
BOX_NAMES = ("whislo", "q1", "med", "q3", "whishi")


@dataclass(frozen=True)
class Drawing:
    """A figure in the light and in the dark.

    Attributes:
        name: Of its file, without suffix.
        title: Above it.
        caption: What it shows, and how to read it.
        light: PNG; so is `dark`.
    """

    name: str
    title: str
    caption: str
    light: bytes
    dark: bytes


def draw(name: str, title: str, caption: str, plot: Callable[[Theme], "Figure"]) -> Drawing:
    """Draw a figure once for each theme."""
    pictures = []
    for theme in THEMES:
        with themed(theme):
            pictures.append(to_png(plot(theme)))
    return Drawing(name, title, caption, *pictures)


def shown_organs(summary: Summary) -> pd.DataFrame:
    """Rows of the organs that are drawn, in order of name."""
    return summary.organs.nlargest(MAX_ORGANS, "n_images").sort_values("organ", ignore_index=True)


def plot_counts(summary: Summary, theme: Theme) -> "Figure":
    """Images and cells of each organ as bars."""
    organs = shown_organs(summary)
    figure = new_figure(_height(len(organs)))
    columns = [("n_images", "images")] + ([("n_cells", "cells")] if summary.n_cells else [])
    for axes, (column, label) in zip(figure.subplots(1, len(columns), squeeze=False)[0], columns, strict=True):
        bars = axes.barh(range(len(organs)), organs[column], color=theme.bar, linewidth=0)
        axes.bar_label(bars, fmt="{:,.0f}", padding=3, fontsize=8)
        axes.set(xlabel=label, xlim=(0, 1.18 * max(organs[column].max(), 1)))
        _name_rows(axes, organs["organ"].tolist())
    return figure


def plot_measure(summary: Summary, measure: Measure, theme: Theme) -> "Figure":
    """A box an organ: quartiles, whiskers from 5 % to 95 %; of one organ the distribution itself."""
    counts = summary.counts[measure.name]
    figure = new_figure(_height(len(counts)))
    _plot_distribution(figure.subplots(), summary, measure, theme)
    return figure


def plot_shapes(summary: Summary, theme: Theme) -> "Figure":
    """Both measures of shape, side by side."""
    shapes = summary.measures[1:]
    figure = new_figure(_height(len(summary.counts[shapes[0].name])))
    for axes, measure in zip(figure.subplots(1, len(shapes)), shapes, strict=True):
        _plot_distribution(axes, summary, measure, theme)
    return figure


def plot_by_image(summary: Summary, column: str, label: str, theme: Theme) -> "Figure":
    """A box an organ over its images, with every image as a point; of one organ a histogram."""
    rows = summary.images[summary.images[column].notna()]
    organs = [organ for organ in shown_organs(summary)["organ"] if organ in set(rows["organ"])]
    values = [rows[column][rows["organ"] == organ].to_numpy() for organ in organs]
    figure = new_figure(_height(len(organs)))
    axes = figure.subplots()
    axes.set(xlabel=label)
    if len(organs) == 1:
        axes.hist(values[0], bins="auto", color=theme.bar, edgecolor=theme.ground, linewidth=0.5)
        axes.set(ylabel="images")
        return figure
    places = range(len(organs))
    axes.boxplot(values, positions=places, showfliers=False, **_box_look(theme))
    # Moved apart by chance, so that no point hides another; the seed makes the same figure of the same data.
    jitter = np.random.default_rng(0)
    for place, found in zip(places, values, strict=True):
        axes.scatter(
            found, place + jitter.uniform(-0.25, 0.25, found.size), s=5, color=theme.mark, linewidths=0, zorder=3
        )
    _name_rows(axes, organs)
    return figure


def plot_colours(summary: Summary, theme: Theme) -> "Figure":
    """One row an organ: the median colour of its images, from dark to bright."""
    organs = shown_organs(summary)["organ"].tolist()
    figure = new_figure(_height(len(organs)))
    axes = figure.subplots()
    medians = summary.images[["red_p50", "green_p50", "blue_p50"]].to_numpy()
    # Of sets that use a small part of their range the brightest median is drawn white.
    top = medians.max() if 0 < medians.max() < 0.5 or medians.max() > 1 else 1.0
    for row, organ in enumerate(organs):
        colours = np.clip(medians[summary.images["organ"] == organ] / top, 0, 1)
        colours = colours[np.argsort(colours.sum(axis=1), kind="stable")]
        if len(colours) > MAX_SWATCHES:
            colours = colours[np.linspace(0, len(colours) - 1, MAX_SWATCHES).astype(int)]
        places = np.arange(len(colours))
        axes.barh(np.full(len(colours), row), 1, left=places, height=0.8, color=colours, linewidth=0)
    axes.set(xlabel="images, from dark to bright", xlim=(0, None))
    _name_rows(axes, organs)
    return figure


def plot_intensities(summary: Summary, theme: Theme) -> "Figure":
    """One box an organ over the pixels of gray images: percentiles of each image, of which the median is drawn."""
    organs = shown_organs(summary)["organ"].tolist()
    columns = {f"red_p{percentile}": name for percentile, name in zip((5, 25, 50, 75, 95), BOX_NAMES, strict=True)}
    middle = summary.images.groupby("organ")[list(columns)].median().rename(columns=columns)
    figure = new_figure(_height(len(organs)))
    axes = figure.subplots()
    boxes = [{**middle.loc[organ].to_dict(), "fliers": []} for organ in organs]
    axes.bxp(boxes, positions=range(len(organs)), showfliers=False, **_box_look(theme))
    axes.set(xlabel="intensity (black 0, white 1)")
    axes.grid(axis="x", linewidth=0.5)
    _name_rows(axes, organs)
    return figure


def _plot_distribution(axes: "Axes", summary: Summary, measure: Measure, theme: Theme) -> None:
    counts = summary.counts[measure.name]
    organs = [organ for organ in shown_organs(summary)["organ"] if organ in counts]
    if len(organs) == 1:
        _histogram(axes, counts[organs[0]], measure, theme)
    else:
        boxes = [dict(zip(BOX_NAMES, quantiles_of(counts[organ], measure), strict=True), fliers=[]) for organ in organs]
        axes.bxp(boxes, positions=range(len(organs)), showfliers=False, **_box_look(theme))
        _name_rows(axes, organs)
        axes.grid(axis="x", linewidth=0.5)
    axes.set(xlabel=measure.label)
    if measure.logarithmic:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter("")
    else:
        axes.locator_params(axis="x", nbins=5)


def _histogram(axes: "Axes", counts: np.ndarray, measure: Measure, theme: Theme) -> None:
    """Five bins of the survey as one bar; they are finer than the eye needs."""
    coarse = np.add.reduceat(counts, np.arange(0, len(counts), BINS_A_BAR))
    edges = np.append(measure.edges[:-1:BINS_A_BAR], measure.edges[-1])
    axes.stairs(coarse, edges, fill=True, color=theme.bar)
    used = np.flatnonzero(coarse)
    axes.set(ylabel="cells", xlim=(edges[used[0]], edges[used[-1] + 1]))


def _box_look(theme: Theme) -> dict[str, Any]:
    line = {"color": theme.text, "linewidth": 0.9}
    return {
        "orientation": "horizontal",
        "widths": 0.65,
        "patch_artist": True,
        "boxprops": {"facecolor": theme.bar, "edgecolor": theme.text, "linewidth": 0.8, "alpha": 0.6},
        "medianprops": {"color": theme.mark, "linewidth": 2},
        "whiskerprops": line,
        "capprops": line,
    }


def _name_rows(axes: "Axes", names: list[str]) -> None:
    """Names beside the rows, the first on top."""
    axes.set(yticks=range(len(names)), yticklabels=names)
    axes.set_ylim(len(names) - 0.4, -0.6)


def _height(n_rows: int) -> float:
    """Inches; a single row is a histogram."""
    return 2.6 if n_rows == 1 else FRAME_INCHES + ROW_INCHES * max(n_rows, 4)

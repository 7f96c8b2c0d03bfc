"""One HTML page of a comparison.

The figures of a comparison; each a function from it to a Matplotlib figure.

The images on which models disagree, small enough for a page.
"""

import io
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from jaxtyping import Float64, UInt8
from PIL import Image as PillowImage
from scipy.optimize import isotonic_regression

from organscope import __version__
from organscope.evaluation.compare_models import SHOWN, interval, p_text
from organscope.evaluation.comparison import SMALLER_IS_BETTER, Comparison, SampledImages
from organscope.io.paths import atomic_path
from organscope.reporting.dataset_figures import Drawing, Theme, data_uri, draw, new_figure
from organscope.reporting.overlays import draw_outlines, shrunk_to_bytes
from organscope.reporting.run_report import page_environment

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


_LOGARITHMIC_FROM = 4.0
"""Costs that differ by more than this factor are drawn on a logarithmic axis."""

_NAME_HEIGHT = 0.07
"""Of a panel."""

_STYLES = ("-", "--", ":", "-.")


def _plot_cost(comparison: Comparison, theme: Theme) -> "Figure":
    """The main score with its interval against speed and against size, one row a data set."""
    costs = [("million_parameters", "million parameters")]
    if comparison.costs["speed"].notna().all():
        costs.insert(0, ("speed", SHOWN[comparison.measures.speed] + ", file to answer"))
    figure = new_figure(3.1 * len(comparison.datasets))
    panels = figure.subplots(len(comparison.datasets), len(costs), squeeze=False, sharey="row")
    for row, dataset in zip(panels, comparison.datasets, strict=True):
        for axes, (column, label) in zip(row, costs, strict=True):
            _cost_panel(axes, comparison, dataset, column, theme)
            axes.set(xlabel=label)
        main = comparison.measures.main
        row[0].set(ylabel=f"{SHOWN.get(main, main)}, 95 % interval", title=dataset)
    return figure


def _cost_panel(axes: "Axes", comparison: Comparison, dataset: str, column: str, theme: Theme) -> None:
    cost = comparison.costs.set_index("model")[column]
    places = {}
    for name in comparison.names:
        score = comparison.score(name, dataset, comparison.measures.main)
        reach = np.nan_to_num([[score["value"] - score["low"]], [score["high"] - score["value"]]]).clip(min=0)
        color = theme.mark if name == comparison.reference else theme.bar
        places[name] = (cost[name], score["value"])
        axes.errorbar(*places[name], yerr=reach, fmt="o", color=color, ecolor=theme.line, elinewidth=2, markersize=5)
    if cost.min() > 0 and cost.max() / cost.min() > _LOGARITHMIC_FROM:
        from matplotlib.ticker import LogLocator

        axes.set_xscale("log", subs=[])
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter("{x:g}")
    axes.margins(x=0.1)
    _name_beside(axes, places, theme)


def _name_beside(axes: "Axes", places: dict[str, tuple[float, float]], theme: Theme) -> None:
    """Names in a column to the right of the panel, each with a line to its point, so that none hides another."""
    names = sorted((name for name in places if np.isfinite(places[name][1])), key=lambda name: places[name][1])
    low, high = axes.get_ylim()
    heights = spread_apart(np.array([places[name][1] for name in names]), _NAME_HEIGHT * (high - low))
    for name, height in zip(names, heights, strict=True):
        axes.annotate(
            name, places[name], xytext=(1.04, height), textcoords=axes.get_yaxis_transform(), fontsize=7.5, va="center",
            arrowprops={"arrowstyle": "-", "color": theme.line, "linewidth": 0.8},
        )  # fmt: skip


def spread_apart(values: Float64[np.ndarray, " n"], least: float) -> Float64[np.ndarray, " n"]:
    """Rising values moved as little as need be, in squares, for neighbors to lie this far apart."""
    steps = least * np.arange(len(values))
    return isotonic_regression(values - steps).x + steps


def _plot_curves(comparison: Comparison, theme: Theme) -> "Figure":
    """What the trainings wrote after each epoch, on the images that told them when to stop."""
    import matplotlib as mpl

    trained = [(model.name, model.epochs()) for model in comparison.models]
    trained = [(name, epochs) for name, epochs in trained if len(epochs)]
    colors = mpl.colormaps["cividis" if theme.name == "light" else "plasma"](np.linspace(0.05, 0.9, len(trained)))
    figure = new_figure(3.6)
    panels = figure.subplots(1, 2)
    for axes, key in zip(panels, comparison.measures.curves, strict=True):
        for (name, epochs), color, style in zip(trained, colors, cycle(_STYLES), strict=False):
            if key in epochs:
                axes.plot(epochs["epoch"], epochs[key], style, color=color, linewidth=1.5, label=name)
        label = {"loss": "training loss", "nll": "negative log-likelihood"}.get(key, SHOWN.get(key, key))
        axes.set(xlabel="epoch", ylabel=label)
        axes.xaxis.get_major_locator().set_params(integer=True)
    panels[1].legend(fontsize=7, frameon=False)
    return figure


_SIDE_PX = 420


@dataclass(frozen=True)
class _Answer:
    """What one model says of an image; `right` is None where that is no yes or no."""

    model: str
    text: str
    right: bool | None


@dataclass(frozen=True)
class _Panel:
    """An image as an address of an image, and what is written under it."""

    caption: str
    uri: str


@dataclass(frozen=True)
class _Entry:
    """One image of the page."""

    id: str
    organ: str
    disagreement: float
    panels: list[_Panel]
    answers: list[_Answer]


def _entries_of(comparison: Comparison, seen: Iterable[SampledImages]) -> list[_Entry]:
    """What the page shows of each image."""
    rows = comparison.pictures.set_index("id")
    return [_entry(comparison, image, rows.loc[image.id]) for image in seen]


def _entry(comparison: Comparison, image: SampledImages, row) -> _Entry:
    empty = np.zeros(image.pixels.shape[:2], np.int32)
    plain, _ = shrunk_to_bytes(image.pixels, empty, image.value_range, max_side_px=_SIDE_PX)
    panels = [_Panel("", _jpeg(plain))]
    for name, labels in image.labels.items():
        small, cells = shrunk_to_bytes(image.pixels, labels, image.value_range, max_side_px=_SIDE_PX)
        n_cells = len(np.unique(labels[labels > 0]))
        panels.append(_Panel(f"{name}: {n_cells:,} cells", _jpeg(draw_outlines(small, cells))))
    answers = [_answer(comparison, name, row) for name in comparison.names]
    return _Entry(image.id, row["organ"], row["disagreement"], panels, answers)


def _answer(comparison: Comparison, name: str, row) -> _Answer:
    if comparison.task == "segmentation":
        return _Answer(name, f"{comparison.measures.main.upper()} {row[name]:.3f}", None)
    return _Answer(name, f"{row[name]}, {row[f'{name} probability']:.0%}", row[name] == row["organ"])


def _jpeg(pixels: UInt8[np.ndarray, "y x 3"]) -> str:
    stream = io.BytesIO()
    PillowImage.fromarray(pixels).save(stream, format="JPEG", quality=88, subsampling=0)
    return data_uri(stream.getvalue(), "jpeg")


PAGE_NAME = "compare.html"
_FULL_SHADE = 0.3
"""Difference of an organ that gets the fullest color."""


def write_comparison_page(comparison: Comparison, seen: Iterable[SampledImages], folder: str | Path) -> list[Path]:
    """Write `compare.html`, and its figures as PNG, to a folder that exists.

    Args:
        comparison: What is shown.
        seen: Images of the largest disagreement, in the order of the page; taken one by one.
        folder: To write to.

    Raises:
        OutputError: The folder is not writable or the disk is full.
    """
    folder = Path(folder)
    drawings = _draw_figures(comparison)
    written = [folder / PAGE_NAME]
    with atomic_path(folder / PAGE_NAME) as temporary:
        text = _render(comparison, drawings, seen)
        temporary.write_text(text, encoding="utf-8", errors="replace")
    for drawing in drawings:
        written.append(folder / f"{drawing.name}.png")
        with atomic_path(written[-1]) as temporary:
            temporary.write_bytes(drawing.light)
    return written


def _draw_figures(comparison: Comparison) -> list[Drawing]:
    """Quality against cost and, where models come from run folders, their learning curves."""
    caption = "Up and to the left is better. In the other color: the model that the others are tested against."
    drawings = [draw("cost", "Quality against speed and size", caption, partial(_plot_cost, comparison))]
    if any(len(model.epochs()) for model in comparison.models):
        caption = "By epoch, on the inner validation images of each training; losses of different heads differ."
        drawings.append(draw("curves", "Learning curves", caption, partial(_plot_curves, comparison)))
    return drawings


def _render(comparison: Comparison, drawings: list[Drawing], seen: Iterable[SampledImages]) -> str:
    environment = page_environment()
    environment.filters |= {"interval": interval, "p": p_text, "named": lambda metric: SHOWN.get(metric, metric)}
    return environment.get_template("compare.html.j2").render(
        comparison=comparison,
        best=_best(comparison),
        drawings=drawings,
        tests=[row for _, row in comparison.tests.iterrows()],
        costs=comparison.costs.to_dict("records"),
        organs=_organ_rows(comparison),
        entries=_entries_of(comparison, seen),
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
    color = "0, 114, 178" if difference > 0 else "213, 94, 0"
    return f"background: rgba({color}, {min(abs(difference) / _FULL_SHADE, 1) * 0.55:.2f})"

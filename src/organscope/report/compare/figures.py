"""The figures of a comparison; each a function from it to a Matplotlib figure."""

from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float64
from scipy.optimize import isotonic_regression

from organscope.evaluate.compare import Comparison
from organscope.evaluate.compare.write import SHOWN
from organscope.report.dataset.style import Theme, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOGARITHMIC_FROM = 4.0
"""Costs that differ by more than this factor are drawn on a logarithmic axis."""

NAME_HEIGHT = 0.07
"""Of a panel."""

STYLES = ("-", "--", ":", "-.")


def plot_cost(comparison: Comparison, theme: Theme) -> "Figure":
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
        colour = theme.mark if name == comparison.reference else theme.bar
        places[name] = (cost[name], score["value"])
        axes.errorbar(*places[name], yerr=reach, fmt="o", color=colour, ecolor=theme.line, elinewidth=2, markersize=5)
    if cost.min() > 0 and cost.max() / cost.min() > LOGARITHMIC_FROM:
        axes.set_xscale("log", subs=[])
        axes.xaxis.get_major_locator().set_params(subs=(1, 2, 5))
        axes.xaxis.set_major_formatter("{x:g}")
    axes.margins(x=0.1)
    _name_beside(axes, places, theme)


def _name_beside(axes: "Axes", places: dict[str, tuple[float, float]], theme: Theme) -> None:
    """Names in a column to the right of the panel, each with a line to its point, so that none hides another."""
    names = sorted((name for name in places if np.isfinite(places[name][1])), key=lambda name: places[name][1])
    low, high = axes.get_ylim()
    heights = spread_apart(np.array([places[name][1] for name in names]), NAME_HEIGHT * (high - low))
    for name, height in zip(names, heights, strict=True):
        axes.annotate(
            name, places[name], xytext=(1.04, height), textcoords=axes.get_yaxis_transform(), fontsize=7.5, va="center",
            arrowprops={"arrowstyle": "-", "color": theme.line, "linewidth": 0.8},
        )  # fmt: skip


def spread_apart(values: Float64[np.ndarray, " n"], least: float) -> Float64[np.ndarray, " n"]:
    """Rising values moved as little as need be, in squares, for neighbours to lie this far apart."""
    steps = least * np.arange(len(values))
    return isotonic_regression(values - steps).x + steps


def plot_curves(comparison: Comparison, theme: Theme) -> "Figure":
    """What the trainings wrote after each epoch, on the pictures that told them when to stop."""
    import matplotlib as mpl

    trained = [(model.name, model.epochs()) for model in comparison.models]
    trained = [(name, epochs) for name, epochs in trained if len(epochs)]
    colours = mpl.colormaps["cividis" if theme.name == "light" else "plasma"](np.linspace(0.05, 0.9, len(trained)))
    figure = new_figure(3.6)
    panels = figure.subplots(1, 2)
    for axes, key in zip(panels, comparison.measures.curves, strict=True):
        for (name, epochs), colour, style in zip(trained, colours, cycle(STYLES), strict=False):
            if key in epochs:
                axes.plot(epochs["epoch"], epochs[key], style, color=colour, linewidth=1.5, label=name)
        label = {"loss": "training loss", "nll": "negative log-likelihood"}.get(key, SHOWN.get(key, key))
        axes.set(xlabel="epoch", ylabel=label)
        axes.xaxis.get_major_locator().set_params(integer=True)
    panels[1].legend(fontsize=7, frameon=False)
    return figure

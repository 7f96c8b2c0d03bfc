"""The figures of a comparison; each a function from it to a Matplotlib figure."""

from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np

from organscope.evaluate.compare import Comparison
from organscope.evaluate.compare.write import SHOWN
from organscope.report.dataset.style import Theme, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOGARITHMIC_FROM = 4.0
"""Costs that differ by more than this factor are drawn on a logarithmic axis."""

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
    middle = float(np.median(cost))
    for name in comparison.names:
        score = comparison.score(name, dataset, comparison.measures.main)
        reach = np.nan_to_num([[score["value"] - score["low"]], [score["high"] - score["value"]]]).clip(min=0)
        colour = theme.mark if name == comparison.reference else theme.bar
        place = (cost[name], score["value"])
        axes.errorbar(*place, yerr=reach, fmt="o", color=colour, ecolor=theme.line, elinewidth=2, markersize=5)
        to_the_right = cost[name] <= middle
        axes.annotate(
            name, place, xytext=(6 if to_the_right else -6, 5), textcoords="offset points", fontsize=7.5,
            ha="left" if to_the_right else "right",
        )  # fmt: skip
    if cost.min() > 0 and cost.max() / cost.min() > LOGARITHMIC_FROM:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
    axes.margins(x=0.2)


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

"""The figures of a sweep, each a function from its trials to a Matplotlib figure."""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from organscope.report.dataset.style import THEMES, Theme, new_figure, themed
from organscope.sweep.axes import parameter_axis, score_axis
from organscope.sweep.space import Objective, Space

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SLICE_COLUMNS = 3
SLICE_INCHES = 2.5
FADED = 0.35


@dataclass(frozen=True)
class Drawing:
    """A figure in the light and in the dark, as SVG.

    Attributes:
        title: Above it.
        caption: What it shows, and how to read it.
        light, dark: SVG.
    """

    title: str
    caption: str
    light: bytes
    dark: bytes


@dataclass(frozen=True)
class SweepData:
    """What the figures are drawn from.

    Attributes:
        space: What was searched.
        table: See `table.trial_table`.
        curves: First objective by epoch, by trial.
        importances: By objective: share of each parameter in the variance, largest first.
    """

    space: Space
    table: pd.DataFrame
    curves: Mapping[int, Mapping[int, float]]
    importances: Mapping[str, Mapping[str, float]]

    @property
    def judged(self) -> pd.DataFrame:
        """Trials with a value for the first objective."""
        return self.table[self.table[self.space.objectives[0].metric].notna()]


def draw(title: str, caption: str, figure: Callable[[Theme], "Figure"]) -> Drawing:
    """Draw a figure once on light and once on dark ground."""
    return Drawing(title, caption, *(to_svg(figure, theme) for theme in THEMES))


def to_svg(figure: Callable[[Theme], "Figure"], theme: Theme) -> bytes:
    """Draw a figure once, as SVG."""
    with themed(theme):
        stream = io.BytesIO()
        figure(theme).savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
        return stream.getvalue()


def history_figure(data: SweepData, theme: Theme) -> "Figure":
    """Every trial in the order of its number, and the best so far."""
    objectives = data.space.objectives
    figure = new_figure(0.4 + 2.6 * len(objectives))
    for axes, objective in zip(figure.subplots(len(objectives), 1, squeeze=False)[:, 0], objectives, strict=True):
        _scatter(axes, data.judged, "trial", objective.metric, theme)
        done = data.table[(data.table["state"] == "complete") & data.table[objective.metric].notna()]
        best = done[objective.metric].cummax() if objective.direction == "maximize" else done[objective.metric].cummin()
        axes.step(done["trial"], best, where="post", color=theme.mark, linewidth=1.5, label="best so far")
        axes.set(ylabel=_axis_name(objective))
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend(frameon=False, fontsize=8, loc="best")
    axes.set(xlabel="trial")
    return figure


def curves_figure(data: SweepData, theme: Theme) -> "Figure":
    """The best score so far of every trial, by epoch."""
    figure = new_figure(3.6)
    axes = figure.subplots()
    states = dict(zip(data.table["trial"], data.table["state"], strict=True))
    winners = set(data.table.loc[data.table["best"], "trial"])
    for trial, curve in sorted(data.curves.items(), key=lambda item: item[0] in winners):
        is_best, is_done = trial in winners, states.get(trial) == "complete"
        colour = theme.mark if is_best else theme.bar
        width, alpha = (2.2, 1.0) if is_best else (1.1, 0.8 if is_done else FADED)
        line = axes.plot(list(curve), list(curve.values()), color=colour, linewidth=width, alpha=alpha, marker=".")[0]
        line.set_label(f"trial {trial}, the winner" if is_best else None)
    axes.set(xlabel="epoch", ylabel=_axis_name(data.space.objectives[0]))
    axes.xaxis.get_major_locator().set_params(integer=True)
    if winners & set(data.curves):
        axes.legend(frameon=False, fontsize=8)
    return figure


def importance_figure(data: SweepData, theme: Theme) -> "Figure":
    """How much of the spread of the results each parameter explains."""
    n_bars = max(len(shares) for shares in data.importances.values())
    figure = new_figure(0.8 + 0.3 * n_bars)
    panels = figure.subplots(1, len(data.importances), squeeze=False)[0]
    for axes, (metric, shares) in zip(panels, data.importances.items(), strict=True):
        names = [name.replace("_", " ").replace(".", " ") for name in shares]
        bars = axes.barh(names, list(shares.values()), color=theme.bar, height=0.6)
        axes.bar_label(bars, [f" {share:.0%}" for share in shares.values()], color=theme.text, fontsize=8)
        axes.invert_yaxis()
        axes.set(title=metric if len(data.importances) > 1 else "", xlim=(0, 1.15 * max([*shares.values(), 0.01])))
        axes.set_xticks([])
        axes.spines["bottom"].set_visible(False)
        axes.tick_params(axis="y", length=0)
    return figure


def slices_figure(data: SweepData, theme: Theme) -> "Figure":
    """The first objective against each parameter by itself."""
    parameters = data.space.parameters
    n_rows = -(-len(parameters) // SLICE_COLUMNS)
    figure = new_figure(SLICE_INCHES * n_rows)
    panels = figure.subplots(n_rows, SLICE_COLUMNS, sharey=True, squeeze=False).ravel()
    metric = data.space.objectives[0].metric
    for axes, (name, parameter) in zip(panels, parameters.items(), strict=False):
        axis = parameter_axis(name, parameter, data.judged[name])
        _scatter(axes, data.judged.assign(place=axis.places), "place", metric, theme)
        places, labels = zip(*axis.ticks, strict=True)
        crowded = sum(map(len, labels)) > 24
        axes.set_xticks(places, labels, fontsize=8, rotation=30 if crowded else 0, ha="right" if crowded else "center")
        axes.set(xlim=(-0.06, 1.06), title=axis.title)
    for axes in panels[len(parameters) :]:
        axes.set_axis_off()
    for axes in panels[::SLICE_COLUMNS]:
        axes.set_ylabel(_axis_name(data.space.objectives[0]))
    return figure


def coordinates_figure(data: SweepData, theme: Theme) -> "Figure":
    """Every trial as a line through its parameters to its result; the colour is the result."""
    import matplotlib as mpl

    objective = data.space.objectives[0]
    axes_list = [parameter_axis(name, p, data.judged[name]) for name, p in data.space.parameters.items()]
    axes_list.append(score_axis(objective.metric, data.judged[objective.metric]))
    figure = new_figure(4.0)
    axes = figure.subplots()
    colours = mpl.colormaps["cividis" if theme.name == "light" else "plasma"]
    scores = axes_list[-1].places if objective.direction == "maximize" else 1 - axes_list[-1].places
    states = (data.judged["state"] == "complete").to_numpy()
    x = np.arange(len(axes_list))
    for row in np.argsort(scores):
        places = [axis.places[row] for axis in axes_list]
        colour = colours(0.92 * (1 - scores[row]) if theme.name == "light" else 0.15 + 0.85 * scores[row])
        axes.plot(*_bent(x, places), color=colour, linewidth=1.6, alpha=0.95 if states[row] else FADED)
    _draw_uprights(axes, axes_list, theme)
    return figure


def front_figure(data: SweepData, theme: Theme) -> "Figure":
    """The first objective against each other one; nothing is better than the front in both."""
    first, *others = data.space.objectives
    figure = new_figure(3.8)
    for axes, other in zip(figure.subplots(1, len(others), squeeze=False)[0], others, strict=True):
        done = data.judged[data.judged[other.metric].notna()]
        axes.scatter(done[other.metric], done[first.metric], color=theme.bar, s=26, alpha=0.7, linewidth=0)
        front = done[done["best"]].sort_values(other.metric)
        axes.plot(front[other.metric], front[first.metric], color=theme.mark, marker="o", linewidth=1.4, label="front")
        for row in front.itertuples():
            place = (getattr(row, other.metric), getattr(row, first.metric))
            axes.annotate(f" {row.trial}", place, fontsize=7, color=theme.text, va="bottom")
        axes.set(xlabel=_axis_name(other), ylabel=_axis_name(first))
        axes.legend(frameon=False, fontsize=8)
    return figure


def _scatter(axes: "Axes", rows: pd.DataFrame, x: str, y: str, theme: Theme) -> None:
    """Complete trials full, trials that were given up hollow, winners marked."""
    done, winners = rows["state"] == "complete", rows["best"]
    given_up, best = rows[~done], rows[winners]
    axes.scatter(given_up[x], given_up[y], s=24, facecolors="none", edgecolors=theme.bar, alpha=0.7, linewidth=1)
    axes.scatter(rows[done][x], rows[done][y], s=26, color=theme.bar, linewidth=0)
    axes.scatter(best[x], best[y], s=70, facecolors="none", edgecolors=theme.mark, linewidth=1.8, zorder=3)


def _bent(x: np.ndarray, places: list[float]) -> tuple[np.ndarray, np.ndarray]:
    """A line that leaves every upright level, so that the eye can follow it across."""
    share = np.linspace(0, 1, 24)
    ease = share * share * (3 - 2 * share)
    steps = [(left + share, a + (b - a) * ease) for left, a, b in zip(x[:-1], places[:-1], places[1:], strict=True)]
    return np.concatenate([step[0] for step in steps]), np.concatenate([step[1] for step in steps])


def _draw_uprights(axes: "Axes", axes_list: list, theme: Theme) -> None:
    for number, axis in enumerate(axes_list):
        axes.axvline(number, color=theme.text, linewidth=1, alpha=0.5, zorder=3)
        for place, label in axis.ticks:
            axes.annotate(
                label,
                (number, place),
                (6, 0),
                textcoords="offset points",
                va="center",
                fontsize=7.5,
                color=theme.text,
                zorder=4,
                bbox={"facecolor": theme.ground, "alpha": 0.75, "pad": 0.8, "linewidth": 0},
            )
    axes.set_xticks(range(len(axes_list)), [axis.title.replace(" ", "\n") for axis in axes_list])
    axes.set(yticks=[], ylim=(-0.04, 1.04), xlim=(-0.1, len(axes_list) - 1 + 0.35))
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.tick_params(axis="x", length=0)


def _axis_name(objective: Objective) -> str:
    return objective.metric.replace("_", " ")

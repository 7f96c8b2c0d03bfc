"""The figures of a sweep, each a function from its trials to a Matplotlib figure.

How a parameter becomes an axis: places of its values, ticks and scale.
"""

import io
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from organscope.reporting.dataset_figures import THEMES, Theme, new_figure, themed
from organscope.sweep.space import Objective, Parameter, Space, shown_value

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


_LONGEST_LABEL = 22
_N_TICKS = 4


@dataclass(frozen=True)
class _ParameterAxis:
    """A parameter's values as places in [0, 1].

    Attributes:
        name: Of the parameter.
        places: One for each trial; not-a-number where the trial has no value.
        ticks: Place and label.
    """

    name: str
    places: np.ndarray
    ticks: tuple[tuple[float, str], ...]

    @property
    def title(self) -> str:
        """The name in words."""
        return self.name.replace("_", " ").replace(".", " ")


def _parameter_axis(name: str, parameter: Parameter, values: pd.Series) -> _ParameterAxis:
    """Spread choices evenly, ranges by their own scale."""
    if not parameter.is_range:
        choices = list(parameter.options or parameter.values)
        places = {choice: (rank + 0.5) / len(choices) for rank, choice in enumerate(choices)}
        ticks = tuple((place, _short(choice)) for choice, place in places.items())
        return _ParameterAxis(name, np.array([places.get(value, math.nan) for value in values], float), ticks)
    low, high = _scaled(parameter.min, parameter), _scaled(parameter.max, parameter)
    numbers = np.array([_scaled(value, parameter) for value in values.astype(float)])
    shown = _range_ticks(parameter)
    ticks = tuple(((_scaled(value, parameter) - low) / (high - low), shown_value(value)) for value in shown)
    return _ParameterAxis(name, (numbers - low) / (high - low), ticks)


def _score_axis(name: str, values: pd.Series) -> _ParameterAxis:
    """An objective from its worst to its best, drawn by size."""
    numbers = values.to_numpy(float)
    low, high = float(np.nanmin(numbers)), float(np.nanmax(numbers))
    spread = (high - low) or 1.0
    ticks = tuple(((value - low) / spread, f"{value:.3g}") for value in np.linspace(low, high, _N_TICKS))
    return _ParameterAxis(name, (numbers - low) / spread, ticks)


def _range_ticks(parameter: Parameter) -> list[Any]:
    if parameter.integer and parameter.max - parameter.min <= 8:
        return list(range(int(parameter.min), int(parameter.max) + 1, int(parameter.step or 1)))
    if parameter.log:
        numbers = _round_numbers(float(parameter.min), float(parameter.max))
    else:
        numbers = [float(value) for value in np.linspace(parameter.min, parameter.max, _N_TICKS)]
    return [round(number) for number in numbers] if parameter.integer else numbers


def _round_numbers(low: float, high: float) -> list[float]:
    """Numbers such as 0.001, 0.002 and 0.005 between two others; sparser where the range is wide."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for digits in ((1, 2, 5), (1, 3), (1,)):
        found = [digit * 10.0**decade for decade in decades for digit in digits]
        inside = [number for number in found if low * 0.999 <= number <= high * 1.001]
        if len(inside) <= _N_TICKS + 1:
            break
    return inside if len(inside) > 1 else [low, high]


def _scaled(value: float, parameter: Parameter) -> float:
    return math.log(value) if parameter.log and value > 0 else float(value)


def _short(value: Any) -> str:
    text = shown_value(value)
    return text if len(text) <= _LONGEST_LABEL else f"{text[: _LONGEST_LABEL - 1]}…"


_SLICE_COLUMNS = 3
_SLICE_INCHES = 2.5
_FADED = 0.35


@dataclass(frozen=True)
class _Drawing:
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


def draw(title: str, caption: str, figure: Callable[[Theme], "Figure"]) -> _Drawing:
    """Draw a figure once on light and once on dark ground."""
    return _Drawing(title, caption, *(to_svg(figure, theme) for theme in THEMES))


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
        color = theme.mark if is_best else theme.bar
        width, alpha = (2.2, 1.0) if is_best else (1.1, 0.8 if is_done else _FADED)
        line = axes.plot(list(curve), list(curve.values()), color=color, linewidth=width, alpha=alpha, marker=".")[0]
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
    n_rows = -(-len(parameters) // _SLICE_COLUMNS)
    figure = new_figure(_SLICE_INCHES * n_rows)
    panels = figure.subplots(n_rows, _SLICE_COLUMNS, sharey=True, squeeze=False).ravel()
    metric = data.space.objectives[0].metric
    for axes, (name, parameter) in zip(panels, parameters.items(), strict=False):
        axis = _parameter_axis(name, parameter, data.judged[name])
        _scatter(axes, data.judged.assign(place=axis.places), "place", metric, theme)
        places, labels = zip(*axis.ticks, strict=True)
        crowded = sum(map(len, labels)) > 24
        axes.set_xticks(places, labels, fontsize=8, rotation=30 if crowded else 0, ha="right" if crowded else "center")
        axes.set(xlim=(-0.06, 1.06), title=axis.title)
    for axes in panels[len(parameters) :]:
        axes.set_axis_off()
    for axes in panels[::_SLICE_COLUMNS]:
        axes.set_ylabel(_axis_name(data.space.objectives[0]))
    return figure


def coordinates_figure(data: SweepData, theme: Theme) -> "Figure":
    """Every trial as a line through its parameters to its result; the color is the result."""
    import matplotlib as mpl

    objective = data.space.objectives[0]
    axes_list = [_parameter_axis(name, p, data.judged[name]) for name, p in data.space.parameters.items()]
    axes_list.append(_score_axis(objective.metric, data.judged[objective.metric]))
    figure = new_figure(4.0)
    axes = figure.subplots()
    colors = mpl.colormaps["cividis" if theme.name == "light" else "plasma"]
    scores = axes_list[-1].places if objective.direction == "maximize" else 1 - axes_list[-1].places
    states = (data.judged["state"] == "complete").to_numpy()
    x = np.arange(len(axes_list))
    for row in np.argsort(scores):
        places = [axis.places[row] for axis in axes_list]
        color = colors(0.92 * (1 - scores[row]) if theme.name == "light" else 0.15 + 0.85 * scores[row])
        axes.plot(*_bent(x, places), color=color, linewidth=1.6, alpha=0.95 if states[row] else _FADED)
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

"""The maps of images, coloured by organ and by group."""

from typing import TYPE_CHECKING

import pandas as pd

from organscope.dataset.summary.embedding import Embedding
from organscope.report.dataset.style import Theme, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANEL_INCHES = 3.4
LINE_INCHES = 0.16
NAME_COLUMNS = 3
#: More names fill the page; the points of the others are drawn without an entry.
MAX_NAMES = 45
#: 12 colours, each with 6 shapes, so that 72 names can be told.
MARKERS = "osD^vP"
N_COLOURS = 12


def plot_map(embedding: Embedding, method: str, theme: Theme) -> "Figure":
    """One map, left coloured by organ and right by group where both say something.

    Args:
        embedding: Places of the images.
        method: `pca` or `umap`.
        theme: Colours of the figure.
    """
    table = embedding.table
    kinds = [kind for kind in ("organ", "group") if 1 < table[kind].nunique() < len(table)]
    names = [sorted(table[kind].unique()) for kind in kinds] or [[]]
    n_lines = max(-(-min(len(part), MAX_NAMES) // NAME_COLUMNS) for part in names)
    heights = [PANEL_INCHES, LINE_INCHES * n_lines + 0.1]
    figure = new_figure(sum(heights))
    panels = figure.subplots(2, len(names), squeeze=False, height_ratios=heights)
    labels = _axis_labels(embedding, method)
    for place, found in enumerate(names):
        axes, legend = panels[:, place]
        kind = kinds[place] if kinds else None
        _scatter(axes, table, method, kind, found, theme)
        axes.set(title=f"by {kind}" if kind else "", xlabel=labels[0], ylabel=labels[1], xticks=[], yticks=[])
        legend.axis("off")
        if kind:
            legend.legend(*_entries(axes), loc="upper center", ncols=NAME_COLUMNS, fontsize=7, frameon=False,
                          handletextpad=0.1, columnspacing=0.8, borderpad=0)  # fmt: skip
            axes.get_legend().remove()
    return figure


def _scatter(axes: "Axes", table: pd.DataFrame, method: str, kind: str | None, names: list[str], theme: Theme) -> None:
    """Points in as many colours and shapes as there are names."""
    import seaborn as sns

    place = {"x": table[f"{method}_1"], "y": table[f"{method}_2"], "ax": axes, "s": 13, "linewidth": 0, "alpha": 0.85}
    if kind is None:
        sns.scatterplot(**place, color=theme.bar)
        return
    colours = sns.husl_palette(min(len(names), N_COLOURS), s=0.9, l=0.6)
    palette = {name: colours[number % N_COLOURS] for number, name in enumerate(names)}
    markers = {name: MARKERS[number // N_COLOURS % len(MARKERS)] for number, name in enumerate(names)}
    shared = {"hue": table[kind], "style": table[kind], "hue_order": names, "style_order": names}
    sns.scatterplot(**place, **shared, palette=palette, markers=markers, legend="full")


def _entries(axes: "Axes") -> tuple[list, list[str]]:
    handles, names = axes.get_legend_handles_labels()
    return handles[:MAX_NAMES], names[:MAX_NAMES]


def _axis_labels(embedding: Embedding, method: str) -> tuple[str, str]:
    if method == "umap":
        return "UMAP 1", "UMAP 2"
    first, second = embedding.explained
    return f"component 1 ({first:.0%} of the variance)", f"component 2 ({second:.0%})"

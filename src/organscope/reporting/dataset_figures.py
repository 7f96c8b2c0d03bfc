"""The figures of a data set; each a function from a summary to a Matplotlib figure.

Examples of a data set with the outlines of their cells.

How figures look on light and on dark ground: the colors of the page's own style sheet.

The maps of images, colored by organ and by group.
"""

import base64
import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from jaxtyping import UInt8
from PIL import Image as PillowImage

from organscope.data.index import Sample
from organscope.data.summary import Embedding, Measure, Summary, quantiles_of
from organscope.errors import InputError
from organscope.reporting.overlays import draw_overlay

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


#: Part of an image that is shown, from its middle, and the side at which it is.
_FIELD_PX = 512
_SIDE_PX = 256
_MOSAIC_COLUMNS = 9
_MOSAIC_SIDE_PX = 96
_MOSAIC_GAP_PX = 4


@dataclass(frozen=True)
class Tile:
    """One example: its sample, and the image of its middle with outlines."""

    sample: Sample
    picture: UInt8[np.ndarray, "y x 3"]

    def to_jpeg(self) -> bytes:
        """The image as JPEG."""
        stream = io.BytesIO()
        PillowImage.fromarray(self.picture).save(stream, format="JPEG", quality=85, subsampling=0)
        return stream.getvalue()


def draw_tiles(samples: Sequence[Sample]) -> list[Tile]:
    """The examples that can be drawn, one in memory at a time."""
    tiles = []
    for sample in samples:
        try:
            tiles.append(Tile(sample, _draw(sample)))
        except InputError:
            # The survey has said what is wrong with this sample; the montage shows the others.
            continue
    return tiles


def draw_mosaic(tiles: Sequence[Tile]) -> bytes:
    """The middle of all tiles as one PNG of 256 colors, row by row."""
    columns = min(_MOSAIC_COLUMNS, len(tiles))
    rows = -(-len(tiles) // columns)
    step = _MOSAIC_SIDE_PX + _MOSAIC_GAP_PX
    sheet = PillowImage.new("RGB", (columns * step - _MOSAIC_GAP_PX, rows * step - _MOSAIC_GAP_PX), "white")
    for place, tile in enumerate(tiles):
        height, width = tile.picture.shape[:2]
        top, left = max(0, (height - _MOSAIC_SIDE_PX) // 2), max(0, (width - _MOSAIC_SIDE_PX) // 2)
        middle = tile.picture[top : top + _MOSAIC_SIDE_PX, left : left + _MOSAIC_SIDE_PX]
        sheet.paste(PillowImage.fromarray(middle), (place % columns * step, place // columns * step))
    stream = io.BytesIO()
    sheet.quantize(256, dither=PillowImage.Dither.NONE).save(stream, format="PNG", optimize=True)
    return stream.getvalue()


def _draw(sample: Sample) -> UInt8[np.ndarray, "y x 3"]:
    with sample.open() as image:
        height, width = min(_FIELD_PX, image.height_px), min(_FIELD_PX, image.width_px)
        top, left = (image.height_px - height) // 2, (image.width_px - width) // 2
        pixels = image.displayed(image.read(top, left, height, width))
        value_range = image.value_range
        size = image.height_px, image.width_px
    labels = np.zeros((height, width), np.int32)
    if sample.labels_path is not None:
        whole = sample.read_labels()
        if whole.shape == size:
            labels = whole[top : top + height, left : left + width]
    return draw_overlay(pixels, labels, value_range, max_side_px=_SIDE_PX)


_DOTS_PER_INCH = 110
_WIDTH_INCHES = 8.6


@dataclass(frozen=True)
class Theme:
    """Colors of a figure; `bar` is told from `mark` with any color vision (Okabe and Ito 2008)."""

    name: str
    ground: str
    text: str
    line: str
    bar: str
    mark: str


LIGHT = Theme("light", "#ffffff", "#1b1f24", "#d5dae0", "#0072b2", "#9a4a00")
DARK = Theme("dark", "#14171b", "#e8eaed", "#363c45", "#56b4e9", "#f2b25c")
THEMES = (LIGHT, DARK)


@contextmanager
def themed(theme: Theme) -> Iterator[None]:
    """Matplotlib and seaborn draw in the colors of the theme, without a display."""
    import matplotlib as mpl
    import seaborn as sns

    settings = {
        "figure.facecolor": theme.ground,
        "axes.facecolor": theme.ground,
        "savefig.facecolor": theme.ground,
        "axes.edgecolor": theme.line,
        "axes.labelcolor": theme.text,
        "axes.titlecolor": theme.text,
        "text.color": theme.text,
        "xtick.color": theme.text,
        "ytick.color": theme.text,
        "grid.color": theme.line,
        "font.size": 9,
        "axes.titlesize": 10,
        "axes.spines.top": False,
        "axes.spines.right": False,
        # Names of organs and slides are text, not formulas.
        "text.parse_math": False,
    }
    with mpl.rc_context(), sns.axes_style("ticks", settings):
        mpl.rcParams.update(settings)
        yield


def new_figure(height_inches: float) -> "Figure":
    """An empty figure of the page's width; made without pyplot, so that nothing global keeps it."""
    from matplotlib.figure import Figure

    return Figure(figsize=(_WIDTH_INCHES, height_inches), dpi=_DOTS_PER_INCH, layout="constrained")


def to_png(figure: "Figure") -> bytes:
    """The figure as PNG."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()


def data_uri(image: bytes, kind: str) -> str:
    """An image as the address of an image in a page; `kind` is png or jpeg."""
    return f"data:image/{kind};base64,{base64.b64encode(image).decode('ascii')}"


#: More organs make no readable figure; those with the most images are drawn.
_MAX_ORGANS = 40
_ROW_INCHES = 0.21
_FRAME_INCHES = 0.8
_MAX_SWATCHES = 60
_BINS_A_BAR = 5
#: What Matplotlib calls the 5th, 25th, 50th, 75th and 95th percentile of a box.
_BOX_NAMES = ("whislo", "q1", "med", "q3", "whishi")


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
    images = []
    for theme in THEMES:
        with themed(theme):
            images.append(to_png(plot(theme)))
    return Drawing(name, title, caption, *images)


def _shown_organs(summary: Summary) -> pd.DataFrame:
    """Rows of the organs that are drawn, in order of name."""
    return summary.organs.nlargest(_MAX_ORGANS, "n_images").sort_values("organ", ignore_index=True)


def plot_counts(summary: Summary, theme: Theme) -> "Figure":
    """Images and cells of each organ as bars."""
    organs = _shown_organs(summary)
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
    organs = [organ for organ in _shown_organs(summary)["organ"] if organ in set(rows["organ"])]
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


def plot_colors(summary: Summary, theme: Theme) -> "Figure":
    """One row an organ: the median color of its images, from dark to bright."""
    organs = _shown_organs(summary)["organ"].tolist()
    figure = new_figure(_height(len(organs)))
    axes = figure.subplots()
    medians = summary.images[["red_p50", "green_p50", "blue_p50"]].to_numpy()
    # Of sets that use a small part of their range the brightest median is drawn white.
    top = medians.max() if 0 < medians.max() < 0.5 or medians.max() > 1 else 1.0
    for row, organ in enumerate(organs):
        colors = np.clip(medians[summary.images["organ"] == organ] / top, 0, 1)
        colors = colors[np.argsort(colors.sum(axis=1), kind="stable")]
        if len(colors) > _MAX_SWATCHES:
            colors = colors[np.linspace(0, len(colors) - 1, _MAX_SWATCHES).astype(int)]
        places = np.arange(len(colors))
        axes.barh(np.full(len(colors), row), 1, left=places, height=0.8, color=colors, linewidth=0)
    axes.set(xlabel="images, from dark to bright", xlim=(0, None))
    _name_rows(axes, organs)
    return figure


def plot_intensities(summary: Summary, theme: Theme) -> "Figure":
    """One box an organ over the pixels of gray images: percentiles of each image, of which the median is drawn."""
    organs = _shown_organs(summary)["organ"].tolist()
    columns = {f"red_p{percentile}": name for percentile, name in zip((5, 25, 50, 75, 95), _BOX_NAMES, strict=True)}
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
    organs = [organ for organ in _shown_organs(summary)["organ"] if organ in counts]
    if len(organs) == 1:
        _histogram(axes, counts[organs[0]], measure, theme)
    else:
        boxes = [
            dict(zip(_BOX_NAMES, quantiles_of(counts[organ], measure), strict=True), fliers=[]) for organ in organs
        ]
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
    coarse = np.add.reduceat(counts, np.arange(0, len(counts), _BINS_A_BAR))
    edges = np.append(measure.edges[:-1:_BINS_A_BAR], measure.edges[-1])
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
    return 2.6 if n_rows == 1 else _FRAME_INCHES + _ROW_INCHES * max(n_rows, 4)


_PANEL_INCHES = 3.4
_LINE_INCHES = 0.16
_NAME_COLUMNS = 3
#: More names fill the page; the points of the others are drawn without an entry.
_MAX_NAMES = 45
#: 12 colors, each with 6 shapes, so that 72 names can be told.
_MARKERS = "osD^vP"
_N_COLORS = 12


def plot_map(embedding: Embedding, method: str, theme: Theme) -> "Figure":
    """One map, left colored by organ and right by group where both say something.

    Args:
        embedding: Places of the images.
        method: `pca` or `umap`.
        theme: Colors of the figure.
    """
    table = embedding.table
    kinds = [kind for kind in ("organ", "group") if 1 < table[kind].nunique() < len(table)]
    names = [sorted(table[kind].unique()) for kind in kinds] or [[]]
    n_lines = max(-(-min(len(part), _MAX_NAMES) // _NAME_COLUMNS) for part in names)
    heights = [_PANEL_INCHES, _LINE_INCHES * n_lines + 0.1]
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
            legend.legend(*_entries(axes), loc="upper center", ncols=_NAME_COLUMNS, fontsize=7, frameon=False,
                          handletextpad=0.1, columnspacing=0.8, borderpad=0)  # fmt: skip
            axes.get_legend().remove()
    return figure


def _scatter(axes: "Axes", table: pd.DataFrame, method: str, kind: str | None, names: list[str], theme: Theme) -> None:
    """Points in as many colors and shapes as there are names."""
    import seaborn as sns

    place = {"x": table[f"{method}_1"], "y": table[f"{method}_2"], "ax": axes, "s": 13, "linewidth": 0, "alpha": 0.85}
    if kind is None:
        sns.scatterplot(**place, color=theme.bar)
        return
    colors = sns.husl_palette(min(len(names), _N_COLORS), s=0.9, l=0.6)
    palette = {name: colors[number % _N_COLORS] for number, name in enumerate(names)}
    markers = {name: _MARKERS[number // _N_COLORS % len(_MARKERS)] for number, name in enumerate(names)}
    shared = {"hue": table[kind], "style": table[kind], "hue_order": names, "style_order": names}
    sns.scatterplot(**place, **shared, palette=palette, markers=markers, legend="full")


def _entries(axes: "Axes") -> tuple[list, list[str]]:
    handles, names = axes.get_legend_handles_labels()
    return handles[:_MAX_NAMES], names[:_MAX_NAMES]


def _axis_labels(embedding: Embedding, method: str) -> tuple[str, str]:
    if method == "umap":
        return "UMAP 1", "UMAP 2"
    first, second = embedding.explained
    return f"component 1 ({first:.0%} of the variance)", f"component 2 ({second:.0%})"

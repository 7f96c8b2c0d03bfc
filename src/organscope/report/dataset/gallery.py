"""Which figures a data set gets, with their captions."""

from functools import partial

from organscope.dataset.summary import Summary
from organscope.dataset.summary.embedding import umap_is_installed
from organscope.report.dataset.figures import (
    Drawing,
    draw,
    plot_by_image,
    plot_colours,
    plot_counts,
    plot_intensities,
    plot_measure,
    plot_shapes,
)
from organscope.report.dataset.map_figure import plot_map

BOXES = "Boxes from the 25th to the 75th percentile with the median, whiskers from the 5th to the 95th, over all cells."
IMAGE_BOXES = (
    "One point an image; boxes are quartiles over the images of an organ, whiskers reach 1.5 times their span."
)
COLOURS = (
    "The median colour of each image (at most 60 an organ), from dark to bright. Rows that can be told apart by colour "
    "show that the stain, or the slide, gives the organ away."
)
INTENSITIES = (
    "Boxes over the pixels of an image from the 25th to the 75th percentile with the median, whiskers from the 5th to "
    "the 95th; of each the median over the images of the organ. Where rows differ, the scan gives the organ away."
)
NEAR = "Each point is an image; near ones have like percentiles of colours and like texture."
SLIDES = "Clusters that follow the group rather than the organ are slides, not tissue."


def draw_figures(summary: Summary) -> list[Drawing]:
    """All figures that the data allow: those of cells need labels, the maps at least 3 different images.

    Where there is one organ only, distributions are histograms, and what compares organs is left out.
    """
    by_organ = summary.n_organs > 1
    drawings = []
    if by_organ:
        caption = "Number of images, and of annotated cells, of each organ."
        drawings.append(draw("counts", "Images and cells by organ", caption, partial(plot_counts, summary)))
    if summary.n_cells:
        drawings += _draw_cells(summary, by_organ)
    caption = "Median over pixels and colours, where black is 0 and white is 1."
    plot = partial(plot_by_image, summary, "brightness", "brightness of an image")
    drawings.append(draw("brightness", *_titled("Brightness", caption, IMAGE_BOXES, by_organ), plot))
    if by_organ and _is_gray(summary):
        drawings.append(draw("intensities", "Intensities by organ", INTENSITIES, partial(plot_intensities, summary)))
    elif by_organ:
        drawings.append(draw("colours", "Colours by organ", COLOURS, partial(plot_colours, summary)))
    return drawings + _draw_maps(summary)


def notes_of(summary: Summary, n_failures: int) -> list[str]:
    """What a reader must know before believing the figures."""
    notes = []
    if n_failures:
        notes.append(f"{n_failures} files could not be read and are missing from the figures.")
    if summary.n_cells and summary.measures[0].name == "area_px" and summary.images["um_per_px_y"].nunique() > 0:
        notes.append("Areas are in pixels because not every image says how large a pixel is; they compare badly.")
    if summary.embedding is not None and not umap_is_installed():
        notes.append("The UMAP map needs umap-learn, the extra [umap].")
    return notes


def _is_gray(summary: Summary) -> bool:
    medians = summary.images[["red_p50", "green_p50", "blue_p50"]].to_numpy()
    return bool((medians == medians[:, :1]).all())


def _draw_cells(summary: Summary, by_organ: bool) -> list[Drawing]:
    areas = _titled("Cell areas", "Over all cells." if not by_organ else "", BOXES, by_organ)
    density = _titled("Cell density", "Annotated cells of an image for its size.", IMAGE_BOXES, by_organ)
    shapes = _titled("Cell shapes", "Solidity is the area over that of the convex hull.", BOXES, by_organ)
    return [
        draw("areas", *areas, partial(plot_measure, summary, summary.measures[0])),
        draw("density", *density, partial(plot_by_image, summary, *_density(summary))),
        draw("shapes", *shapes, partial(plot_shapes, summary)),
    ]


def _titled(title: str, caption: str, boxes: str, by_organ: bool) -> tuple[str, str]:
    return (f"{title} by organ", f"{caption} {boxes}".strip()) if by_organ else (title, caption)


def _density(summary: Summary) -> tuple[str, str]:
    labelled = summary.images[summary.images["n_cells"].notna()]
    if labelled["cells_per_mm2"].notna().all():
        return "cells_per_mm2", "cells a mm²"
    return "cells_per_mpx", "cells a megapixel"


def _draw_maps(summary: Summary) -> list[Drawing]:
    embedding = summary.embedding
    if embedding is None:
        return []
    advice = f" {SLIDES}" if summary.n_organs > 1 else ""
    plot = partial(plot_map, embedding, "pca")
    drawings = [draw("pca", "Map of the images: principal components", NEAR + advice, plot)]
    if embedding.has_umap:
        caption = f"{NEAR} Distances between clusters mean little.{advice}"
        drawings.append(draw("umap", "Map of the images: UMAP", caption, partial(plot_map, embedding, "umap")))
    return drawings

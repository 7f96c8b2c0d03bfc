"""The figures of a run, as PNG."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from organscope.evaluation.metrics.classification import expected_calibration_error, reliability_table
from organscope.reporting.dataset_figures import LIGHT, new_figure, themed, to_png

_GALLERY_COLUMNS = 6
_INCHES_A_CLASS = 0.26


@dataclass(frozen=True)
class NamedImage:
    """An image and what is written under it.

    Attributes:
        pixels: uint8 y x 3.
        caption: One or two lines.
        right: Whether the prediction was right.
    """

    pixels: UInt8[np.ndarray, "y x 3"]
    caption: str
    right: bool


def confusion_figure(truth: Int[np.ndarray, " n"], predicted: Int[np.ndarray, " n"], classes: Sequence[str]) -> bytes:
    """How often each class was taken for which; rows are the truth."""
    counts = np.zeros((len(classes), len(classes)), int)
    np.add.at(counts, (truth, predicted), 1)
    with themed(LIGHT):
        figure = new_figure(max(4.0, 2.0 + _INCHES_A_CLASS * len(classes)))
        axes = figure.add_subplot()
        share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
        for row, column in np.argwhere(counts):
            color = "white" if share[row, column] > 0.6 else LIGHT.text
            axes.text(column, row, counts[row, column], ha="center", va="center", color=color, fontsize=7)
        axes.set_xticks(range(len(classes)), classes, rotation=90)
        axes.set_yticks(range(len(classes)), classes)
        axes.set(xlabel="predicted", ylabel="truth", title=f"{np.trace(counts)} of {counts.sum()} are right")
        return to_png(figure)


def reliability_figure(confidence: Float[np.ndarray, " n"], correct: Bool[np.ndarray, " n"], title: str) -> bytes:
    """Share that was right against confidence, with the number of answers below (Guo et al., ICML 2017)."""
    bins = reliability_table(confidence, correct)
    with themed(LIGHT):
        figure = new_figure(5.0)
        axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        width = bins["high"] - bins["low"]
        axes.plot([0, 1], [0, 1], color=LIGHT.mark, linewidth=1, linestyle="--")
        axes.bar(bins["low"], np.nan_to_num(bins["accuracy"]), width, align="edge", color=LIGHT.bar, edgecolor="white")
        error = expected_calibration_error(confidence, correct)
        axes.set(xlim=(0, 1), ylim=(0, 1), ylabel="share that is right", title=f"{title}: ECE {error:.3f}")
        below.bar(bins["low"], bins["n"], width, align="edge", color=LIGHT.line)
        below.set(xlabel="confidence", ylabel="answers")
        return to_png(figure)


def gallery_figure(images: Sequence[NamedImage]) -> bytes:
    """Images in rows, each with its caption; a wrong answer is written in another color."""
    n_rows = -(-len(images) // _GALLERY_COLUMNS)
    with themed(LIGHT):
        figure = new_figure(2.0 * n_rows)
        for place, image in enumerate(images, start=1):
            axes = figure.add_subplot(n_rows, _GALLERY_COLUMNS, place)
            axes.imshow(image.pixels)
            axes.set_axis_off()
            axes.set_title(image.caption, fontsize=7, color=LIGHT.text if image.right else LIGHT.mark)
        return to_png(figure)


def image_png(pixels: UInt8[np.ndarray, "y x 3"]) -> bytes:
    """Pixels as PNG."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="PNG", compress_level=3)
    return stream.getvalue()

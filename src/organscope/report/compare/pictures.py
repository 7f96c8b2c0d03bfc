"""The pictures on which models disagree, small enough for a page."""

import io
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8
from PIL import Image as Picture

from organscope.evaluate.compare import Comparison, Seen
from organscope.report.dataset.style import data_uri
from organscope.report.overlay import draw_outlines, shrunk_to_bytes

SIDE_PX = 420


@dataclass(frozen=True)
class Answer:
    """What one model says of a picture; `right` is None where that is no yes or no."""

    model: str
    text: str
    right: bool | None


@dataclass(frozen=True)
class Panel:
    """A picture as an address of an image, and what is written under it."""

    caption: str
    uri: str


@dataclass(frozen=True)
class Entry:
    """One picture of the page."""

    id: str
    organ: str
    disagreement: float
    panels: list[Panel]
    answers: list[Answer]


def entries_of(comparison: Comparison, seen: Iterable[Seen]) -> list[Entry]:
    """What the page shows of each picture."""
    rows = comparison.pictures.set_index("id")
    return [_entry(comparison, picture, rows.loc[picture.id]) for picture in seen]


def _entry(comparison: Comparison, picture: Seen, row) -> Entry:
    empty = np.zeros(picture.pixels.shape[:2], np.int32)
    plain, _ = shrunk_to_bytes(picture.pixels, empty, picture.value_range, max_side_px=SIDE_PX)
    panels = [Panel("", _jpeg(plain))]
    for name, labels in picture.labels.items():
        small, cells = shrunk_to_bytes(picture.pixels, labels, picture.value_range, max_side_px=SIDE_PX)
        n_cells = len(np.unique(labels[labels > 0]))
        panels.append(Panel(f"{name}: {n_cells:,} cells", _jpeg(draw_outlines(small, cells))))
    answers = [_answer(comparison, name, row) for name in comparison.names]
    return Entry(picture.id, row["organ"], row["disagreement"], panels, answers)


def _answer(comparison: Comparison, name: str, row) -> Answer:
    if comparison.task == "segmentation":
        return Answer(name, f"{comparison.measures.main.upper()} {row[name]:.3f}", None)
    return Answer(name, f"{row[name]}, {row[f'{name} probability']:.0%}", row[name] == row["organ"])


def _jpeg(pixels: UInt8[np.ndarray, "y x 3"]) -> str:
    stream = io.BytesIO()
    Picture.fromarray(pixels).save(stream, format="JPEG", quality=88, subsampling=0)
    return data_uri(stream.getvalue(), "jpeg")

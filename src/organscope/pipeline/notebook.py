"""Results as a notebook shows them: a small overlay, counts, the organ with its reasons."""

import base64
import io
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from PIL import Image as PillowImage

from organscope.pipeline.image import Answer
from organscope.reporting.overlays import draw_outlines, shrunk_to_bytes

if TYPE_CHECKING:
    from organscope.pipeline.analysis import OrganPrediction


_MAX_SIDE_PX = 768
_TOP_ORGANS = 5


def cells_html(answer: Answer, notes: Sequence[str]) -> str:
    """The outlines of the cells on the image, how many there are, and the notes."""
    found, image = answer.cells, answer.image
    pixels = image.displayed(image.read_whole())
    picture, labels = shrunk_to_bytes(pixels, found.labels, image.value_range, max_side_px=_MAX_SIDE_PX)
    stream = io.BytesIO()
    PillowImage.fromarray(draw_outlines(picture, labels)).save(stream, format="PNG")
    uri = "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
    n_cells = len(found.table)
    counted = f"<b>{n_cells:,} {'cell' if n_cells == 1 else 'cells'}</b>"
    if n_cells:
        counted += f", median area {found.table['area_px'].median():,.0f} px"
    alt = f"The image with the outlines of {n_cells:,} cells"
    return (
        f'<div><img src="{uri}" alt="{alt}" style="max-width:100%"><div>{counted} in {image.height_px:,} x '
        f"{image.width_px:,} px</div>{_paragraphs(notes)}</div>"
    )


def organ_html(organ: "OrganPrediction") -> str:
    """The organ, whether to rely on it and why not, and the most probable organs."""
    verdict = "accepted" if organ.accepted else "not accepted"
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td>{value:.3f}</td></tr>"
        for name, value in organ.probabilities.head(_TOP_ORGANS).items()
    )
    reasons = "".join(f"<li>{escape(reason)}</li>" for reason in organ.reasons)
    sets = f"<div>Cannot be ruled out: {escape(', '.join(organ.prediction_set))}</div>" if organ.prediction_set else ""
    return (
        f"<div><b>{escape(organ.label)}</b>, confidence {organ.confidence:.2f}, {verdict}"
        f"{f'<ul>{reasons}</ul>' if reasons else ''}{sets}{_paragraphs(organ.promise)}"
        f"<table><tr><th>organ</th><th>probability</th></tr>{rows}</table></div>"
    )


def _paragraphs(sentences: Sequence[str]) -> str:
    return "".join(f"<p>{escape(sentence)}</p>" for sentence in sentences)

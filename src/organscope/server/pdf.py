"""The report as PDF: `python -m organscope.server.pdf FILE` reads it as JSON on the standard input."""

import json
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import matplotlib

matplotlib.use("pdf")

from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from PIL import Image as PillowImage

from organscope.server.report_model import Entry, Report, areas_of

_A4_INCHES = (8.27, 11.69)
_INK, _FAINT, _LINE_COLOR, _ACCENT, _DOUBT = "#1d2733", "#5b6875", "#d9dfe5", "#0072b2", "#b34700"
_LEFT, _RIGHT, _TOP, _BOTTOM = 0.09, 0.91, 0.945, 0.075
_WIDTH = _RIGHT - _LEFT
_GAP = 0.025
#: Height of a line in units of the page, for each point of the font.
_LINE_A_POINT = 0.00178
#: How many letters of one point fit into the width of the page.
_LETTERS_A_POINT = 1080
_IMAGE_PX = 1400
_TALLEST_IMAGE = 0.42
_TABLE = (("Image", 0.0, 40), ("Answer", 0.45, 22), ("Expert", 0.66, 22), ("Cells", 0.93, 8))
_FACTS_LETTERS = 36


class _Sheets:
    """Text that flows from page to page."""

    def __init__(self) -> None:
        self.figures: list[Figure] = []
        self.y = 0.0

    def write(self, text: str, size: float, color: str = _INK, *, weight: str = "normal", after: float = 0.0) -> None:
        """A paragraph over the whole width, with a space after it."""
        for line in _wrapped(text, size):
            self._need(size * _LINE_A_POINT)
            self.figures[-1].text(_LEFT, self.y, plain(line), size=size, color=color, weight=weight, va="top")
            self.y -= size * _LINE_A_POINT
        self.y -= after

    def write_row(self, cells: tuple[str, ...], *, is_head: bool = False) -> None:
        """A row of the table of images, with a rule below."""
        self._need(0.024)
        for text, (_, x, letters) in zip(cells, _TABLE, strict=True):
            style = {"color": _FAINT, "size": 8} if is_head else {"color": _INK, "size": 9}
            self.figures[-1].text(_LEFT + x * _WIDTH, self.y, plain(_shortened(text, letters)), va="top", **style)
        rule = Line2D([_LEFT, _RIGHT], [self.y - 0.019] * 2, color=_LINE_COLOR, linewidth=0.6)
        self.figures[-1].add_artist(rule)
        self.y -= 0.024

    def _need(self, height: float) -> None:
        if not self.figures or self.y - height < _BOTTOM:
            self.figures.append(Figure(figsize=_A4_INCHES))
            self.y = _TOP


def _write(report: Report, path: Path) -> None:
    """Write title, all answers, promise and methods, then a page an image."""
    first = _front_pages(report)
    n_pages = len(first) + len(report.entries)
    with PdfPages(path, metadata={"Title": report.title, "Creator": f"organscope {report.version}"}) as pages:
        for number, figure in enumerate((*first, *_map_lazily(report.entries)), 1):
            _write_foot(figure, report, f"{number} of {n_pages}")
            pages.savefig(figure)


def _map_lazily(entries: list[Entry]) -> Iterator[Figure]:
    """One page after the other, so that only one is in memory."""
    return (_image_page(entry) for entry in entries)


def _front_pages(report: Report) -> list[Figure]:
    """Title, table of answers, promise and methods."""
    sheets = _Sheets()
    sheets.write(report.title, 20, weight="bold", after=0.004)
    sheets.write(f"organscope {report.version}, {report.created}", 9.5, _FAINT, after=0.022)
    sheets.write_row(tuple(name for name, _, _ in _TABLE), is_head=True)
    for entry in report.entries:
        sheets.write_row((entry.name, entry.answer, entry.expert_organ, entry.n_cells))
    sheets.y -= 0.02
    for heading, paragraphs in (("What is promised", report.promise), ("Methods", report.methods)):
        if paragraphs:
            sheets.write(heading, 12.5, _ACCENT, weight="bold", after=0.008)
        for paragraph in paragraphs:
            sheets.write(paragraph, 9.5, after=0.009)
        sheets.y -= 0.008
    return sheets.figures


def _image_page(entry: Entry) -> Figure:
    """What was found in one image, from top to bottom."""
    sheets = _Sheets()
    sheets.write(entry.name, 13.5, weight="bold", after=0.003)
    sheets.write(entry.size, 9, _FAINT, after=0.012)
    sheets.write(entry.answer, 19, _DOUBT if entry.reason else _ACCENT, after=0.006)
    if entry.reason:
        sheets.write(entry.reason, 9.5, _DOUBT, after=0.006)
    if entry.expert:
        sheets.write(f"Expert: {entry.expert}", 9.5, weight="bold", after=0.006)
    figure = sheets.figures[0]
    y = _draw_images(figure, entry, sheets.y - 0.008)
    _draw_histogram(figure, entry, y)
    for name, value in entry.facts:
        figure.text(_LEFT, y, name, size=9, color=_FAINT, va="top")
        for line in textwrap.wrap(value, _FACTS_LETTERS) or [""]:
            figure.text(_LEFT + 0.17, y, plain(line), size=9, color=_INK, va="top")
            y -= 9.5 * _LINE_A_POINT
        y -= 0.003
    return figure


def _draw_images(figure: Figure, entry: Entry, top: float) -> float:
    """The outlines, beside them the evidence where there is any; where the page goes on."""
    shown = [(entry.overlay, entry.overlay_caption)]
    shown += [(entry.evidence, entry.evidence_caption)] if entry.evidence else []
    width = (_WIDTH - _GAP) / 2 if len(shown) == 2 else 0.72 * _WIDTH
    lowest = top
    for place, (path, caption) in enumerate(shown):
        with PillowImage.open(path) as image:
            pixels = image.convert("RGB")
        pixels.thumbnail((_IMAGE_PX, _IMAGE_PX))
        height = min(width * pixels.height / pixels.width * _A4_INCHES[0] / _A4_INCHES[1], _TALLEST_IMAGE)
        left = _LEFT + place * (width + _GAP)
        axes = figure.add_axes((left, top - height, width, height))
        axes.imshow(pixels, interpolation="antialiased")
        axes.set_anchor("NW")
        axes.set_axis_off()
        y = top - height - 0.006
        for line in textwrap.wrap(caption, int(width * _LETTERS_A_POINT / 8)):
            figure.text(left, y, plain(line), size=8, color=_FAINT, va="top")
            y -= 8 * _LINE_A_POINT
        lowest = min(lowest, y)
    return lowest - 0.022


def _draw_histogram(figure: Figure, entry: Entry, top: float) -> None:
    areas, unit = areas_of(entry)
    if not areas.size:
        return
    axes = figure.add_axes((0.6, max(top - 0.17, _BOTTOM + 0.03), _RIGHT - 0.6, 0.16))
    axes.hist(areas, bins=min(30, max(8, int(2 * areas.size**0.5))), color=_ACCENT)
    axes.set_xlabel(f"cell area, {unit}", size=8, color=_FAINT)
    axes.set_ylabel("cells", size=8, color=_FAINT)
    axes.yaxis.get_major_locator().set_params(integer=True)
    axes.tick_params(labelsize=7, colors=_FAINT)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _write_foot(figure: Figure, report: Report, page: str) -> None:
    note = f"{_shortened(report.title, 60)} · organscope {report.version} · Research use, not a medical device."
    figure.text(_LEFT, 0.04, plain(note), size=7.5, color=_FAINT, va="top")
    figure.text(_RIGHT, 0.04, page, size=7.5, color=_FAINT, va="top", ha="right")


def _wrapped(text: str, size: float) -> list[str]:
    """Lines of a paragraph; bold titles are wider, so they get less."""
    letters = int(_WIDTH * _LETTERS_A_POINT / size)
    return textwrap.wrap(text, int(0.78 * letters) if size > 13 else letters) or [""]


def _shortened(text: str, letters: int) -> str:
    """The text, its middle left out where it is too long: names differ at their ends."""
    if len(text) <= letters:
        return text
    half = (letters - 1) // 2
    return f"{text[:half]}…{text[-half:]}"


def plain(text: str) -> str:
    """matplotlib would read a formula between two dollar signs."""
    return text.replace("$", r"\$")


def main() -> None:
    """Read a report and write it."""
    fields = json.load(sys.stdin)
    entries = [Entry(**{**entry, "facts": [tuple(fact) for fact in entry["facts"]]}) for entry in fields.pop("entries")]
    _write(Report(entries=entries, **fields), Path(sys.argv[1]))


if __name__ == "__main__":
    main()

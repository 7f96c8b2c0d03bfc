"""The report as PDF: `python -m organscope.web.pdf FILE` reads it as JSON on the standard input."""

import json
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import matplotlib

matplotlib.use("pdf")

from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure
from PIL import Image as Picture

from organscope.web.content import Entry, Report, areas_of

A4_INCHES = (8.27, 11.69)
INK, FAINT, ACCENT, DOUBT = "#1d2733", "#5b6875", "#0072b2", "#b34700"
LEFT, RIGHT, TOP = 0.09, 0.91, 0.94
LINE = 0.0175
WIDTH_LETTERS = 92
PICTURE_PX = 1400


def write(report: Report, path: Path) -> None:
    """Write the cover with the methods, then a page an image."""
    with PdfPages(path, metadata={"Title": report.title}) as pages:
        for figure in (*_text_pages(report), *(_image_page(entry) for entry in report.entries)):
            pages.savefig(figure)


def _text_pages(report: Report) -> Iterator[Figure]:
    """Title, promise and methods; the text flows on where it is long."""
    blank = ("", 10, INK, False)
    lines = [(report.title, 20, INK, True), blank, (f"organscope, {report.created}", 10, FAINT, False), blank]
    for heading, paragraphs in (("What is promised", report.promise), ("Methods", report.methods)):
        if paragraphs:
            lines += [(heading, 13, ACCENT, True), blank]
        for paragraph in paragraphs:
            lines += [(line, 9.5, INK, False) for line in textwrap.wrap(paragraph, WIDTH_LETTERS)]
            lines.append(blank)
    per_page = int((TOP - 0.08) / LINE)
    for start in range(0, len(lines), per_page):
        figure = Figure(figsize=A4_INCHES)
        for row, (text, size, colour, bold) in enumerate(lines[start : start + per_page]):
            weight = "bold" if bold else "normal"
            figure.text(LEFT, TOP - row * LINE, _plain(text), size=size, color=colour, weight=weight, va="top")
        yield figure


def _image_page(entry: Entry) -> Figure:
    figure = Figure(figsize=A4_INCHES)
    figure.text(LEFT, TOP, _plain(textwrap.shorten(entry.name, 70)), size=14, color=INK, weight="bold", va="top")
    figure.text(LEFT, TOP - 0.026, entry.size, size=9, color=FAINT, va="top")
    figure.text(LEFT, TOP - 0.05, _plain(entry.answer), size=18, color=DOUBT if entry.reason else ACCENT, va="top")
    y = TOP - 0.085
    for line in textwrap.wrap(entry.reason, WIDTH_LETTERS):
        figure.text(LEFT, y, _plain(line), size=9.5, color=DOUBT, va="top")
        y -= LINE
    _draw_pictures(figure, entry, y - 0.01)
    y = 0.335
    facts = [*entry.facts, *([("Expert", entry.expert)] if entry.expert else [])]
    for name, value in facts:
        figure.text(LEFT, y, name, size=9, color=FAINT, va="top")
        for line in textwrap.wrap(value, 40) or [""]:
            figure.text(LEFT + 0.18, y, _plain(line), size=9, color=INK, va="top")
            y -= LINE
    _draw_histogram(figure, entry)
    return figure


def _draw_pictures(figure: Figure, entry: Entry, top: float) -> None:
    """The outlines, beside them the evidence where there is any."""
    paths = [path for path in (entry.overlay, entry.evidence) if path]
    width = (RIGHT - LEFT - 0.02 * (len(paths) - 1)) / len(paths)
    for place, path in enumerate(paths):
        axes = figure.add_axes((LEFT + place * (width + 0.02), 0.36, width, top - 0.36))
        with Picture.open(path) as picture:
            shown = picture.convert("RGB")
        shown.thumbnail((PICTURE_PX, PICTURE_PX))
        axes.imshow(shown, interpolation="antialiased")
        axes.set_anchor("NW")
        axes.set_axis_off()


def _draw_histogram(figure: Figure, entry: Entry) -> None:
    areas, unit = areas_of(entry)
    if not areas.size:
        return
    axes = figure.add_axes((0.62, 0.12, RIGHT - 0.62, 0.19))
    axes.hist(areas, bins=30, color=ACCENT)
    axes.set_xlabel(f"cell area, {unit}", size=8, color=FAINT)
    axes.set_ylabel("cells", size=8, color=FAINT)
    axes.tick_params(labelsize=7, colors=FAINT)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _plain(text: str) -> str:
    """matplotlib would read a formula between two dollar signs."""
    return text.replace("$", r"\$")


def main() -> None:
    """Read a report and write it."""
    fields = json.load(sys.stdin)
    entries = [Entry(**{**entry, "facts": [tuple(fact) for fact in entry["facts"]]}) for entry in fields.pop("entries")]
    write(Report(entries=entries, **fields), Path(sys.argv[1]))


if __name__ == "__main__":
    main()

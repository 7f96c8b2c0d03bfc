"""The report of an image or a study to keep: one HTML page that needs no other file, or the same as PDF.

What a paper or a report has to say about how results were made, as sentences.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from organscope import __version__
from organscope.decision.explain import percent
from organscope.errors import OutputError
from organscope.ops.pixel_size import pixel_size_text
from organscope.pipeline.plan import CELLS_PARQUET, EVIDENCE, OVERLAY
from organscope.reporting.overlays import read_note
from organscope.reporting.run_report import area_text, histogram_svg, image_uri, side_px_for
from organscope.server.analysis import STEM
from organscope.server.corrections import Corrected
from organscope.server.report_model import Entry, Findings, Report, areas_of, counted, expert_word, not_ruled_out
from organscope.server.review import Constraints
from organscope.server.settings import Settings

_PDF_TIMEOUT_S = 180
#: What an expert said of an image, in words.
_SAID = {
    "accept": "accepted {organ}",
    "override": "named {organ}",
    "not_tissue": "not tissue",
    "cannot_tell": "cannot tell",
}


@dataclass(frozen=True)
class Told:
    """A finished image: its row of the database, its verdict, the corrections of experts, and what the page says."""

    row: dict[str, Any]
    verdict: dict[str, Any]
    found: Corrected
    said: Findings


def make_report(
    title: str,
    rows: Sequence[Told],
    promised: list[str],
    methods: list[str],
    settings: Settings,
) -> Report:
    """Put together what a report shows.

    Args:
        title: Of the report.
        rows: The finished images.
        promised: The recall promise in words.
        methods: Paragraphs of the methods.
        settings: Of the server.
    """
    created = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return Report(title, created, __version__, [_entry(told, settings) for told in rows], promised, methods)


def render_html(report: Report) -> str:
    """The report as a page; every text from outside is escaped."""
    environment = Environment(
        loader=PackageLoader("organscope.server"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    side_px = side_px_for(len(report.entries))
    template = environment.get_template("report.html.j2")
    return template.render(report=report, picture=lambda path: image_uri(Path(path), side_px), histogram=_histogram)


def write_pdf(report: Report, path: Path) -> None:
    """Write the report as PDF, in a process of its own: matplotlib takes a second and 100 MB.

    Raises:
        OutputError: It cannot be made.
    """
    command = [sys.executable, "-m", "organscope.server.pdf", str(path)]
    text = json.dumps(asdict(report))
    try:
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=_PDF_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise OutputError(f"Expected the PDF within {_PDF_TIMEOUT_S} s, found none. Take the HTML report.") from error
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise OutputError(f"Expected to make the PDF, found: {last}. Take the HTML report.")


def _histogram(entry: Entry) -> Markup:
    areas, unit = areas_of(entry)
    return histogram_svg(areas, unit=unit) if areas.size else Markup("")


def _entry(told: Told, settings: Settings) -> Entry:
    row, verdict, found = told.row, told.verdict, told.found
    results = settings.result_folder(row["id"]) / STEM
    evidence = results / EVIDENCE
    accepted = verdict["decision"] == "accept"
    return Entry(
        name=row["name"],
        size=_size(row),
        answer=verdict["organ"] if accepted else "I don't know",
        reason=" ".join(verdict["why"]),
        facts=_facts(told),
        expert=_expert(found),
        expert_organ=expert_word(found),
        n_cells=f"{told.said.n_cells:,}",
        overlay=str(results / OVERLAY),
        overlay_caption=_overlay_caption(found, read_note(results / OVERLAY)),
        evidence=str(evidence) if evidence.is_file() and not verdict["is_strange"] else "",
        evidence_caption=f"Evidence: orange speaks for {verdict['top'][0]['organ']}, blue against it.",
        cells=str(results / CELLS_PARQUET),
        um_per_px=row["summary"]["um_per_px"],
        replaced=sorted(found.replaced),
        edited_px=[shape.measures["area_px"] for shape in found.shapes.values()],
    )


def _overlay_caption(found: Corrected, note: str) -> str:
    words = ["Outlines of the cells, as the network drew them."]
    if found.replaced:
        words.append("Corrections by experts are not drawn: cells that they deleted, drew or changed.")
    return " ".join([*words, note]).strip()


def _size(row: dict[str, Any]) -> str:
    um_per_px = row["summary"]["um_per_px"]
    pixel = "pixel size unknown" if um_per_px is None else f"pixels {pixel_size_text(um_per_px, 'µm')}"
    return f"{row['width_px']:,} × {row['height_px']:,} px, {pixel}"


def _facts(told: Told) -> list[tuple[str, str]]:
    summary, verdict, said = told.row["summary"], told.verdict, told.said
    facts = [
        ("Most probable", ", ".join(f"{top['organ']} {percent(top['probability'])}" for top in verdict["top"][:3]))
    ]
    organs = not_ruled_out(verdict)
    if organs is not None:
        facts.append(("Cannot be ruled out", f"{', '.join(organs)}. {verdict['set_note']}".lstrip(". ")))
    if verdict["flagged"] is not None:
        facts.append(("Flagged", "yes" if verdict["flagged"] else "no"))
    if summary["cells_organ"]:
        facts.append(("Its cells together say", f"{summary['cells_organ']} ({summary['agreement']})"))
    # Images that were analyzed by an earlier version have no such answer.
    if summary.get("image_organ") and summary["agreement"] != "agree":
        facts.append(("The image as a whole says", f"{summary['image_organ']} {percent(summary['image_confidence'])}"))
    facts.append(("Cells", counted(said)))
    if said.median_area_um2 is not None:
        facts.append(("Median area", f"{area_text(said.median_area_um2)} µm²"))
    elif said.median_area_px is not None:
        facts.append(("Median area", f"{area_text(said.median_area_px)} px²"))
    facts.append(("Models", ", ".join(f"{bundle['name']} {bundle['version']}" for bundle in summary["bundles"])))
    facts += [("Quality", flag["reason"]) for flag in said.quality]
    facts += [("Note", note) for note in said.notes]
    return facts


def _expert(found: Corrected) -> str:
    if not found.is_reviewed:
        return ""
    parts = []
    if found.action is not None:
        at = datetime.fromtimestamp(found.at, UTC).strftime("%Y-%m-%d")
        parts.append(f"{found.who}: {_SAID[found.action].format(organ=found.organ)} ({at})")
    parts += [f"note: {found.note}"] if found.note else []
    parts += [f"{len(found.shapes)} cell(s) drawn or changed"] if found.shapes else []
    parts += [f"{len(found.deleted)} cell(s) deleted"] if found.deleted else []
    parts += [f"{len(found.marked)} outline(s) marked as wrong"] if found.marked else []
    return "; ".join(parts)


_LICENSE = "Research use, not a medical device."


def methods_text(
    images: Sequence[dict[str, Any]],
    n_cells: tuple[int, int],
    question: Constraints,
    promised: Sequence[str],
    coverage: float | None,
) -> list[str]:
    """Paragraphs: software and models, cells, organs and abstention, prices and promise, corrections.

    Args:
        images: Rows of the database with their summaries.
        n_cells: Cells that are there with the corrections of experts, and cells that the analysis found.
        question: The prices that the verdicts were given at.
        promised: What is promised for the positive organ.
        coverage: Of the prediction sets; None where there are none.
    """
    finished = [row for row in images if row["summary"]]
    bundles = sorted({f"{b['name']} {b['version']}" for row in finished for b in row["summary"]["bundles"]})
    left, n_found = n_cells
    corrected = "" if left == n_found else f" Corrections by experts left {left:,}."
    paragraphs = [
        f"{_counted(len(finished))} analyzed with organscope {__version__} and the models {', '.join(bundles)}. "
        f"{_pixel_sizes(finished)}",
        "Cells were segmented by a convolutional network in overlapping tiles, such that the result does not depend on "
        f"the tiling; {n_found:,} cells were found.{corrected} Shape and intensity of each were measured at full "
        "resolution; a cell that touches the edge of the image is marked as such.",
        "The organ was named by a convolutional network from fields that cover the image; its probabilities were "
        "calibrated by temperature scaling on held-out images (Guo et al., ICML 2017). The answer is withheld where "
        "the image is unlike the training images (deep nearest neighbors; Sun et al., ICML 2022), or where no "
        "organ is probable enough.",
    ]
    if coverage is not None:
        paragraphs.append(
            f"Organs that cannot be ruled out are those of a split conformal prediction set with a coverage of "
            f"{coverage:.0%} (Sadinle et al., J. Am. Stat. Assoc. 2019), stated only for images near the training "
            "pictures."
        )
    if question.positive:
        paragraphs.append(
            f"Answers are those of least expected cost (Elkan, IJCAI 2001), where missing {question.positive} costs "
            f"{question.miss_cost:g} times as much as any other mistake. {' '.join(promised)}".strip()
        )
    paragraphs.append("Corrections by experts, where there are any, are named as such and applied to cells and organs.")
    paragraphs.append(_LICENSE)
    return paragraphs


def _counted(n_images: int) -> str:
    return "1 image was" if n_images == 1 else f"{n_images:,} images were"


def _pixel_sizes(rows: Sequence[dict[str, Any]]) -> str:
    sizes = sorted({row["summary"]["um_per_px"] for row in rows if row["summary"]["um_per_px"]})
    unknown = sum(row["summary"]["um_per_px"] is None for row in rows)
    parts = [f"The pixel size was {', '.join(pixel_size_text(size, 'µm') for size in sizes)}."] if sizes else []
    of_some = f" of {unknown} of the images" if sizes else ""
    parts += [f"The pixel size{of_some} is unknown; measures are then in pixels."] if unknown else []
    return " ".join(parts)

"""The report of an image or a study to keep: one HTML page that needs no other file, or the same as PDF."""

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
from organscope.errors import OutputError
from organscope.jobs.files import CELLS_PARQUET, EVIDENCE, OVERLAY
from organscope.ops.pixel_size import pixel_size_text
from organscope.report.embed import picture_uri, side_px_for
from organscope.report.histogram import area_text, histogram_svg
from organscope.report.overlay import read_note
from organscope.web.analysis import STEM
from organscope.web.content import Entry, Report, areas_of
from organscope.web.corrections import Corrected
from organscope.web.findings import Findings, counted, expert_word, not_ruled_out
from organscope.web.reasons import share
from organscope.web.settings import Settings

PDF_TIMEOUT_S = 180
#: What an expert said of an image, in words.
SAID = {
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
        loader=PackageLoader("organscope.web"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    side_px = side_px_for(len(report.entries))
    template = environment.get_template("report.html.j2")
    return template.render(report=report, picture=lambda path: picture_uri(Path(path), side_px), histogram=_histogram)


def write_pdf(report: Report, path: Path) -> None:
    """Write the report as PDF, in a process of its own: matplotlib takes a second and 100 MB.

    Raises:
        OutputError: It cannot be made.
    """
    command = [sys.executable, "-m", "organscope.web.pdf", str(path)]
    text = json.dumps(asdict(report))
    try:
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=PDF_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise OutputError(f"Expected the PDF within {PDF_TIMEOUT_S} s, found none. Take the HTML report.") from error
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
        evidence=str(evidence) if evidence.is_file() else "",
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
    facts = [("Most probable", ", ".join(f"{top['organ']} {share(top['probability'])}" for top in verdict["top"][:3]))]
    organs = not_ruled_out(verdict)
    if organs is not None:
        facts.append(("Cannot be ruled out", f"{', '.join(organs)}. {verdict['set_note']}".lstrip(". ")))
    if verdict["flagged"] is not None:
        facts.append(("Flagged", "yes" if verdict["flagged"] else "no"))
    if summary["cells_organ"]:
        facts.append(("Its cells together say", f"{summary['cells_organ']} ({summary['agreement']})"))
    # Images that were analysed by an earlier version have no such answer.
    if summary.get("image_organ") and summary["agreement"] != "agree":
        facts.append(("The image as a whole says", f"{summary['image_organ']} {share(summary['image_confidence'])}"))
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
        parts.append(f"{found.who}: {SAID[found.action].format(organ=found.organ)} ({at})")
    parts += [f"note: {found.note}"] if found.note else []
    parts += [f"{len(found.shapes)} cell(s) drawn or changed"] if found.shapes else []
    parts += [f"{len(found.deleted)} cell(s) deleted"] if found.deleted else []
    parts += [f"{len(found.marked)} outline(s) marked as wrong"] if found.marked else []
    return "; ".join(parts)

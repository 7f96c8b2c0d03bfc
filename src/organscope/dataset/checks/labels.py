"""Label images that do not fit their image, hold nothing, occur twice, or have cells in pieces."""

from collections import defaultdict
from collections.abc import Iterator

from organscope.dataset.checks.finding import Finding, Severity
from organscope.dataset.survey import Survey


def size_mismatches(survey: Survey) -> Iterator[Finding]:
    """Label images of another size than their image."""
    for sample, facts in survey:
        pixels, cells = facts.pixels, facts.cells
        if pixels is None or cells is None:
            continue
        if (pixels.height_px, pixels.width_px) != (cells.height_px, cells.width_px):
            message = (
                f"Expected labels of {pixels.height_px} x {pixels.width_px} px like the image, "
                f"found {cells.height_px} x {cells.width_px} px."
            )
            remedy = "Export the labels at the size of the image; do not resize them."
            yield Finding(Severity.ERROR, "size-mismatch", sample.id, str(sample.labels_path), message, remedy)


def missing_labels(survey: Survey) -> Iterator[Finding]:
    """Images without annotation in a set that has annotations."""
    if all(sample.labels_path is None for sample in survey.samples):
        return
    for sample in survey.samples:
        if sample.labels_path is None:
            message = "Found no annotation for this image, though others of the set have one."
            remedy = "Annotate it, or leave it: it is used for organs, not for cells."
            yield Finding(Severity.NOTE, "missing-labels", sample.id, str(sample.image_path), message, remedy)


def empty_labels(survey: Survey) -> Iterator[Finding]:
    """Label images without a cell."""
    for sample, cells in survey.cells():
        if cells.n_cells == 0:
            message = "Expected at least one cell, found none."
            remedy = "If the image shows cells, annotate them; a field that is truly empty may stay."
            yield Finding(Severity.WARNING, "empty-labels", sample.id, str(sample.labels_path), message, remedy)


def duplicate_labels(survey: Survey) -> Iterator[Finding]:
    """One and the same label image, with cells, at images that differ."""
    owners = defaultdict(list)
    for sample, facts in survey:
        if facts.cells is not None and facts.cells.n_cells:
            owners[facts.labels_sha256].append((sample, facts))
    for found in owners.values():
        if len({facts.sha256 for _, facts in found}) > 1:
            first, *others = (sample for sample, _ in found)
            message = f"Expected labels of its own, found those of {_names(others)} too, though the images differ."
            remedy = "Find out to which image the labels belong; remove them from the others."
            yield Finding(Severity.ERROR, "duplicate-labels", first.id, str(first.labels_path), message, remedy)


def fragments(survey: Survey) -> Iterator[Finding]:
    """Cells in several pieces under one id: a warning where a second piece is large, a note for stray pixels."""
    for sample, cells in survey.cells():
        if cells.n_divided:
            severity = Severity.WARNING
            message = (
                f"Expected one piece a cell, found a second large piece for {cells.n_divided} of {cells.n_cells} "
                f"cells; the largest is {cells.worst_second_share:.0%} of cell {cells.worst_fragmented}."
            )
            remedy = (
                "Look at these cells: one may lie below another, or two have one id. Give two cells two ids; "
                "a nucleus that another one crosses may stay."
            )
        elif cells.n_fragmented:
            severity = Severity.NOTE
            message = (
                f"Expected one piece a cell, found stray pixels apart from {cells.n_fragmented} of {cells.n_cells} "
                f"cells, such as cell {cells.worst_fragmented}."
            )
            remedy = "Nothing, or remove the stray pixels."
        else:
            continue
        yield Finding(severity, "fragments", sample.id, str(sample.labels_path), message, remedy)


def _names(samples: list) -> str:
    shown = ", ".join(sample.id for sample in samples[:3])
    return shown if len(samples) <= 3 else f"{shown} and {len(samples) - 3} more"

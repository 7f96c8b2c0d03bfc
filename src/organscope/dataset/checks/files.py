"""Files that cannot be read, or are no longer those that were imported."""

from collections.abc import Iterator

from organscope.dataset.checks.finding import Finding, Severity
from organscope.dataset.survey import Survey

COPY_AGAIN = "Copy the file again from its source, or remove it and import the folder again."
IMPORT_AGAIN = "If the change was meant, import the folder again; else bring the old file back."


def unreadable_images(survey: Survey) -> Iterator[Finding]:
    """Image files that are missing, truncated or no images."""
    for sample, facts in survey:
        if facts.image_error:
            yield Finding(
                Severity.ERROR, "unreadable-image", sample.id, str(sample.image_path), facts.image_error, COPY_AGAIN
            )


def unreadable_labels(survey: Survey) -> Iterator[Finding]:
    """Label images that are missing, truncated or no label images."""
    for sample, facts in survey:
        if facts.labels_error:
            yield Finding(
                Severity.ERROR, "unreadable-labels", sample.id, str(sample.labels_path), facts.labels_error, COPY_AGAIN
            )


def changed_files(survey: Survey) -> Iterator[Finding]:
    """Files whose hash is no longer the one in the index."""
    table = survey.index.table.set_index("id")
    for sample, facts in survey:
        row = table.loc[sample.id]
        pairs = (
            ("image", sample.image_path, row["sha256"], facts.sha256),
            ("label", sample.labels_path, row["labels_sha256"], facts.labels_sha256),
        )
        for kind, path, expected, found in pairs:
            if expected and found and expected != found:
                message = (
                    f"Expected the {kind} file that was imported (SHA-256 {expected[:12]}...), found {found[:12]}...: "
                    "the file has changed since. Scores of before and after cannot be compared."
                )
                yield Finding(Severity.ERROR, "changed-file", sample.id, str(path), message, IMPORT_AGAIN)


def partly_read(survey: Survey) -> Iterator[Finding]:
    """Images so large that only a smaller resolution of them was read."""
    for sample, pixels in survey.pixels():
        if not pixels.read_whole:
            message = f"{pixels.height_px} x {pixels.width_px} px: only a smaller resolution was decoded."
            remedy = "Nothing, or convert the file once as a whole to see that it is intact."
            yield Finding(Severity.NOTE, "partly-read", sample.id, str(sample.image_path), message, remedy)

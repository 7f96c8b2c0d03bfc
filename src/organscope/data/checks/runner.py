"""Check an index from its folder to `findings.csv`.

Every check there is.
"""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import pandas as pd

from organscope.data.checks import images, labels, shortcuts
from organscope.data.checks.finding import Finding, Severity
from organscope.data.index import Index
from organscope.data.survey import Progress, Survey, survey_index
from organscope.io import atomic_path

_Check = Callable[[Survey], Iterable[Finding]]

#: In the order in which findings of one severity are listed.
CHECKS: tuple[_Check, ...] = (
    images.unreadable_images,
    images.unreadable_labels,
    images.changed_files,
    labels.size_mismatches,
    labels.duplicate_labels,
    images.exact_duplicates,
    images.near_duplicates,
    labels.divided_groups,
    images.constant_images,
    images.not_finite,
    images.tiny_images,
    labels.empty_labels,
    labels.fragments,
    shortcuts.color_tells_organ,
    shortcuts.acquisition_tells_organ,
    labels.class_imbalance,
    labels.one_sided_organs,
    shortcuts.mixed_types,
    shortcuts.mixed_pixel_sizes,
    shortcuts.unknown_pixel_size,
    labels.missing_labels,
    images.partly_read,
)


def find_problems(survey: Survey) -> list[Finding]:
    """What all checks find, errors first."""
    findings = [finding for check in CHECKS for finding in check(survey)]
    order = list(Severity)
    return sorted(findings, key=lambda finding: order.index(finding.severity))


_FINDINGS_NAME = "findings.csv"
_JOURNAL_NAME = ".check-journal.jsonl"


@dataclass(frozen=True)
class CheckReport:
    """What was checked and found.

    Attributes:
        n_samples: Images that were looked at.
        findings: Errors first.
        path: The table of findings.
    """

    n_samples: int
    findings: list[Finding]
    path: Path

    def count(self, severity: Severity) -> int:
        """Number of findings of that severity."""
        return sum(finding.severity is severity for finding in self.findings)


def check_index(
    index: Index, out: str | Path | None = None, *, workers: int = 1, progress: Progress | None = None
) -> CheckReport:
    """Read every file of an index, run all checks, and write `findings.csv`.

    Memory grows with the number of images by a few kilobytes each; pixels are not kept. An interrupted check goes on
    where it stopped. Several workers need a caller that can be imported (`if __name__ == "__main__"`).

    Args:
        index: What to check.
        out: Folder for `findings.csv`; the index folder without.
        workers: Number of processes.
        progress: Called after every sample with the finished and with all.

    Raises:
        OutputError: The folder cannot be written.
        InputError: A worker process ended by itself.
    """
    out = index.folder if out is None else Path(out)
    journal = out / _JOURNAL_NAME
    findings = find_problems(survey_index(index, journal, workers=workers, progress=progress))
    path = out / _FINDINGS_NAME
    with atomic_path(path) as temporary:
        columns = [field.name for field in fields(Finding)]
        # A file name may hold bytes that are no text; the table shows a question mark for them.
        table = pd.DataFrame([asdict(finding) for finding in findings], columns=columns)
        table.to_csv(temporary, index=False, errors="replace")
    journal.unlink()
    return CheckReport(len(index), findings, path)

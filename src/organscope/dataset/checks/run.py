"""Check an index from its folder to `findings.csv`."""

from dataclasses import asdict, dataclass, fields
from pathlib import Path

import pandas as pd

from organscope.dataset.checks.finding import Finding, Severity
from organscope.dataset.checks.registry import find_problems
from organscope.dataset.index import Index
from organscope.dataset.survey import survey_index
from organscope.dataset.survey.survey import Progress
from organscope.images import atomic_path

FINDINGS_NAME = "findings.csv"
JOURNAL_NAME = ".check-journal.jsonl"


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
    journal = out / JOURNAL_NAME
    findings = find_problems(survey_index(index, journal, workers=workers, progress=progress))
    path = out / FINDINGS_NAME
    with atomic_path(path) as temporary:
        columns = [field.name for field in fields(Finding)]
        # A file name may hold bytes that are no text; the table shows a question mark for them.
        table = pd.DataFrame([asdict(finding) for finding in findings], columns=columns)
        table.to_csv(temporary, index=False, errors="replace")
    journal.unlink()
    return CheckReport(len(index), findings, path)

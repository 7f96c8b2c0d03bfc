"""What a check says."""

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How much a finding matters: an error spoils results, a warning may, a note is worth knowing."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong or worth knowing.

    Attributes:
        severity: Errors make the command fail; warnings do where that is asked for.
        check: Name of the check, as in `CHECKS`.
        sample: Id of the sample, "" where a finding is about the whole set or a group.
        file: The file, "" where it is about none.
        message: What was expected and what was found.
        remedy: What to do.
    """

    severity: Severity
    check: str
    sample: str
    file: str
    message: str
    remedy: str

"""What an import said, kept beside its index, so that it can be read again."""

import json
from pathlib import Path
from typing import Any

from organscope.dataset.problems import Problem
from organscope.errors import DatasetError

RECORD_NAME = "import.json"


def write_record(folder: Path, layout: str, understood: list[str], problems: list[Problem]) -> None:
    """Write `import.json`: the layout, what was taken for what, what failed and what is worth knowing.

    Raises:
        OutputError: The folder cannot be written.
    """
    from organscope.images.atomic import atomic_path

    document = {"layout": layout, "understood": understood, **problem_lists(problems)}
    with atomic_path(folder / RECORD_NAME) as path:
        path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8", errors="replace")


def read_record(folder: Path) -> dict[str, Any] | None:
    """What the import of an index said; None for an index of an older version.

    Raises:
        DatasetError: The record is damaged.
    """
    path = folder / RECORD_NAME
    if not path.is_file():
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path} cannot be read ({error}). Import the data again, or remove it.") from error


def problem_lists(problems: list[Problem]) -> dict[str, list[dict[str, str]]]:
    """Failures and notes as JSON names them."""
    return {
        name: [{"source": p.source, "message": p.message} for p in problems if p.failed is failed]
        for name, failed in (("failures", True), ("notes", False))
    }

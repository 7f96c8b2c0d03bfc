"""What one run left behind: settings, facts, scores and images."""

import csv
import math
from pathlib import Path
from typing import Any

from organscope.dashboard.runs import Run

_FOLDERS = ("figures", "samples")
_MOST_IMAGES = 24
_SCORES = "scores.csv"
_MOST_SCORES = 200


def details_of(run: Run) -> dict[str, Any]:
    """Settings, facts, scores of the test folds, and the addresses of figures and sample predictions."""
    return {
        "id": run.id,
        "name": run.name,
        "params": dict(sorted(run.params.items())),
        "tags": dict(sorted(run.tags.items())),
        "scores": _scores(run.artifacts / _SCORES),
        "pictures": [
            {"name": path.relative_to(run.artifacts).as_posix(), "title": path.stem.replace("_", " ")}
            for path in _images(run)
        ],
    }


def image_of(run: Run, name: str) -> Path | None:
    """The file of an image; None where the run has none of that name."""
    return next((path for path in _images(run) if path.relative_to(run.artifacts).as_posix() == name), None)


def _images(run: Run) -> list[Path]:
    found = [path for folder in _FOLDERS for path in sorted((run.artifacts / folder).glob("*.png"))]
    return [path for path in found if path.is_file()][:_MOST_IMAGES]


def _scores(path: Path) -> list[dict[str, Any]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))[:_MOST_SCORES]
    except (OSError, UnicodeDecodeError, csv.Error):
        return []
    numbers = ("value", "low", "high")
    return [{**row, **{name: _number(row.get(name)) for name in numbers}} for row in rows]


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "nan")
    except ValueError:
        return None
    return value if math.isfinite(value) else None

"""The run directory of a process that only helps: it reads what the leading one writes there, and writes nothing."""

from pathlib import Path
from typing import Any

from organscope.train.place import Place
from organscope.train.run import Report, RunDirectory


class FollowingRun(RunDirectory):
    """A `RunDirectory` for all processes but the first."""

    def start(self, *_args: Any, **_keywords: Any) -> None:
        """The leading process checks and makes the folder, and tells the trackers."""

    def write_text(self, name: str, text: str) -> None:
        """Nothing is written."""


def run_directory(folder: Path, place: Place, report: Report) -> tuple[RunDirectory, Report]:
    """The run of a process and whom it reports to: all but the first say nothing."""
    if place.leads:
        return RunDirectory(folder), report
    return FollowingRun(folder), lambda line: None

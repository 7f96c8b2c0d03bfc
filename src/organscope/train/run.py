"""A run directory explains itself: configuration, split, environment, metrics, state, bundle."""

import json
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd

from organscope.errors import OutputError, UsageError
from organscope.images.atomic import atomic_path
from organscope.train.settings import Settings


class RunDirectory:
    """The folder of one training.

    `config.json` is the configuration with every default spelled out, `config.toml` what the person wrote,
    `split.csv` who trained, validated and was scored, `metrics.jsonl` one line an epoch, `state/` what a
    resumed training needs, `bundle/` the result.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self.state = self.folder / "state"
        self.bundle = self.folder / "bundle"

    def start(self, settings: Settings, *, source: Path | None, resume: bool) -> None:
        """Make the folder, or check that it holds the same run to go on with.

        Raises:
            UsageError: A new run would overwrite one, or the resumed run had another configuration.
            OutputError: The folder cannot be written.
        """
        config = settings.model_dump_json(indent=2)
        written = self.folder / "config.json"
        if written.exists() and not resume:
            raise UsageError(f"{self.folder} already holds a run. Add --resume to go on, or choose another folder.")
        if written.exists() and json.loads(written.read_text()) != json.loads(config):
            raise UsageError(
                f"{self.folder} was started with another configuration: it cannot be resumed with this one."
            )
        try:
            self.state.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"Cannot make the run folder {self.folder}: {error.strerror}.") from error
        self.write_text("config.json", config)
        self.write_text("environment.txt", environment())
        if source is not None:
            self.write_text("config.toml", Path(source).read_text(encoding="utf-8"))

    def write_text(self, name: str, text: str) -> None:
        """Write one small file of the run, whole or not at all."""
        with atomic_path(self.folder / name) as temporary:
            Path(temporary).write_text(text, encoding="utf-8")

    def write_split(self, table: pd.DataFrame) -> None:
        """Record who trained, validated and was scored."""
        self.write_text("split.csv", table.to_csv(index=False))

    def log(self, row: dict[str, Any]) -> None:
        """Append one epoch's numbers; an epoch that was logged before a restart is replaced."""
        rows = [line for line in self.metrics() if line["epoch"] != row["epoch"]] + [row]
        self.write_text("metrics.jsonl", "".join(json.dumps(line) + "\n" for line in rows))

    def metrics(self) -> list[dict[str, Any]]:
        """One dictionary an epoch, oldest first."""
        file = self.folder / "metrics.jsonl"
        if not file.exists():
            return []
        return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def environment() -> str:
    """Python, operating system and every installed package with its version."""
    packages = sorted({f"{d.metadata['Name']}=={d.version}" for d in metadata.distributions()}, key=str.lower)
    return "\n".join([f"python {platform.python_version()}", platform.platform(), *packages]) + "\n"

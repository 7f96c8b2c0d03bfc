"""A run in Weights & Biases: online with an account, or offline, to be uploaded later by `wandb sync`."""

import io
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import pandas as pd

from organscope.tracking.base import STEP_LOSS, Outcome, RunFacts

_EXIT_CODES: dict[Outcome, int] = {"finished": 0, "failed": 1, "interrupted": 130}
_START_SECONDS = 60


class WandbTracker:
    """Writes to `wandb/` in the store's folder.

    Args:
        mode: `auto` is online where W&B knows an API key.
    """

    def __init__(self, mode: Literal["auto", "online", "offline"]) -> None:
        # Before the import, which reads them: no reports of crashes, no lines on the terminal.
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        os.environ.setdefault("WANDB_SILENT", "true")
        logging.getLogger("wandb").setLevel(logging.CRITICAL)
        import wandb

        self._wandb = wandb
        self._mode = mode

    def start(self, facts: RunFacts) -> str:
        """See `Tracker`. An agent of a W&B sweep names the run in the environment, where W&B finds it."""
        wandb = self._wandb
        self._run = wandb.init(
            project=facts.project,
            name=facts.name,
            config=dict(facts.config),
            dir=str(facts.store),
            group=facts.tags.get("sweep"),
            job_type="train",
            id=facts.known_as or os.environ.get("WANDB_RUN_ID"),
            resume="allow" if facts.known_as else None,
            mode=self._resolved_mode(),
            settings=wandb.Settings(
                silent=True,
                console="off",
                save_code=False,
                disable_git=True,
                disable_job_creation=True,
                init_timeout=_START_SECONDS,
                x_save_requirements=False,
                x_disable_machine_info=True,
            ),
        )
        self._run.config.update({"run": dict(facts.tags)}, allow_val_change=True)
        self._run.define_metric("epoch", hidden=True)
        self._run.define_metric("step", hidden=True)
        self._run.define_metric("*", step_metric="epoch")
        self._run.define_metric(STEP_LOSS, step_metric="step")
        environment = Path(self._run.dir) / "environment.txt"
        environment.write_text(facts.environment, encoding="utf-8")
        self._run.save(str(environment), base_path=self._run.dir, policy="now")
        return self._run.id

    def log_metrics(self, metrics: Mapping[str, float], epoch: int) -> None:
        """See `Tracker`."""
        self._run.log({**metrics, "epoch": epoch})

    def log_steps(self, name: str, values: Sequence[float], first_step: int) -> None:
        """See `Tracker`."""
        for number, value in enumerate(values):
            self._run.log({name: value, "step": first_step + number})

    def log_picture(self, name: str, png: bytes) -> None:
        """See `Tracker`."""
        from PIL import Image

        with Image.open(io.BytesIO(png)) as image:
            self._run.log({name: self._wandb.Image(image.convert("RGB"))})

    def log_table(self, name: str, table: pd.DataFrame) -> None:
        """See `Tracker`."""
        self._run.log({name: self._wandb.Table(dataframe=table)})

    def log_artifact(self, name: str, path: Path) -> None:
        """See `Tracker`."""
        artifact = self._wandb.Artifact(f"{name}-{self._run.id}", type="model" if path.is_dir() else "file")
        if path.is_dir():
            artifact.add_dir(str(path))
        else:
            artifact.add_file(str(path))
        self._run.log_artifact(artifact)

    def log_facts(self, facts: Mapping[str, str]) -> None:
        """See `Tracker`."""
        self._run.config.update({"run": {**self._run.config.get("run", {}), **facts}}, allow_val_change=True)

    def finish(self, outcome: Outcome) -> None:
        """See `Tracker`."""
        self._run.finish(exit_code=_EXIT_CODES[outcome])

    def _resolved_mode(self) -> Literal["online", "offline"]:
        asked = os.environ.get("WANDB_MODE") if self._mode == "auto" else self._mode
        if asked in ("online", "offline"):
            return "online" if asked == "online" else "offline"
        known = self._wandb.setup().settings.api_key or os.environ.get("WANDB_API_KEY")
        return "online" if known or _key_on_disk() else "offline"


def _key_on_disk() -> bool:
    """`wandb login` keeps the key in the person's netrc file."""
    import netrc

    try:
        return any("wandb" in host for host in netrc.netrc().hosts)
    except (OSError, netrc.NetrcParseError):
        return False

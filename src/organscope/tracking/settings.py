"""Where a run is tracked: the table `[tracking]` of a training configuration."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Choice = Literal["mlflow", "wandb", "both", "none"]
"""Which trackers follow a run."""


class TrackingSettings(BaseModel):
    """Which trackers follow a run, and under which names it is found there.

    Attributes:
        to: Which trackers.
        project: Experiment of MLflow, project of W&B.
        folder: Where `mlflow.db`, `mlflow-artifacts/` and `wandb/` lie; the folder that holds the run folder if
            left out, which is `runs/` for `-o runs/nuclei`.
        wandb_mode: `auto`: online where W&B knows an API key, else offline; `wandb sync` uploads an offline run later.
        sweep: Name of the sweep that the run belongs to.
        trial: Its number there.
        finish_timeout_s: How long the end of a training waits for what a tracker has yet to write.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    to: Choice = "none"
    project: str = Field("organscope", min_length=1)
    folder: Path | None = None
    wandb_mode: Literal["auto", "online", "offline"] = "auto"
    sweep: str | None = None
    trial: int | None = Field(None, ge=0)
    finish_timeout_s: float = Field(120.0, gt=0)

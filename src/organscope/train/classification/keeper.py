"""After every epoch: write the metrics, keep the best weights, save the state, decide whether to stop."""

import json
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from safetensors.torch import load_file, save_file

from organscope.images.atomic import atomic_path
from organscope.train.classification.config import FitConfig
from organscope.train.run import RunDirectory


class Keeper(lightning.Callback):
    """Everything that a run writes while it fits, and the rules by which it ends.

    Args:
        config: Epochs, patience, minutes and what "better" means.
        run: The run directory.
        report: Gets one line an epoch.
        clock: Seconds that the first epochs are taken to last: those of a run that is repeated.
    """

    def __init__(
        self, config: FitConfig, run: RunDirectory, report: Callable[[str], None], clock: Sequence[float] = ()
    ) -> None:
        self._config = config
        self._run = run
        self._report = report
        self._clock = clock
        self._best = -math.inf
        self._epochs_without_gain = 0
        self._epochs_done = 0
        self._epochs_saved = 0
        self._seconds = 0.0
        self._started = 0.0

    @property
    def state_file(self) -> Path:
        """Lightning's checkpoint after the last whole epoch."""
        return self._run.state / "last.ckpt"

    @property
    def finished(self) -> bool:
        """Whether the fit ended by its own rules."""
        return (self._run.state / "finished.json").exists()

    def best_weights(self) -> dict[str, torch.Tensor]:
        """The averaged weights of the best epoch."""
        return load_file(self._run.state / "best.safetensors")

    def how_to_resume(self) -> str:
        """What to tell a person who stopped the training."""
        return (
            f"Stopped; {self._epochs_saved} whole epochs are saved in {self._run.folder}. "
            "Give the same command with --resume to go on from there."
        )

    def state_dict(self) -> dict[str, Any]:
        return {
            "best": self._best,
            "epochs_without_gain": self._epochs_without_gain,
            "epochs_done": self._epochs_done,
            "seconds": self._seconds,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._best = state["best"]
        self._epochs_without_gain = state["epochs_without_gain"]
        self._epochs_done = self._epochs_saved = state["epochs_done"]
        self._seconds = state["seconds"]

    def on_train_epoch_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        self._started = time.perf_counter()
        if self._config.max_minutes is not None:
            module.time_share = self._seconds / (60 * self._config.max_minutes)

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        seconds = time.perf_counter() - self._started
        self._epochs_done = trainer.current_epoch + 1
        self._seconds += self._clock[self._epochs_done - 1] if self._epochs_done <= len(self._clock) else seconds
        losses = trainer.strategy.reduce(torch.stack(module.epoch_losses), reduce_op="mean").tolist()
        module.epoch_losses.clear()
        better = self._note_score(module, writes=trainer.is_global_zero)
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        row = {"epoch": self._epochs_done, "loss": float(np.mean(losses)), **module.scores, "learning_rate": rate}
        facts = {"n_images": len(losses) * self._config.batch, "seconds": seconds, "best": better}
        facts["waiting_share"] = module.supply.waiting_share
        # Without a monitor the last epoch is the best; what is shown and swept is still how well it does.
        monitor = "nll" if self._config.monitor == "none" else self._config.monitor
        facts["score"] = _score(module.scores, monitor, self._epochs_done)
        self._run.log(row | facts, losses)
        # By the clock of the first process, so that all stop together.
        reason = trainer.strategy.broadcast(self._reason_to_stop())
        trainer.should_stop = reason is not None
        self._save_state(trainer)
        self._epochs_saved = self._epochs_done
        self._report(self._line(row, seconds, better))
        if reason is not None:
            self._run.write_text("state/finished.json", json.dumps({"reason": reason, "epochs": self._epochs_done}))

    def _save_state(self, trainer: lightning.Trainer) -> None:
        if not trainer.is_global_zero:
            # Takes part, because all processes meet in it, and writes nothing.
            trainer.save_checkpoint(self.state_file)
            return
        with atomic_path(self.state_file) as temporary:
            trainer.save_checkpoint(temporary)

    def _note_score(self, module: lightning.LightningModule, *, writes: bool) -> bool:
        score = _score(module.scores, self._config.monitor, self._epochs_done)
        # A network that diverged has no score; the first epoch is kept whatever it scores.
        better = score > self._best or self._epochs_done == 1
        self._epochs_without_gain = 0 if better else self._epochs_without_gain + 1
        if better:
            self._best = score
        if better and writes:
            weights = {name: tensor.contiguous() for name, tensor in module.average.state_dict().items()}
            with atomic_path(self._run.state / "best.safetensors") as temporary:
                save_file(weights, temporary)
        return better

    def _reason_to_stop(self) -> str | None:
        limit = self._config.max_minutes
        if self._epochs_done >= self._config.epochs:
            return "all epochs are done"
        if self._epochs_without_gain >= self._config.patience:
            return f"no better {self._config.monitor} in {self._config.patience} epochs"
        if limit is not None and self._seconds >= limit * 60:
            return f"{limit:g} minutes are over"
        return None

    def _line(self, row: dict[str, Any], seconds: float, better: bool) -> str:
        left = (self._config.epochs - self._epochs_done) * self._seconds / self._epochs_done
        if self._config.max_minutes is not None:
            left = min(left, max(0.0, self._config.max_minutes * 60 - self._seconds))
        return (
            f"epoch {row['epoch']}/{self._config.epochs}  loss {row['loss']:.3f}  nll {row['nll']:.3f}  "
            f"balanced accuracy {row['balanced_accuracy']:.3f}  {seconds:.1f} s, at most {left / 60:.0f} min left"
            f"{'  best so far' if better else ''}"
        )


def _score(scores: dict[str, float], monitor: str, epoch: int) -> float:
    """Higher is better; by `none` the later epoch is."""
    if monitor == "none":
        return float(epoch)
    return -scores[monitor] if monitor == "nll" else scores[monitor]

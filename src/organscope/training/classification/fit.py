"""Fit the network: a Lightning module, its averaged twin, and a state on disk after every epoch to resume from.

After every epoch: write the metrics, keep the best weights, save the state, decide whether to stop.

What the processes of one training tell each other, beside the gradients, which Lightning takes care of.

What a wrong organ costs while training: plain, class-weighted, focal or logit-adjusted cross-entropy.

Targets are distributions over the organs, because mixed images and label smoothing both need them.
"""

import copy
import json
import logging
import math
import signal
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import lightning
import numpy as np
import torch
import torch.distributed
from jaxtyping import Float, Float64, Int, Int64
from lightning.pytorch.strategies import DDPStrategy
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from organscope.errors import ConfigError, UnknownNameError
from organscope.evaluation.metrics.classification import classification_scores
from organscope.inference.prefetch import TimedLoader
from organscope.io.paths import atomic_path
from organscope.ops.intensity import Preprocessing
from organscope.tracking.environment import processor_has_bfloat16
from organscope.training.classification.augment import augment, mix_pairs
from organscope.training.classification.config import ClassificationConfig, FitConfig, LossConfig
from organscope.training.classification.data import (
    CellCrops,
    Images,
    TrainingBatches,
    ValidationBatches,
    steps_per_epoch,
)
from organscope.training.classification.network import OrganNetwork
from organscope.training.origin import Place, torchrun_place
from organscope.training.run import Report, RunDirectory


class _CheckpointCallback(lightning.Callback):
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


def _lightning_means(place: Place) -> dict[str, Any]:
    """How Lightning is to spread the training: over gloo on processors, over NCCL on accelerators."""
    if place.is_alone:
        return {"devices": 1}
    return {"devices": place.on_machine, "num_nodes": place.n_machines, "strategy": DDPStrategy()}


def _make_equal(module: nn.Module, place: Place) -> None:
    """Give every process the weights and running statistics of the first.

    Weights are equal already; running statistics are of each process's own images.
    """
    if not place.is_alone:
        for tensor in module.state_dict().values():
            torch.distributed.broadcast(tensor, src=0)


def _gather(found: list[Any], place: Place) -> list[Any]:
    """What all processes have found, in the order of the processes."""
    if place.is_alone:
        return found
    parts: list[list[Any]] = [[] for _ in range(place.world)]
    torch.distributed.all_gather_object(parts, found)
    return [item for part in parts for item in part]


def smooth_targets(organs: Int[Tensor, " n"], n_organs: int, label_smoothing: float) -> Float[Tensor, "n organ"]:
    """One-hot targets of which `label_smoothing` is spread evenly over all organs (Szegedy et al. 2016, eq. 7)."""
    one_hot = functional.one_hot(organs, n_organs).float()
    return one_hot * (1.0 - label_smoothing) + label_smoothing / n_organs


def balanced_weights(counts: Float[Tensor, " organ"]) -> Float[Tensor, " organ"]:
    """Weights inverse to how often an organ was trained on; their mean over the training images is 1."""
    return counts.sum() / (len(counts) * counts)


def cross_entropy(
    logits: Float[Tensor, "n organ"],
    targets: Float[Tensor, "n organ"],
    weights: Float[Tensor, " organ"],
    focus: float = 0.0,
) -> Float[Tensor, ""]:
    """Mean over n of -sum_k w_k t_k (1 - p_k)^focus log p_k.

    `focus` 0 is the cross-entropy; above 0 it is the focal loss (Lin et al. 2017, eq. 4), in which organs that
    the network is already sure of count less.
    """
    log_probs = functional.log_softmax(logits, dim=1)
    losses = -weights * targets * log_probs
    if focus > 0:
        losses = losses * (1.0 - log_probs.exp()).clamp(min=0.0) ** focus
    return losses.sum(dim=1).mean()


class OrganLoss(nn.Module):
    """The loss that a configuration names, for organs with the given numbers of training images.

    Args:
        config: Kind, label smoothing, positive class and its weight.
        organs: Names of the classes, in the order of the logits.
        counts: How often each organ is drawn, in any unit, all above 0.

    Raises:
        UnknownNameError: `positive_class` is none of the organs.
        ConfigError: An organ has no training image.
    """

    def __init__(self, config: LossConfig, organs: list[str], counts: Float[Tensor, " organ"]) -> None:
        super().__init__()
        if float(counts.min()) <= 0:
            empty = organs[int(counts.argmin())]
            raise ConfigError(f"Expected at least one training image of each organ, found none of {empty!r}.")
        weights = balanced_weights(counts) if config.kind == "class_weighted" else counts.new_ones(len(organs))
        if config.positive_class is not None:
            if config.positive_class not in organs:
                raise UnknownNameError(
                    f"loss.positive_class is {config.positive_class!r}, which is none of the organs: "
                    f"{', '.join(organs)}."
                )
            weights[organs.index(config.positive_class)] *= config.positive_weight
        self.focus = config.focus if config.kind == "focal" else 0.0
        # Menon et al. 2021, eq. 10: adding the log prior while training makes the plain logits favor no organ.
        strength = config.adjustment if config.kind == "logit_adjusted" else 0.0
        self.register_buffer("weights", weights, persistent=False)
        self.register_buffer("shift", strength * (counts / counts.sum()).log(), persistent=False)

    def forward(self, logits: Float[Tensor, "n organ"], targets: Float[Tensor, "n organ"]) -> Float[Tensor, ""]:
        return cross_entropy(logits + self.shift, targets, self.weights, self.focus)


#: Precision names of Lightning.
_PRECISIONS = {"bf16": "bf16-mixed", "fp32": "32-true"}


def lightning_precision(wanted: Literal["auto", "bf16", "fp32"]) -> str:
    """Lightning's name of the precision; `auto` is bfloat16 where the accelerator, or else the processor, has it."""
    if wanted != "auto":
        return _PRECISIONS[wanted]
    accelerated = torch.cuda.is_available()
    fast = torch.cuda.is_bf16_supported(including_emulation=False) if accelerated else processor_has_bfloat16()
    return _PRECISIONS["bf16" if fast else "fp32"]


@dataclass(frozen=True)
class TrainingData:
    """What is learnt from and what tells when to stop.

    Attributes:
        training, validation: Images, or single cells.
        training_organs, validation_organs: Number of the organ of each of them.
        probability: How often each of the training is drawn; sums to 1.
    """

    training: Images | CellCrops
    training_organs: np.ndarray
    probability: np.ndarray
    validation: Images | CellCrops
    validation_organs: np.ndarray


class _OrganFit(lightning.LightningModule):
    """One training step, the moving average of the weights, and its scores on the validation images."""

    def __init__(
        self, config: ClassificationConfig, network: OrganNetwork, loss: OrganLoss, data: TrainingData
    ) -> None:
        super().__init__()
        self.config = config
        self.data = data
        self.network = network.to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.network).requires_grad_(False)
        self.loss = loss
        #: Part of `fit.max_minutes` that is over: a training that is cut off by time still ends at a rate of 0.
        self.time_share = 0.0
        self.place = torchrun_place()
        self.supply: TimedLoader | None = None
        self.epoch_losses: list[Tensor] = []
        self.scores: dict[str, float] = {}
        self._outputs: list[tuple[Tensor, Tensor]] = []

    def train_dataloader(self) -> TimedLoader:
        fit, data, seed = self.config.fit, self.data, (self.config.fit.seed, self.current_epoch)
        # Dropout draws from the global generator: set by the epoch, so that a resumed run draws the same.
        torch.manual_seed(_mixed_seed(*self.place.seed(*seed)))
        self.supply = TimedLoader(
            TrainingBatches(data.training, data.training_organs, data.probability, fit.batch, seed, self.place)
        )
        return self.supply

    def val_dataloader(self) -> ValidationBatches:
        return ValidationBatches(self.data.validation, self.config.fit.batch, self.place)

    def training_step(self, batch: tuple[Tensor, Tensor, Tensor], batch_idx: int) -> Tensor:
        fields, gray_range, organs = batch
        config = self.config
        seed = self.place.seed(config.fit.seed, self.global_step + 1)
        generator = torch.Generator().manual_seed(_mixed_seed(*seed))
        with torch.autocast(self.device.type, enabled=False):
            changed = augment(fields, gray_range, config.augmentation, generator)
            images = standardize_batch(changed, config.preprocessing)
            targets = smooth_targets(organs, len(self.loss.weights), config.loss.label_smoothing)
            images, targets = mix_pairs(images, targets, config.augmentation, generator)
        maps = self.network.stage_maps(images.contiguous(memory_format=torch.channels_last))
        # Means of many numbers and their squares: too coarse in bfloat16.
        with torch.autocast(self.device.type, enabled=False):
            loss = self._loss_of([part.float() for part in maps], targets)
        self.epoch_losses.append(loss.detach())
        return loss

    def _loss_of(self, maps: list[Tensor], targets: Tensor) -> Tensor:
        head, weight = self.network.head, self.config.loss.per_stage
        by_stage = head.stage_logits(head.features(maps))
        loss = self.loss(torch.stack(by_stage).mean(dim=0), targets)
        if weight > 0:
            loss = loss + weight * torch.stack([self.loss(logits, targets) for logits in by_stage]).mean()
        return loss

    def on_train_batch_end(self, outputs: object, batch: object, batch_idx: int) -> None:
        update_average(self.average, self.network, self.config.fit.ema_decay, self.global_step)

    def on_validation_epoch_start(self) -> None:
        # Lightning only switches what it validates to evaluation and back; the average never trains.
        self.average.eval()
        _make_equal(self.average, self.place)
        self._outputs = []

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        fields, owners = batch
        images = standardize_batch(fields.float() / 255.0, self.config.preprocessing)
        maps = self.average.stage_maps(images.contiguous(memory_format=torch.channels_last))
        with torch.autocast(self.device.type, enabled=False):
            logits, _ = self.average.head([part.float() for part in maps])
        self._outputs.append((logits.double().softmax(dim=1).cpu(), owners.cpu()))

    def on_validation_epoch_end(self) -> None:
        outputs = _gather(self._outputs, self.place)
        probs = image_means(*(torch.cat(part).numpy() for part in zip(*outputs, strict=True)))
        scores = classification_scores(probs, self.data.validation_organs)
        self.scores = {name: scores[name] for name in ("nll", "balanced_accuracy", "accuracy")}

    def configure_optimizers(self) -> dict:
        fit = self.config.fit
        steps = steps_per_epoch(self.data.training.draws_per_epoch, fit.batch)
        last_step = fit.epochs * steps
        optimizer = torch.optim.AdamW(_groups(self.network, fit.weight_decay), lr=fit.learning_rate)

        def share(step: int) -> float:
            return rate_share(max(step, int(self.time_share * last_step)), fit.warm_up_epochs * steps, last_step)

        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, share)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


def fit(
    config: ClassificationConfig,
    network: OrganNetwork,
    loss: OrganLoss,
    data: TrainingData,
    run: RunDirectory,
    report: Report,
    clock: Sequence[float] = (),
) -> OrganNetwork:
    """Train until the validation stops getting better, and return the best averaged network, in evaluation mode.

    Resumes from the checkpoint in `run.state`; results are identical to an uninterrupted run.

    Args:
        config: Everything the training is told.
        network: Untrained; it is trained in place.
        loss: What a wrong organ costs.
        data: Images and their organs.
        run: Where metrics and the resumable state go.
        report: Gets one line an epoch for the person who watches.
        clock: Seconds that each epoch is taken to last; those that it does last beyond them.

    Raises:
        KeyboardInterrupt: The person stopped it; says after which epoch, and how to go on.
    """
    keeper = _CheckpointCallback(config.fit, run, report, clock)
    module = _OrganFit(config, network, loss, data)
    if not keeper.finished:
        _run_trainer(module, keeper, config.fit)
    if module.place.leads:
        module.average.load_state_dict(keeper.best_weights())
    return module.average.cpu().eval()


def image_means(
    values: Float64[np.ndarray, "field k"], owners: Int64[np.ndarray, " field"]
) -> Float64[np.ndarray, "image k"]:
    """Average what the fields of each image gave; `owners` counts the images up from 0."""
    sums = np.zeros((int(owners.max()) + 1, values.shape[1]))
    np.add.at(sums, owners, values)
    return sums / np.bincount(owners)[:, None]


def standardize_batch(images: Tensor, preprocessing: Preprocessing) -> Tensor:
    """`ops.preprocess.standardise` for a batch in torch, n 3 y x."""
    mean = images.new_tensor(preprocessing.mean).view(1, 3, 1, 1)
    std = images.new_tensor(preprocessing.std).view(1, 3, 1, 1)
    return (images - mean) / std


def rate_share(step: int, warm_up_steps: int, total_steps: int) -> float:
    """Share of the learning rate at a step: a linear rise, then half a cosine down to 0."""
    if step < warm_up_steps:
        return (step + 1) / warm_up_steps
    left = max(1, total_steps - warm_up_steps)
    return 0.5 * (1.0 + math.cos(math.pi * min(1.0, (step - warm_up_steps) / left)))


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, decay: float, step: int) -> None:
    """Move the averaged weights and running statistics towards the network's (Polyak & Juditsky 1992).

    The decay is smaller in the first steps, so that the random start is soon forgotten.
    """
    share = 1.0 - min(decay, (1 + step) / (10 + step))
    slow, fast = average.state_dict(), network.state_dict()
    floating = [name for name, tensor in slow.items() if tensor.is_floating_point()]
    torch._foreach_lerp_([slow[name] for name in floating], [fast[name] for name in floating], share)
    for name in slow.keys() - set(floating):
        slow[name].copy_(fast[name])


def _run_trainer(module: _OrganFit, keeper: _CheckpointCallback, config: FitConfig) -> None:
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    trainer = lightning.Trainer(
        accelerator="auto",
        **_lightning_means(module.place),
        precision=lightning_precision(config.precision),
        max_epochs=config.epochs,
        gradient_clip_val=config.clip_norm,
        callbacks=[keeper],
        logger=False,
        enable_checkpointing=False,
        # The same numbers again. A warning where the accelerator has no such kernel, in place of a failure.
        deterministic="warn",
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        reload_dataloaders_every_n_epochs=1,
    )
    # What is not yet written is never read: filling it would only cost time.
    torch.utils.deterministic.fill_uninitialized_memory = False
    interrupt_handler = signal.getsignal(signal.SIGINT)
    try:
        with warnings.catch_warnings():
            # Lightning's advice on loaders, workers and logging does not apply to batches made in memory.
            warnings.filterwarnings("ignore", module=r"lightning\..*")
            trainer.fit(module, ckpt_path=keeper.state_file if keeper.state_file.exists() else None)
    except SystemExit:
        # Lightning turns Ctrl-C into an exit and leaves the signal ignored.
        signal.signal(signal.SIGINT, interrupt_handler)
        raise KeyboardInterrupt(keeper.how_to_resume()) from None


def _groups(network: nn.Module, weight_decay: float) -> list[dict]:
    """Weight decay is for matrices and kernels; biases and normalizations go without."""
    parameters = list(network.parameters())
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]


def _mixed_seed(*numbers: int) -> int:
    """One seed for all the numbers together."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)

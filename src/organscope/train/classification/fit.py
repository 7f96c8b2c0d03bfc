"""Fit the network: a Lightning module, its averaged twin, and a state on disk after every epoch to resume from."""

import copy
import logging
import math
import signal
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import lightning
import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor, nn

from organscope.metrics.classification import classification_scores
from organscope.ops.preprocess import Preprocessing
from organscope.tracking.facts import processor_has_bfloat16
from organscope.train.classification.augment import augment, mix_pairs
from organscope.train.classification.cells_data import CellCrops
from organscope.train.classification.config import ClassificationConfig, FitConfig
from organscope.train.classification.data import Pictures, TrainingBatches, ValidationBatches, steps_per_epoch
from organscope.train.classification.distributed import gather, lightning_means, make_equal
from organscope.train.classification.keeper import Keeper
from organscope.train.classification.losses import OrganLoss, smooth_targets
from organscope.train.classification.network import OrganNetwork
from organscope.train.place import torchrun_place
from organscope.train.run import Report, RunDirectory
from organscope.train.waiting import Supply

#: Precision names of Lightning.
PRECISIONS = {"bf16": "bf16-mixed", "fp32": "32-true"}


def lightning_precision(wanted: Literal["auto", "bf16", "fp32"]) -> str:
    """Lightning's name of the precision; `auto` is bfloat16 where the accelerator, or else the processor, has it."""
    if wanted != "auto":
        return PRECISIONS[wanted]
    accelerated = torch.cuda.is_available()
    fast = torch.cuda.is_bf16_supported(including_emulation=False) if accelerated else processor_has_bfloat16()
    return PRECISIONS["bf16" if fast else "fp32"]


@dataclass(frozen=True)
class TrainingData:
    """What is learnt from and what tells when to stop.

    Attributes:
        training, validation: Pictures, or single cells.
        training_organs, validation_organs: Number of the organ of each of them.
        probability: How often each of the training is drawn; sums to 1.
    """

    training: Pictures | CellCrops
    training_organs: np.ndarray
    probability: np.ndarray
    validation: Pictures | CellCrops
    validation_organs: np.ndarray


class OrganFit(lightning.LightningModule):
    """One training step, the moving average of the weights, and its scores on the validation pictures."""

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
        self.supply: Supply | None = None
        self.epoch_losses: list[Tensor] = []
        self.scores: dict[str, float] = {}
        self._outputs: list[tuple[Tensor, Tensor]] = []

    def train_dataloader(self) -> Supply:
        fit, data, seed = self.config.fit, self.data, (self.config.fit.seed, self.current_epoch)
        # Dropout draws from the global generator: set by the epoch, so that a resumed run draws the same.
        torch.manual_seed(_mixed_seed(*self.place.seed(*seed)))
        self.supply = Supply(
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
            images = standardise_batch(changed, config.preprocessing)
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
        make_equal(self.average, self.place)
        self._outputs = []

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        fields, owners = batch
        images = standardise_batch(fields.float() / 255.0, self.config.preprocessing)
        maps = self.average.stage_maps(images.contiguous(memory_format=torch.channels_last))
        with torch.autocast(self.device.type, enabled=False):
            logits, _ = self.average.head([part.float() for part in maps])
        self._outputs.append((logits.double().softmax(dim=1).cpu(), owners.cpu()))

    def on_validation_epoch_end(self) -> None:
        outputs = gather(self._outputs, self.place)
        probs = picture_means(*(torch.cat(part).numpy() for part in zip(*outputs, strict=True)))
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

    A state in `run.state` is gone on with: the result is the same as without the stop.

    Args:
        config: Everything the training is told.
        network: Untrained; it is trained in place.
        loss: What a wrong organ costs.
        data: Pictures and their organs.
        run: Where metrics and the resumable state go.
        report: Gets one line an epoch for the person who watches.
        clock: Seconds that each epoch is taken to last; those that it does last beyond them.

    Raises:
        KeyboardInterrupt: The person stopped it; says after which epoch, and how to go on.
    """
    keeper = Keeper(config.fit, run, report, clock)
    module = OrganFit(config, network, loss, data)
    if not keeper.finished:
        _run_trainer(module, keeper, config.fit)
    if module.place.leads:
        module.average.load_state_dict(keeper.best_weights())
    return module.average.cpu().eval()


def picture_means(
    values: Float64[np.ndarray, "field k"], owners: Int64[np.ndarray, " field"]
) -> Float64[np.ndarray, "picture k"]:
    """Average what the fields of each picture gave; `owners` counts the pictures up from 0."""
    sums = np.zeros((int(owners.max()) + 1, values.shape[1]))
    np.add.at(sums, owners, values)
    return sums / np.bincount(owners)[:, None]


def standardise_batch(images: Tensor, preprocessing: Preprocessing) -> Tensor:
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


def _run_trainer(module: OrganFit, keeper: Keeper, config: FitConfig) -> None:
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    trainer = lightning.Trainer(
        accelerator="auto",
        **lightning_means(module.place),
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
    """Weight decay is for matrices and kernels; biases and normalisations go without."""
    parameters = list(network.parameters())
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]


def _mixed_seed(*numbers: int) -> int:
    """One seed for all the numbers together."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)

"""The training loop; each epoch ends in a state that can be resumed."""

import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import keras
import numpy as np
from keras import ops
from safetensors.numpy import load_file, save_file

from organscope.images.atomic import atomic_path
from organscope.tracking.facts import processor_has_bfloat16
from organscope.train.place import Place
from organscope.train.run import Report, RunDirectory
from organscope.train.segmentation.config import SegmentationConfig
from organscope.train.segmentation.crops import Pictures, TrainingCrops
from organscope.train.segmentation.losses import MapLoss
from organscope.train.segmentation.network import build_network, with_readout
from organscope.train.segmentation.start import Start
from organscope.train.segmentation.validate import METRICS, validate
from organscope.train.waiting import Supply

if TYPE_CHECKING:
    # Speaks to TensorFlow, and is loaded only where several processes train together.
    from organscope.train.segmentation.distributed import Together


#: Names of Keras for the precision.
POLICIES = {"bfloat16": "mixed_bfloat16", "float32": "float32"}


@dataclass
class Progress:
    """Where a training stands; what early stopping needs to know."""

    epoch: int = 0
    best_score: float = -math.inf
    epochs_without_gain: int = 0

    def note(self, score: float, keep: Literal["best", "last"]) -> bool:
        """Count in the score of an epoch; whether its weights are to be kept."""
        better = keep == "last" or score > self.best_score
        self.epochs_without_gain = 0 if better else self.epochs_without_gain + 1
        if better:
            self.best_score = score
        return better


class Trainer:
    """A network, its averaged twin, and an optimiser, which together can be saved and resumed."""

    def __init__(self, config: SegmentationConfig, together: "Together | None" = None) -> None:
        fit = config.fit
        _compute_reproducibly()
        keras.utils.set_random_seed(fit.seed)
        keras.config.set_dtype_policy(dtype_policy(fit.precision))
        self.network = build_network(config.network)
        keras.config.set_dtype_policy("float32")
        self.average = build_network(config.network)
        self.average.set_weights(self.network.get_weights())
        warm_up = int(fit.warm_up_epochs * fit.steps_per_epoch)
        rate = keras.optimizers.schedules.CosineDecay(
            initial_learning_rate=fit.learning_rate / 20 if warm_up else fit.learning_rate,
            decay_steps=max(1, fit.epochs * fit.steps_per_epoch - warm_up),
            warmup_target=fit.learning_rate if warm_up else None,
            warmup_steps=warm_up,
        )
        self.optimizer = keras.optimizers.AdamW(
            rate, weight_decay=fit.weight_decay, clipnorm=5.0, use_ema=True, ema_momentum=fit.average
        )
        loss = MapLoss(config.loss)
        self.network.compile(optimizer=self.optimizer, loss=loss)
        self.optimizer.build(self.network.trainable_variables)
        self._together = together
        self._step = (
            self._alone if together is None else together.step(self.network, self.optimizer, MapLoss(config.loss))
        )
        self.config = config
        self.progress = Progress()
        #: Training loss of each step of the last epoch.
        self.step_losses: list[float] = []
        self.waiting_share = 0.0

    def facts(self) -> dict[str, float]:
        """Of the last epoch: crops shown and part of the time that was waited for them; learning rate of the next."""
        fit = self.config.fit
        rate = float(ops.convert_to_numpy(self.optimizer.learning_rate))
        n_images = fit.steps_per_epoch * fit.batch
        return {"learning_rate": rate, "n_images": n_images, "waiting_share": self.waiting_share}

    def run_epoch(self, pictures: Pictures, probability: np.ndarray) -> float:
        """Train one epoch and return its mean loss."""
        epoch = self.progress.epoch + 1
        place = Place() if self._together is None else self._together.place
        supply = Supply(TrainingCrops(pictures, probability, self.config, epoch, place))
        self.step_losses = [self._step(*batch) for batch in supply]
        self.waiting_share = supply.waiting_share
        if self._together is not None:
            self._together.share_statistics(self.network)
        last = self.network.get_weights()
        # The moving average of the weights generalises better (Polyak and Juditsky 1992) and is validated and
        # shipped; training goes on from the last weights.
        self.optimizer.finalize_variable_values(self.network.trainable_variables)
        self.average.set_weights(self.network.get_weights())
        self.network.set_weights(last)
        self.progress.epoch = epoch
        return float(np.mean(self.step_losses))

    def _alone(self, images: np.ndarray, maps: np.ndarray) -> float:
        return float(self.network.train_on_batch(images, maps, return_dict=True)["loss"])

    def save(self, folder: Path) -> None:
        """Write all that a resumed training needs, in one file."""
        tensors = {f"network.{i}": w for i, w in enumerate(self.network.get_weights())}
        tensors |= {f"average.{i}": w for i, w in enumerate(self.average.get_weights())}
        states = [ops.convert_to_numpy(v) for v in self.optimizer.variables]
        tensors |= {f"optimizer.{i}": np.atleast_1d(v) for i, v in enumerate(states)}
        with atomic_path(folder / "last.safetensors") as temporary:
            save_file(tensors, temporary, metadata={"progress": json.dumps(vars(self.progress))})

    def restore(self, folder: Path) -> None:
        """Go on from the last saved epoch, if there is one."""
        file = folder / "last.safetensors"
        if not file.exists():
            return
        tensors = load_file(file)
        _assign(self.network.weights, tensors, "network")
        _assign(self.average.weights, tensors, "average")
        _assign(self.optimizer.variables, tensors, "optimizer")
        self.progress = Progress(**json.loads(_metadata(file)["progress"]))


def fit(
    config: SegmentationConfig,
    run: RunDirectory,
    training: Pictures,
    probability: np.ndarray,
    validation: Pictures,
    report: Report,
    start: Start | None = None,
    together: "Together | None" = None,
) -> keras.Model:
    """Train until the validation stops getting better, and return the averaged network of the best or last epoch.

    Args:
        config: Everything the training is told.
        run: Where metrics and resumable state go.
        training: Pictures to learn from.
        probability: How often each is drawn.
        validation: Pictures that decide when to stop.
        report: Gets one line an epoch for the person who watches.
        start: Weights to go on from; the result is never worse on the validation than these, unless the last are kept.
        together: The processes that train with this one; only the first validates and writes.
    """
    trainer = Trainer(config, together)
    leads = together is None or together.place.leads
    best = run.state / "best.weights.h5"
    shown = with_readout(trainer.average)
    if start is not None:
        # Into the twin, because Keras would look for the optimiser of a compiled network in the file.
        start.load_into(trainer.average, config.network.head)
        trainer.network.set_weights(trainer.average.get_weights())
    trainer.restore(run.state)
    progress = trainer.progress
    if start is not None and progress.epoch == 0:
        progress.best_score = validate(shown, validation, config)["score"]
        _save_weights(trainer.average, best)
        report(f"before training  PQ {progress.best_score:.4f}")
    while progress.epoch < config.fit.epochs and progress.epochs_without_gain < config.fit.patience:
        begun = time.perf_counter()
        loss = trainer.run_epoch(training, probability)
        scores = _scores(shown, validation, config, together)
        if progress.note(scores["score"], config.fit.keep) and leads:
            _save_weights(trainer.average, best)
        if leads:
            trainer.save(run.state)
        seconds = time.perf_counter() - begun
        row = {"epoch": progress.epoch, "loss": loss, **scores, **trainer.facts(), "seconds": seconds}
        run.log(row, trainer.step_losses)
        report(_line(progress, config.fit.epochs, loss, scores["score"], seconds))
    if leads:
        _keep(trainer.average, best, start, config)
    return trainer.average


def _keep(network: keras.Model, best: Path, start: Start | None, config: SegmentationConfig) -> None:
    network.load_weights(best)
    if start is not None and config.fit.blend > 0:
        start.blend_into(network, config.network.head, config.fit.blend)


def _scores(
    shown: keras.Model, validation: Pictures, config: SegmentationConfig, together: "Together | None"
) -> dict[str, float]:
    if together is None:
        return validate(shown, validation, config)
    leads = together.place.leads
    return together.tell(validate(shown, validation, config) if leads else dict.fromkeys((*METRICS, "score"), 0.0))


def dtype_policy(precision: Literal["auto", "float32", "bfloat16"]) -> str:
    """Keras's name of the precision; `auto` is bfloat16 on an accelerator, and where the processor has it."""
    if precision == "auto":
        fast = "cpu" not in device_name().lower() or processor_has_bfloat16()
        precision = "bfloat16" if fast else "float32"
    return POLICIES[precision]


def device_name() -> str:
    """Where tensors lie unless told otherwise, as the backend names it."""
    return str(ops.zeros(1).device)


def _compute_reproducibly() -> None:
    """The same numbers again, also on an accelerator; processors add up in one order anyway, and lose no time."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow

        tensorflow.config.experimental.enable_op_determinism()


def _line(progress: Progress, epochs: int, loss: float, score: float, seconds: float) -> str:
    left = (epochs - progress.epoch) * seconds / 60
    mark = "  kept so far" if progress.epochs_without_gain == 0 else ""
    return f"epoch {progress.epoch}/{epochs}  loss {loss:.4f}  PQ {score:.4f}  at most {left:.0f} min left{mark}"


def _save_weights(network: keras.Model, file: Path) -> None:
    temporary = file.with_name("best.tmp.weights.h5")
    network.save_weights(temporary)
    temporary.replace(file)


def _assign(variables, tensors: dict[str, np.ndarray], name: str) -> None:
    for i, variable in enumerate(variables):
        variable.assign(tensors[f"{name}.{i}"].reshape(variable.shape))


def _metadata(file: Path) -> dict[str, str]:
    from safetensors import safe_open

    with safe_open(file, framework="numpy") as content:
        return content.metadata()

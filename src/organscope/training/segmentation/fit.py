"""The training loop; each epoch ends in a state that can be resumed.

What the network is told about its errors.

How good a network is between two epochs, on crops of the inner validation images that never change.
"""

import json
import math
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import keras
import numpy as np
from keras import ops
from safetensors.numpy import load_file, save_file

from organscope.evaluation.metrics.segmentation import defined_mean, segmentation_scores
from organscope.inference.prefetch import TimedLoader
from organscope.io.paths import atomic_path
from organscope.ops.instances import Decoder, decode_cells
from organscope.ops.intensity import standardize
from organscope.tracking.environment import processor_has_bfloat16
from organscope.training.origin import Place
from organscope.training.run import Report, RunDirectory
from organscope.training.segmentation.config import LossSettings, SegmentationConfig
from organscope.training.segmentation.data import Images, TrainingCrops
from organscope.training.segmentation.distillation import Teachers
from organscope.training.segmentation.encoders import load_encoder
from organscope.training.segmentation.network import Start, build_network, with_readout

if TYPE_CHECKING:
    # Speaks to TensorFlow, and is loaded only where several processes train together.
    from organscope.training.segmentation.distributed import DistributedTrainer


class MapLoss(keras.losses.Loss):
    """Weighted cross-entropy and overlap of the foreground, cross-entropy of the head's maps.

    The target of a head's map is a fraction; cross-entropy against a fraction is least where the prediction
    equals it, and its gradient does not fade as that of a squared error behind a sigmoid does. Directions are
    learned inside true cells alone: outside they mean nothing.
    """

    def __init__(self, settings: LossSettings) -> None:
        super().__init__(name="map_loss")
        self.settings = settings

    def call(self, y_true, y_pred):
        """Mean loss of a batch: truth in [0, 1] and logits, both (n, y, x, k).

        A further map of the truth says which pixels are known (1); the others (0) teach neither cell nor background.
        """
        n_maps = y_pred.shape[-1]
        entropy = _cross_entropy(y_true[..., :n_maps], y_pred)
        truth, probability = y_true[..., 0], ops.sigmoid(y_pred[..., 0])
        mean = ops.mean
        if y_true.shape[-1] > n_maps:
            known = y_true[..., n_maps]
            truth, probability = truth * known, probability * known
            mean = _mean_where(known)
        weight = 1 + (self.settings.positive_weight - 1) * truth
        loss = mean(weight * entropy[..., 0])
        loss += self.settings.overlap_weight * self._overlap_loss(truth, probability)
        loss += self.settings.height_weight * mean(entropy[..., 1])
        if y_pred.shape[-1] > 2:
            inside = ops.sum(truth[..., None] * entropy[..., 2:]) / (ops.sum(truth) + 1)
            loss += self.settings.flow_weight * inside / (y_pred.shape[-1] - 2)
        return loss

    def _overlap_loss(self, truth, probability):
        """1 - overlap over the batch, or the mean over its crops; defined where no cell is by the added ones.

        Dice (Milletari et al. 2016); Tversky, equation 3 of Salehi et al. (2017), of which Dice is the case that
        weighs missed and false pixels alike; focal Tversky, equation 5 of Abraham and Khan (2019).
        """
        missed_weight = 0.5 if self.settings.overlap == "dice" else self.settings.missed_weight
        axes = (1, 2) if self.settings.overlap_of == "crop" else None
        both = ops.sum(truth * probability, axis=axes)
        missed = ops.sum(truth, axis=axes) - both
        false = ops.sum(probability, axis=axes) - both
        loss = 1 - (2 * both + 1) / (2 * (both + missed_weight * missed + (1 - missed_weight) * false) + 1)
        if self.settings.overlap == "focal_tversky":
            # The root has no slope at 0, where a perfect batch would make it infinite.
            loss = ops.power(loss + 1e-6, 1 / self.settings.focus)
        return ops.mean(loss)


def _mean_where(known):
    """The mean over the pixels that are known; 0 where none is."""
    n_known = ops.maximum(ops.sum(known), 1)
    return lambda values: ops.sum(values * known) / n_known


def _cross_entropy(target, logits):
    return ops.relu(logits) - logits * target + ops.log1p(ops.exp(-ops.abs(logits)))


_METRICS = ("pq", "dice", "aji", "missed_rate", "false_rate")
_FOREGROUND_THRESHOLDS = (0.4, 0.5, 0.65)
"""The best of these counts, so that a network is not taken for worse because its probabilities lie higher or lower."""


def validate(network: keras.Model, images: Images, config: SegmentationConfig) -> dict[str, float]:
    """Score fixed crops, two corners of each image, with decoders near those that tuning usually ends with.

    Args:
        network: With its readout.
        images: Validation images.
        config: For preprocessing and crop size.

    Returns:
        Means over the crops of a dataset, averaged over datasets, so that a large set does not drown a small one: `pq`,
        `dice`, `aji`, `missed_rate` and `false_rate` at the threshold of highest PQ, and `score`, which is that PQ.
    """
    decoders = [_decoder(config, threshold) for threshold in _FOREGROUND_THRESHOLDS]
    rows = defaultdict(list)
    for number, sample in enumerate(images.samples):
        for image, labels in images.corners(number, config.fit.crop_px):
            tile = standardize(image.astype(np.float32) / 255, config.preprocessing)
            padded, size = _pad(tile, config.network.stride_px)
            maps = np.ascontiguousarray(network.predict_on_batch(padded[None])[0, : size[0], : size[1]])
            # Where labels are ignored no cell is expected, and none is taken for a false one.
            maps[labels < 0, 0] = 0
            labels = np.maximum(labels, 0)
            scores = [segmentation_scores(labels, decode_cells(maps, decoder)) for decoder in decoders]
            rows[sample.dataset].append([[score[metric] for metric in _METRICS] for score in scores])
    means = defined_mean([defined_mean(values) for values in rows.values()])
    # Crops without a cell in which none was found have no score. Where no crop has one, no epoch is better for it.
    means = np.nan_to_num(means)
    best = means[np.argmax(means[:, 0])]
    return {**{metric: float(value) for metric, value in zip(_METRICS, best, strict=True)}, "score": float(best[0])}


def _decoder(config: SegmentationConfig, threshold: float) -> Decoder:
    return Decoder(
        head=config.network.head,
        foreground_threshold=threshold,
        seed_prominence=0.12,
        smoothing=1,
        fill_holes=True,
        min_probability=threshold + 0.3 * (1 - threshold),
    )


def _pad(tile: np.ndarray, stride_px: int) -> tuple[np.ndarray, tuple[int, int]]:
    height, width = tile.shape[:2]
    missing = [(0, -height % stride_px), (0, -width % stride_px), (0, 0)]
    return np.pad(tile, missing, mode="reflect"), (height, width)


#: Names of Keras for the precision.
_POLICIES = {"bfloat16": "mixed_bfloat16", "float32": "float32"}


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


class _Trainer:
    """A network, its averaged twin, and an optimizer, which together can be saved and resumed."""

    def __init__(self, config: SegmentationConfig, together: "DistributedTrainer | None" = None) -> None:
        fit = config.fit
        _compute_reproducibly()
        keras.utils.set_random_seed(fit.seed)
        keras.config.set_dtype_policy(dtype_policy(fit.precision))
        self.network = build_network(config.network)
        self._teachers = Teachers(config) if config.distillation.teachers else None
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

    def run_epoch(self, images: Images, probability: np.ndarray) -> float:
        """Train one epoch and return its mean loss."""
        epoch = self.progress.epoch + 1
        place = Place() if self._together is None else self._together.place
        supply = TimedLoader(TrainingCrops(images, probability, self.config, epoch, place))
        self.step_losses = [self._step(images, self._taught(images, maps)) for images, maps in supply]
        self.waiting_share = supply.waiting_share
        if self._together is not None:
            self._together.share_statistics(self.network)
        last = self.network.get_weights()
        # The moving average of the weights generalizes better (Polyak and Juditsky 1992) and is validated and
        # shipped; training goes on from the last weights.
        self.optimizer.finalize_variable_values(self.network.trainable_variables)
        self.average.set_weights(self.network.get_weights())
        self.network.set_weights(last)
        self.progress.epoch = epoch
        return float(np.mean(self.step_losses))

    def begin_from_encoder(self, weights: str) -> None:
        """Begin with trained weights of the encoder, see `encoder_weights` of the configuration."""
        load_encoder(self.average, weights)
        self.network.set_weights(self.average.get_weights())

    def _taught(self, images: np.ndarray, maps: np.ndarray) -> np.ndarray:
        return maps if self._teachers is None else self._teachers.mixed(images, maps)

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
    training: Images,
    probability: np.ndarray,
    validation: Images,
    report: Report,
    start: Start | None = None,
    together: "DistributedTrainer | None" = None,
) -> keras.Model:
    """Train until the validation stops getting better, and return the averaged network of the best or last epoch.

    Args:
        config: Everything the training is told.
        run: Where metrics and resumable state go.
        training: Images to learn from.
        probability: How often each is drawn.
        validation: Images that decide when to stop.
        report: Gets one line an epoch for the person who watches.
        start: Weights to go on from; the result is never worse on the validation than these, unless the last are kept.
        together: The processes that train with this one; only the first validates and writes.
    """
    trainer = _Trainer(config, together)
    leads = together is None or together.place.leads
    best = run.state / "best.weights.h5"
    shown = with_readout(trainer.average)
    if start is not None:
        # Into the twin, because Keras would look for the optimizer of a compiled network in the file.
        start.load_into(trainer.average, config.network.head)
        trainer.network.set_weights(trainer.average.get_weights())
    elif config.network.encoder is not None and config.fit.encoder_weights != "random":
        trainer.begin_from_encoder(config.fit.encoder_weights)
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
    shown: keras.Model, validation: Images, config: SegmentationConfig, together: "DistributedTrainer | None"
) -> dict[str, float]:
    if together is None:
        return validate(shown, validation, config)
    leads = together.place.leads
    return together.tell(validate(shown, validation, config) if leads else dict.fromkeys((*_METRICS, "score"), 0.0))


def dtype_policy(precision: Literal["auto", "float32", "bfloat16"]) -> str:
    """Keras's name of the precision; `auto` is bfloat16 on an accelerator, and where the processor has it."""
    if precision == "auto":
        fast = "cpu" not in device_name().lower() or processor_has_bfloat16()
        precision = "bfloat16" if fast else "float32"
    return _POLICIES[precision]


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

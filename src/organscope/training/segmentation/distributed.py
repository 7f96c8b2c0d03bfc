"""One training in several processes, as `TF_CONFIG` names them: the one place where TensorFlow itself is spoken to.

Keras `fit` under MultiWorkerMirroredStrategy fails in Keras 3.15 with TensorFlow 2.21, so the step is written here.
Variables are each process's own; they stay equal because all begin with the same and take the same steps.
"""

import json
import logging
import os
from collections.abc import Callable, Mapping

import keras
import numpy as np
import tensorflow as tf

from organscope.errors import ConfigError
from organscope.training.origin import Place

_Step = Callable[[np.ndarray, np.ndarray], float]
"""Learns from a part of a batch, float32 images and maps; returns the mean loss of the whole batch."""


def tf_config_place(environment: Mapping[str, str] = os.environ) -> Place:
    """The place that `TF_CONFIG` gives this process; alone without it.

    Raises:
        ConfigError: `TF_CONFIG` does not list workers and say which of them this is.
    """
    text = environment.get("TF_CONFIG", "")
    if not text:
        return Place()
    try:
        config = json.loads(text)
        workers, task = config["cluster"]["worker"], config["task"]
        if task["type"] != "worker" or not 0 <= int(task["index"]) < len(workers):
            raise ValueError(f"task {task} of {len(workers)} workers")
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            'Expected TF_CONFIG like {"cluster": {"worker": ["host1:2222", "host2:2222"]}, "task": {"type": "worker", '
            f'"index": 0}}, found: {type(error).__name__}: {error}.'
        ) from error
    return Place(int(task["index"]), len(workers))


class DistributedTrainer:
    """The processes that train one network; each calls the same methods in the same order.

    Attributes:
        place: Of this process.
    """

    def __init__(self, place: Place) -> None:
        """Wait until all processes are there; to be called before TensorFlow has computed anything."""
        self.place = place
        # It tells of every sum and every function; what goes wrong is raised.
        logging.getLogger("tensorflow").setLevel(logging.ERROR)
        self._strategy = tf.distribute.MultiWorkerMirroredStrategy()

    def step(self, network: keras.Model, optimizer: keras.Optimizer, loss: keras.losses.Loss) -> _Step:
        """A training step in which every process adds the gradients of its own part of the batch."""

        def gradients(images: tf.Tensor, maps: tf.Tensor) -> list[tf.Tensor]:
            with tf.GradientTape() as tape:
                value = loss(maps, network(images, training=True))
            found = tape.gradient(value, network.trainable_weights)
            return tf.distribute.get_replica_context().all_reduce("MEAN", [value, *found])

        @tf.function(autograph=False, reduce_retracing=True)
        def run(images: tf.Tensor, maps: tf.Tensor) -> tf.Tensor:
            value, *mean = self._strategy.run(gradients, args=(images, maps))
            # Outside of the replicas: each process changes its own variables, all by the same amount.
            optimizer.apply_gradients(zip(mean, network.trainable_weights, strict=True))
            return value

        return lambda images, maps: float(run(images, maps))

    def share_statistics(self, network: keras.Model) -> None:
        """Give every process the mean of the running statistics, which are of each process's own crops."""
        variables = network.non_trainable_variables
        numbers = [v for v in variables if v.dtype == "float32"]
        for variable, mean in zip(numbers, self._mean([tf.constant(v.numpy()) for v in numbers]), strict=True):
            variable.assign(mean)

    def tell(self, numbers: Mapping[str, float]) -> dict[str, float]:
        """What the first process says; the others give the same names with any numbers, and wait for it."""
        said = list(numbers.values()) if self.place.leads else [0.0] * len(numbers)
        (mean,) = self._mean([tf.constant(said, tf.float64)])
        return dict(zip(numbers, (mean.numpy() * self.place.world).tolist(), strict=True))

    def wait(self) -> None:
        """Go on when all processes have come here."""
        self._mean([tf.zeros(1)])

    def _mean(self, tensors: list[tf.Tensor]) -> list[tf.Tensor]:
        def mean(values: list[tf.Tensor]) -> list[tf.Tensor]:
            return tf.distribute.get_replica_context().all_reduce("MEAN", values)

        @tf.function(autograph=False)
        def run() -> list[tf.Tensor]:
            return self._strategy.run(mean, args=(tensors,))

        return run()

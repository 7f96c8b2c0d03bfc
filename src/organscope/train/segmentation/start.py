"""The weights that a training begins with where it does not begin from chance."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import keras
import numpy as np

from organscope.bundle import Bundle
from organscope.errors import BundleError
from organscope.ops.instances import HEAD_MAPS, Head
from organscope.train.origin import Base, base_of
from organscope.train.segmentation.config import NetworkSettings
from organscope.train.segmentation.network import build_network


@dataclass(frozen=True)
class Start:
    """A trained network to go on from.

    Attributes:
        weights: The bytes of a `.weights.h5` file.
        settings: Its architecture.
        base: The bundle that it comes from.
    """

    weights: bytes
    settings: NetworkSettings
    base: Base

    @classmethod
    def of(cls, bundle: Bundle) -> Self:
        """From the weights file of a bundle."""
        manifest = bundle.manifest
        settings = NetworkSettings.model_validate(manifest.weights.architecture)
        return cls(bundle.read(manifest.weights.file), settings, base_of(bundle))

    def load_into(self, network: keras.Model, head: Head | None = None) -> None:
        """Give a network these weights; of another head, all but the maps that this one does not have.

        Args:
            network: Of the same architecture, but for its head.
            head: That of `network`; None: the same.

        Raises:
            BundleError: They do not fit it.
        """
        if head is None or head == self.settings.head:
            self._read_into(network)
            return
        known = build_network(self.settings)
        self._read_into(known)
        for new, old in zip(network.layers, known.layers, strict=True):
            if [w.shape for w in new.weights] == [w.shape for w in old.weights]:
                new.set_weights(old.get_weights())
            else:
                _share_maps(new, old, HEAD_MAPS[head], HEAD_MAPS[self.settings.head])

    def _read_into(self, network: keras.Model) -> None:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "start.weights.h5"
            file.write_bytes(self.weights)
            try:
                network.load_weights(file)
            except (ValueError, KeyError, OSError) as error:
                reason = str(error).splitlines()[0]
                raise BundleError(
                    f"Expected weights in '{self.base.name}' that fit its architecture, found: {reason} "
                    "Train it again with this version of organscope."
                ) from error

    def blend_into(self, network: keras.Model, head: Head, share: float) -> None:
        """Move a network that was trained on this far back towards these weights, 0 to 1 (Wortsman et al. 2022)."""
        learnt = network.get_weights()
        self.load_into(network, head)
        begun = network.get_weights()
        network.set_weights([(1 - share) * new + share * old for new, old in zip(learnt, begun, strict=True)])


def _share_maps(new: keras.layers.Layer, old: keras.layers.Layer, names: tuple[str, ...], known: tuple[str, ...]):
    """Copy the weights of the maps that two last layers of one decoder have in common."""
    axis = -2 if isinstance(new, keras.layers.Conv2DTranspose) else -1
    kernel, bias = new.get_weights()
    old_kernel, old_bias = old.get_weights()
    for at, name in enumerate(names):
        if name in known:
            was = known.index(name)
            bias[at] = old_bias[was]
            np.moveaxis(kernel, axis, 0)[at] = np.moveaxis(old_kernel, axis, 0)[was]
    new.set_weights([kernel, bias])

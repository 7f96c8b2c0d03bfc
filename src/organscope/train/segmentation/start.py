"""The weights that a training begins with where it does not begin from chance."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import keras

from organscope.bundle import Bundle
from organscope.errors import BundleError
from organscope.train.origin import Base, base_of


@dataclass(frozen=True)
class Start:
    """A trained network to go on from.

    Attributes:
        weights: The bytes of a `.weights.h5` file.
        base: The bundle that it comes from.
    """

    weights: bytes
    base: Base

    @classmethod
    def of(cls, bundle: Bundle) -> Self:
        """From the weights file of a bundle."""
        return cls(bundle.read(bundle.manifest.weights.file), base_of(bundle))

    def load_into(self, network: keras.Model) -> None:
        """Give a network of the same architecture these weights.

        Raises:
            BundleError: They do not fit it.
        """
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

    def blend_into(self, network: keras.Model, share: float) -> None:
        """Move a network that was trained on this far back towards these weights, 0 to 1 (Wortsman et al. 2022)."""
        learnt = network.get_weights()
        self.load_into(network)
        begun = network.get_weights()
        network.set_weights([(1 - share) * new + share * old for new, old in zip(learnt, begun, strict=True)])

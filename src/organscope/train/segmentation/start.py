"""The weights that a training begins with where it does not begin from chance."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import keras

from organscope.errors import BundleError


@dataclass(frozen=True)
class Start:
    """A trained network to go on from.

    Attributes:
        weights: The bytes of a `.weights.h5` file.
        name: Of the bundle that it comes from.
    """

    weights: bytes
    name: str

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
                    f"Expected weights in '{self.name}' that fit its architecture, found: {reason} "
                    "Train it again with this version of organscope."
                ) from error

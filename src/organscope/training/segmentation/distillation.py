"""Learn from what trained networks say beside what people drew (Hinton, Vinyals and Dean 2015).

The mean of several networks is better than each of them and too slow to ship; a network that learns its maps costs as
much as one. It also evens out outlines that were drawn a pixel too wide or too narrow.
"""

from collections.abc import Sequence

import keras
import numpy as np

from organscope.errors import ConfigError
from organscope.models import load_bundle
from organscope.ops.instances import HEAD_MAPS
from organscope.ops.intensity import Preprocessing
from organscope.training.segmentation.config import SegmentationConfig
from organscope.training.segmentation.network import Start, build_network, with_readout

_HEARD = 0.5
"""Teachers whose foreground overlaps less (Dice) with what people drew in a crop do not know its kind of image."""


class Teachers:
    """Networks whose mean maps are mixed into the truth, but for crops that they do not know."""

    def __init__(self, config: SegmentationConfig) -> None:
        """Load them.

        Raises:
            ConfigError: A teacher has another head than the network that learns.
            BundleError: A teacher cannot be read.
        """
        self._share = config.distillation.share
        self._preprocessing = config.preprocessing
        self._n_maps = len(HEAD_MAPS[config.network.head])
        self._networks = [_network(name, config) for name in config.distillation.teachers]

    def mixed(self, images: np.ndarray, truth: np.ndarray) -> np.ndarray:
        """Maps to learn: those that people drew, and those of the teachers.

        Args:
            images: float32 (n, y, x, 3), as the network that learns takes them.
            truth: float32 (n, y, x, k) in [0, 1]; further maps, such as which pixels are known, stay as they are.
        """
        shown = images * np.float32(self._preprocessing.std) + np.float32(self._preprocessing.mean)
        said = np.mean([network.predict_on_batch(_prepared(shown, own)) for network, own in self._networks], axis=0)
        mixed = truth.astype(np.float32)
        listened = self._share * (_overlap(said[..., 0], mixed[..., 0]) >= _HEARD)[:, None, None, None]
        mixed[..., : self._n_maps] += listened * (said - mixed[..., : self._n_maps])
        return mixed


def _overlap(said: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Dice of each crop; 1 where nobody drew a cell."""
    total = said.sum(axis=(1, 2)) + truth.sum(axis=(1, 2))
    dice = 2 * np.minimum(said, truth).sum(axis=(1, 2)) / np.maximum(total, 1.0)
    return np.where(truth.any(axis=(1, 2)), dice, 1.0)


def _network(name: str, config: SegmentationConfig) -> tuple[keras.Model, Preprocessing]:
    bundle = load_bundle(name)
    start = Start.of(bundle)
    if start.settings.head != config.network.head:
        raise ConfigError(
            f"Expected teachers with the head {config.network.head}, found {start.settings.head} in {name}. Leave it "
            "out of distillation.teachers."
        )
    network = build_network(start.settings)
    start.load_into(network)
    network.trainable = False
    return with_readout(network), bundle.manifest.preprocessing


def _prepared(images: np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
    return (images - np.float32(preprocessing.mean)) / np.float32(preprocessing.std)


def teachers_in_words(teachers: Sequence[str], share: float) -> str:
    """One sentence for the card of a bundle."""
    return f"It learned {share:.0%} from the mean maps of {' and '.join(teachers)}, the rest from labels."

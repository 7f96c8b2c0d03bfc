"""What a network costs and how far it sees, computed from its layers."""

from dataclasses import dataclass

import keras
import numpy as np
from keras import layers

from organscope.train.segmentation.config import NetworkSettings
from organscope.train.segmentation.network import build_network, with_readout


@dataclass(frozen=True)
class NetworkFacts:
    """A network in numbers.

    Attributes:
        n_parameters: Trained weights.
        gflop_per_megapixel: Multiplications and additions of all convolutions, in 10^9 for 10^6 pixels of image;
            what is done to single values (activations, sums, normalisation) is left out.
        reach_px: No pixel farther away than this, in rows or columns, changes an output pixel.
    """

    n_parameters: int
    gflop_per_megapixel: float
    reach_px: int

    @property
    def receptive_field_px(self) -> int:
        """Side of the square of image pixels that an output pixel can depend on."""
        return 2 * self.reach_px + 1


@dataclass(frozen=True)
class _View:
    """Cell i of a level stands for pixels i * step ... (i + 1) * step - 1 and sees these many before and after."""

    step_px: int
    before_px: int
    after_px: int


def describe_network(settings: NetworkSettings) -> NetworkFacts:
    """Count weights and operations, and follow how far each layer widens the view."""
    network = with_readout(build_network(settings))
    views = {id(network.inputs[0]): _View(1, 0, 0)}
    flop_per_px = 0.0
    for operation in network.operations:
        if isinstance(operation, layers.InputLayer):
            continue
        sources = operation.input if isinstance(operation.input, list) else [operation.input]
        seen = [views[id(source)] for source in sources]
        view = _widen(operation, seen)
        views[id(operation.output)] = view
        if isinstance(operation, layers.Conv2D | layers.Conv2DTranspose):
            # A convolution works once for each cell of the coarser of its two levels.
            step_px = max(view.step_px, seen[0].step_px)
            flop_per_px += 2 * float(np.prod(operation.kernel.shape)) / step_px**2
    final = views[id(network.outputs[0])]
    n_parameters = sum(int(np.prod(weight.shape)) for weight in network.trainable_weights)
    return NetworkFacts(n_parameters, flop_per_px / 1000, max(final.before_px, final.after_px))


def network_in_words(settings: NetworkSettings) -> str:
    """One sentence for the card of a bundle."""
    facts = describe_network(settings)
    parts = [
        f"U-Net of {settings.depth} levels from {settings.base_filters} filters",
        f"{settings.block} blocks",
        "skips added" if settings.skip == "add" else "skips concatenated",
        *(["attention gates"] if settings.attention else []),
        *(["two decoders"] if settings.decoders == 2 else []),
        f"stem stride {settings.stem_stride}",
        f"head {settings.head}",
    ]
    return (
        f"{', '.join(parts)}: {facts.n_parameters / 1e6:.2f} million parameters, {facts.gflop_per_megapixel:.1f} GFLOP "
        f"a megapixel, receptive field {facts.receptive_field_px} px; Keras 3, weights averaged over steps."
    )


def _widen(operation: keras.Operation, seen: list[_View]) -> _View:
    if isinstance(operation, layers.Conv2DTranspose):
        return _split(seen[0], operation.strides[0])
    if isinstance(operation, layers.Conv2D):
        return _join(seen[0], operation.kernel_size[0], operation.strides[0])
    if isinstance(operation, layers.MaxPooling2D | layers.AveragePooling2D):
        return _join(seen[0], operation.pool_size[0], operation.strides[0])
    before, after = (max(getattr(view, side) for view in seen) for side in ("before_px", "after_px"))
    return _View(seen[0].step_px, before, after)


def _join(view: _View, size: int, stride: int) -> _View:
    """After a window of `size` cells that moves by `stride`: what is wider than the stride reaches out both ways."""
    wider = size - stride
    step = view.step_px
    return _View(step * stride, view.before_px + wider // 2 * step, view.after_px + (wider - wider // 2) * step)


def _split(view: _View, stride: int) -> _View:
    """After an up-convolution whose windows do not overlap: each cell becomes `stride` cells that see the same."""
    step = view.step_px // stride
    rest = view.step_px - step
    return _View(step, view.before_px + rest, view.after_px + rest)

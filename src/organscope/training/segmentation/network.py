"""The U-Net family, written in Keras layers only, so that any Keras backend trains it.

What a network costs and how far it sees, computed from its layers.

The weights that a training begins with where it does not begin from chance.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import keras
import numpy as np
from keras import layers

from organscope.errors import BundleError
from organscope.models import Bundle
from organscope.ops.instances import HEAD_MAPS, Head
from organscope.training.origin import Base, base_of
from organscope.training.segmentation.config import NetworkSettings
from organscope.training.segmentation.encoders import encode
from organscope.training.segmentation.normalization import BatchNormalization


def build_network(settings: NetworkSettings) -> keras.Model:
    """A U-Net from images to the logits of its maps, of any height and width that are multiples of its stride.

    Nothing pools over the whole field, so tiles and whole images agree.

    Returns:
        A model from float32 (n, y, x, 3) to float32 (n, y, x, k) logits: foreground, then the head's maps.
    """
    image = layers.Input((None, None, 3), name="image")
    bottom, skips = _way_down(image, settings)
    n_maps = len(HEAD_MAPS[settings.head])
    if settings.decoders == 1:
        logits = _logits(_way_up(bottom, skips, settings), n_maps, settings, "logits")
    else:
        foreground = _logits(_way_up(bottom, skips, settings), 1, settings, "foreground")
        others = _logits(_way_up(bottom, skips, settings), n_maps - 1, settings, settings.head)
        logits = layers.Concatenate(dtype="float32", name="logits")([foreground, others])
    return keras.Model(image, logits, name="unet")


def with_readout(network: keras.Model) -> keras.Model:
    """The network with probabilities in place of logits, as it is validated and shipped.

    The head's maps are averaged over 3 x 3 pixels: a stem of stride 2 writes every 2 x 2 block at once, and what its
    four pixels differ by chance would break the core of a cell into several.
    """
    maps = layers.Activation("sigmoid")(network.output)
    smooth = layers.AveragePooling2D(3, strides=1, padding="same")(maps[..., 1:])
    return keras.Model(network.input, layers.Concatenate(name="maps")([maps[..., :1], smooth]))


def _way_down(image, settings: NetworkSettings):
    """The coarsest level, and the other levels from fine to coarse."""
    if settings.encoder is not None:
        return encode(image, settings.encoder)
    block = _residual_block if settings.block == "residual" else _plain_block
    filters = [_filters(settings, level) for level in range(settings.depth)]
    x = _convolution(image, filters[0], 2, strides=2) if settings.stem_stride == 2 else image
    skips = []
    for width in filters[:-1]:
        skips.append(block(x, width))
        x = layers.MaxPooling2D(2)(skips[-1])
    return block(x, filters[-1]), skips


def _filters(settings: NetworkSettings, level: int) -> int:
    return min(settings.base_filters * 2**level, settings.max_filters)


def _way_up(x, skips: list, settings: NetworkSettings):
    block = _residual_block if settings.block == "residual" else _plain_block
    for level, skip in reversed(list(enumerate(skips))):
        width = _filters(settings, level)
        if skip.shape[-1] != width:
            skip = _convolution(skip, width, 1, activate=False)
        x = layers.Conv2DTranspose(width, 2, strides=2)(x)
        if settings.attention:
            skip = _attention_gate(skip, x)
        merged = layers.Add()([x, skip]) if settings.skip == "add" else layers.Concatenate()([x, skip])
        x = block(merged, width)
    return x


def _logits(x, n_maps: int, settings: NetworkSettings, name: str):
    if settings.stem_stride == 2:
        return layers.Conv2DTranspose(n_maps, 2, strides=2, dtype="float32", name=name)(x)
    return layers.Conv2D(n_maps, 1, dtype="float32", name=name)(x)


def _attention_gate(skip, gate):
    """Additive attention, equations 1 and 2 of Oktay et al. (2018): one weight a pixel for all channels of a skip.

    The gating signal is the level below after its up-convolution, so that nothing has to be resampled and the
    gate looks at single pixels.
    """
    width = max(1, skip.shape[-1] // 2)
    joined = layers.Add()([_convolution(x, width, 1, activate=False) for x in (skip, gate)])
    weight = layers.Conv2D(1, 1, activation="sigmoid")(layers.ReLU()(joined))
    return layers.Multiply()([skip, weight])


def _convolution(x, filters: int, size: int, *, strides: int = 1, activate: bool = True):
    x = layers.Conv2D(filters, size, strides=strides, padding="same", use_bias=False)(x)
    x = BatchNormalization(momentum=0.98)(x)
    return layers.ReLU()(x) if activate else x


def _plain_block(x, filters: int):
    return _convolution(_convolution(x, filters, 3), filters, 3)


def _residual_block(x, filters: int):
    shortcut = x if x.shape[-1] == filters else _convolution(x, filters, 1, activate=False)
    x = _convolution(_convolution(x, filters, 3), filters, 3, activate=False)
    return layers.ReLU()(layers.Add()([x, shortcut]))


@dataclass(frozen=True)
class _NetworkFacts:
    """A network in numbers.

    Attributes:
        n_parameters: Trained weights.
        gflop_per_megapixel: Multiplications and additions of all convolutions, in 10^9 for 10^6 pixels of image;
            what is done to single values (activations, sums, normalization) is left out.
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


def describe_network(settings: NetworkSettings) -> _NetworkFacts:
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
        if isinstance(operation, layers.Conv2D | layers.DepthwiseConv2D | layers.Conv2DTranspose):
            # A convolution works once for each cell of the coarser of its two levels.
            step_px = max(view.step_px, seen[0].step_px)
            flop_per_px += 2 * float(np.prod(operation.kernel.shape)) / step_px**2
    final = views[id(network.outputs[0])]
    n_parameters = sum(int(np.prod(weight.shape)) for weight in network.trainable_weights)
    return _NetworkFacts(n_parameters, flop_per_px / 1000, max(final.before_px, final.after_px))


def network_in_words(settings: NetworkSettings) -> str:
    """One sentence for the card of a bundle."""
    facts = describe_network(settings)
    parts = [
        f"U-Net of {settings.depth} levels from {settings.base_filters} filters",
        *([f"encoder {settings.encoder}"] if settings.encoder else []),
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
    if isinstance(operation, layers.Conv2D | layers.DepthwiseConv2D):
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

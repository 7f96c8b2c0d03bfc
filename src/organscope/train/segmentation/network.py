"""The U-Net family, written in Keras layers only, so that any Keras backend trains it."""

import keras
from keras import layers

from organscope.ops.instances import HEAD_MAPS
from organscope.train.segmentation.config import NetworkSettings


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
    block = _residual_block if settings.block == "residual" else _plain_block
    filters = [min(settings.base_filters * 2**level, settings.max_filters) for level in range(settings.depth)]
    x = _convolution(image, filters[0], 2, strides=2) if settings.stem_stride == 2 else image
    skips = []
    for width in filters[:-1]:
        skips.append(block(x, width))
        x = layers.MaxPooling2D(2)(skips[-1])
    return block(x, filters[-1]), skips


def _way_up(x, skips: list, settings: NetworkSettings):
    block = _residual_block if settings.block == "residual" else _plain_block
    for skip in reversed(skips):
        width = skip.shape[-1]
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
    x = layers.BatchNormalization(momentum=0.98)(x)
    return layers.ReLU()(x) if activate else x


def _plain_block(x, filters: int):
    return _convolution(_convolution(x, filters, 3), filters, 3)


def _residual_block(x, filters: int):
    shortcut = x if x.shape[-1] == filters else _convolution(x, filters, 1, activate=False)
    x = _convolution(_convolution(x, filters, 3), filters, 3, activate=False)
    return layers.ReLU()(layers.Add()([x, shortcut]))

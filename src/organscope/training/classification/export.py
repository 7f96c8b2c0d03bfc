"""From a trained network to an ONNX graph that needs no framework, checked against the network itself.

Matrices of a graph in half the space.

Several graphs as one that gives the mean of what they give.

A mean over 2 x 2 pixels is a convolution of each channel by itself.

The shortcuts of ResNet-D pool (He et al., Bag of Tricks for Image Classification, CVPR 2019). In eight-bit integers
onnxruntime spends an eighth of the time of the network on these pools, and little on the same as convolutions; the
weights are rounded nowhere, since all are the largest of their channel.

Eight-bit integers in the backbone: three times as fast on processors that multiply them directly.

The head stays in floating point: it is small, and evidence and distances are read from it. How: `training.quantize`.

The graph of a finished bundle in the precision that ships.
"""

import copy
import io
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
import torch
from jaxtyping import Float, Float32, UInt8
from onnx import helper, numpy_helper, shape_inference
from torch import Tensor, nn

from organscope.data.index import Sample
from organscope.errors import VerificationError
from organscope.models import Bundle, load_bundle, write_bundle
from organscope.models.runtime import Session
from organscope.ops.intensity import standardize
from organscope.training.classification.config import ClassificationConfig
from organscope.training.classification.copies import gray_copies
from organscope.training.classification.data import CellCrops, Images
from organscope.training.classification.network import OrganNetwork
from organscope.training.quantize import Batch, before_convolutions, expected_outputs, quantize, works_on_blocks

OPSET = 20
INPUT = "image"
OUTPUTS = ("logits", "features", "evidence")
_TOLERANCE = 1e-3
"""Of outputs whose size is about 10: other orders of adding cost about 1e-5, other processors more."""

_ROUNDINGS = 10
"""Where a feature hardly varies in training, the rounding of the network itself is larger; so often that passes."""


class _ChannelsLast(nn.Module):
    """Takes n y x 3, as every bundle does."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Float[Tensor, "n y x 3"]) -> tuple[Tensor, Tensor, Tensor]:
        return self.network.head.explain(self.network.stage_maps(image.permute(0, 3, 1, 2)))


def round_to_half(network: OrganNetwork) -> OrganNetwork:
    """A copy whose weights are representable in float16, as they are stored; its arithmetic stays float32."""
    rounded = copy.deepcopy(network)
    rounded.load_state_dict(half_weights(network))
    return rounded


def half_weights(network: OrganNetwork) -> dict[str, Tensor]:
    """All weights, those of the backbone below `backbone.` under timm's names and in float16.

    Whole numbers stay what they are, and so does the small head, whose statistics span many magnitudes.
    """
    return {
        name: (_half(tensor) if name.startswith("backbone.") else tensor).contiguous()
        for name, tensor in network.state_dict().items()
    }


def export_graph(network: OrganNetwork, input_px: int) -> bytes:
    """Export in evaluation mode: input `image` (n, y, x, 3), three outputs.

    `logits` (n, organ), `features` (n, d), and `evidence` (n, y', x', organ), whose mean over y' and x' differs
    from the logits by one constant an organ. n, y and x may be any size. The exporter folds a batch normalization
    into the convolution before it.
    """
    plain = _ChannelsLast(copy.deepcopy(network)).float().cpu().eval()
    example = torch.zeros(2, input_px, input_px + 32, 3)
    sink = io.BytesIO()
    with warnings.catch_warnings():
        # The exporter warns about its own parts (of copyreg, of onnxscript); the graph is checked below.
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            plain,
            (example,),
            input_names=[INPUT],
            output_names=list(OUTPUTS),
            dynamo=True,
            opset_version=OPSET,
            external_data=False,
            dynamic_shapes=({0: "n", 1: "y", 2: "x"},),
            verbose=False,
        )
        program.save(sink)
    return _cleaned(onnx.load_model_from_string(sink.getvalue()))


def check_graph(
    graph: bytes, network: OrganNetwork, images: Float32[np.ndarray, "n y x 3"]
) -> tuple[dict[str, Float32[np.ndarray, "n _"]], float]:
    """Compare the graph with the network on prepared images, and on noise of another size.

    Returns:
        What the network itself gives for `images`, by output, and by how much a graph may differ from it there.

    Raises:
        VerificationError: They differ by more than `TOLERANCE`, and by more than the network's rounding explains.
    """
    session = Session(graph, INPUT, list(OUTPUTS), threads=None, where="the exported graph")
    exactly = copy.deepcopy(network).double()
    n, height, width, _ = images.shape
    noise = np.random.default_rng(0).standard_normal((n + 1, height + 32, width, 3), dtype=np.float32)
    for batch in (noise, images):
        expected = network_outputs(network, batch)
        rounding = _worst(expected, network_outputs(exactly, batch.astype(np.float64)))
        allowed, worst = max(_TOLERANCE, _ROUNDINGS * rounding), _worst(session.run(batch), expected)
        if not worst <= allowed:
            raise VerificationError(
                f"Expected the exported graph within {allowed:g} of the network, found a difference of {worst:g}. "
                "Report this backbone, or choose another."
            )
    return expected, allowed


def _worst(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> float:
    return max(float(np.abs(found[name] - expected[name]).max()) for name in OUTPUTS)


def network_outputs(network: OrganNetwork, batch: np.ndarray) -> dict[str, np.ndarray]:
    """What the network itself gives for a prepared batch n y x 3, by output."""
    with torch.inference_mode():
        outputs = _ChannelsLast(network.eval())(torch.from_numpy(batch))
    return {name: output.numpy() for name, output in zip(OUTPUTS, outputs, strict=True)}


def _cleaned(model: onnx.ModelProto) -> bytes:
    """Without the exporter's notes, which hold stack traces and paths of the machine."""
    for part in (model, model.graph, *model.graph.node, *model.graph.initializer):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    del model.graph.value_info[:]
    onnx.checker.check_model(model)
    return model.SerializeToString()


def _half(tensor: Tensor) -> Tensor:
    return tensor.half() if tensor.is_floating_point() else tensor


def store_halves(graph: bytes) -> bytes:
    """The same graph with its float32 matrices rounded to float16, and widened again when it is loaded.

    These are the linear functions of the head; the weights of a backbone were rounded so before they were exported.
    Statistics (vectors), which span many magnitudes, stay as they are.
    """
    model = onnx.load_model_from_string(graph)
    casts = []
    for stored in model.graph.initializer:
        if stored.data_type == onnx.TensorProto.FLOAT and len(stored.dims) == 2:
            half = numpy_helper.from_array(numpy_helper.to_array(stored).astype(np.float16), f"{stored.name}.half")
            casts.append(helper.make_node("Cast", [half.name], [stored.name], to=onnx.TensorProto.FLOAT))
            stored.CopyFrom(half)
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def average_graphs(graphs: Sequence[bytes]) -> bytes:
    """One graph with the input and the outputs of each.

    Logits and evidence are means over the members, so that the mean of the evidence still differs from the logits
    by one constant an organ. Features are those of the first: distances to its training images have a meaning,
    means over networks that arrange their features each in its own way have none.

    Args:
        graphs: Of one and the same opset, with the input and the outputs of `export.export_graph`.
    """
    models = [
        onnx.compose.add_prefix(onnx.load_model_from_string(graph), f"member{number}.", rename_inputs=False)
        for number, graph in enumerate(graphs, start=1)
    ]
    first = models[0].graph
    combined = [
        helper.make_node("Mean", [f"member{number + 1}.{name}" for number in range(len(models))], [name], name=name)
        for name in ("logits", "evidence")
    ]
    combined.append(helper.make_node("Identity", ["member1.features"], ["features"], name="features"))
    outputs = [_renamed(value) for value in first.output]
    graph = helper.make_graph(
        [node for model in models for node in model.graph.node] + combined,
        "mean_of_members",
        [value for value in first.input if value.name == INPUT],
        outputs,
        [weights for model in models for weights in model.graph.initializer],
    )
    model = helper.make_model(graph, opset_imports=models[0].opset_import, ir_version=models[0].ir_version)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def _renamed(value: onnx.ValueInfoProto) -> onnx.ValueInfoProto:
    plain = onnx.ValueInfoProto()
    plain.CopyFrom(value)
    plain.name = value.name.removeprefix("member1.")
    return plain


def pools_as_convolutions(graph: bytes, side_px: int) -> bytes:
    """The same graph with convolutions in place of the pools that other convolutions read.

    Args:
        graph: ONNX, with one input (n, y, x, 3).
        side_px: Of the fields that it will be asked about: where a pool meets an odd side it is left alone, since its
            last window is then half empty. Fields of other sizes may give other answers afterwards.
    """
    model = onnx.load_from_string(graph)
    channels = _channels_of_even_maps(model, side_px)
    convolved = {value for node in model.graph.node if node.op_type == "Conv" for value in node.input}
    for node in model.graph.node:
        is_asked = node.op_type == "AveragePool" and node.input[0] in channels and node.output[0] in convolved
        if is_asked and works_on_blocks(node):
            _convolve(model, node, channels[node.input[0]])
    onnx.checker.check_model(model)
    return model.SerializeToString()


def _channels_of_even_maps(model: onnx.ModelProto, side_px: int) -> dict[str, int]:
    """Number of channels of the maps (n, c, y, x) whose sides are even where the field is `side_px` wide and high."""
    asked = onnx.ModelProto()
    asked.CopyFrom(model)
    for place, size in enumerate((1, side_px, side_px)):
        asked.graph.input[0].type.tensor_type.shape.dim[place].dim_value = size
    found = shape_inference.infer_shapes(asked).graph.value_info
    sizes = {value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in found}
    return {name: size[1] for name, size in sizes.items() if len(size) == 4 and all(n and n % 2 == 0 for n in size[2:])}


def _convolve(model: onnx.ModelProto, pool: onnx.NodeProto, n_channels: int) -> None:
    quarter = f"{pool.output[0]}_quarter"
    weights = np.full((n_channels, 1, 2, 2), 0.25, np.float32)
    model.graph.initializer.append(numpy_helper.from_array(weights, quarter))
    pool.op_type = "Conv"
    pool.input.append(quarter)
    del pool.attribute[:]
    told = {"kernel_shape": [2, 2], "strides": [2, 2], "group": n_channels}
    pool.attribute.extend(helper.make_attribute(name, value) for name, value in told.items())


_QUANTIZED_OPERATORS = ("Conv", "Relu", "Clip", "Add", "MaxPool", "AveragePool")
#: Where the head begins: the first operators of these kinds that no convolution comes after.
_HEAD_OPERATORS = frozenset({"AveragePool", "BatchNormalization", "Mul", "ReduceMean", "Pow"})


def _quantize_graph(graph: bytes, batches: Iterable[Batch]) -> bytes:
    """The same graph with the backbone in eight-bit integers.

    Args:
        graph: As `export.export_graph` gives it.
        batches: Prepared training fields.
    """
    return quantize(graph, batches, operators=_QUANTIZED_OPERATORS, left_out=_nodes_in_floating_point)


def _nodes_in_floating_point(model: onnx.ModelProto) -> list[str]:
    """The head, and the first convolution, which costs little and sees colors that eight bits would blur."""
    first = next(node.name for node in model.graph.node if node.op_type == "Conv")
    return [first, *_head_nodes(model)]


def _head_nodes(model: onnx.ModelProto) -> list[str]:
    """Names of the nodes of the head: the first of its operators after the last convolution, and all that follow."""
    body = before_convolutions(model)
    head_values: set[str] = set()
    names = []
    for node in model.graph.node:
        starts = node.op_type in _HEAD_OPERATORS and not body & set(node.output)
        if starts or head_values & set(node.input):
            head_values |= set(node.output)
            names.append(node.name)
    return names


Precision = Literal["int8", "float32"]

_INT8_TOLERANCE = 0.1
"""Of outputs whose size is about 10: where a processor rounds one number the other way, steps of 1/256 add up."""
_N_CALIBRATION_IMAGES = 96
_BATCH = 8


def quantized_copy(bundle: Bundle, batches: Iterable[Batch], folder: Path) -> Bundle:
    """Write a copy of a bundle whose graph computes in eight-bit integers, its head rounded to half precision.

    Args:
        bundle: In floating point.
        batches: Prepared fields that it learned from, with their gray copies; they give the ranges.
        folder: Of the copy.
    """
    plain = pools_as_convolutions(bundle.read(bundle.manifest.graph.file), bundle.manifest.classification.input_px)
    graph = store_halves(_quantize_graph(plain, batches))
    return _with_graph(bundle, graph, folder, _INT8_TOLERANCE)


def _with_graph(bundle: Bundle, graph: bytes, folder: Path, tolerance: float) -> Bundle:
    """Write a copy of a bundle with another graph; its test vectors expect what this graph gives here.

    What was compared for the old graph is not true of the new one and left out.
    """
    manifest = bundle.manifest
    test = manifest.test.model_copy(update={"absolute_tolerance": tolerance})
    files = {name: bundle.read(name) for name in manifest.files if name != manifest.parity}
    files[manifest.graph.file] = graph
    files[manifest.test.file] = expected_outputs(graph, manifest.graph, bundle.tensors(manifest.test.file)["input"])
    return load_bundle(write_bundle(folder, manifest.model_copy(update={"test": test, "parity": None}), files))


def calibration_batches(
    config: ClassificationConfig, training: Images | CellCrops
) -> Iterator[Float32[np.ndarray, "n y x 3"]]:
    """Fields and their gray copies, whose contrast is stretched: without these their values would leave the ranges.

    Args:
        config: Of the training.
        training: Images or cells that the network learned from, not too many.
    """
    for first in range(0, len(training), _BATCH):
        numbers = range(first, min(first + _BATCH, len(training)))
        fields = np.concatenate([training.fields(number)[:1] for number in numbers])
        yield prepared_fields(np.concatenate([fields, gray_copies(fields)]), config)


def calibration_images(config: ClassificationConfig, training: list[Sample]) -> Images:
    """Some of the images that a network learned from, evenly spread."""
    step = -(-len(training) // _N_CALIBRATION_IMAGES)
    return Images(training[::step], config.field, config.preprocessing, np.inf)


def prepared_fields(
    fields: UInt8[np.ndarray, "n y x 3"], config: ClassificationConfig
) -> Float32[np.ndarray, "n y x 3"]:
    """Fields as the network takes them."""
    scaled = fields.astype(np.float32) / np.float32(255)
    return np.stack([standardize(part, config.preprocessing) for part in scaled])

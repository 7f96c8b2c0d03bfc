"""A mean over 2 x 2 pixels is a convolution of each channel by itself.

The shortcuts of ResNet-D pool (He et al., Bag of Tricks for Image Classification, CVPR 2019). In eight-bit integers
onnxruntime spends an eighth of the time of the network on these pools, and little on the same as convolutions; the
weights are rounded nowhere, since all are the largest of their channel.
"""

import numpy as np
import onnx
from onnx import helper, numpy_helper, shape_inference

from organscope.train.graphs import works_on_blocks


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

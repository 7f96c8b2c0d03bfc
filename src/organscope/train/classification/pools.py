"""A mean over 2 x 2 pixels and the 1 x 1 convolution after it are one convolution of 2 x 2.

The shortcuts of ResNet-D pool (He et al., Bag of Tricks for Image Classification, CVPR 2019). In eight-bit integers the
pool alone takes an eighth of the time of the network; as part of the convolution it costs next to nothing.
"""

import numpy as np
import onnx
from onnx import helper, numpy_helper, shape_inference


def merge_pools(graph: bytes, side_px: int) -> bytes:
    """The same graph with such pairs merged, wherever that changes nothing.

    Args:
        graph: ONNX, with one input (n, y, x, 3).
        side_px: Of the fields that it will be asked about: where a pool meets an odd side it is left alone, since its
            last window is then half empty. Fields of other sizes may give other answers afterwards.
    """
    model = onnx.load_from_string(graph)
    even = _even_values(model, side_px)
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        for value in node.input:
            readers.setdefault(value, []).append(node)
    for pool in [node for node in model.graph.node if node.op_type == "AveragePool"]:
        following = readers.get(pool.output[0], [])
        if pool.input[0] in even and _halves(pool) and len(following) == 1 and _is_pointwise(following[0], weights):
            _merge(model, pool, following[0], weights)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def _even_values(model: onnx.ModelProto, side_px: int) -> set[str]:
    """Maps (n, c, y, x) whose sides are even where the field is `side_px` wide and high."""
    asked = onnx.ModelProto()
    asked.CopyFrom(model)
    for place, size in enumerate((1, side_px, side_px)):
        asked.graph.input[0].type.tensor_type.shape.dim[place].dim_value = size
    found = shape_inference.infer_shapes(asked).graph.value_info
    sides = {value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim][2:] for value in found}
    return {name for name, pair in sides.items() if len(pair) == 2 and all(n and n % 2 == 0 for n in pair)}


def _attributes(node: onnx.NodeProto) -> dict[str, object]:
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def _halves(pool: onnx.NodeProto) -> bool:
    found = _attributes(pool)
    return found.get("kernel_shape") == [2, 2] == found.get("strides") and not any(found.get("pads", []))


def _is_pointwise(node: onnx.NodeProto, weights: dict[str, onnx.TensorProto]) -> bool:
    if node.op_type != "Conv" or node.input[1] not in weights:
        return False
    found = _attributes(node)
    alone = found.get("strides", [1, 1]) == [1, 1] and found.get("group", 1) == 1 and not any(found.get("pads", []))
    return alone and list(weights[node.input[1]].dims)[2:] == [1, 1]


def _merge(
    model: onnx.ModelProto, pool: onnx.NodeProto, conv: onnx.NodeProto, weights: dict[str, onnx.TensorProto]
) -> None:
    one = numpy_helper.to_array(weights[conv.input[1]])
    name = f"{conv.input[1]}_of_2x2"
    model.graph.initializer.append(numpy_helper.from_array(np.tile(one, (1, 1, 2, 2)) / one.dtype.type(4), name))
    if sum(conv.input[1] in node.input for node in model.graph.node) == 1:
        model.graph.initializer.remove(weights[conv.input[1]])
    conv.input[0], conv.input[1] = pool.input[0], name
    kept = [a for a in conv.attribute if a.name not in ("kernel_shape", "strides", "pads", "auto_pad", "dilations")]
    del conv.attribute[:]
    conv.attribute.extend([*kept, *(helper.make_attribute(key, [2, 2]) for key in ("kernel_shape", "strides"))])
    model.graph.node.remove(pool)

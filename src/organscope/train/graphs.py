"""Questions about ONNX graphs that both trainings ask."""

import onnx
from onnx import helper


def before_convolutions(model: onnx.ModelProto) -> set[str]:
    """Names of all values that a convolution comes after."""
    values: set[str] = set()
    for node in reversed(model.graph.node):
        if node.op_type == "Conv" or values & set(node.output):
            values |= set(node.input)
    return values


def works_on_blocks(node: onnx.NodeProto) -> bool:
    """Whether an operator with a kernel takes, or gives, squares of 2 x 2 pixels side by side, without margins."""
    told = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    plain = not any(told.get("pads", [])) and set(told.get("dilations", [1])) == {1} and told.get("group", 1) == 1
    return told["kernel_shape"] == [2, 2] == told.get("strides") and plain

"""Matrices of a graph in half the space."""

import numpy as np
import onnx
from onnx import helper, numpy_helper


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

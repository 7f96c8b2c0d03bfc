"""One ONNX graph from a frozen encoder and a taught head."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from organscope.training.teaching.encoder import FEATURES
from organscope.training.teaching.head import LinearHead

_LOGITS = "logits"
OUTPUTS = (_LOGITS, FEATURES)
_POOLED = "pooled_features"


def graph_with_head(encoder: onnx.ModelProto, head: LinearHead) -> bytes:
    """The encoder's graph, its features standardized, with the logits of the head beside them.

    Args:
        encoder: One output, `features` (n d).
        head: Fitted on these features.

    Returns:
        The bytes of an ONNX graph with the outputs `logits` (n c) and `features` (n d).
    """
    model = onnx.ModelProto()
    model.CopyFrom(encoder)
    graph = model.graph
    for node in graph.node:
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                if name == FEATURES:
                    names[place] = _POOLED
    constants = {
        "head_mean": head.mean,
        "head_spread": head.spread,
        "head_weights": head.weights,
        "head_bias": head.bias,
    }
    graph.initializer.extend(
        numpy_helper.from_array(value.astype(np.float32), name) for name, value in constants.items()
    )
    graph.node.extend(
        [
            helper.make_node("Sub", [_POOLED, "head_mean"], ["head_centered"]),
            helper.make_node("Div", ["head_centered", "head_spread"], [FEATURES]),
            helper.make_node("Gemm", [FEATURES, "head_weights", "head_bias"], [_LOGITS]),
        ]
    )
    n_features, n_classes = head.weights.shape
    del graph.output[:]
    graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", width])
        for name, width in ((_LOGITS, n_classes), (FEATURES, n_features))
    )
    del model.metadata_props[:]
    onnx.checker.check_model(model)
    return model.SerializeToString(deterministic=True)

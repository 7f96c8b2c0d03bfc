"""Refuse a graph that could reach beyond itself, before onnxruntime sees it.

Allowed are operators of the ONNX standard, and from onnxruntime's own set only those that its quantiser
writes for int8. Refused are data outside the file, other domains, and functions defined in the file; in
nested graphs (If, Loop, Scan) too.
"""

from collections.abc import Iterator

import onnx
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message

from organscope.errors import UnsafeGraphError

STANDARD_DOMAINS = frozenset({"", "ai.onnx"})
QUANTISED_DOMAIN = "com.microsoft"

QUANTISED_OPERATORS = frozenset(
    {
        "DequantizeLinear",
        "DynamicQuantizeMatMul",
        "MatMulIntegerToFloat",
        "QGemm",
        "QLinearAdd",
        "QLinearAveragePool",
        "QLinearConcat",
        "QLinearConv",
        "QLinearGlobalAveragePool",
        "QLinearLeakyRelu",
        "QLinearMul",
        "QLinearReduceMean",
        "QLinearSigmoid",
        "QLinearSoftmax",
        "QLinearWhere",
        "QuantizeLinear",
    }
)
"""Of `com.microsoft`: arithmetic on quantised tensors only; nothing that loads, calls or embeds."""


def parse_safe_graph(graph: bytes, where: str) -> onnx.ModelProto:
    """Read an ONNX graph and refuse what could reach beyond it.

    Args:
        graph: The bytes of the file, as hashed.
        where: The bundle, for messages.

    Raises:
        UnsafeGraphError: It is no ONNX graph, keeps data elsewhere, defines functions, or has an operator
            that is not allowed.
    """
    try:
        model = onnx.load_model_from_string(graph)
    except DecodeError:
        raise UnsafeGraphError(f"Expected an ONNX graph in {where}, found other bytes. Export it again.") from None
    if not model.graph.node:
        raise UnsafeGraphError(f"Expected an ONNX graph in {where}, found no operator in it. Export it again.")
    if model.functions:
        raise UnsafeGraphError(
            f"Expected a graph of {where} without functions of its own, found {model.functions[0].name} of "
            f"domain '{model.functions[0].domain}'. Inline them before export."
        )
    for message in _walk(model):
        if isinstance(message, onnx.NodeProto):
            _check_node(message, where)
        elif isinstance(message, onnx.TensorProto):
            _check_tensor(message, where)
    return model


def _check_node(node: onnx.NodeProto, where: str) -> None:
    if node.domain in STANDARD_DOMAINS:
        if onnx.defs.has(node.op_type, domain=""):
            return
    elif node.domain == QUANTISED_DOMAIN and node.op_type in QUANTISED_OPERATORS:
        return
    raise UnsafeGraphError(
        f"Expected only operators of the ONNX standard in {where}, found {node.op_type} of domain "
        f"'{node.domain or 'ai.onnx'}'. Export the graph without it."
    )


def _check_tensor(tensor: onnx.TensorProto, where: str) -> None:
    if tensor.external_data or tensor.data_location == onnx.TensorProto.EXTERNAL:
        raise UnsafeGraphError(
            f"Expected all numbers inside the graph of {where}, found external data for tensor "
            f"'{tensor.name}'. Save it with the weights inside."
        )


def _walk(message: Message) -> Iterator[Message]:
    """Every message inside, however deep: nodes, attributes, nested graphs, tensors."""
    pending = [message]
    while pending:
        current = pending.pop()
        yield current
        for field, value in current.ListFields():
            if field.type != FieldDescriptor.TYPE_MESSAGE:
                continue
            pending.extend([value] if isinstance(value, Message) else value)

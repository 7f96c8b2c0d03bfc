"""Refuse a graph that could reach beyond itself, before onnxruntime sees it.

Allowed are operators of the ONNX standard, and from onnxruntime's own set only those that its quantizer
writes for int8. Refused are data outside the file, other domains, and functions defined in the file; in
nested graphs (If, Loop, Scan) too.

Run a graph with onnxruntime, on the CPU, in flat memory.
"""

from collections.abc import Iterator

import numpy as np
import onnx
import onnxruntime
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message
from jaxtyping import Float32

from organscope.errors import BundleError, ManifestError, ShapeError, UnsafeGraphError
from organscope.system import usable_cores

_STANDARD_DOMAINS = frozenset({"", "ai.onnx"})
_QUANTIZED_DOMAIN = "com.microsoft"

QUANTIZED_OPERATORS = frozenset(
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
"""Of `com.microsoft`: arithmetic on quantized tensors only; nothing that loads, calls or embeds."""


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
    if node.domain in _STANDARD_DOMAINS:
        if onnx.defs.has(node.op_type, domain=""):
            return
    elif node.domain == _QUANTIZED_DOMAIN and node.op_type in QUANTIZED_OPERATORS:
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


_WARNINGS_OFF = 3  # onnxruntime's log level "error": its warnings speak to authors of graphs, not to users


class Session:
    """One graph in memory, ready to run; safe to call from several threads."""

    def __init__(
        self, graph: bytes, input_name: str, output_names: list[str], *, threads: int | None, where: str
    ) -> None:
        """Give the bytes of a graph to onnxruntime.

        Args:
            graph: The hashed and checked bytes; a path is never passed on.
            input_name: Of the batch.
            output_names: In the order wanted.
            threads: Within an operator; none for one a core that this process may use.
            where: The bundle, for messages.

        Raises:
            BundleError: onnxruntime cannot run the graph.
            ManifestError: The graph has other inputs or outputs than the manifest says.
        """
        try:
            self._session = onnxruntime.InferenceSession(graph, _options(threads), providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's errors have no common class but Exception
            raise BundleError(
                f"Expected a graph in {where} that onnxruntime {onnxruntime.__version__} can run, found: "
                f"{error}. Update onnxruntime or export the bundle again."
            ) from None
        self._input = input_name
        self._outputs = output_names
        self._last_shape: tuple[int, ...] = ()
        self._check_names(where)

    def run(self, batch: Float32[np.ndarray, "n y x c"]) -> dict[str, np.ndarray]:
        """Outputs of a batch, by name.

        Raises:
            ShapeError: The batch is not n y x 3 in float32, or the graph cannot take its size.
        """
        if batch.dtype != np.float32 or batch.ndim != 4 or batch.shape[3] != 3 or batch.size == 0:
            raise ShapeError(
                f"Expected a batch n y x 3 of float32, found {batch.dtype} of shape {batch.shape}. "
                "Prepare it with the bundle's preprocessing."
            )
        try:
            found = self._session.run(
                self._outputs, {self._input: np.ascontiguousarray(batch)}, self._run_options(batch.shape)
            )
        except Exception as error:  # as above
            raise ShapeError(
                f"Expected a batch that the graph can take and the memory can hold, found {batch.shape}: "
                f"{error}. Keep to the stride that the manifest states, or use smaller tiles."
            ) from None
        return dict(zip(self._outputs, found, strict=True))

    def _run_options(self, shape: tuple[int, ...]) -> onnxruntime.RunOptions:
        """Give memory back whenever the shape changes.

        Within a run of equal tiles the arena is reused, which spares the system from clearing pages again
        and again; across shapes it would only ever grow.
        """
        options = onnxruntime.RunOptions()
        if shape != self._last_shape:
            options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        self._last_shape = shape
        return options

    def _check_names(self, where: str) -> None:
        inputs = [(node.name, node.type) for node in self._session.get_inputs()]
        outputs = {node.name for node in self._session.get_outputs()}
        if inputs != [(self._input, "tensor(float)")] or not set(self._outputs) <= outputs:
            raise ManifestError(
                f"Expected a graph in {where} with the float input '{self._input}' and the outputs "
                f"{self._outputs}, found {inputs} and {sorted(outputs)}. Export the bundle again."
            )


def _options(threads: int | None) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    # Stated, because onnxruntime's own default pins threads to cores, which fails noisily in containers.
    options.intra_op_num_threads = threads or usable_cores()
    options.inter_op_num_threads = 1
    options.log_severity_level = _WARNINGS_OFF
    # A memory pattern is kept for every shape that was ever seen: with tiles of many shapes that is a leak.
    options.enable_mem_pattern = False
    # Only ONNX is parsed, never onnxruntime's own format, which was not checked for safety.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    return options

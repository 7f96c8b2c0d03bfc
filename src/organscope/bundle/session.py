"""Run a graph with onnxruntime, on the CPU, in flat memory."""

import numpy as np
import onnxruntime
from jaxtyping import Float32

from organscope.cores import usable_cores
from organscope.errors import BundleError, ManifestError, ShapeError

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

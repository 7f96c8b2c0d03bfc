"""From a trained Keras network to an ONNX graph that needs no framework."""

import logging
import tempfile
import warnings
from pathlib import Path

import keras
import numpy as np
import onnx

from organscope.train.segmentation.network import with_readout

OPSET = 17


def export_graph(network: keras.Model) -> bytes:
    """Export with the readout inside: input `image` (n, y, x, 3), output `maps` (n, y, x, 2) in [0, 1].

    Keras exports through tf2onnx, which runs under the TensorFlow backend alone.
    """
    maps = with_readout(network)
    maps(np.zeros((1, 64, 64, 3), np.float32))  # Keras exports only a network that was called.
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # tf2onnx 1.17 still names np.object, which NumPy only warns about.
        warnings.filterwarnings("ignore", message=".*np.object.*", category=FutureWarning)
        logging.getLogger("tf2onnx").setLevel(logging.WARNING)
        file = Path(folder) / "graph.onnx"
        maps.export(file, format="onnx", verbose=False, opset_version=OPSET)
        graph = onnx.load(file)
    _rename(graph, {graph.graph.input[0].name: "image", graph.graph.output[0].name: "maps"})
    onnx.checker.check_model(graph)
    return graph.SerializeToString()


def _rename(model: onnx.ModelProto, names: dict[str, str]) -> None:
    for node in model.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    for value in [*model.graph.input, *model.graph.output]:
        value.name = names.get(value.name, value.name)

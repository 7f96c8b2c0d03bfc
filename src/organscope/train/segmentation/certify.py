"""The parity certificate of a cell finder: Keras against ONNX, integers, tiles, threads."""

from collections.abc import Sequence

import keras
import numpy as np
from jaxtyping import Float32

from organscope.bundle import Bundle, Comparison
from organscope.dataset.index import Sample
from organscope.evaluate.parity import compare_bundles
from organscope.train.segmentation.config import NetworkSettings
from organscope.train.segmentation.export import export_graph
from organscope.train.segmentation.network import build_network, with_readout
from organscope.train.segmentation.start import Start

FRAMEWORK = "Keras"


class KerasEngine:
    """Computes a bundle's maps in Keras."""

    def __init__(self, network: keras.Model) -> None:
        self._maps = with_readout(network)

    def run(self, batch: Float32[np.ndarray, "n y x c"]) -> dict[str, np.ndarray]:
        """As `Bundle.run`."""
        return {"maps": keras.ops.convert_to_numpy(self._maps(batch, training=False)).astype(np.float32)}


def compare_framework(bundle: Bundle, samples: Sequence[Sample]) -> list[Comparison]:
    """Build the network again from the weights in the bundle, and compare it with the graph.

    Where the graph computes in integers, the network is exported again and both are compared with that.

    Raises:
        BundleError: The weights do not fit the architecture.
    """
    network = build_network(NetworkSettings.model_validate(bundle.manifest.weights.architecture))
    Start.of(bundle).load_into(network)
    in_keras = bundle.with_engine(KerasEngine(network))
    if not bundle.has_integers:
        return [compare_bundles("framework", in_keras, bundle, samples, FRAMEWORK)]
    plain = bundle.with_graph(export_graph(network))
    return [
        compare_bundles("framework", in_keras, plain, samples, FRAMEWORK),
        compare_bundles("int8", plain, bundle, samples),
    ]


def versions() -> dict[str, str]:
    """Of what computes the network in training."""
    return {"keras": keras.__version__, keras.backend.backend(): _backend_version()}


def _backend_version() -> str:
    from importlib import import_module

    return import_module(keras.backend.backend()).__version__

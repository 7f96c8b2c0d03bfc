"""From a trained network to a measured and verified bundle.

From a trained Keras network to an ONNX graph that needs no framework.

The parity certificate of a cell finder: Keras against ONNX, integers, tiles, threads.
"""

import logging
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import keras
import numpy as np
import onnx
import pandas as pd
from jaxtyping import Float32
from safetensors.numpy import load, save
from scipy import ndimage

from organscope.data.index import Sample
from organscope.decision.calibration import ProbabilityCurve
from organscope.evaluation.equivalence import compare_bundles
from organscope.inference import predict_maps
from organscope.models import Bundle, Certificate, Comparison, Graph, Score, SegmentationSpec, Weights
from organscope.ops.instances import HEAD_MAPS, Decoder
from organscope.training.bundling import GRAPH_FILE, TrainedParts, as_parquet
from organscope.training.quantize import expected_outputs
from organscope.training.segmentation.config import NetworkSettings, SegmentationConfig
from organscope.training.segmentation.network import Start, build_network, with_readout
from organscope.training.segmentation.tuning import MapsAndLabels

_OPSET = 17


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
        maps.export(file, format="onnx", verbose=False, opset_version=_OPSET)
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


_POINTS_FILE = "operating_points.parquet"
_TOLERANCE = 1e-3
"""Of the test tensors, in probability: processors add up in other orders, which costs about 1e-5."""
_INTEGER_TOLERANCE = 0.05
"""The same for a graph in integers, where a sum that falls on the other side of a rounding moves by a whole step."""


@dataclass(frozen=True)
class Measured:
    """What is found out after training, step by step, and goes into the bundle.

    Attributes:
        decoder: Thresholds.
        curve: From a cell's raw probability to a calibrated one.
        cells: One row a predicted cell of the validation images: id, dataset, probability, matched.
        scores: Of the test images.
        points: Missed and false cells by threshold, see `operating_points`.
        typical_diameter_px: Of the training cells.
        certificate: What computes it, compared.
    """

    decoder: Decoder
    curve: ProbabilityCurve | None = None
    cells: pd.DataFrame = field(default_factory=lambda: pd.DataFrame({"probability": [], "matched": []}))
    scores: tuple[Score, ...] = ()
    points: pd.DataFrame | None = None
    typical_diameter_px: float | None = None
    certificate: Certificate | None = None


class BundleWriter:
    """Writes the bundle of one trained network again as more about it is measured."""

    def __init__(self, network: keras.Model, config: SegmentationConfig, fingerprint: str, facts: list[str]) -> None:
        self._network = config.network
        self._parts = TrainedParts(
            settings=config.bundle,
            preprocessing=config.preprocessing,
            classes=["cell"],
            declared=Graph(file=GRAPH_FILE, input="image", outputs=["maps"], opset=_OPSET),
            graph=export_graph(network),
            weights=Weights(file="weights.h5", framework="keras", architecture=config.network.model_dump()),
            weights_content=_weights_file(network),
            test=_test_tensors(network, config.network.stride_px),
            tolerance=_TOLERANCE,
            fingerprint=fingerprint,
            facts=facts,
        )

    def with_graph(self, graph: bytes) -> Self:
        """A writer of the same bundle with the graph in integers, and its own outputs as those to expect."""
        other, parts = copy(self), self._parts
        test = expected_outputs(graph, parts.declared, load(parts.test)["input"])
        other._parts = parts.with_graph(graph, test, _INTEGER_TOLERANCE)
        return other

    def with_fact(self, fact: str) -> Self:
        """A writer of the same bundle with one more sentence on its card."""
        other = copy(self)
        other._parts = self._parts.with_fact(fact)
        return other

    def write(self, folder: Path, measured: Measured) -> Bundle:
        """Write and verify the bundle with what is known by now, and open it as a user would."""
        spec = SegmentationSpec(
            stride_px=self._network.stride_px,
            halo_px=self._network.halo_px,
            maps=list(HEAD_MAPS[self._network.head]),
            decoder=measured.decoder,
            cell_calibration=measured.curve,
            typical_diameter_px=measured.typical_diameter_px,
            operating_points=None if measured.points is None else _POINTS_FILE,
        )
        return self._parts.write(
            folder,
            spec,
            measured.cells,
            scores=measured.scores,
            certificate=measured.certificate,
            files={} if measured.points is None else {_POINTS_FILE: as_parquet(measured.points)},
        )


def maps_of_samples(bundle: Bundle, samples: list[Sample]) -> Iterator[MapsAndLabels]:
    """The maps of each image through the inference side, and its labels; one image at a time."""
    for sample in samples:
        with sample.open() as image:
            maps, labels = predict_maps(image, bundle), sample.read_labels(keep_ignored=True)
        maps[labels < 0, 0] = 0
        yield sample.dataset, maps, np.maximum(labels, 0)


def _weights_file(network: keras.Model) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "network.weights.h5"
        network.save_weights(file)
        return file.read_bytes()


def _test_tensors(network: keras.Model, stride_px: int) -> bytes:
    """A generated input of blurred noise with blobs of many sizes, and what Keras makes of it."""
    random = np.random.default_rng(0)
    shape = (4 * stride_px, 6 * stride_px, 3)
    blurred = [ndimage.gaussian_filter(random.standard_normal(shape), (s, s, 0)) for s in (1, 3, 6)]
    picture = sum(layer / layer.std() for layer in blurred) / 6 + 0.5
    image = np.clip(picture, 0, 1).astype(np.float32)[None]
    maps = keras.ops.convert_to_numpy(with_readout(network)(image))
    return save({"input": image, "maps": maps.astype(np.float32)})


_FRAMEWORK = "Keras"


class _KerasEngine:
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
    in_keras = bundle.with_engine(_KerasEngine(network))
    if not bundle.has_integers:
        return [compare_bundles("framework", in_keras, bundle, samples, _FRAMEWORK)]
    plain = bundle.with_graph(export_graph(network))
    return [
        compare_bundles("framework", in_keras, plain, samples, _FRAMEWORK),
        compare_bundles("int8", plain, bundle, samples),
    ]


def versions() -> dict[str, str]:
    """Of what computes the network in training."""
    return {"keras": keras.__version__, keras.backend.backend(): _backend_version()}


def _backend_version() -> str:
    from importlib import import_module

    return import_module(keras.backend.backend()).__version__

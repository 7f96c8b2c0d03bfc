"""From a trained network to a measured and verified bundle."""

import tempfile
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import keras
import numpy as np
import pandas as pd
from safetensors.numpy import load, save
from scipy import ndimage

from organscope.bundle import Bundle, Certificate, Graph, Score, SegmentationSpec, Weights
from organscope.dataset.index import Sample
from organscope.decide.calibration import ProbabilityCurve
from organscope.ops.instances import HEAD_MAPS, Decoder
from organscope.predict import predict_maps
from organscope.train.quantise import expected_outputs
from organscope.train.segmentation.config import SegmentationConfig
from organscope.train.segmentation.export import OPSET, export_graph
from organscope.train.segmentation.network import with_readout
from organscope.train.segmentation.tune import MapsAndLabels
from organscope.train.writing import GRAPH_FILE, TrainedParts, as_parquet

POINTS_FILE = "operating_points.parquet"
TOLERANCE = 1e-3
"""Of the test tensors, in probability: processors add up in other orders, which costs about 1e-5."""
INTEGER_TOLERANCE = 0.05
"""The same for a graph in integers, where a sum that falls on the other side of a rounding moves by a whole step."""


@dataclass(frozen=True)
class Measured:
    """What is found out after training, step by step, and goes into the bundle.

    Attributes:
        decoder: Thresholds.
        curve: From a cell's raw probability to a calibrated one.
        cells: One row a predicted cell of the validation pictures: id, dataset, probability, matched.
        scores: Of the test pictures.
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
            declared=Graph(file=GRAPH_FILE, input="image", outputs=["maps"], opset=OPSET),
            graph=export_graph(network),
            weights=Weights(file="weights.h5", framework="keras", architecture=config.network.model_dump()),
            weights_content=_weights_file(network),
            test=_test_tensors(network, config.network.stride_px),
            tolerance=TOLERANCE,
            fingerprint=fingerprint,
            facts=facts,
        )

    def with_graph(self, graph: bytes) -> Self:
        """A writer of the same bundle with the graph in integers, and its own outputs as those to expect."""
        other, parts = copy(self), self._parts
        test = expected_outputs(graph, parts.declared, load(parts.test)["input"])
        other._parts = parts.with_graph(graph, test, INTEGER_TOLERANCE)
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
            operating_points=None if measured.points is None else POINTS_FILE,
        )
        return self._parts.write(
            folder,
            spec,
            measured.cells,
            scores=measured.scores,
            certificate=measured.certificate,
            files={} if measured.points is None else {POINTS_FILE: as_parquet(measured.points)},
        )


def maps_of_samples(bundle: Bundle, samples: list[Sample]) -> Iterator[MapsAndLabels]:
    """The maps of each picture through the use side, and its labels; one picture at a time."""
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

"""The graph of a finished bundle in the precision that ships."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float32

from organscope.bundle import Bundle, load_bundle, write_bundle
from organscope.dataset.index import Sample
from organscope.train.classification.bundling import prepared_fields
from organscope.train.classification.config import ClassificationConfig
from organscope.train.classification.copies import gray_copies
from organscope.train.classification.data import Pictures
from organscope.train.classification.half import store_halves
from organscope.train.classification.pools import pools_as_convolutions
from organscope.train.classification.quantise import quantise_graph
from organscope.train.quantise import expected_outputs

Precision = Literal["int8", "float32"]

INT8_TOLERANCE = 0.1
"""Of outputs whose size is about 10: where a processor rounds one number the other way, steps of 1/256 add up."""
N_CALIBRATION_PICTURES = 96
BATCH = 8


def quantised_copy(bundle: Bundle, config: ClassificationConfig, training: list[Sample], folder: Path) -> Bundle:
    """Write a copy of a bundle whose graph computes in eight-bit integers, its head rounded to half precision.

    Args:
        bundle: In floating point.
        config: Of its training.
        training: Pictures that it learnt from; some of them give the ranges.
        folder: Of the copy.
    """
    plain = pools_as_convolutions(bundle.read(bundle.manifest.graph.file), config.field.input_px)
    graph = store_halves(quantise_graph(plain, _batches(config, training)))
    return with_graph(bundle, graph, folder, INT8_TOLERANCE)


def with_graph(bundle: Bundle, graph: bytes, folder: Path, tolerance: float) -> Bundle:
    """Write a copy of a bundle with another graph; its test vectors expect what this graph gives here.

    What was compared for the old graph is not true of the new one and left out.
    """
    manifest = bundle.manifest
    test = manifest.test.model_copy(update={"absolute_tolerance": tolerance})
    files = {name: bundle.read(name) for name in manifest.files if name != manifest.parity}
    files[manifest.graph.file] = graph
    files[manifest.test.file] = expected_outputs(graph, manifest.graph, bundle.tensors(manifest.test.file)["input"])
    return load_bundle(write_bundle(folder, manifest.model_copy(update={"test": test, "parity": None}), files))


def _batches(config: ClassificationConfig, training: list[Sample]) -> Iterator[Float32[np.ndarray, "n y x 3"]]:
    """Fields and their gray copies, whose contrast is stretched: without these their values would leave the ranges."""
    step = -(-len(training) // N_CALIBRATION_PICTURES)
    pictures = Pictures(training[::step], config.field, config.preprocessing, np.inf)
    for first in range(0, len(pictures), BATCH):
        numbers = range(first, min(first + BATCH, len(pictures)))
        fields = np.concatenate([pictures.fields(number)[:1] for number in numbers])
        yield prepared_fields(np.concatenate([fields, gray_copies(fields)]), config)

"""From a trained network to a measured and verified bundle."""

import io
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import safetensors.numpy
import safetensors.torch
from jaxtyping import Float, Float32, Int64, UInt8

from organscope.bundle import (
    Bundle,
    ClassificationSpec,
    Graph,
    Manifest,
    Score,
    TestVectors,
    Weights,
    load_bundle,
    write_bundle,
)
from organscope.bundle.session import Session
from organscope.dataset.index import Sample
from organscope.decide import Policy, QualityLimits, fit_policy, softmax, unit_norm
from organscope.decide.pooling import Pooling
from organscope.ops.preprocess import standardise
from organscope.predict import classify_image
from organscope.train.card import render_card
from organscope.train.classification.cells_data import CellCrops
from organscope.train.classification.config import ClassificationConfig
from organscope.train.classification.data import Pictures
from organscope.train.classification.export import (
    INPUT,
    OPSET,
    OUTPUTS,
    TOLERANCE,
    check_graph,
    export_graph,
    half_weights,
    round_to_half,
)
from organscope.train.classification.network import OrganNetwork, describe_network

REFERENCE_FILE = "reference.safetensors"
N_TEST_FIELDS = 2
MAX_REFERENCES = 4000
"""Embeddings kept to tell the unknown; with 256 numbers each, 4 MB."""


@dataclass(frozen=True)
class Measured:
    """What is found out after training, step by step, and goes into the bundle.

    Attributes:
        policy: Temperature and limits.
        calibration: One row a validation picture, or a cell of one.
        scores: Of the test pictures.
        pooling: How the cells of an image answer together; none for a network that sees images.
    """

    policy: Policy
    calibration: pd.DataFrame = field(default_factory=pd.DataFrame)
    scores: tuple[Score, ...] = ()
    pooling: Pooling | None = None


@dataclass(frozen=True)
class ValidationOutputs:
    """What the graph gives for the validation pictures, a row a field.

    Attributes:
        pictures: Identifier of the picture that each field was cut from.
        organs: Number of its organ.
        logits: As the network gave them.
        features: Embeddings.
    """

    pictures: list[str]
    organs: Int64[np.ndarray, " field"]
    logits: Float32[np.ndarray, "field organ"]
    features: Float32[np.ndarray, "field d"]


class BundleWriter:
    """Writes the bundle of one trained network again as more about it is measured.

    Args:
        network: Trained, in evaluation mode.
        organs: Names of the classes.
        config: Of the training.
        training: Pictures or cells that it learnt from; their embeddings tell what is known.
        fingerprint: Of the data.
        facts: Sentences for the card.
    """

    def __init__(
        self,
        network: OrganNetwork,
        organs: list[str],
        config: ClassificationConfig,
        training: Pictures | CellCrops,
        fingerprint: str,
        facts: list[str],
    ) -> None:
        stored = round_to_half(network)
        tests = _first_fields(training, config)
        self._graph = export_graph(stored, config.field.input_px)
        expected = check_graph(self._graph, stored, tests)
        self._test = safetensors.numpy.save({"input": tests, **expected})
        self._weights = safetensors.torch.save(half_weights(stored))
        self._config = config
        self._organs = organs
        self._fingerprint = fingerprint
        self._facts = facts
        self._created = datetime.now(UTC).replace(microsecond=0)
        self.reference = self._embeddings(training)

    def write(self, folder: Path, measured: Measured) -> Bundle:
        """Write and verify the bundle with what is known by now, and open it as a user would."""
        card = render_card(self._config.bundle, measured.scores, self._facts)
        table = io.BytesIO()
        measured.calibration.to_parquet(table, index=False)
        files = {
            "graph.onnx": self._graph,
            "weights.safetensors": self._weights,
            "test.safetensors": self._test,
            REFERENCE_FILE: safetensors.numpy.save({"features": self.reference}),
            "calibration.parquet": table.getvalue(),
            "README.md": card.encode(),
        }
        max_bytes = round(1e6 * self._config.bundle.max_mb)
        return load_bundle(write_bundle(folder, self._manifest(measured), files, max_bytes=max_bytes))

    def _manifest(self, measured: Measured) -> Manifest:
        config = self._config
        return Manifest(
            name=config.bundle.name,
            version=config.bundle.version,
            summary=config.bundle.summary,
            created=self._created,
            graph=Graph(file="graph.onnx", input=INPUT, outputs=list(OUTPUTS), opset=OPSET),
            weights=Weights(
                file="weights.safetensors",
                framework="timm",
                architecture=describe_network(config.network, len(self._organs)),
            ),
            preprocessing=config.preprocessing,
            classes=self._organs,
            spec=ClassificationSpec(
                subject=config.field.subject,
                field_px=config.field.field_px,
                input_px=config.field.input_px,
                policy=measured.policy,
                pooling=measured.pooling,
            ),
            scores=list(measured.scores),
            data_fingerprint=self._fingerprint,
            calibration="calibration.parquet",
            test=TestVectors(file="test.safetensors", absolute_tolerance=TOLERANCE),
            licence=config.bundle.licence,
        )

    def _embeddings(self, training: Pictures | CellCrops) -> Float32[np.ndarray, "m d"]:
        """Embeddings of length 1 of the training fields, evenly thinned where there are very many."""
        session = Session(self._graph, INPUT, list(OUTPUTS), threads=None, where="the exported graph")
        prepared = (prepared_fields(training.fields(number), self._config) for number in range(len(training)))
        features = np.concatenate([session.run(fields)["features"] for fields in prepared])
        step = -(-len(features) // MAX_REFERENCES)
        return unit_norm(features[::step])


def run_validation(bundle: Bundle, samples: list[Sample]) -> ValidationOutputs:
    """Logits and embeddings of pictures, through the use side; one picture is in memory at a time."""
    pictures, organs, logits, features = [], [], [], []
    for sample in samples:
        with sample.open() as image:
            found = classify_image(image, bundle)
        pictures += [sample.id] * len(found.logits)
        organs += [bundle.manifest.classes.index(sample.organ)] * len(found.logits)
        logits.append(found.logits)
        features.append(found.features)
    return ValidationOutputs(pictures, np.array(organs), np.concatenate(logits), np.concatenate(features))


def measure(
    outputs: ValidationOutputs,
    organs: list[str],
    reference: Float[np.ndarray, "m d"],
    quality: QualityLimits | None = None,
) -> Measured:
    """Fit the policy on the validation pictures, and tabulate what it is calibrated on.

    `quality` are the limits on the look of a picture (`looks.fit_looks`), which become part of the policy.
    """
    policy = fit_policy(
        outputs.logits,
        outputs.organs,
        outputs.features,
        reference,
        n_neighbours=min(Policy().n_neighbours, len(reference)),
        reference=REFERENCE_FILE,
        organs=organs,
        pictures=np.array(outputs.pictures),
        quality=quality,
    )
    return Measured(policy, calibration_table(outputs, organs, policy.temperature))


def calibration_table(outputs: ValidationOutputs, organs: list[str], temperature: float) -> pd.DataFrame:
    """One row a field: `id`, `part`, `label` and `p_<organ>`.

    `part` is "inner validation": this network never trained on these pictures, but its epoch, temperature and
    limits were chosen on them; they are no cross-validation.
    """
    probs = softmax(outputs.logits, temperature)
    table = pd.DataFrame(probs, columns=[f"p_{organ}" for organ in organs])
    table.insert(0, "label", outputs.organs)
    table.insert(0, "part", "inner validation")
    table.insert(0, "id", outputs.pictures)
    return table


def prepared_fields(
    fields: UInt8[np.ndarray, "n y x 3"], config: ClassificationConfig
) -> Float32[np.ndarray, "n y x 3"]:
    """Fields as the network takes them."""
    scaled = fields.astype(np.float32) / np.float32(255)
    return np.stack([standardise(part, config.preprocessing) for part in scaled])


def _first_fields(training: Pictures | CellCrops, config: ClassificationConfig) -> Float32[np.ndarray, "n y x 3"]:
    """One field of each of the first pictures, for the test vectors."""
    fields = [training.fields(number)[:1] for number in range(min(N_TEST_FIELDS, len(training)))]
    # Contiguous, because safetensors writes the bytes as they lie.
    return np.ascontiguousarray(prepared_fields(np.concatenate(fields), config))

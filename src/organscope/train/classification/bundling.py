"""From a trained network to a measured and verified bundle."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import safetensors.numpy
import safetensors.torch
from jaxtyping import Float, Float32, Int8, Int64, Real, UInt8

from organscope.bundle import Bundle, Certificate, ClassificationSpec, Graph, Score, Weights
from organscope.bundle.session import Session
from organscope.dataset.index import Sample
from organscope.decide import Policy, QualityLimits, fit_policy, nearest_distance, softmax
from organscope.decide.pooling import Pooling
from organscope.ops.preprocess import standardise
from organscope.predict import classify_image
from organscope.train.classification.cells_data import CellCrops
from organscope.train.classification.config import ClassificationConfig
from organscope.train.classification.data import Pictures
from organscope.train.classification.export import (
    INPUT,
    OPSET,
    OUTPUTS,
    check_graph,
    export_graph,
    half_weights,
    round_to_half,
)
from organscope.train.classification.network import OrganNetwork, describe_network
from organscope.train.writing import GRAPH_FILE, TrainedParts

REFERENCE_FILE = "reference.safetensors"
N_TEST_FIELDS = 2
MAX_REFERENCES = 4000
"""Embeddings kept to tell the unknown; with 256 numbers each, 1 MB."""


@dataclass(frozen=True)
class Measured:
    """What is found out after training, step by step, and goes into the bundle.

    Attributes:
        policy: Temperature and limits.
        calibration: One row a validation picture, or a cell of one.
        scores: Of the test pictures.
        pooling: How the cells of an image answer together; none for a network that sees images.
        certificate: What computes it, compared.
    """

    policy: Policy
    calibration: pd.DataFrame = field(default_factory=pd.DataFrame)
    scores: tuple[Score, ...] = ()
    pooling: Pooling | None = None
    certificate: Certificate | None = None


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
        graph = export_graph(stored, config.field.input_px)
        expected, tolerance = check_graph(graph, stored, tests)
        self._config = config
        self._parts = TrainedParts(
            settings=config.bundle,
            preprocessing=config.preprocessing,
            classes=organs,
            declared=Graph(file=GRAPH_FILE, input=INPUT, outputs=list(OUTPUTS), opset=OPSET),
            graph=graph,
            weights=Weights(
                file="weights.safetensors",
                framework="timm",
                architecture=describe_network(config.network, len(organs)),
            ),
            weights_content=safetensors.torch.save(half_weights(stored)),
            test=safetensors.numpy.save({"input": tests, **expected}),
            tolerance=tolerance,
            fingerprint=fingerprint,
            facts=facts,
        )
        self.reference = self._embeddings(training)

    def write(self, folder: Path, measured: Measured) -> Bundle:
        """Write and verify the bundle with what is known by now, and open it as a user would."""
        field = self._config.field
        spec = ClassificationSpec(
            subject=field.subject,
            field_px=field.field_px,
            input_px=field.input_px,
            policy=measured.policy,
            pooling=measured.pooling,
            second_look=self._config.cells.second_look if field.subject == "cell" else 0.0,
        )
        return self._parts.write(
            folder,
            spec,
            measured.calibration,
            scores=measured.scores,
            certificate=measured.certificate,
            files={REFERENCE_FILE: safetensors.numpy.save({"features": self.reference})},
            max_bytes=round(1e6 * self._config.bundle.max_mb),
        )

    def _embeddings(self, training: Pictures | CellCrops) -> Int8[np.ndarray, "m d"]:
        """Embeddings of the training fields in steps of 1/127 of their largest number, evenly thinned where very many.

        Their length is not kept: distances are between directions.
        """
        session = Session(self._parts.graph, INPUT, list(OUTPUTS), threads=None, where="the exported graph")
        prepared = (prepared_fields(training.fields(number), self._config) for number in range(len(training)))
        features = np.concatenate([session.run(fields)["features"] for fields in prepared])
        step = -(-len(features) // MAX_REFERENCES)
        return eight_bits(features[::step])


def eight_bits(features: Float[np.ndarray, "m d"]) -> Int8[np.ndarray, "m d"]:
    """Each row in whole numbers from -127 to 127 of (almost) the same direction."""
    largest = np.abs(features).max(axis=1, keepdims=True)
    return np.rint(features / np.where(largest > 0, largest, 1.0) * 127).astype(np.int8)


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
    reference: Real[np.ndarray, "m d"],
    quality: QualityLimits | None = None,
) -> Measured:
    """Fit the policy on the validation pictures, and tabulate what it is calibrated on.

    `quality` are the limits on the look of a picture (`looks.fit_looks`), which become part of the policy.
    """
    n_neighbours = min(Policy().n_neighbours, len(reference))
    policy = fit_policy(
        outputs.logits,
        outputs.organs,
        nearest_distance(outputs.features, reference, n_neighbours),
        n_neighbours=n_neighbours,
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

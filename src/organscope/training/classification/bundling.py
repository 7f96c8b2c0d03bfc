"""From a trained network to a measured and verified bundle.

What is found out about a trained network on the cells of the validation images.

The parity certificate of an organ classifier: PyTorch against ONNX, integers, threads.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import safetensors.numpy
import safetensors.torch
import timm
import torch
from jaxtyping import Float32, Int8, Int64, Real
from torch import nn

from organscope.data.index import Sample
from organscope.decision import (
    Policy,
    QualityLimits,
    fit_distance_limit,
    fit_policy,
    fit_temperature,
    nearest_distance,
    softmax,
)
from organscope.decision.aggregation import Pooling, fit_pooling
from organscope.decision.ood import eight_bits
from organscope.errors import BundleError
from organscope.evaluation.equivalence import compare_bundles
from organscope.inference import classify_cells, classify_image
from organscope.models import Bundle, Certificate, ClassificationSpec, Comparison, Graph, Score, Weights
from organscope.models.runtime import Session
from organscope.training.bundling import GRAPH_FILE, TrainedParts
from organscope.training.classification.config import ClassificationConfig, NetworkConfig
from organscope.training.classification.data import CellCrops, Images
from organscope.training.classification.export import (
    INPUT,
    OPSET,
    OUTPUTS,
    check_graph,
    export_graph,
    half_weights,
    network_outputs,
    prepared_fields,
    round_to_half,
)
from organscope.training.classification.network import OrganNetwork, build_network, describe_network

_REFERENCE_FILE = "reference.safetensors"
_N_TEST_FIELDS = 2
_MAX_REFERENCES = 4000
"""Embeddings kept to tell the unknown; with 256 numbers each, 1 MB."""


@dataclass(frozen=True)
class Measured:
    """What is found out after training, step by step, and goes into the bundle.

    Attributes:
        policy: Temperature and limits.
        calibration: One row a validation image, or a cell of one.
        scores: Of the test images.
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
    """What the graph gives for the validation images, a row a field.

    Attributes:
        images: Identifier of the image that each field was cut from.
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
        training: Images or cells that it learnt from; their embeddings tell what is known.
        fingerprint: Of the data.
        facts: Sentences for the card.
    """

    def __init__(
        self,
        network: OrganNetwork,
        organs: list[str],
        config: ClassificationConfig,
        training: Images | CellCrops,
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
            files={_REFERENCE_FILE: safetensors.numpy.save({"features": self.reference})},
            max_bytes=round(1e6 * self._config.bundle.max_mb),
        )

    def _embeddings(self, training: Images | CellCrops) -> Int8[np.ndarray, "m d"]:
        """Embeddings of the training fields in steps of 1/127 of their largest number, evenly thinned where very many.

        Their length is not kept: distances are between directions.
        """
        session = Session(self._parts.graph, INPUT, list(OUTPUTS), threads=None, where="the exported graph")
        prepared = (prepared_fields(training.fields(number), self._config) for number in range(len(training)))
        features = np.concatenate([session.run(fields)["features"] for fields in prepared])
        step = -(-len(features) // _MAX_REFERENCES)
        return eight_bits(features[::step])


def run_validation(bundle: Bundle, samples: list[Sample]) -> ValidationOutputs:
    """Logits and embeddings of images, through the inference side; one image is in memory at a time."""
    images, organs, logits, features = [], [], [], []
    for sample in samples:
        with sample.open() as image:
            found = classify_image(image, bundle)
        images += [sample.id] * len(found.logits)
        organs += [bundle.manifest.classes.index(sample.organ)] * len(found.logits)
        logits.append(found.logits)
        features.append(found.features)
    return ValidationOutputs(images, np.array(organs), np.concatenate(logits), np.concatenate(features))


def measure(
    outputs: ValidationOutputs,
    organs: list[str],
    reference: Real[np.ndarray, "m d"],
    quality: QualityLimits | None = None,
) -> Measured:
    """Fit the policy on the validation images, and tabulate what it is calibrated on.

    `quality` are the limits on the look of an image (`looks.fit_looks`), which become part of the policy.
    """
    n_neighbors = min(Policy().n_neighbours, len(reference))
    policy = fit_policy(
        outputs.logits,
        outputs.organs,
        nearest_distance(outputs.features, reference, n_neighbors),
        n_neighbours=n_neighbors,
        reference=_REFERENCE_FILE,
        organs=organs,
        pictures=np.array(outputs.pictures),
        quality=quality,
    )
    return Measured(policy, calibration_table(outputs, organs, policy.temperature))


def calibration_table(outputs: ValidationOutputs, organs: list[str], temperature: float) -> pd.DataFrame:
    """One row a field: `id`, `part`, `label` and `p_<organ>`.

    `part` is "inner validation": this network never trained on these images, but its epoch, temperature and
    limits were chosen on them; they are no cross-validation.
    """
    probs = softmax(outputs.logits, temperature)
    table = pd.DataFrame(probs, columns=[f"p_{organ}" for organ in organs])
    table.insert(0, "label", outputs.organs)
    table.insert(0, "part", "inner validation")
    table.insert(0, "id", outputs.pictures)
    return table


def _first_fields(training: Images | CellCrops, config: ClassificationConfig) -> Float32[np.ndarray, "n y x 3"]:
    """One field of each of the first images, for the test vectors."""
    fields = [training.fields(number)[:1] for number in range(min(_N_TEST_FIELDS, len(training)))]
    # Contiguous, because safetensors writes the bytes as they lie.
    return np.ascontiguousarray(prepared_fields(np.concatenate(fields), config))


_IN_DOMAIN_PASS = 0.95
"""Share of the held-out cells that are not called unknown."""

_LEAST = 1e-30
"""Below it a float32 probability has no logarithm."""


def measure_on_cells(bundle: Bundle, samples: list[Sample]) -> Measured:
    """Fit temperature, novelty limit and pooling on all labeled cells of images, through the inference side.

    Args:
        bundle: With a temperature of 1 and the number of neighbors that is to be used.
        samples: Images with labels that did not train.
    """
    cells = pd.concat([_cells_of(bundle, sample) for sample in samples], ignore_index=True)
    classes, labels = bundle.manifest.classes, cells["label"].to_numpy()
    columns = [f"p_{organ}" for organ in classes]
    # The logarithms of probabilities at a temperature of 1 are logits.
    logits = np.log(np.maximum(cells[columns].to_numpy(np.float64), _LEAST))
    temperature = fit_temperature(logits, labels)
    policy = Policy(
        temperature=temperature,
        max_distance=fit_distance_limit(cells["distance"].to_numpy(), _IN_DOMAIN_PASS),
        n_neighbours=bundle.manifest.classification.policy.n_neighbours,
        reference=_REFERENCE_FILE,
    )
    calibrated = softmax(logits, temperature)
    pooling = fit_pooling(calibrated, labels, cells["id"].to_numpy(str))
    table = cells.drop(columns="distance").assign(**dict(zip(columns, calibrated.T, strict=True)))
    return Measured(policy, table, pooling=pooling)


def _cells_of(bundle: Bundle, sample: Sample) -> pd.DataFrame:
    """One row a cell: `id` of the image, `part`, `cell`, `label`, `distance` and `p_<organ>`."""
    labels = sample.read_labels()
    with sample.open() as image:
        found = classify_cells(image, labels, bundle)
    table = pd.DataFrame(found.probabilities, columns=[f"p_{organ}" for organ in found.organs])
    table.insert(0, "distance", found.distance)
    table.insert(0, "label", found.organs.index(sample.organ))
    table.insert(0, "cell", np.unique(labels[labels > 0]))
    table.insert(0, "part", "inner validation")
    table.insert(0, "id", sample.id)
    return table


_FRAMEWORK = "PyTorch"


class _TorchEngine:
    """Computes a bundle's outputs in PyTorch."""

    def __init__(self, network: OrganNetwork) -> None:
        self._network = network.float().cpu().eval()

    def run(self, batch: Float32[np.ndarray, "n y x c"]) -> dict[str, np.ndarray]:
        """As `Bundle.run`."""
        return network_outputs(self._network, batch)


class _PooledEngine:
    """The same for bundles of older versions, whose classifier is that of timm.

    Args:
        backbone: With its classifier, a linear function of the pooled features.
    """

    def __init__(self, backbone: nn.Module) -> None:
        self._backbone = backbone.float().eval()

    def run(self, batch: Float32[np.ndarray, "n y x c"]) -> dict[str, np.ndarray]:
        """As `Bundle.run`."""
        with torch.inference_mode():
            maps = self._backbone.forward_features(torch.from_numpy(batch).permute(0, 3, 1, 2))
            features = self._backbone.forward_head(maps, pre_logits=True)
            logits = self._backbone.get_classifier()(features)
        return {"logits": logits.numpy(), "features": features.numpy()}


def compare_framework(bundle: Bundle, samples: Sequence[Sample]) -> list[Comparison]:
    """Build the network again from the weights in the bundle, and compare it with the graph.

    Where the graph computes in integers, or is the mean of several networks of which one is stored, the stored network
    is exported again and compared with that.

    Raises:
        BundleError: The weights do not fit the architecture.
    """
    architecture = bundle.manifest.weights.architecture
    if "stages" not in architecture:
        options = {"num_classes": architecture["n_organs"], **architecture["arguments"]}
        backbone = timm.create_model(architecture["backbone"], **options)
        _load(backbone, bundle)
        return [compare_bundles("framework", bundle.with_engine(_PooledEngine(backbone)), bundle, samples, _FRAMEWORK)]
    network = _stored_network(bundle)
    members = int(architecture.get("members", 1))
    in_torch = bundle.with_engine(_TorchEngine(network))
    if not bundle.has_integers and members == 1:
        return [compare_bundles("framework", in_torch, bundle, samples, _FRAMEWORK)]
    plain = bundle.with_graph(export_graph(network, bundle.manifest.classification.input_px))
    note = _FRAMEWORK if members == 1 else f"{_FRAMEWORK}, network 1 of {members}"
    found = [compare_bundles("framework", in_torch, plain, samples, note)]
    # The other networks are in the graph alone, and only in integers.
    return found if members > 1 else [*found, compare_bundles("int8", plain, bundle, samples)]


def versions() -> dict[str, str]:
    """Of what computes the network in training."""
    return {"torch": torch.__version__, "timm": timm.__version__}


def _stored_network(bundle: Bundle) -> OrganNetwork:
    architecture = bundle.manifest.weights.architecture
    settings = {key: value for key, value in architecture.items() if key in NetworkConfig.model_fields}
    # Bundles that do not name a limit were trained without one.
    settings.setdefault("limit", math.inf)
    network = build_network(NetworkConfig.model_validate(settings), int(architecture["n_organs"]))
    _load(network, bundle)
    return network


def _load(network: nn.Module, bundle: Bundle) -> None:
    file = bundle.manifest.weights.file
    try:
        network.load_state_dict(safetensors.torch.load(bundle.read(file)))
    except RuntimeError as error:
        raise BundleError(
            f"Expected {file} of {bundle.source} to fit its architecture, found: {str(error).splitlines()[0]} "
            "Train it again with this version of organscope."
        ) from error

"""The mean of the networks of all folds as one bundle, calibrated on what each said of images it never saw.

Finished runs as members of an ensemble: what they were told, what they held out, what they gave.

What each network of an ensemble says of the images that it never saw, and the policy that follows.
"""

import json
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float64

from organscope.decision import Policy, complete_policy, fit_distance_limit, fit_temperature, nearest_distance
from organscope.decision.fitting import by_image, fit_min_confidence
from organscope.errors import DatasetError, UsageError
from organscope.evaluation import evaluate_out_of_fold, manifest_scores
from organscope.evaluation.equivalence import certificate, choose_images, compare_bundles, compare_use
from organscope.evaluation.results import OUT_OF_FOLD
from organscope.models import Bundle, Certificate, Manifest, Score, load_bundle, write_bundle
from organscope.models.manifest import MANIFEST_NAME
from organscope.training.bundling import as_parquet, now, render_card, with_certificate
from organscope.training.classification.bundling import (
    ValidationOutputs,
    calibration_table,
    compare_framework,
    run_validation,
    versions,
)
from organscope.training.classification.config import ClassificationConfig
from organscope.training.classification.export import (
    OUTPUTS,
    Precision,
    average_graphs,
    calibration_batches,
    calibration_images,
    quantized_copy,
)
from organscope.training.classification.ood import fit_looks
from organscope.training.config import check_settings
from organscope.training.quantize import expected_outputs
from organscope.training.run import Report
from organscope.training.split import TrainingSplit, split_samples


@dataclass(frozen=True)
class _Member:
    """One finished run.

    Attributes:
        folder: Of the run.
        config: What it was told.
        split: Who trained, validated and was scored; the last were never seen.
        bundle: What it made.
    """

    folder: Path
    config: ClassificationConfig
    split: TrainingSplit
    bundle: Bundle


def _read_members(runs: Sequence[Path]) -> list[_Member]:
    """Read runs that differ in their test folds only.

    Raises:
        UsageError: A run is not finished, names cells, or there are fewer than two.
        DatasetError: Their data, organs, fields or preprocessing differ, or an image was scored by two of them.
    """
    if len(runs) < 2:
        raise UsageError(f"Expected two or more run folders of different test folds, found {len(runs)}.")
    members = [_read(Path(run)) for run in runs]
    for member in members[1:]:
        _require_alike(members[0], member)
    scored = Counter(sample.id for member in members for sample in member.split.test)
    twice = sorted(name for name, count in scored.items() if count > 1)
    if twice or any(not member.split.test for member in members):
        found = f"{len(twice)} scored twice, such as {twice[0]}" if twice else "a run that scored none"
        raise DatasetError(
            f"Expected every image to be held out by one run at most, and each run to hold some out, found {found}. "
            "Train each run with its own data.test_folds."
        )
    return members


def _read(run: Path) -> _Member:
    if not (run / "config.json").is_file() or not (run / "bundle" / MANIFEST_NAME).is_file():
        raise UsageError(
            f"Expected a finished run in {run}, found no config.json or no bundle. Finish it with --resume."
        )
    config = check_settings(ClassificationConfig, json.loads((run / "config.json").read_text()), str(run))
    if config.field.subject != "image":
        raise UsageError(f"Expected runs that name the organ of whole images, found one for single cells in {run}.")
    member = _Member(run, config, split_samples(config.data), load_bundle(run / "bundle"))
    if member.bundle.manifest.graph.outputs != list(OUTPUTS):
        raise UsageError(f"Expected the outputs {', '.join(OUTPUTS)} of {run}, found an older bundle. Train it again.")
    if member.split.fingerprint() != member.bundle.manifest.data_fingerprint:
        raise DatasetError(
            f"Expected the data that {run} was trained on, found an index that has changed since. Train it again."
        )
    return member


def _require_alike(first: _Member, other: _Member) -> None:
    a, b = first.bundle.manifest, other.bundle.manifest
    facts = {
        "data": (a.data_fingerprint, b.data_fingerprint),
        "organs": (a.classes, b.classes),
        "preprocessing": (a.preprocessing, b.preprocessing),
        "field": (first.config.field, other.config.field),
        "graph outputs": (a.graph.outputs, b.graph.outputs),
    }
    if differing := [name for name, (one, two) in facts.items() if one != two]:
        raise DatasetError(
            f"Expected runs that differ in their test folds only, found other {', '.join(differing)} in {other.folder} "
            f"than in {first.folder}. Train both with one configuration."
        )


_TARGET_ERROR = 0.05
_MIN_COVERAGE = 0.5
_IN_DOMAIN_PASS = 0.99
"""The limits on the look lose 2.5 % more, and the limit on confidence some: at most one image in twenty in all."""


@dataclass(frozen=True)
class _HeldOut:
    """What the shipped graph of one member says of the images that it never saw.

    Attributes:
        bundle: The member in the precision that ships.
        outputs: Logits and features of its test images.
        distances: Of each field to the member's training images.
    """

    bundle: Bundle
    outputs: ValidationOutputs
    distances: Float64[np.ndarray, " field"]


def _hold_out(member: _Member, scratch: Path, precision: Precision) -> _HeldOut:
    """Run the graph that ships on the images that its network never saw."""
    bundle = member.bundle
    if precision == "int8":
        images = calibration_images(member.config, member.split.training)
        bundle = quantized_copy(bundle, calibration_batches(member.config, images), scratch)
    outputs = run_validation(bundle, member.split.test)
    policy = bundle.manifest.classification.policy
    reference = bundle.tensors(policy.reference)["features"]
    return _HeldOut(bundle, outputs, nearest_distance(outputs.features, reference, policy.n_neighbours).astype(float))


def _cross_fitted(held_out: list[_HeldOut], scratch: Path) -> list[Bundle]:
    """Each member with temperature and limits that come from the images of the others alone."""
    bundles = []
    for number, part in enumerate(held_out):
        others = held_out[:number] + held_out[number + 1 :]
        policy = _fitted_policy(others, others, part.bundle.manifest.classification.policy)
        bundles.append(_with_policy(part.bundle, policy, scratch / f"cross-fitted-{number}"))
    return bundles


def _fitted_policy(said: list[_HeldOut], near: list[_HeldOut], template: Policy) -> Policy:
    """Fitted on images that the single networks never saw.

    Args:
        said: What temperature, confidence limit, contract and sets come from.
        near: What the novelty limit comes from.
        template: Names, neighbors and the limits on the look of an image.
    """
    temperature = fit_temperature(*_pooled(said))
    organs = said[0].bundle.manifest.classes
    table = _out_of_fold_table(said, temperature)
    columns = [f"p_{organ}" for organ in organs]
    images = by_image(table, columns)
    probabilities = images[columns].to_numpy(float)
    right = probabilities.argmax(axis=1) == images["label"].to_numpy(int)
    policy = Policy(
        temperature=temperature,
        min_confidence=fit_min_confidence(probabilities.max(axis=1), right, _TARGET_ERROR, _MIN_COVERAGE),
        max_distance=fit_distance_limit(_image_distances(near), _IN_DOMAIN_PASS),
        n_neighbours=template.n_neighbours,
        reference=template.reference,
        quality=template.quality,
    )
    return complete_policy(policy, table, organs)


def _pooled(held_out: list[_HeldOut]) -> tuple[np.ndarray, np.ndarray]:
    logits = np.concatenate([part.outputs.logits for part in held_out])
    return logits, np.concatenate([part.outputs.organs for part in held_out])


def _out_of_fold_table(held_out: list[_HeldOut], temperature: float) -> pd.DataFrame:
    """One row a field of every image, by the network that never saw it."""
    organs = held_out[0].bundle.manifest.classes
    parts = [calibration_table(part.outputs, organs, temperature) for part in held_out]
    return pd.concat(parts, ignore_index=True).assign(part=OUT_OF_FOLD)


def _image_distances(held_out: list[_HeldOut]) -> Float64[np.ndarray, " picture"]:
    """As an image is judged: the median over its fields."""
    return np.concatenate(
        [pd.Series(part.distances).groupby(part.outputs.pictures).median().to_numpy() for part in held_out]
    )


def _with_policy(bundle: Bundle, policy: Policy, folder: Path) -> Bundle:
    spec = bundle.manifest.classification.model_copy(update={"policy": policy})
    files = {name: bundle.read(name) for name in bundle.manifest.files}
    return load_bundle(write_bundle(folder, bundle.manifest.model_copy(update={"spec": spec}), files))


def _accuracy_lost(members: list[_Member], held_out: list[_HeldOut]) -> float:
    """Share of the images, of all members together, that floating point names rightly and integers do not, net."""
    exact = [run_validation(member.bundle, member.split.test) for member in members]
    return float(np.mean(np.concatenate([_right(outputs) for outputs in exact]))) - float(
        np.mean(np.concatenate([_right(part.outputs) for part in held_out]))
    )


def _right(outputs: ValidationOutputs) -> np.ndarray:
    logits = pd.DataFrame(outputs.logits).groupby(outputs.pictures, sort=False).mean().to_numpy()
    labels = pd.Series(outputs.organs).groupby(outputs.pictures, sort=False).first().to_numpy()
    return logits.argmax(axis=1) == labels


def build_ensemble(
    runs: Sequence[Path], folder: Path, *, precision: Precision = "int8", report: Report = lambda line: None
) -> Bundle:
    """Average finished runs into one bundle.

    Temperature, limits, contract and sets are fitted on the out-of-fold outputs of the single networks, and so are
    the scores: for a new image the mean of all networks is at least as good as one alone, but on the images at hand
    it cannot be measured, since three of the four networks were trained on each.

    Args:
        runs: Run folders that differ in their test folds only.
        folder: Of the bundle.
        precision: Of the arithmetic in the graph.
        report: Gets a line for the person who watches.

    Raises:
        UsageError, DatasetError: The runs do not belong together; see `read_members`.
        BundleError: The bundle would be larger than 25 MB.
        OutputError: The folder cannot be written.
    """
    members = _read_members(runs)
    with tempfile.TemporaryDirectory() as scratch:
        held_out = []
        for number, member in enumerate(members, start=1):
            report(f"network {number} of {len(members)}: {len(member.split.test)} images that it never saw")
            held_out.append(_hold_out(member, Path(scratch) / str(number), precision))
        loss = _accuracy_lost(members, held_out) if precision == "int8" else None
        scores = _scores(members, _cross_fitted(held_out, Path(scratch)), report)
        bundle = _write(members, held_out, scores, loss, folder)
    return with_certificate(bundle, _certificate(members, bundle), folder)


def _scores(members: list[_Member], bundles: list[Bundle], report: Report) -> list[Score]:
    """Of each network on the images that it never saw, pooled, beside forests that see color or texture alone."""
    scores = []
    for index in members[0].split.indexes:
        evaluation = evaluate_out_of_fold(bundles, index)
        scores += manifest_scores(evaluation)
        figures = ", ".join(
            f"{metric.replace('_', ' ')} {evaluation.score(metric):.3f}"
            for metric in ("accuracy", "balanced_accuracy", "macro_f1", "ece")
        )
        report(f"{index.folder.name}, {evaluation.subset}, each network on what it never saw: {figures}")
    return scores


def _write(
    members: list[_Member], held_out: list[_HeldOut], scores: list[Score], loss: float | None, folder: Path
) -> Bundle:
    first, config = held_out[0].bundle, members[0].config
    old = first.manifest
    graph = average_graphs([part.bundle.read(part.bundle.manifest.graph.file) for part in held_out])
    manifest = _manifest(members, held_out, scores)
    table = _out_of_fold_table(held_out, manifest.classification.policy.temperature)
    files = {name: first.read(name) for name in old.files} | {
        old.graph.file: graph,
        # One field: images in floating point are a large part of what is left of 25 MB.
        old.test.file: expected_outputs(graph, old.graph, first.tensors(old.test.file)["input"][:1]),
        old.calibration: as_parquet(table),
        old.card: render_card(config.bundle, scores, _facts(members, loss)).encode(),
    }
    return load_bundle(write_bundle(folder, manifest, files))


def _manifest(members: list[_Member], held_out: list[_HeldOut], scores: list[Score]) -> Manifest:
    old, config = held_out[0].bundle.manifest, members[0].config
    everything = [sample for member in members for sample in member.split.test]
    quality = fit_looks(everything, config.field, config.preprocessing)
    # Distances are those of the first network to its training images: its own test images tell their limit.
    template = old.spec.policy.model_copy(update={"quality": quality})
    policy = _fitted_policy(held_out, held_out[:1], template)
    architecture = old.weights.architecture | {"members": len(members), "stored_member": 1}
    return old.model_copy(
        update={
            "created": now(),
            "spec": old.spec.model_copy(update={"policy": policy}),
            "scores": scores,
            "weights": old.weights.model_copy(update={"architecture": architecture}),
        }
    )


def _certificate(members: list[_Member], bundle: Bundle) -> Certificate:
    """The first network against its own graph, the mean of all in floating point against integers, and threads."""
    samples = choose_images(members[0].split.test)
    stored = compare_framework(members[0].bundle, samples)[0]
    found = [stored.model_copy(update={"note": f"{stored.note}, network 1 of {len(members)}"})]
    if bundle.has_integers:
        plain = average_graphs([member.bundle.read(member.bundle.manifest.graph.file) for member in members])
        found.append(compare_bundles("int8", bundle.with_graph(plain), bundle, samples))
    return certificate("held out by network 1", samples, [*found, *compare_use(bundle, samples)], **versions())


def _facts(members: list[_Member], loss: float | None) -> list[str]:
    network, field = members[0].config.network, members[0].config.field
    options = "".join(f", {name} {value}" for name, value in network.arguments.items())
    n_images = sum(len(member.split.test) for member in members)
    held = "; ".join(f"network {number}: {_folds(member)}" for number, member in enumerate(members, start=1))
    facts = [
        f"The mean of the logits of {len(members)} networks ({network.backbone} of timm{options}), each trained from "
        f"random weights without some folds ({held}).",
        f"It sees fields of {field.field_px} px of the image, resized to {field.input_px} px; the probabilities of the "
        "fields of an image are averaged.",
        "Cross-validated: every score below is of the single networks, each on the images that it never saw "
        f"({n_images} in all), with temperature and limits from the images of the other networks. The mean of the "
        "networks is not scored: no image here is new to all of them.",
        "Temperature, confidence limit, contract and prediction sets of this bundle come from the same out-of-fold "
        "answers, of all images.",
        "Embeddings, and the distance that tells the unknown, are those of network 1; so are weights.safetensors.",
    ]
    if loss is not None:
        facts.append(
            "The backbones compute in eight-bit integers (static quantization, weights by channel); on the same "
            f"images this costs {loss:.4f} of accuracy against floating point."
        )
    return facts


def _folds(member: _Member) -> str:
    folds = member.config.data.test_folds
    return ("fold " if len(folds) == 1 else "folds ") + ", ".join(str(fold) for fold in folds)

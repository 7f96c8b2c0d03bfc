"""`organscope train classification`: from images of known organs to a measured bundle.

Where a training on single cells differs from one on images: its data, its measures, its card.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from organscope.data.index import Sample
from organscope.decision import Policy
from organscope.decision.aggregation import Pooling
from organscope.errors import DatasetError
from organscope.evaluation import evaluate_bundle, manifest_scores
from organscope.evaluation.equivalence import certificate, choose_images, compare_use
from organscope.models import Bundle, Certificate, Score, load_bundle
from organscope.training.classification.bundling import (
    BundleWriter,
    Measured,
    compare_framework,
    measure,
    measure_on_cells,
    run_validation,
    versions,
)
from organscope.training.classification.config import ClassificationConfig
from organscope.training.classification.copies import Alter, as_they_are, gray_copies, training_copies
from organscope.training.classification.data import CellCrops, Images, draw_probability, read_cells, spread_over_organs
from organscope.training.classification.fit import OrganLoss, TrainingData, fit
from organscope.training.classification.linear_head import (
    Pooled,
    joined_heads,
    pooled_features,
    score_heads,
    set_head_function,
)
from organscope.training.classification.network import OrganNetwork, build_network
from organscope.training.classification.ood import fit_looks
from organscope.training.config import read_settings
from organscope.training.origin import Base, base_of, torchrun_place
from organscope.training.run import Report, RunDirectory, run_directory
from organscope.training.split import TrainingSplit, split_cells, split_samples

_N_REFERENCES = 500
"""Cells whose embeddings tell what is known: every cell that is ever asked about is compared with all of them."""


def _cell_training_data(
    config: ClassificationConfig, split: TrainingSplit, organs: list[str], report: Report
) -> TrainingData:
    """All cells of the training images, and a fixed sample of those of the validation images.

    Raises:
        InputError: An image or its labels cannot be read, or do not fit.
        DatasetError: There is no cell to train or to validate on.
    """
    training = read_cells(split.training, config, config.fit.cache_mb)
    validation = read_cells(split.validation, config, np.inf)
    organ_of = {
        part: np.array([organs.index(s.organ) for s in getattr(split, part)]) for part in ("training", "validation")
    }
    training_organs = organ_of["training"][training.picture]
    validation_organs = organ_of["validation"][validation.picture]
    kept = spread_over_organs(validation_organs, config.cells.validation, config.data.seed)
    report(f"{len(training)} cells train, {len(kept)} of {len(validation)} tell when to stop")
    if training.pictures.n_cached < len(split.training):
        report(f"{training.pictures.n_cached} training images fit into fit.cache_mb; the others are read each time")
    return TrainingData(
        training=training,
        training_organs=training_organs,
        probability=draw_probability(training.picture, split.draw_probability, config.cells.picture_balance),
        validation=validation.chosen(kept),
        validation_organs=validation_organs[kept],
    )


def _reference_cells(data: TrainingData, seed: int) -> CellCrops:
    """Training cells of all organs whose embeddings tell what is known."""
    return data.training.chosen(spread_over_organs(data.training_organs, _N_REFERENCES, seed))


def _measure_draft(writer: BundleWriter, split: TrainingSplit, run: RunDirectory) -> Measured:
    """Write a bundle without limits and find them on the validation images."""
    n_neighbors = min(Policy().n_neighbours, len(writer.reference))
    draft: Bundle = writer.write(run.state / "draft", Measured(Policy(n_neighbours=n_neighbors), pooling=Pooling()))
    return measure_on_cells(draft, split.validation)


def _cell_facts(config: ClassificationConfig, data: TrainingData, split: TrainingSplit) -> list[str]:
    """Sentences for the card: what the network sees, and which cells it learnt from."""
    looks = (
        f" Cells below {config.cells.second_look:g} are turned to all four sides." if config.cells.second_look else ""
    )
    return [
        f"It sees the square of {config.field.field_px} px around the centroid of a cell, resized to "
        f"{config.field.input_px} px and mirrored at the edge of the image; the cells of an image are pooled into one "
        f"answer.{looks}",
        f"{len(data.training)} labeled cells of {len(split.training)} images trained it; the cells of "
        f"{len(split.validation)} images (the inner validation) chose epoch, temperature, novelty limit and "
        f"pooling, so figures on these are optimistic; {len(split.test)} images were only scored.",
    ]


def train_classification(
    config_file: Path,
    run_dir: Path,
    *,
    overrides: tuple[str, ...] = (),
    resume: bool = False,
    report: Report = lambda line: None,
) -> Bundle | None:
    """Train, calibrate, export, score and verify.

    Temperature and limits use the inner validation images, scores the test folds; neither trains. Started by
    `torchrun`, all processes fit together, each with a part of every batch; the first one does the rest, and the others
    return nothing.

    Args:
        config_file: See `ClassificationConfig`.
        run_dir: Gets configuration, split, metrics, resumable state and `bundle/`.
        overrides: `key=value` settings that go before the file's.
        resume: Go on with a run that was interrupted.
        report: Gets a line for the person who watches.

    Raises:
        OutputError: The run directory cannot be written.
        UsageError: The configuration has a fault, or names a backbone or an organ that does not exist.
        DatasetError: There are no images to train or to validate on, or some have no organ.
        KeyboardInterrupt: The person stopped the training; says how to go on.
    """
    config = read_settings(ClassificationConfig, config_file, overrides)
    return train_with(config, run_dir, source=config_file, resume=resume, report=report)


def train_with(
    config: ClassificationConfig,
    run_dir: Path,
    *,
    source: Path | None,
    resume: bool = False,
    report: Report = lambda line: None,
    clock: Sequence[float] = (),
) -> Bundle | None:
    """Train with a configuration that was read already; see `train_classification`.

    Args:
        config: The whole configuration.
        run_dir: As in `train_classification`.
        source: The file that it was read from, if any.
        resume: As in `train_classification`.
        report: As in `train_classification`.
        clock: Seconds that each epoch is taken to last, where the learning rate follows them (`fit.max_minutes`).
    """
    is_cell = config.field.subject == "cell"
    split = (split_cells if is_cell else split_samples)(config.data)
    organs = _organs_of(split)
    network, loss = _untrained(config, split, organs)
    place = torchrun_place()
    place.require_shares(config.fit.batch)
    run, report = run_directory(run_dir, place, report)
    with run:
        run.start(config, source=source, resume=resume, report=report, base=_base(config))
        run.write_split(split)
        report(
            f"{len(split.training)} images train, {len(split.validation)} validate, {len(split.test)} are only scored"
        )
        data = (_cell_training_data if is_cell else _training_data)(config, split, organs, report)
        fitted = fit(config, network, loss, data, run, report, clock)
        if not place.leads:
            return None
        if config.discriminant.share > 0 and not (is_cell or config.draft):
            _join_discriminant(config, fitted, data, split, organs, run)
        of_data = _cell_facts(config, data, split) if is_cell else _image_facts(config, split)
        known = _reference_cells(data, config.data.seed) if is_cell else data.training
        facts = _facts(config, fitted, run, of_data)
        writer = BundleWriter(fitted, organs, config, known, split.fingerprint(), facts)
        return run.complete(_measure(writer, config, split, run, report), split)


def _organs_of(split: TrainingSplit) -> list[str]:
    """The organs in order of name: those of the training images.

    Raises:
        DatasetError: An image has no organ, there is only one organ, or one is validated or scored that no
            image trains.
    """
    everything = [*split.training, *split.validation, *split.test]
    without = [sample.id for sample in everything if not sample.organ]
    if without:
        raise DatasetError(
            f"Expected an organ for every image, found none for {len(without)} of {len(everything)} "
            f"(first: {without[0]}). Import the data with a folder per organ."
        )
    organs = sorted({sample.organ for sample in split.training})
    if len(organs) < 2:
        raise DatasetError(f"Expected images of at least two organs, found only {organs[0]}.")
    unknown = sorted({sample.organ for sample in everything} - set(organs))
    if unknown:
        raise DatasetError(
            f"Expected training images of every organ that is scored, found none of {', '.join(unknown)}. "
            "Change data.test_folds or take these images out of the index."
        )
    return organs


def _training_data(
    config: ClassificationConfig, split: TrainingSplit, organs: list[str], report: Report
) -> TrainingData:
    validation = Images(split.validation, config.field, config.preprocessing, config.fit.cache_mb)
    training = Images(split.training, config.field, config.preprocessing, config.fit.cache_mb)
    if training.n_cached < len(training):
        report(f"{training.n_cached} training images fit into fit.cache_mb; the others are read each time")
    return TrainingData(
        training=training,
        training_organs=_numbers(split.training, organs),
        probability=split.draw_probability,
        validation=validation,
        validation_organs=_numbers(split.validation, organs),
    )


def _join_discriminant(
    config: ClassificationConfig,
    network: OrganNetwork,
    data: TrainingData,
    split: TrainingSplit,
    organs: list[str],
    run: RunDirectory,
) -> None:
    """Join the discriminant to the trained head, and write what each head scores on images that neither saw."""

    def pooled(images: Images, alter: Alter) -> Pooled:
        return pooled_features(network, images, config.preprocessing, alter)

    copies = training_copies(config)
    known = [pooled(data.training, part.alter) for part in copies]
    numbers = np.concatenate([data.training_organs[part.owners] for part in known])
    features = np.concatenate([part.features for part in known])
    weights = np.repeat([part.weight for part in copies], [len(part.owners) for part in known])
    heads = joined_heads(network, features, numbers, weights, config.discriminant)
    set_head_function(network, heads["joined"])
    if split.test:
        unseen = Images(split.test, config.field, config.preprocessing, 0)
        scored = {"colour": pooled(unseen, as_they_are), "gray": pooled(unseen, gray_copies)}
        run.write_text("heads.csv", score_heads(heads, scored, _numbers(split.test, organs)).to_csv(index=False))


def _numbers(samples: list[Sample], organs: list[str]) -> np.ndarray:
    return np.array([organs.index(sample.organ) for sample in samples])


def _untrained(config: ClassificationConfig, split: TrainingSplit, organs: list[str]) -> tuple[OrganNetwork, OrganLoss]:
    """Made before anything is written or read, so that a wrong name costs no time."""
    torch.manual_seed(config.fit.seed)
    # As often as they are drawn, not as often as they are there: what the network meets is what a loss may correct.
    drawn = split.draw_probability * len(split.training)
    counts = np.bincount(_numbers(split.training, organs), weights=drawn, minlength=len(organs))
    loss = OrganLoss(config.loss, organs, torch.from_numpy(counts).float())
    return build_network(config.network, len(organs)), loss


def _measure(
    writer: BundleWriter, config: ClassificationConfig, split: TrainingSplit, run: RunDirectory, report: Report
) -> Bundle:
    """Find the policy, then the scores; each through the inference side."""
    draft = run.state / "draft"
    if config.draft and config.field.subject == "image":
        return writer.write(run.bundle, Measured(Policy(n_neighbours=1)))
    if config.field.subject == "cell":
        measured = _measure_draft(writer, split, run)
    else:
        bundle = writer.write(draft, Measured(Policy(n_neighbours=1)))
        outputs = run_validation(bundle, split.validation)
        looks = fit_looks([*split.training, *split.validation], config.field, config.preprocessing)
        measured = measure(outputs, bundle.manifest.classes, writer.reference, looks)
    bundle = writer.write(draft, measured)
    measured = replace(measured, certificate=_certificate(bundle, split.validation))
    scores = tuple(_scores(bundle, config, split, report))
    return writer.write(run.bundle, replace(measured, scores=scores))


def _certificate(bundle: Bundle, validation: list[Sample]) -> Certificate | None:
    """What computes the bundle, compared."""
    samples = choose_images(validation)
    if not samples:
        return None
    found = [*compare_framework(bundle, samples), *compare_use(bundle, samples)]
    return certificate("inner validation", samples, found, **versions())


def _scores(bundle: Bundle, config: ClassificationConfig, split: TrainingSplit, report: Report) -> list[Score]:
    scores = []
    for index in split.indexes:
        if index.samples(config.data.test_folds):
            evaluation = evaluate_bundle(bundle, index, fold=config.data.test_folds)
            scores += manifest_scores(evaluation)
            figures = ", ".join(
                f"{metric.replace('_', ' ')} {evaluation.score(metric):.3f}"
                for metric in ("accuracy", "balanced_accuracy", "macro_f1", "ece")
            )
            report(f"{index.folder.name}, {evaluation.subset}: {figures}")
    return scores


def _base(config: ClassificationConfig) -> Base | None:
    """The bundle whose backbone it begins with."""
    return None if config.network.start is None else base_of(load_bundle(config.network.start))


def _beginning(config: ClassificationConfig) -> str:
    base = _base(config)
    if base is not None:
        return f"the backbone of the bundle {base.name}"
    return "timm's published weights" if config.network.pretrained else "random weights"


def _facts(config: ClassificationConfig, network: OrganNetwork, run: RunDirectory, of_data: list[str]) -> list[str]:
    epochs = run.metrics()
    best = [row for row in epochs if row["best"]][-1]
    parameters = sum(parameter.numel() for parameter in network.parameters())
    options = "".join(f", {name} {value}" for name, value in config.network.arguments.items())
    return [
        f"{config.network.backbone} of timm{options}, {parameters / 1e6:.1f} million "
        f"parameters, trained from {_beginning(config)}; weights averaged over steps, stored in float16.",
        *of_data,
        f"Epoch {best['epoch']} of {len(epochs)}; {sum(row['seconds'] for row in epochs) / 60:.0f} minutes in all. "
        f"Loss {config.loss.kind}, label smoothing {config.loss.label_smoothing:g}.",
    ]


def _image_facts(config: ClassificationConfig, split: TrainingSplit) -> list[str]:
    chosen = "" if config.fit.monitor == "none" else "epoch, "
    return [
        f"It sees fields of {config.field.field_px} px of the image, resized to {config.field.input_px} px; the "
        "probabilities of the fields of an image are averaged.",
        f"{len(split.training)} images trained it; {len(split.validation)} (the inner validation) chose {chosen}"
        f"temperature, confidence and novelty limits, so figures on these are optimistic; {len(split.test)} were "
        "only scored.",
    ]

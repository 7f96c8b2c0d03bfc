"""`organscope train segmentation`: from images with labels to a measured bundle."""

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from organscope.data.index import Sample
from organscope.decision.calibration import fit_probability_curve
from organscope.evaluation import evaluate_bundle, manifest_scores
from organscope.evaluation.equivalence import certificate, choose_images, compare_use
from organscope.evaluation.equivalence import compare_bundles as compare_parity
from organscope.evaluation.segmentation import score_images
from organscope.models import Bundle, Certificate, Score
from organscope.ops.instances import Decoder
from organscope.training.config import read_settings
from organscope.training.origin import Place
from organscope.training.run import Report, RunDirectory, run_directory
from organscope.training.segmentation.bundling import (
    BundleWriter,
    Measured,
    compare_framework,
    maps_of_samples,
    versions,
)
from organscope.training.segmentation.config import SegmentationConfig
from organscope.training.segmentation.data import Images
from organscope.training.segmentation.distillation import teachers_in_words
from organscope.training.segmentation.fit import fit
from organscope.training.segmentation.network import Start, network_in_words
from organscope.training.segmentation.quantize import compare_bundles, prepared_tiles, quantize_graph
from organscope.training.segmentation.tuning import (
    measure_operating_points,
    tune_decoder,
    tuning_samples,
    typical_diameter_px,
)
from organscope.training.split import TrainingSplit, split_cells

if TYPE_CHECKING:
    from organscope.training.segmentation.distributed import DistributedTrainer


def train_segmentation(
    config_file: Path,
    run_dir: Path,
    *,
    overrides: tuple[str, ...] = (),
    resume: bool = False,
    report: Report = lambda line: None,
) -> Bundle | None:
    """Train, choose thresholds, calibrate, score and verify.

    Thresholds and calibration use the inner validation images, scores the test folds; neither trains. Where TF_CONFIG
    names several processes, all fit together, each with a part of every batch; the first one does the rest, and the
    others return nothing.

    Args:
        config_file: TOML, see `SegmentationConfig`.
        run_dir: Gets configuration, split, metrics, resumable state and `bundle/`.
        overrides: `key=value` settings that go before the file's.
        resume: Go on with a run that was interrupted.
        report: Gets a line for the person who watches.

    Raises:
        ConfigError: The configuration has a fault.
        DatasetError: There are no images to train or to validate on.
        OutputError: The run directory cannot be written.
    """
    config = read_settings(SegmentationConfig, config_file, overrides)
    return train_with(config, run_dir, source=config_file, resume=resume, report=report)


def train_with(
    config: SegmentationConfig,
    run_dir: Path,
    *,
    source: Path | None,
    resume: bool = False,
    report: Report = lambda line: None,
    start: Start | None = None,
    integers: bool | None = None,
) -> Bundle | None:
    """Train with a configuration that was read already; see `train_segmentation`.

    Args:
        config: The whole configuration.
        run_dir: As in `train_segmentation`.
        source: The file that it was read from, if any.
        resume: As in `train_segmentation`.
        report: As in `train_segmentation`.
        start: Weights to go on from, instead of random ones.
        integers: Whether to ship eight-bit integers; what is faster here decides if it is left out, and may decide
            otherwise next time.
    """
    together, place = _join(config.fit.batch)
    split = split_cells(config.data)
    n_parts = len(split.training), len(split.validation), len(split.test)
    run, report = run_directory(run_dir, place, report)
    with run:
        run.start(config, source=source, resume=resume, report=report, base=None if start is None else start.base)
        run.write_split(split)
        report("{} images train, {} validate, {} are only scored".format(*n_parts))
        network = fit(
            config,
            run,
            _images(config, split.training),
            split.draw_probability,
            _images(config, split.validation),
            report,
            start,
            together,
        )
        if not place.leads:
            together.wait()
            return None
        facts = [*_begun_from(start, config.fit.blend), *_facts(config, run, n_parts)]
        writer = BundleWriter(network, config, split.fingerprint(), facts)
        held = tuning_samples(split, config.tuning_images, is_finetuning=start is not None)
        bundle = _measure(writer, config, split, held, run, report, integers)
        if together is not None:
            # The others have waited: TensorFlow takes the end of one process for a failure of all.
            together.wait()
        return run.complete(bundle, split)


def _join(batch: int) -> "tuple[DistributedTrainer | None, Place]":
    """The processes that train together, as TF_CONFIG names them, and this one among them; none where it is alone."""
    if not os.environ.get("TF_CONFIG"):
        return None, Place()
    from organscope.training.segmentation.distributed import DistributedTrainer, tf_config_place

    place = tf_config_place()
    place.require_shares(batch)
    return None if place.is_alone else DistributedTrainer(place), place


def _measure(
    writer: BundleWriter,
    config: SegmentationConfig,
    split: TrainingSplit,
    held: list[Sample],
    run: RunDirectory,
    report: Report,
    integers: bool | None,
) -> Bundle:
    """Find the decoder, then the calibration of its cells, then the scores; each step through the inference side."""
    draft = run.state / "draft"
    untuned = Measured(Decoder(head=config.network.head))
    if config.draft:
        return writer.write(run.bundle, untuned)
    bundle = writer.write(draft, untuned)
    decoder = tune_decoder(maps_of_samples(bundle, held), len(held), config.network.head, report)
    bundle, tried = writer.write(draft, Measured(decoder)), None
    if config.int8 == "auto":
        writer, tried = _with_integers_if_worth_it(
            writer, bundle, split.training, held, run.state / "integers", report, integers
        )
        bundle = writer.write(draft, Measured(decoder))
    _, cells = score_images(bundle, held, lambda done, total: None)
    cells = cells[["id", "probability", "matched"]]
    curve = fit_probability_curve(cells["probability"].to_numpy(), cells["matched"].to_numpy())
    measured = Measured(
        decoder,
        curve,
        cells,
        points=measure_operating_points(maps_of_samples(bundle, held), decoder),
        typical_diameter_px=typical_diameter_px(split.training),
    )
    bundle = writer.write(draft, measured)
    measured = replace(measured, certificate=_certificate(bundle, tried, held))
    return writer.write(run.bundle, replace(measured, scores=tuple(_score(bundle, config, split, report))))


def _with_integers_if_worth_it(
    writer: BundleWriter,
    plain: Bundle,
    training: list[Sample],
    held: list[Sample],
    folder: Path,
    report: Report,
    decided: bool | None,
) -> tuple[BundleWriter, Bundle]:
    """The same writer or one for the graph in integers, as the card says, and the bundle in integers."""
    graph = quantize_graph(plain.read(plain.manifest.graph.file), prepared_tiles(plain, training))
    integers = writer.with_graph(graph)
    tried = integers.write(folder, Measured(plain.manifest.segmentation.decoder))
    trial = compare_bundles(plain, tried, held)
    used = trial.worth_it if decided is None else decided
    sentence = trial.sentence(used)
    report(sentence)
    return (integers if used else writer).with_fact(sentence), tried


def _certificate(bundle: Bundle, tried: Bundle | None, held: list[Sample]) -> Certificate | None:
    """What computes the bundle, compared; also the integers that were tried and are not used."""
    samples = choose_images(held)
    if not samples:
        return None
    found = compare_framework(bundle, samples)
    if tried is not None and not bundle.has_integers:
        in_integers = bundle.with_graph(tried.read(tried.manifest.graph.file))
        found.append(compare_parity("int8", bundle, in_integers, samples, "tried, not used"))
    return certificate("inner validation", samples, [*found, *compare_use(bundle, samples)], **versions())


def _score(bundle: Bundle, config: SegmentationConfig, split: TrainingSplit, report: Report) -> list[Score]:
    rows = []
    for index in split.indexes:
        if index.samples(config.data.test_folds):
            evaluation = evaluate_bundle(bundle, index, fold=config.data.test_folds)
            rows += manifest_scores(evaluation)
            report(f"{index.folder.name}: Dice {evaluation.score('dice'):.3f}, PQ {evaluation.score('pq'):.3f}")
    return rows


def _images(config: SegmentationConfig, samples: list) -> Images:
    return Images(samples, config.preprocessing, config.network.head, config.fit.cache_mb)


def _begun_from(start: Start | None, blend: float) -> list[str]:
    if start is None:
        return []
    mixed = f"; the result holds {blend:.0%} of them (mean of both networks' weights)" if blend > 0 else ""
    return [f"Went on from the weights of the bundle {start.base.name}{mixed}."]


def _facts(config: SegmentationConfig, run: RunDirectory, n_parts: tuple[int, int, int]) -> list[str]:
    epochs, fit = run.metrics(), config.fit
    kept = epochs[-1] if fit.keep == "last" else max(epochs, key=lambda row: row["score"])
    chosen = "thresholds" if fit.keep == "last" else "epoch, thresholds"
    taught, n_tuning = config.distillation, config.tuning_images
    return [
        network_in_words(config.network),
        *([teachers_in_words(taught.teachers, taught.share)] if taught.teachers else []),
        f"{n_parts[0]} images trained it, {n_parts[1]} chose {chosen} and calibration, {n_parts[2]} were only scored.",
        *([f"Up to {n_tuning} training images of each set helped to choose these."] if n_tuning else []),
        f"Epoch {kept['epoch']} of {len(epochs)}, each {fit.steps_per_epoch} steps of {fit.batch} "
        f"crops of {fit.crop_px} px; {sum(row['seconds'] for row in epochs) / 60:.0f} minutes in all.",
    ]

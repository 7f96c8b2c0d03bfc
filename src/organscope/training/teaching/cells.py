"""Teach kinds of cells from an index whose cells or points have classes: features, head, honest figures, a bundle.

Cells of one patient or slide stay together: each is answered once by a head that saw nothing of its group, and all
figures, limits and promises come from these answers. A promise counts groups, not cells, because the cells of a patient
resemble one another: it is made for a cell of a new patient.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import safetensors.numpy
from jaxtyping import Float, Float32, Float64, Int64

from organscope.data.index import Index, Sample
from organscope.decision import (
    fit_policy,
    fit_recall_guarantees,
    nearest_distance,
    positives_needed,
    recall_guarantee,
    softmax,
)
from organscope.decision.ood import eight_bits
from organscope.errors import DatasetError
from organscope.evaluation.metrics.classification import classification_scores, confusion_matrix
from organscope.evaluation.statistics import LEVEL, N_RESAMPLES, SEED, bootstrap_interval, choose_unit
from organscope.inference import segment_image
from organscope.inference.cell_kinds import MapReader, kind_factors
from organscope.inference.preprocess import ImageNormalizer
from organscope.models import Bundle, CellKindsSpec, Graph, Score, ShareMargins, Weights, load_bundle
from organscope.models.runtime import Session
from organscope.ops.pixel_size import side_um
from organscope.training.bundling import GRAPH_FILE, TrainedParts
from organscope.training.config import BundleSettings
from organscope.training.teaching.cell_graph import (
    HALO_PX,
    LOGITS,
    MULTIPLE_PX,
    STRIDE_PX,
    cut_colors,
    feature_graph,
    kinds_graph,
)
from organscope.training.teaching.encoder import FEATURES, INPUT, SHIPPED_ENCODER, Encoder, load_encoder
from organscope.training.teaching.head import HeldOut, LinearHead, Rows, fit_head, leave_groups_out
from organscope.training.teaching.teach import Taught, test_fields

_REFERENCE_FILE = "reference.safetensors"
_MAX_REFERENCES = 4000
_N_NEIGHBORS = 5
_EMBEDDED = 32
"""Principal components of the features in which distances are measured."""

_PROMISED_RECALL = 0.95
_TARGET_ERROR, _LEAST_SURE = 0.10, 0.50
"""Share of wrong answers among the sure ones that is aimed at, and the share of cells that are sure all the same."""

_SHARE_COVERAGE, _LEAST_CELLS = 0.90, 20
_METRICS = ("accuracy", "balanced_accuracy", "macro_f1", "ece")
_TOLERANCE = 1e-2
_N_CONFUSIONS = 5
_MEASURED_IMAGES = 8
"""Images of points on which the size of the cells is measured."""


@dataclass(frozen=True)
class _Lesson:
    """The cells of an index that teach.

    Attributes:
        samples: The images.
        classes: Names.
        owners: Number of each cell's image.
        labels: Class of each cell.
        features: What a head learns from.
        colors: Color alone, for the baseline.
        held_out: How groups are left out.
        um_per_px: Pixel size at which images were seen; None where sizes are unknown.
        diameter_px: Median diameter of the cells, as the network saw them; None where it is unknown.
    """

    samples: list[Sample]
    classes: list[str]
    owners: Int64[np.ndarray, " cell"]
    labels: Int64[np.ndarray, " cell"]
    features: Float32[np.ndarray, "cell d"]
    colors: Float32[np.ndarray, "cell c"]
    held_out: HeldOut
    um_per_px: float | None
    diameter_px: float | None

    @property
    def groups(self) -> np.ndarray:
        """Group of each cell; its image where none is known."""
        return np.array([sample.group or sample.id for sample in self.samples], object)[self.owners]


@dataclass(frozen=True)
class _Answers:
    """Answers for cells of groups that the answering head had not seen."""

    logits: Float64[np.ndarray, "cell c"]
    distances: Float[np.ndarray, " cell"]


def teach_cells(
    index: Index,
    folder: str | Path,
    *,
    encoder: str | Path = SHIPPED_ENCODER,
    name: str = "taught-cells",
    settings: BundleSettings | None = None,
    threads: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Taught:
    """Teach a classifier of single cells from the classes of an index.

    Args:
        index: Its cells or points have classes; groups (patients, slides) are left out together.
        folder: Of the new bundle.
        encoder: `imagenet`, or a file that `bench/imagenet_encoder.py` wrote.
        name: Of the bundle.
        settings: Name and words of the card; made from the index without.
        threads: For the network; one a core without.
        progress: Told how many of how many images are done.

    Raises:
        DatasetError: No cell has a class, or there are fewer than two classes.
        UsageError: The encoder cannot be used.
        ImageReadError: An image cannot be read.
    """
    loaded = load_encoder(encoder, threads=threads)
    lesson = _lesson(index, loaded, threads, progress)
    raw = _answers_out_of_group(lesson, lesson.features)
    embedding = _Embedding.of(fit_head(_rows(lesson.features), lesson.labels, len(lesson.classes)), lesson.features)
    distances = _distances_out_of_group(lesson, embedding)
    calibrated, calibration = _calibrated(raw, lesson)
    answers = _Answers(calibrated, distances)
    policy = _policy(lesson, answers)
    probabilities = softmax(answers.logits, policy.temperature)
    scores, unit_note = _scores(lesson, probabilities)
    notes = (lesson.held_out.note, unit_note)
    spec = CellKindsSpec(
        stride_px=STRIDE_PX,
        multiple_px=MULTIPLE_PX,
        halo_px=HALO_PX,
        typical_diameter_px=lesson.diameter_px,
        policy=policy,
        shares=_share_margins(lesson, probabilities),
    )
    parts = _parts(settings or _settings(name, lesson, notes), lesson, loaded, embedding, calibration, index)
    reference = eight_bits(embedding.of_features(lesson.features[:: -(-len(lesson.labels) // _MAX_REFERENCES)]))
    bundle = parts.write(
        Path(folder),
        spec,
        _calibration_table(lesson, probabilities),
        scores=_manifest_scores(lesson, scores),
        files={_REFERENCE_FILE: safetensors.numpy.save({FEATURES: reference})},
    )
    return Taught(
        bundle=bundle,
        folder=Path(folder),
        scores=scores,
        classes=_class_table(lesson, probabilities, bundle),
        confusions=_confusions(lesson, probabilities),
        predictions=_predictions(lesson, probabilities),
        notes=notes,
    )


def _lesson(index: Index, encoder: Encoder, threads: int | None, progress: Callable[[int, int], None]) -> _Lesson:
    samples = [sample for sample in index.samples() if sample.classes_path is not None]
    tables = [table[table["class"] != ""] for table in (sample.read_classes() for sample in samples)]
    samples = [sample for sample, table in zip(samples, tables, strict=True) if len(table)]
    tables = [table for table in tables if len(table)]
    named = np.concatenate([table["class"].to_numpy(str) for table in tables]) if tables else np.zeros(0, str)
    classes = sorted(set(named.tolist()))
    if len(classes) < 2:
        raise DatasetError(
            f"Expected cells of at least two classes in {index.folder}, found {len(classes)}. Import annotations that "
            "name the class of each cell: QuPath GeoJSON, COCO, or a sheet with the column 'points'."
        )
    labels = np.array([classes.index(kind) for kind in named], np.int64)
    owners = np.repeat(np.arange(len(samples)), [len(table) for table in tables])
    units = [samples[owner].group or samples[owner].id for owner in owners]
    held_out = leave_groups_out(labels, units, classes, what="cells")
    um_per_px = _common_pixel_size(samples)
    found = _features(samples, tables, encoder, um_per_px, threads, progress)
    features, colors = cut_colors(found)
    diameter_px = _typical_diameter_px(samples, tables, um_per_px, threads)
    return _Lesson(samples, classes, owners, labels, features, colors, held_out, um_per_px, diameter_px)


def _common_pixel_size(samples: list[Sample]) -> float | None:
    """The median pixel size, to which images are brought; None where any is unknown."""
    sizes = [None if sample.um_per_px is None else side_um(sample.um_per_px) for sample in samples]
    return None if None in sizes else float(np.median(sizes))


def _features(
    samples: list[Sample],
    tables: list[pd.DataFrame],
    encoder: Encoder,
    um_per_px: float | None,
    threads: int | None,
    progress: Callable[[int, int], None],
) -> Float32[np.ndarray, "cell d"]:
    session = Session(feature_graph(encoder.model), INPUT, [FEATURES], threads=threads, where="the encoder")
    reader = MapReader(lambda batch: session.run(batch)[FEATURES], STRIDE_PX, MULTIPLE_PX, HALO_PX)
    found = []
    for sample, table in zip(samples, tables, strict=True):
        progress(len(found), len(samples))
        with sample.open() as image:
            preparation = ImageNormalizer(image, encoder.settings.preprocessing)
            factors = kind_factors(sample.um_per_px, None, um_per_px, None)
            found.append(reader.at(image, table[["y_px", "x_px"]].to_numpy(), preparation, factors))
    progress(len(samples), len(samples))
    return np.concatenate(found)


def _typical_diameter_px(
    samples: list[Sample], tables: list[pd.DataFrame], um_per_px: float | None, threads: int | None
) -> float | None:
    """Median over images of the median diameter of their cells, in pixels as the network sees them.

    Of points the cells are those that `nuclei` finds in a few images.
    """
    chosen = np.unique(np.linspace(0, len(samples) - 1, _MEASURED_IMAGES).astype(int))
    bundle: Bundle | None = None
    medians = []
    for sample, table in ((samples[n], tables[n]) for n in chosen):
        if sample.labels_path is not None and (table["label"] > 0).any():
            labels = sample.read_labels()
        else:
            bundle = bundle or load_bundle("nuclei", threads=threads)
            with sample.open() as image:
                labels = segment_image(image, bundle).labels
        areas = np.bincount(labels.ravel())[1:]
        if (areas > 0).any():
            factor = math.prod(kind_factors(sample.um_per_px, None, um_per_px, None)) ** 0.5
            medians.append(factor * float(np.median(np.sqrt(4 / np.pi * areas[areas > 0]))))
    return round(float(np.median(medians)), 2) if medians else None


def _rows(features: Float[np.ndarray, "cell d"], wanted: np.ndarray | None = None) -> Rows:
    numbers = np.arange(len(features)) if wanted is None else np.flatnonzero(wanted)
    return Rows(features[numbers], numbers)


def _answers_out_of_group(lesson: _Lesson, features: Float[np.ndarray, "cell d"]) -> Float64[np.ndarray, "cell c"]:
    """Logits of each cell by a head that is fitted on all other folds."""
    folds, n_classes = lesson.held_out.folds, len(lesson.classes)
    logits = np.zeros((len(features), n_classes))
    for fold in np.unique(folds):
        held = folds == fold
        logits[held] = fit_head(_rows(features, ~held), lesson.labels, n_classes).logits(features[held])
    return logits


def _calibrated(
    logits: Float64[np.ndarray, "cell c"], lesson: _Lesson
) -> tuple[Float64[np.ndarray, "cell c"], tuple[Float64[np.ndarray, "c c"], Float64[np.ndarray, " c"]]]:
    """Logits of calibrated probabilities by multinomial logistic regression on out-of-group logits.

    Each fold is calibrated by the other folds; the calibration that ships is fitted on all.
    """
    folds = lesson.held_out.folds
    calibrated = np.zeros_like(logits)
    for fold in np.unique(folds):
        held = folds == fold
        matrix, bias = _logistic(logits[~held], lesson.labels[~held], len(lesson.classes))
        calibrated[held] = logits[held] @ matrix + bias
    return calibrated, _logistic(logits, lesson.labels, len(lesson.classes))


def _logistic(
    logits: Float64[np.ndarray, "cell c"], labels: Int64[np.ndarray, " cell"], n_classes: int
) -> tuple[Float64[np.ndarray, "c c"], Float64[np.ndarray, " c"]]:
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(C=100.0, max_iter=500).fit(logits, labels)
    if n_classes == 2:
        weights, bias = fitted.coef_.T, fitted.intercept_
        return np.concatenate([-weights / 2, weights / 2], axis=1), np.concatenate([-bias / 2, bias / 2])
    return fitted.coef_.T, fitted.intercept_


@dataclass(frozen=True)
class _Embedding:
    """The head on all cells, and the principal components in which distances are measured."""

    head: LinearHead
    components: Float64[np.ndarray, "d p"]

    @classmethod
    def of(cls, head: LinearHead, features: Float[np.ndarray, "cell d"]) -> "_Embedding":
        embedded = head.embed(features).astype(np.float64)
        values, vectors = np.linalg.eigh(embedded.T @ embedded / len(embedded))
        return cls(head, vectors[:, np.argsort(-values)[:_EMBEDDED]])

    def of_features(self, features: Float[np.ndarray, "n d"]) -> Float64[np.ndarray, "n p"]:
        return self.head.embed(features) @ self.components


def _distances_out_of_group(lesson: _Lesson, embedding: _Embedding) -> Float[np.ndarray, " cell"]:
    """Distance of each cell to the nearest cells of other folds."""
    embedded, folds = embedding.of_features(lesson.features), lesson.held_out.folds
    distances = np.zeros(len(embedded), np.float32)
    for fold in np.unique(folds):
        held = folds == fold
        known = embedded[~held]
        known = known[:: -(-len(known) // _MAX_REFERENCES)]
        distances[held] = nearest_distance(embedded[held], known, min(_N_NEIGHBORS, len(known)))
    return distances


def _policy(lesson: _Lesson, answers: _Answers):
    policy = fit_policy(
        answers.logits,
        lesson.labels,
        answers.distances,
        target_error=_TARGET_ERROR,
        min_coverage=_LEAST_SURE,
        n_neighbours=min(_N_NEIGHBORS, len(lesson.labels) - 1),
        reference=_REFERENCE_FILE,
    )
    one = _one_a_group(lesson)
    guarantees = fit_recall_guarantees(
        softmax(answers.logits[one], policy.temperature), lesson.labels[one], lesson.classes
    )
    return policy.model_copy(update={"contract": guarantees})


def _one_a_group(lesson: _Lesson) -> Int64[np.ndarray, " n"]:
    """One cell of each class of each group, drawn at random: independent, as the binomial limits want it."""
    order = np.random.default_rng(SEED).permutation(len(lesson.labels))
    keys = pd.DataFrame({"group": lesson.groups[order], "label": lesson.labels[order]})
    return np.sort(order[~keys.duplicated().to_numpy()])


def _scores(lesson: _Lesson, probabilities: Float64[np.ndarray, "cell c"]) -> tuple[pd.DataFrame, str]:
    unit = choose_unit(lesson.groups, np.array(lesson.classes)[lesson.labels])
    below = softmax(_answers_out_of_group(lesson, lesson.colors), 1.0)
    values, baseline = (classification_scores(part, lesson.labels) for part in (probabilities, below))

    def drawn_scores(drawn: Int64[np.ndarray, " m"]) -> dict[str, float]:
        scores = classification_scores(probabilities[drawn], lesson.labels[drawn])
        return {metric: scores[metric] for metric in _METRICS}

    intervals = bootstrap_interval(drawn_scores, unit.groups, n_resamples=min(N_RESAMPLES, 300), level=LEVEL, seed=SEED)
    rows = [(metric, values[metric], *intervals[metric], baseline[metric]) for metric in _METRICS]
    table = pd.DataFrame(rows, columns=["metric", "value", "low", "high", "baseline"])
    table.loc[table["metric"] == "ece", "baseline"] = np.nan
    return table, unit.note.replace("images", "cells")


def _share_margins(lesson: _Lesson, probabilities: Float64[np.ndarray, "cell c"]) -> ShareMargins | None:
    """How far counted shares were from true ones in groups with enough cells (split conformal)."""
    n_classes = len(lesson.classes)
    answered = probabilities.argmax(axis=1)
    errors = []
    for _, cells in pd.Series(np.arange(len(answered))).groupby(lesson.groups):
        if len(cells) >= _LEAST_CELLS:
            counts = [np.bincount(part[cells], minlength=n_classes) for part in (answered, lesson.labels)]
            errors.append(np.abs(counts[0] - counts[1]) / len(cells))
    if not errors:
        return None
    rank = math.ceil(round((len(errors) + 1) * _SHARE_COVERAGE, 9))
    ordered = np.sort(np.array(errors), axis=0)
    margins = ordered[rank - 1] if rank <= len(errors) else np.ones(n_classes)
    rounded = [round(float(margin), 4) for margin in margins]
    return ShareMargins(coverage=_SHARE_COVERAGE, n_groups=len(errors), margins=rounded)


def _class_table(lesson: _Lesson, probabilities: Float64[np.ndarray, "cell c"], bundle: Bundle) -> pd.DataFrame:
    answered, groups = probabilities.argmax(axis=1), lesson.groups
    rows = []
    for number, label in enumerate(lesson.classes):
        own, said = lesson.labels == number, answered == number
        n_groups = len(set(groups[own]))
        kept = recall_guarantee(bundle.manifest.cell_kinds.policy.contract, label, _PROMISED_RECALL)
        hits = int((own & said).sum())
        rows.append(
            {
                "label": label,
                "cells": int(own.sum()),
                "groups": n_groups,
                "recall": hits / own.sum(),
                "precision": hits / max(1, said.sum()),
                "f1": 2 * hits / max(1, own.sum() + said.sum()),
                "promised": kept.level,
                "false_alarms": kept.false_alarm_rate,
                "more_groups": max(0, positives_needed(_PROMISED_RECALL) - n_groups),
            }
        )
    return pd.DataFrame(rows)


def _confusions(lesson: _Lesson, probabilities: Float64[np.ndarray, "cell c"]) -> pd.DataFrame:
    counts = confusion_matrix(lesson.labels, probabilities.argmax(axis=1), n_classes=len(lesson.classes))
    np.fill_diagonal(counts, 0)
    order = np.argsort(-counts, axis=None, kind="stable")[:_N_CONFUSIONS]
    rows = [
        (lesson.classes[true], lesson.classes[answered], int(counts[true, answered]))
        for true, answered in zip(*np.unravel_index(order, counts.shape), strict=True)
        if counts[true, answered]
    ]
    return pd.DataFrame(rows, columns=["label", "answered", "cells"])


def _predictions(lesson: _Lesson, probabilities: Float64[np.ndarray, "cell c"]) -> pd.DataFrame:
    names = np.array(lesson.classes)
    table = pd.DataFrame(probabilities, columns=[f"p_{label}" for label in lesson.classes])
    first = {
        "id": np.array([sample.id for sample in lesson.samples], object)[lesson.owners],
        "group": lesson.groups,
        "label": names[lesson.labels],
        "answered": names[probabilities.argmax(axis=1)],
        "confidence": probabilities.max(axis=1),
    }
    return pd.concat([pd.DataFrame(first), table], axis=1)


def _calibration_table(lesson: _Lesson, probabilities: Float64[np.ndarray, "cell c"]) -> pd.DataFrame:
    table = pd.DataFrame(probabilities.astype(np.float32), columns=[f"p_{label}" for label in lesson.classes])
    table.insert(0, "label", lesson.labels)
    table.insert(0, "part", "out of group")
    table.insert(0, "group", pd.factorize(lesson.groups)[0])
    return table


def _manifest_scores(lesson: _Lesson, scores: pd.DataFrame) -> list[Score]:
    dataset = ", ".join(sorted({sample.dataset for sample in lesson.samples})) or "the user's images"
    ordered = scores.set_index("metric").loc[["macro_f1", "accuracy", "balanced_accuracy", "ece"]]
    return [
        Score(
            dataset=dataset,
            subset="out of group, given the cells",
            n_images=len(lesson.samples),
            metric=metric,
            value=float(row.value),
            low=float(row.low),
            high=float(row.high),
        )
        for metric, row in ordered.iterrows()
    ]


def _parts(
    settings: BundleSettings,
    lesson: _Lesson,
    encoder: Encoder,
    embedding: _Embedding,
    calibration: tuple[Float64[np.ndarray, "c c"], Float64[np.ndarray, " c"]],
    index: Index,
) -> TrainedParts:
    head = embedding.head
    towards, bias = head.weights @ calibration[0], head.bias @ calibration[0] + calibration[1]
    maps = [
        (matrix / head.spread[:, None], shift - (head.mean / head.spread) @ matrix)
        for matrix, shift in ((towards, bias), (embedding.components, np.zeros(embedding.components.shape[1])))
    ]
    graph = kinds_graph(encoder.model, *maps)
    tests = test_fields(encoder, side_px=2 * MULTIPLE_PX)
    outputs = [LOGITS, FEATURES]
    session = Session(graph, INPUT, outputs, threads=None, where="the taught graph")
    return TrainedParts(
        settings=settings,
        preprocessing=encoder.settings.preprocessing,
        classes=lesson.classes,
        declared=Graph(file=GRAPH_FILE, input=INPUT, outputs=outputs, opset=encoder.opset),
        graph=graph,
        weights=Weights(file=GRAPH_FILE, framework="onnx", architecture={}),
        weights_content=graph,
        test=safetensors.numpy.save({INPUT: tests, **session.run(tests)}),
        tolerance=_TOLERANCE,
        fingerprint=index.fingerprint(),
        um_per_px=lesson.um_per_px,
        facts=[
            f"Encoder, frozen: {encoder.settings.source}",
            "Its first five stages, averaged over about 12 px (the nucleus) and 48 px (its surroundings); head: "
            f"regularized least squares on {lesson.features.shape[1]} features of {len(lesson.labels):,} cells of "
            f"{len(lesson.samples)} images, calibrated by logistic regression on its out-of-group answers.",
            "Limits and figures come from answers for groups that the answering head had not seen; recall guarantees "
            "from one cell a class and group, because cells of one patient are not independent.",
        ],
    )


def _settings(name: str, lesson: _Lesson, notes: tuple[str, ...]) -> BundleSettings:
    counts = pd.Series(np.array(lesson.classes)[lesson.labels]).value_counts(sort=False)
    listed = ", ".join(f"{label} {n:,}" for label, n in counts.items())
    return BundleSettings(
        name=name,
        version="1",
        summary=f"Which of {len(lesson.classes)} kinds a cell is, taught on {len(lesson.labels):,} cells.",
        licence="Of whoever taught it; the encoder is under a license of its own, see below",
        data_statement=f"- {len(lesson.samples)} images of the user's own index: {listed}.",
        limits="\n".join(f"- {note}" for note in notes)
        + "\n- The figures are given the cells: what the network for cells misses or invents comes on top."
        + "\n- A kind that it has never seen it cannot name, only be unsure of.",
    )

"""Teach a classifier of organs from an index of images: features, head, honest figures, a verified bundle."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import safetensors.numpy
from jaxtyping import Float64, Int64

from organscope.data.index import Index, Sample
from organscope.decision import Policy, fit_policy, positives_needed, recall_guarantee, softmax
from organscope.decision.ood import eight_bits
from organscope.errors import DatasetError
from organscope.evaluation.baselines import forest_out_of_fold
from organscope.evaluation.metrics.classification import classification_scores, confusion_matrix
from organscope.evaluation.statistics import LEVEL, N_RESAMPLES, SEED, bootstrap_interval, choose_unit
from organscope.models import Bundle, ClassificationSpec, Graph, Score, Weights
from organscope.models.runtime import Session
from organscope.training.bundling import GRAPH_FILE, TrainedParts
from organscope.training.config import BundleSettings
from organscope.training.teaching.encoder import (
    INPUT,
    SHIPPED_ENCODER,
    Encoder,
    ImageFeatures,
    encode_images,
    load_encoder,
)
from organscope.training.teaching.graph import OUTPUTS, graph_with_head
from organscope.training.teaching.head import (
    Answers,
    HeldOut,
    LinearHead,
    Rows,
    answers_out_of_group,
    fit_head,
    image_probabilities,
    leave_groups_out,
)

_CACHE_FOLDER = "features"
"""Below the index: features that were computed once."""

_REFERENCE_FILE = "reference.safetensors"
_MAX_REFERENCES = 4000
_PROMISED_RECALL = 0.95
_METRICS = ("accuracy", "balanced_accuracy", "macro_f1", "ece")
_TOLERANCE = 1e-2
_N_TEST_FIELDS = 2
_N_CONFUSIONS = 5


@dataclass(frozen=True)
class Taught:
    """A taught classifier, of images or of cells, and what it is worth on groups that it has not seen.

    Attributes:
        bundle: Verified, opened as a user would.
        folder: Where it lies.
        scores: Columns `metric`, `value`, `low`, `high`, `baseline`: out of group, with 95 % intervals; `baseline` is a
            forest on color histograms, answering for the same images left out in the same way.
        classes: One row a class: `label`, `images`, `groups`, `recall` (out of group), `promised` (recall that can be
            promised where .95 is asked for), `false_alarms` (share of the other images that this flags), `more_images`
            (how many more a promise of .95 needs at least). Of cells: `cells` instead of `images`, `precision` and `f1`
            beside `recall`, and `more_groups`, because a promise counts patients or slides.
        confusions: Pairs that are taken for one another most often: `label`, `answered`, `images` (or `cells`).
        predictions: One row an image or cell: `id`, `group`, `label`, `answered`, `confidence` and `p_<class>`, out of
            group.
        notes: Sentences a reader of the figures has to know.
    """

    bundle: Bundle
    folder: Path
    scores: pd.DataFrame
    classes: pd.DataFrame
    confusions: pd.DataFrame
    predictions: pd.DataFrame
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Lesson:
    """The images of an index that teach, with everything that is known of each."""

    samples: list[Sample]
    classes: list[str]
    labels: Int64[np.ndarray, " image"]
    images: list[ImageFeatures]
    held_out: HeldOut

    def rows(self, part: Literal["fields", "copies"]) -> Rows:
        """Features of the fields of all images, or of their copies."""
        parts = [getattr(image, part) for image in self.images]
        return Rows(np.concatenate(parts), np.repeat(np.arange(len(parts)), [len(rows) for rows in parts]))

    @property
    def groups(self) -> list[str]:
        return [sample.group for sample in self.samples]


@dataclass(frozen=True)
class _Measured:
    """What was found out of group."""

    policy: Policy
    probabilities: Float64[np.ndarray, "image c"]
    scores: pd.DataFrame
    unit_note: str


def teach_organs(
    index: Index,
    folder: str | Path,
    *,
    encoder: str | Path = SHIPPED_ENCODER,
    name: str = "taught-organs",
    cache: Path | None = None,
    threads: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Taught:
    """Teach a classifier on the images of an index, and write it as a verified bundle.

    Features of a frozen encoder, computed once an image and kept by its hash, so that further images cost only
    themselves; a linear head in closed form; temperature, limits, recall guarantee and prediction sets from answers for
    groups (patients, slides) that the answering head had not seen.

    Args:
        index: Images with a class (`organ`); those without one are left out.
        folder: Of the bundle.
        encoder: `imagenet`, an encoder's ONNX file, or a bundle that names organs.
        name: Of the bundle.
        cache: Folder for the features. Default: `features` below the index.
        threads: For the encoder.
        progress: Told how many of how many images are done.

    Returns:
        The bundle and its figures.

    Raises:
        DatasetError: Fewer than two classes, or a class with a single image.
        UsageError: There is no such encoder.
        ImageReadError: An image cannot be read.
        OutputError: The bundle or the cache cannot be written.
    """
    loaded = load_encoder(encoder, threads=threads)
    lesson, left_out = _lesson(index, loaded, cache or index.folder / _CACHE_FOLDER, progress)
    fields, copies = lesson.rows("fields"), lesson.rows("copies")
    n_classes = len(lesson.classes)
    n_neighbors = min(Policy().n_neighbours, int(np.bincount(lesson.labels[fields.owners]).min()))
    answers = answers_out_of_group(fields, copies, lesson.labels, lesson.held_out.folds, n_classes, n_neighbors)
    measured = _measure(lesson, answers, fields.owners, n_neighbors)
    head = fit_head(fields + copies, lesson.labels, n_classes)
    notes = (lesson.held_out.note, *left_out, measured.unit_note)
    classes = _class_table(lesson, measured)
    settings = _settings(name, lesson, loaded, notes)
    parts = _parts(settings, lesson, loaded, head, index.fingerprint())
    bundle = parts.write(
        Path(folder),
        ClassificationSpec(
            field_px=loaded.settings.field_px, input_px=loaded.settings.input_px, policy=measured.policy
        ),
        _calibration(lesson, measured),
        scores=_manifest_scores(lesson, measured),
        files={_REFERENCE_FILE: safetensors.numpy.save({"features": _reference(head, fields.features)})},
    )
    return Taught(
        bundle=bundle,
        folder=Path(folder),
        scores=measured.scores,
        classes=classes,
        confusions=_confusions(lesson, measured),
        predictions=_predictions(lesson, measured),
        notes=notes,
    )


def _lesson(
    index: Index, encoder: Encoder, cache: Path, progress: Callable[[int, int], None]
) -> tuple[_Lesson, tuple[str, ...]]:
    samples = [sample for sample in index.samples() if sample.organ]
    classes = sorted({sample.organ for sample in samples})
    if len(classes) < 2:
        raise DatasetError(
            f"Expected images of at least two organs in {index.folder}, found {len(classes)}. Name the organ of each "
            "image in the sheet (column 'organ'), or sort the images into one folder an organ, and import again."
        )
    labels = np.array([classes.index(sample.organ) for sample in samples], np.int64)
    held_out = leave_groups_out(labels, [sample.group for sample in samples], classes)
    hashes = index.table.set_index("id")["sha256"]
    images = encode_images(encoder, samples, [hashes[sample.id] for sample in samples], cache, progress)
    n_left_out = len(index) - len(samples)
    left_out = (f"{n_left_out} images without an organ were left out.",) if n_left_out else ()
    return _Lesson(samples, classes, labels, images, held_out), left_out


def _measure(lesson: _Lesson, answers: Answers, owners: Int64[np.ndarray, " field"], n_neighbors: int) -> _Measured:
    policy = fit_policy(
        answers.logits,
        lesson.labels[owners],
        answers.distances,
        n_neighbours=n_neighbors,
        reference=_REFERENCE_FILE,
        organs=lesson.classes,
        pictures=owners,
    )
    probs = image_probabilities(softmax(answers.logits, policy.temperature), owners)
    names = np.array(lesson.classes)[lesson.labels]
    unit = choose_unit(np.array(_units(lesson)), names)
    color = np.stack([image.color for image in lesson.images])
    folds = lesson.held_out.folds
    baseline = forest_out_of_fold(color, names, folds, np.unique(folds).tolist(), lesson.classes)
    values, below = (classification_scores(part, lesson.labels) for part in (probs, baseline))
    intervals = bootstrap_interval(
        lambda drawn: _scores_of(probs, lesson.labels, drawn),
        unit.groups,
        n_resamples=N_RESAMPLES,
        level=LEVEL,
        seed=SEED,
    )
    rows = [(metric, values[metric], *intervals[metric], below[metric]) for metric in _METRICS]
    return _Measured(
        policy, probs, pd.DataFrame(rows, columns=["metric", "value", "low", "high", "baseline"]), unit.note
    )


def _scores_of(
    probs: Float64[np.ndarray, "n c"], labels: Int64[np.ndarray, " n"], drawn: Int64[np.ndarray, " m"]
) -> dict[str, float]:
    scores = classification_scores(probs[drawn], labels[drawn])
    return {metric: scores[metric] for metric in _METRICS}


def _units(lesson: _Lesson) -> list[str]:
    """Group of each image; where none is known, the image itself."""
    return [sample.group or sample.id for sample in lesson.samples]


def _class_table(lesson: _Lesson, measured: _Measured) -> pd.DataFrame:
    answered = measured.probabilities.argmax(axis=1)
    groups = np.array(_units(lesson))
    rows = []
    for number, label in enumerate(lesson.classes):
        own = lesson.labels == number
        kept = recall_guarantee(measured.policy.contract, label, _PROMISED_RECALL)
        rows.append(
            {
                "label": label,
                "images": int(own.sum()),
                "groups": len(np.unique(groups[own])),
                "recall": float((answered[own] == number).mean()),
                "promised": kept.level,
                "false_alarms": kept.false_alarm_rate,
                "more_images": max(0, positives_needed(_PROMISED_RECALL) - int(own.sum())),
            }
        )
    return pd.DataFrame(rows)


def _confusions(lesson: _Lesson, measured: _Measured) -> pd.DataFrame:
    counts = confusion_matrix(lesson.labels, measured.probabilities.argmax(axis=1), n_classes=len(lesson.classes))
    np.fill_diagonal(counts, 0)
    order = np.argsort(-counts, axis=None, kind="stable")[:_N_CONFUSIONS]
    rows = [
        (lesson.classes[true], lesson.classes[answered], int(counts[true, answered]))
        for true, answered in zip(*np.unravel_index(order, counts.shape), strict=True)
        if counts[true, answered]
    ]
    return pd.DataFrame(rows, columns=["label", "answered", "images"])


def _predictions(lesson: _Lesson, measured: _Measured) -> pd.DataFrame:
    table = pd.DataFrame(measured.probabilities, columns=[f"p_{label}" for label in lesson.classes])
    names = np.array(lesson.classes)
    first = {
        "id": [sample.id for sample in lesson.samples],
        "group": lesson.groups,
        "label": names[lesson.labels],
        "answered": names[measured.probabilities.argmax(axis=1)],
        "confidence": measured.probabilities.max(axis=1),
    }
    return pd.concat([pd.DataFrame(first), table], axis=1)


def _calibration(lesson: _Lesson, measured: _Measured) -> pd.DataFrame:
    table = pd.DataFrame(measured.probabilities, columns=[f"p_{label}" for label in lesson.classes])
    table.insert(0, "label", lesson.labels)
    table.insert(0, "part", "out of group")
    table.insert(0, "id", [sample.id for sample in lesson.samples])
    return table


def _manifest_scores(lesson: _Lesson, measured: _Measured) -> list[Score]:
    dataset = ", ".join(sorted({sample.dataset for sample in lesson.samples})) or "the user's images"
    return [
        Score(
            dataset=dataset,
            subset="out of group",
            n_images=len(lesson.samples),
            metric=row.metric,
            value=float(row.value),
            low=float(row.low),
            high=float(row.high),
        )
        for row in measured.scores.itertuples()
    ]


def _reference(head: LinearHead, features: np.ndarray) -> np.ndarray:
    """Embeddings of the fields that taught, in eight bits, evenly thinned where very many; only directions count."""
    return eight_bits(head.embed(features[:: -(-len(features) // _MAX_REFERENCES)]))


def _parts(
    settings: BundleSettings, lesson: _Lesson, encoder: Encoder, head: LinearHead, fingerprint: str
) -> TrainedParts:
    graph = graph_with_head(encoder.model, head)
    tests = test_fields(encoder, encoder.settings.input_px)
    session = Session(graph, INPUT, list(OUTPUTS), threads=None, where="the taught graph")
    return TrainedParts(
        settings=settings,
        preprocessing=encoder.settings.preprocessing,
        classes=lesson.classes,
        declared=Graph(file=GRAPH_FILE, input=INPUT, outputs=list(OUTPUTS), opset=encoder.opset),
        graph=graph,
        weights=Weights(file=GRAPH_FILE, framework="onnx", architecture={}),
        weights_content=graph,
        test=safetensors.numpy.save({"input": tests, **session.run(tests)}),
        tolerance=_TOLERANCE,
        fingerprint=fingerprint,
        facts=[
            f"Encoder, frozen: {encoder.settings.source}",
            f"Head: regularized least squares on the features of {sum(len(i.fields) for i in lesson.images)} fields "
            f"of {len(lesson.samples)} images.",
            "Temperature, limits, guarantees and prediction sets come from answers for groups that the answering head "
            "had not seen.",
        ],
    )


def test_fields(encoder: Encoder, side_px: int) -> np.ndarray:
    """Fields of noise with structure of every size: no image of the user's leaves with the bundle."""
    random, side = np.random.default_rng(0), side_px
    fields = random.uniform(0, 255, (_N_TEST_FIELDS, side, side, 3))
    for step in (4, 16, 64):
        coarse = random.uniform(0, 255, (_N_TEST_FIELDS, -(-side // step), -(-side // step), 3))
        fields += coarse.repeat(step, axis=1).repeat(step, axis=2)[:, :side, :side]
    return np.stack([encoder.prepare((field / 4).astype(np.uint8)) for field in fields])


def _settings(name: str, lesson: _Lesson, encoder: Encoder, notes: tuple[str, ...]) -> BundleSettings:
    counts = pd.Series(np.array(lesson.classes)[lesson.labels]).value_counts(sort=False)
    listed = ", ".join(f"{label} {n}" for label, n in counts.items())
    return BundleSettings(
        name=name,
        version="1",
        summary=f"Which of {len(lesson.classes)} organs an image shows, taught on {len(lesson.samples)} images.",
        licence="Of whoever taught it; the encoder is under a license of its own, see below",
        data_statement=f"- {len(lesson.samples)} images of the user's own index: {listed}.",
        limits="\n".join(f"- {note}" for note in notes)
        + "\n- What it has never seen (other organs, stains, magnifications) it can only abstain on, never name.",
    )

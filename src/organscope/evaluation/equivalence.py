"""Equivalence of two ways to compute one bundle, on real images."""

import platform
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import onnxruntime

from organscope.data.index import Sample
from organscope.evaluation.metrics.classification import classification_scores
from organscope.evaluation.metrics.segmentation import defined_mean, match_cells, segmentation_scores
from organscope.inference import classify_cells, classify_image, predict_maps
from organscope.models import Bundle
from organscope.models.manifest import Certificate, Comparison, Kind
from organscope.ops.instances import decode_cells

N_IMAGES = 6
_MAX_IMAGE_PX = 1 << 21
"""Larger images are left out: they are predicted as a whole, without tiles."""

_SMALL_TILE_PX = 1 << 14
"""Small tiles, so that each image has many seams."""

_SEGMENTATION_SCORES = ("dice", "aji", "pq")
_ORGAN_SCORES = ("accuracy", "macro_f1", "nll")

_SegmentationWay = Callable[[Sample], np.ndarray]
"""From an image to its maps, float32 (y, x, k)."""


@dataclass(frozen=True)
class _Image:
    """What two ways made of one image: their labels, and the largest difference of their maps."""

    truth: np.ndarray
    labels: tuple[np.ndarray, np.ndarray]
    difference: float


def certificate(
    images: str, samples: Sequence[Sample], comparisons: Sequence[Comparison], **made_with: str
) -> Certificate:
    """Put comparisons together with what they were made on and with.

    Args:
        images: What kind of images, such as "the inner validation".
        samples: As they were compared.
        comparisons: In the order in which they are shown.
        made_with: Versions beside that of onnxruntime.
    """
    sets = ", ".join(sorted({sample.dataset for sample in samples}))
    versions = {**made_with, "onnxruntime": onnxruntime.__version__, "machine": platform.machine()}
    return Certificate(
        pictures=f"{len(samples)} images of {sets} ({images})", made_with=versions, comparisons=list(comparisons)
    )


def choose_images(samples: Sequence[Sample], n: int = N_IMAGES) -> list[Sample]:
    """A few images, evenly spaced over those that are not too large."""
    fitting = [sample for sample in samples if _size_px(sample) <= _MAX_IMAGE_PX]
    return [fitting[i] for i in np.unique(np.linspace(0, len(fitting) - 1, n).astype(int))] if fitting else []


def compare_bundles(kind: Kind, one: Bundle, other: Bundle, samples: Sequence[Sample], note: str = "") -> Comparison:
    """Compare what two bundles of one manifest make of the same images.

    Args:
        kind: What differs between them.
        one: The reference; its decoder and decision policy count for both.
        other: As `Bundle.with_engine` gives it.
        samples: At least one, with labels for cells, with an organ for classification.
        note: For the certificate.
    """
    spec = one.manifest.spec
    if spec.task == "segmentation":
        return _compare_maps(kind, one, (_whole(one), _whole(other)), samples, note)
    return _compare_organs(kind, (one, other), samples, note)


def compare_use(bundle: Bundle, samples: Sequence[Sample]) -> list[Comparison]:
    """What can be compared without the framework: tiles against the whole (segmentation), 1 thread against 2."""
    found = []
    one, two = bundle.with_threads(1), bundle.with_threads(2)
    if bundle.manifest.spec.task == "segmentation":
        found.append(_compare_maps("tiles", one, (_tiled(one), _whole(one)), samples, ""))
    return [*found, compare_bundles("threads", one, two, samples)]


def _whole(bundle: Bundle) -> _SegmentationWay:
    return lambda sample: _maps(sample, bundle, None)


def _tiled(bundle: Bundle) -> _SegmentationWay:
    return lambda sample: _maps(sample, bundle, _SMALL_TILE_PX)


def _maps(sample: Sample, bundle: Bundle, max_tile_px: int | None) -> np.ndarray:
    with sample.open() as image:
        return predict_maps(image, bundle, max_tile_px=max_tile_px)


def _compare_maps(
    kind: Kind, bundle: Bundle, ways: tuple[_SegmentationWay, _SegmentationWay], samples: Sequence[Sample], note: str
) -> Comparison:
    images = list(_decoded(bundle, ways, samples))
    changes = np.array([_changes(*image.labels) for image in images])
    scores = [[segmentation_scores(image.truth, labels) for labels in image.labels] for image in images]
    n_units, n_changed, n_lost = (int(n) for n in changes.sum(axis=0))
    return Comparison(
        kind=kind,
        n_images=len(samples),
        largest_difference=max(image.difference for image in images),
        unit="cells",
        n_units=n_units,
        n_changed=n_changed,
        n_lost=n_lost,
        scores={
            name: _finite(float(defined_mean([other[name] - one[name] for one, other in scores])))
            for name in _SEGMENTATION_SCORES
        },
        note=note,
    )


def _decoded(
    bundle: Bundle, ways: tuple[_SegmentationWay, _SegmentationWay], samples: Sequence[Sample]
) -> Iterator[_Image]:
    decoder = bundle.manifest.segmentation.decoder
    for sample in samples:
        one, other = (way(sample) for way in ways)
        labels = decode_cells(one, decoder), decode_cells(other, decoder)
        yield _Image(sample.read_labels(), labels, float(np.abs(one - other).max(initial=0)))


def _changes(one: np.ndarray, other: np.ndarray) -> tuple[int, int, int]:
    """Cells of the first, those without an equal in the second, and cells of either that match none of the other."""
    pairs = match_cells(one, other)
    n_same, n_matched = pairs.matched(1.0).size, pairs.matched(0.5).size
    n_one, n_other = pairs.truth_ids.size, pairs.predicted_ids.size
    return n_one, n_one - n_same, n_one + n_other - 2 * n_matched


def _compare_organs(kind: Kind, bundles: tuple[Bundle, Bundle], samples: Sequence[Sample], note: str) -> Comparison:
    classes = bundles[0].manifest.classes
    found = [_organ_probabilities(bundle, samples) for bundle in bundles]
    counts = [len(rows) for rows in found[0]]
    one, other = (np.concatenate(rows).astype(np.float64) for rows in found)
    truth = np.repeat([classes.index(sample.organ) if sample.organ in classes else -1 for sample in samples], counts)
    known = truth >= 0
    scores = {}
    if known.any():
        a, b = (classification_scores(probs[known], truth[known]) for probs in (one, other))
        scores = {name: _finite(b[name] - a[name]) for name in _ORGAN_SCORES}
    return Comparison(
        kind=kind,
        n_images=len(samples),
        largest_difference=float(np.abs(one - other).max(initial=0)),
        unit="cells" if bundles[0].manifest.classification.subject == "cell" else "images",
        n_units=len(one),
        n_changed=int((one.argmax(axis=1) != other.argmax(axis=1)).sum()),
        scores=scores,
        note=note,
    )


def _organ_probabilities(bundle: Bundle, samples: Sequence[Sample]) -> list[np.ndarray]:
    """Probabilities of each image's cells, or of the image in one row."""
    rows = []
    for sample in samples:
        with sample.open() as image:
            if bundle.manifest.classification.subject == "cell":
                rows.append(classify_cells(image, sample.read_labels(), bundle).probabilities)
            else:
                rows.append(classify_image(image, bundle).probabilities[None])
    return rows


def _size_px(sample: Sample) -> int:
    with sample.open() as image:
        return image.height_px * image.width_px


def _finite(value: float) -> float:
    """A score that no image has does not differ."""
    return float(value) if np.isfinite(value) else 0.0

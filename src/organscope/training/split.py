"""Which images train, which tell when to stop, which are only scored."""

import hashlib
from collections import defaultdict
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from organscope.data.index import Index, Sample, read_index
from organscope.errors import DatasetError
from organscope.training.config import DataSettings

_N_NAMED = 5


@dataclass(frozen=True)
class TrainingSplit:
    """The three parts of the data, and how often each training image is drawn.

    Attributes:
        training: Images that train.
        validation: Images for early stopping, temperature and thresholds.
        test: Images that are only scored, by the index they come from.
        indexes: The indexes, in the order of the settings.
        draw_probability: One for each training image; sums to 1.
    """

    training: list[Sample]
    validation: list[Sample]
    test: list[Sample]
    indexes: list[Index]
    draw_probability: np.ndarray

    def fingerprint(self) -> str:
        """SHA-256 over the fingerprints of the indexes: the same images, labels and folds, the same value."""
        return hashlib.sha256("".join(index.fingerprint() for index in self.indexes).encode()).hexdigest()

    def table(self) -> pd.DataFrame:
        """One row an image: id, dataset, organ, fold and the part it plays."""
        parts = {"training": self.training, "validation": self.validation, "test": self.test}
        return pd.DataFrame(
            [
                {"id": s.id, "dataset": s.dataset, "organ": s.organ, "fold": s.fold, "part": part}
                for part, samples in parts.items()
                for s in samples
            ]
        )


def split_samples(settings: DataSettings) -> TrainingSplit:
    """Divide the images of all sources; images of the delivered test part are only scored.

    Raises:
        DatasetError: No image is left to train or to validate on.
    """
    indexes = [read_index(source.index) for source in settings.sources]
    training, validation, test, probability = [], [], [], []
    for source, index in zip(settings.sources, indexes, strict=True):
        scored, seen = _partition(index.samples(), settings.test_folds)
        held, kept = _hold_back(seen, settings.validation_fraction, settings.seed)
        if not kept or not held:
            raise DatasetError(
                f"{source.index}: expected images to train on outside test folds {list(settings.test_folds)}, "
                f"found {len(kept)} to train and {len(held)} to validate. Check the folds with: organscope data split."
            )
        training += kept
        validation += held
        test += scored
        probability.append(source.weight * _draw_probability(kept, settings.organ_balance))
    joined = np.concatenate(probability)
    return TrainingSplit(training, validation, test, indexes, joined / joined.sum())


def split_cells(settings: DataSettings) -> TrainingSplit:
    """The same of images with labels, for trainings on cells; those without labels are left out.

    Raises:
        DatasetError: No image with labels is left to train or to validate on, or those of a part show no cell: then
            nothing tells when to stop, and thresholds and probabilities cannot be chosen.
    """
    split = _with_labels(split_samples(settings))
    for part, samples in (("train", split.training), ("validate", split.validation)):
        if not any(sample.read_labels().any() for sample in samples):
            named = ", ".join(sample.id for sample in samples[:_N_NAMED]) + (", ..." if len(samples) > _N_NAMED else "")
            raise DatasetError(
                f"Expected labeled cells on the {len(samples)} images to {part} on, found none ({named}). "
                "Set data.seed to draw other images, raise data.validation_fraction, or label cells on more images."
            )
    return split


def _with_labels(split: TrainingSplit) -> TrainingSplit:
    kept = np.array([sample.labels_path is not None for sample in split.training], bool)
    parts = {
        part: [sample for sample in getattr(split, part) if sample.labels_path is not None]
        for part in ("training", "validation", "test")
    }
    if not parts["training"] or not parts["validation"]:
        raise DatasetError(
            f"Expected images with labels of cells, found {len(parts['training'])} to train and "
            f"{len(parts['validation'])} to validate. Import the annotations with: organscope data import."
        )
    if len(kept) == kept.sum():
        return replace(split, **parts)
    probability = split.draw_probability[kept]
    return replace(split, **parts, draw_probability=probability / probability.sum())


def _partition(samples: list[Sample], test_folds: tuple[int, ...]) -> tuple[list[Sample], list[Sample]]:
    scored = [s for s in samples if s.split == "test" or s.fold in test_folds]
    names = {s.id for s in scored}
    return scored, [s for s in samples if s.id not in names]


def _hold_back(samples: list[Sample], fraction: float, seed: int) -> tuple[list[Sample], list[Sample]]:
    """Take a share of every organ, rounded by chance so that small organs are not always left out.

    A validation part that the set was delivered with is taken as it is.
    """
    delivered = [s for s in samples if s.split == "validation"]
    if delivered:
        return delivered, [s for s in samples if s.split != "validation"]
    random = np.random.default_rng(seed)
    by_organ = defaultdict(list)
    for sample in sorted(samples, key=lambda s: s.id):
        by_organ[sample.organ].append(sample)
    held = []
    for organ in sorted(by_organ):
        members = by_organ[organ]
        count = min(int(fraction * len(members) + random.random()), len(members) - 1)
        held += [members[i] for i in random.permutation(len(members))[:count]]
    if not held and len(samples) > 1:
        # So few images that chance left every organ out.
        held = [samples[int(random.integers(len(samples)))]]
    names = {s.id for s in held}
    return held, [s for s in samples if s.id not in names]


def _draw_probability(samples: list[Sample], organ_balance: float) -> np.ndarray:
    organs = np.array([s.organ for s in samples])
    _, inverse, counts = np.unique(organs, return_inverse=True, return_counts=True)
    weight = (counts.astype(float) ** -organ_balance)[inverse]
    return weight / weight.sum()

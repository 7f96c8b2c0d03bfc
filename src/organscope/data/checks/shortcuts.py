"""Stain, illumination or scanner that alone names the organ.

How images were taken: mixed types and pixel sizes, also where these alone tell the organ.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from organscope.data.checks.finding import Finding, Severity
from organscope.data.index import Sample
from organscope.data.splits import draw_folds
from organscope.data.survey import PixelFacts, Survey
from organscope.evaluation.metrics.classification import classification_scores
from organscope.ops.pixel_size import pixel_size_text

#: Share of the way from chance (0) to always right (1) from which a finding is made.
_MIN_SKILL = 0.25
#: Organs with fewer images say nothing.
_MIN_IMAGES_AN_ORGAN = 4
#: A seeded draw of so many images is enough for the question.
_MAX_IMAGES = 4000
_N_TREES = 200
_N_FOLDS = 4
_SEED = 0


def color_tells_organ(survey: Survey) -> Iterator[Finding]:
    """A random forest on shares of colors names the organ far above chance.

    Cross-validated over the folds of the index (folds are drawn where it has none), and again between groups where
    two organs or more have at least two groups, which tells the stain of a slide from that of an organ.
    """
    samples, features = _colors(survey)
    organs = [sample.organ for sample in samples]
    if len(set(organs)) < 2:
        return
    score = _balanced_accuracy(features, organs, _folds(samples))
    chance = 1 / len(set(organs))
    if (score - chance) / (1 - chance) < _MIN_SKILL:
        return
    message = (
        f"Colors alone, without any structure, name the organ with balanced accuracy {score:.2f} "
        f"(chance {chance:.2f}; {len(samples)} images, {len(set(organs))} organs)."
    )
    between = _score_between_groups(samples, features)
    if between is not None:
        message += f" {between}"
    remedy = (
        "Judge a network by what it adds to this: organscope evaluate prints the baseline beside each score. "
        "Change color and brightness at random in training, and add slides of other stainings and scanners."
    )
    yield Finding(Severity.WARNING, "colour-tells-organ", "", "", message, remedy)


def _colors(survey: Survey) -> tuple[list[Sample], np.ndarray]:
    """Samples of organs with enough images, and what is known of their colors."""
    known = [(sample, pixels) for sample, pixels in survey.pixels() if sample.organ]
    organs, counts = np.unique([sample.organ for sample, _ in known], return_counts=True)
    enough = set(organs[counts >= _MIN_IMAGES_AN_ORGAN].tolist())
    known = [(sample, pixels) for sample, pixels in known if sample.organ in enough]
    if len(known) > _MAX_IMAGES:
        chosen = np.random.default_rng(_SEED).choice(len(known), _MAX_IMAGES, replace=False)
        known = [known[place] for place in sorted(chosen.tolist())]
    features = [np.concatenate([pixels.colours, pixels.percentiles.ravel()]) for _, pixels in known]
    return [sample for sample, _ in known], np.array(features)


def _folds(samples: Sequence[Sample]) -> np.ndarray:
    folds = np.array([sample.fold for sample in samples])
    if np.unique(folds).size > 1:
        return folds
    ids, organs = [sample.id for sample in samples], [sample.organ for sample in samples]
    return draw_folds(ids, organs, [1 / _N_FOLDS] * _N_FOLDS, _SEED)


def _balanced_accuracy(features: np.ndarray, organs: Sequence[str], folds: np.ndarray) -> float:
    """Mean share of each organ's images that forests name rightly which were trained on the other folds."""
    from sklearn.ensemble import RandomForestClassifier

    names, truth = np.unique(organs, return_inverse=True)
    probs = np.zeros((len(truth), len(names)))
    for fold in np.unique(folds):
        held = folds == fold
        forest = RandomForestClassifier(_N_TREES, random_state=_SEED).fit(features[~held], truth[~held])
        probs[np.ix_(held, forest.classes_)] = forest.predict_proba(features[held])
    return classification_scores(probs, truth)["balanced_accuracy"]


def _score_between_groups(samples: Sequence[Sample], features: np.ndarray) -> str | None:
    """The same with groups kept apart, over the organs that have several; None where none can be told."""
    groups: dict[str, list[str]] = {}
    for sample in samples:
        known = groups.setdefault(sample.organ, [])
        if sample.group not in known:
            known.append(sample.group)
    several = {organ: sorted(known) for organ, known in groups.items() if len(known) > 1}
    kept = [place for place, sample in enumerate(samples) if sample.organ in several]
    n_groups = sum(map(len, several.values()))
    # Where each image is a group of its own, groups tell nothing.
    if len(several) < 2 or n_groups == len(kept):
        return None
    # Every other group of an organ, so that each organ has groups on both sides.
    folds = np.array([several[samples[place].organ].index(samples[place].group) % 2 for place in kept])
    score = _balanced_accuracy(features[kept], [samples[place].organ for place in kept], folds)
    return (
        f"From one half of the groups to the other, over the {len(several)} organs that have several: "
        f"{score:.2f} (chance {1 / len(several):.2f})."
    )


#: Share of the way from guessing the largest organ (0) to always right (1) from which a finding is made.


def mixed_types(survey: Survey) -> Iterator[Finding]:
    """Several pixel types or numbers of channels in one set."""
    kinds = Counter(f"{pixels.n_channels} x {pixels.dtype}" for _, pixels in survey.pixels())
    if len(kinds) > 1:
        message = f"Expected one pixel type, found {_counts(kinds)}."
        remedy = "Find out why; images of several microscopes are better imported as several sets."
        yield Finding(Severity.WARNING, "mixed-types", "", "", message, remedy)


def mixed_pixel_sizes(survey: Survey) -> Iterator[Finding]:
    """Pixel sizes that differ, or are known for some images only."""
    sizes = Counter(_pixel_size(pixels) for _, pixels in survey.pixels())
    if len(sizes) > 1:
        message = f"Expected one pixel size, found {_counts(sizes)}: cells of one size have different sizes in pixels."
        remedy = "Give the pixel size when importing (--um-per-px), or import the magnifications as several sets."
        yield Finding(Severity.WARNING, "mixed-pixel-sizes", "", "", message, remedy)


def unknown_pixel_size(survey: Survey) -> Iterator[Finding]:
    """No image says how large a pixel is."""
    sizes = [pixels.um_per_px for _, pixels in survey.pixels()]
    if sizes and not any(sizes):
        message = "The files do not say how large a pixel is; sizes of cells are in pixels only."
        remedy = "Where it is known, give it when importing: --um-per-px."
        yield Finding(Severity.NOTE, "unknown-pixel-size", "", "", message, remedy)


def acquisition_tells_organ(survey: Survey) -> Iterator[Finding]:
    """Image size, pixel type, channels or pixel size that differ by organ, so that they alone name it."""
    names: tuple[tuple[str, Callable[[PixelFacts], str]], ...] = (
        ("image size", lambda pixels: f"{pixels.height_px} x {pixels.width_px} px"),
        ("pixel type", lambda pixels: f"{pixels.n_channels} x {pixels.dtype}"),
        ("pixel size", _pixel_size),
    )
    known = [(sample.organ, pixels) for sample, pixels in survey.pixels() if sample.organ]
    for name, read in names:
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        for organ, pixels in known:
            counts[read(pixels)][organ] += 1
        # A value that one image alone has names its organ without meaning anything.
        repeated = {value: organs for value, organs in counts.items() if organs.total() > 1}
        skill, accuracy, chance = _skill(repeated)
        if skill >= _MIN_SKILL:
            message = (
                f"The {name} alone names the organ of {accuracy:.0%} of the images (the most frequent organ: "
                f"{chance:.0%}): the organs were taken in different ways, and a network can learn that instead."
            )
            remedy = "Export all organs in one way, or score on images of each organ taken in the other way."
            yield Finding(Severity.WARNING, "acquisition-tells-organ", "", "", message, remedy)


def _skill(counts: dict[str, Counter[str]]) -> tuple[float, float, float]:
    """Skill of naming the most frequent organ of each value, its accuracy, and that of the most frequent of all."""
    total = sum(organs.total() for organs in counts.values())
    if not total:
        return 0.0, 0.0, 0.0
    right = sum(max(organs.values()) for organs in counts.values()) / total
    chance = max(sum(counts.values(), Counter()).values()) / total
    return (right - chance) / (1 - chance) if chance < 1 else 0.0, right, chance


def _pixel_size(pixels: PixelFacts) -> str:
    return "unknown" if pixels.um_per_px is None else pixel_size_text(pixels.um_per_px)


def _counts(kinds: Counter[str]) -> str:
    most = ", ".join(f"{kind} ({n} images)" for kind, n in kinds.most_common(4))
    return most if len(kinds) <= 4 else f"{most} and {len(kinds) - 4} more"

"""Stain, illumination or scanner that alone names the organ."""

from collections.abc import Iterator, Sequence

import numpy as np

from organscope.dataset.checks.finding import Finding, Severity
from organscope.dataset.index import Sample
from organscope.dataset.splits import draw_folds
from organscope.dataset.survey import Survey
from organscope.metrics.classification import classification_scores

#: Share of the way from chance (0) to always right (1) from which a finding is made.
MIN_SKILL = 0.25
#: Organs with fewer images say nothing.
MIN_IMAGES_AN_ORGAN = 4
#: A seeded draw of so many images is enough for the question.
MAX_IMAGES = 4000
N_TREES = 200
N_FOLDS = 4
SEED = 0


def colour_tells_organ(survey: Survey) -> Iterator[Finding]:
    """A random forest on shares of colours names the organ far above chance.

    Cross-validated over the folds of the index (folds are drawn where it has none), and again between groups where
    two organs or more have at least two groups, which tells the stain of a slide from that of an organ.
    """
    samples, features = _colours(survey)
    organs = [sample.organ for sample in samples]
    if len(set(organs)) < 2:
        return
    score = _balanced_accuracy(features, organs, _folds(samples))
    chance = 1 / len(set(organs))
    if (score - chance) / (1 - chance) < MIN_SKILL:
        return
    message = (
        f"Colours alone, without any structure, name the organ with balanced accuracy {score:.2f} "
        f"(chance {chance:.2f}; {len(samples)} images, {len(set(organs))} organs)."
    )
    between = _score_between_groups(samples, features)
    if between is not None:
        message += f" {between}"
    remedy = (
        "Judge a network by what it adds to this: organscope evaluate prints the baseline beside each score. "
        "Change colour and brightness at random in training, and add slides of other stainings and scanners."
    )
    yield Finding(Severity.WARNING, "colour-tells-organ", "", "", message, remedy)


def _colours(survey: Survey) -> tuple[list[Sample], np.ndarray]:
    """Samples of organs with enough images, and what is known of their colours."""
    known = [(sample, pixels) for sample, pixels in survey.pixels() if sample.organ]
    organs, counts = np.unique([sample.organ for sample, _ in known], return_counts=True)
    enough = set(organs[counts >= MIN_IMAGES_AN_ORGAN].tolist())
    known = [(sample, pixels) for sample, pixels in known if sample.organ in enough]
    if len(known) > MAX_IMAGES:
        chosen = np.random.default_rng(SEED).choice(len(known), MAX_IMAGES, replace=False)
        known = [known[place] for place in sorted(chosen.tolist())]
    features = [np.concatenate([pixels.colours, pixels.percentiles.ravel()]) for _, pixels in known]
    return [sample for sample, _ in known], np.array(features)


def _folds(samples: Sequence[Sample]) -> np.ndarray:
    folds = np.array([sample.fold for sample in samples])
    if np.unique(folds).size > 1:
        return folds
    ids, organs = [sample.id for sample in samples], [sample.organ for sample in samples]
    return draw_folds(ids, organs, [1 / N_FOLDS] * N_FOLDS, SEED)


def _balanced_accuracy(features: np.ndarray, organs: Sequence[str], folds: np.ndarray) -> float:
    """Mean share of each organ's images that forests name rightly which were trained on the other folds."""
    from sklearn.ensemble import RandomForestClassifier

    names, truth = np.unique(organs, return_inverse=True)
    probs = np.zeros((len(truth), len(names)))
    for fold in np.unique(folds):
        held = folds == fold
        forest = RandomForestClassifier(N_TREES, random_state=SEED).fit(features[~held], truth[~held])
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

"""Images that occur twice: the same file, or the same picture in another file."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from organscope.dataset.checks.finding import Finding, Severity
from organscope.dataset.index import Sample
from organscope.dataset.survey import Survey
from organscope.ops.likeness import hash_distances

#: Bits of 63 in which two hashes of one picture may differ. Copies that were compressed again, brightened, resized
#: or turned differ in 0 to 3; of the 233,000 pairs of unlike images in NuInsSeg and DSB2018 the closest differ in 12.
MAX_DISTANCE = 6
#: Distances in memory at once.
BLOCK_ENTRIES = 4_000_000


def exact_duplicates(survey: Survey) -> Iterator[Finding]:
    """Image files with the same bytes; an error where they lie on both sides of a split or have other organs."""
    groups = defaultdict(list)
    for sample, facts in survey:
        if facts.sha256:
            groups[facts.sha256].append(sample)
    for samples in groups.values():
        if len(samples) > 1:
            yield _finding("exact-duplicates", "the same bytes", samples, Severity.ERROR)


def near_duplicates(survey: Survey) -> Iterator[Finding]:
    """Images that look alike though their files differ: compressed again, resized, brightened, mirrored or turned.

    Overlapping parts of one slide are not found; only a group for each slide keeps those together.
    """
    by_hash = {facts.sha256: (sample, facts.pixels) for sample, facts in survey if facts.pixels is not None}
    known = [(sample, pixels.hashes) for sample, pixels in by_hash.values() if pixels.hashes.any()]
    if len(known) < 2:
        return
    samples = [sample for sample, _ in known]
    for places in _alike(np.stack([hashes for _, hashes in known])):
        alike = [samples[place] for place in places]
        yield _finding("near-duplicates", "nearly the same picture", alike, Severity.WARNING)


def _alike(hashes: np.ndarray) -> list[list[int]]:
    """Places of the pictures that are alike, directly or through others; in order."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = len(hashes)
    rows = max(1, BLOCK_ENTRIES // n)
    pairs = []
    for first in range(0, n, rows):
        distances = hash_distances(hashes[first : first + rows, 0], hashes)
        one, other = np.nonzero(distances <= MAX_DISTANCE)
        pairs.append(np.stack([one + first, other]))
    one, other = np.concatenate(pairs, axis=1)
    links = coo_array((np.ones(one.size, np.uint8), (one, other)), shape=(n, n))
    _, component = connected_components(links, directed=False)
    order = np.argsort(component, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(component[order])) + 1)
    return [part.tolist() for part in parts if part.size > 1]


def _finding(check: str, what: str, samples: Sequence[Sample], across: Severity) -> Finding:
    """A warning; `across` where the copies are on both sides of a split, or of other organs."""
    first = samples[0]
    names = ", ".join(sample.id for sample in samples[:4]) + (" ..." if len(samples) > 4 else "")
    message = f"Found {what} {len(samples)} times: {names}."
    remedy = "Keep one of them and import the folder again."
    severity = Severity.WARNING
    if len({sample.organ for sample in samples}) > 1:
        severity = across
        message += " They are said to be different organs."
        remedy = "Find out which organ it is; " + remedy[0].lower() + remedy[1:]
    if len({(sample.fold, sample.split) for sample in samples}) > 1:
        severity = across
        message += " They lie in different folds, so a score is measured on what was trained on."
        remedy += " Or give them one group and split again: organscope data split INDEX --group COLUMN_OR_REGEX."
    return Finding(severity, check, first.id, str(first.image_path), message, remedy)

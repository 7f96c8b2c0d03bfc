"""Files that cannot be read, or are no longer those that were imported.

Images whose pixels hold nothing, or no numbers.

Images that occur twice: the same file, or the same image in another file.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from organscope.data.checks.finding import Finding, Severity
from organscope.data.index import Sample
from organscope.data.survey import Survey
from organscope.ops.features import hash_distances

_COPY_AGAIN = "Copy the file again from its source, or remove it and import the folder again."
_IMPORT_AGAIN = "If the change was meant, import the folder again; else bring the old file back."


def unreadable_images(survey: Survey) -> Iterator[Finding]:
    """Image files that are missing, truncated or no images."""
    for sample, facts in survey:
        if facts.image_error:
            yield Finding(
                Severity.ERROR, "unreadable-image", sample.id, str(sample.image_path), facts.image_error, _COPY_AGAIN
            )


def unreadable_labels(survey: Survey) -> Iterator[Finding]:
    """Label images that are missing, truncated or no label images."""
    for sample, facts in survey:
        if facts.labels_error:
            yield Finding(
                Severity.ERROR, "unreadable-labels", sample.id, str(sample.labels_path), facts.labels_error, _COPY_AGAIN
            )


def changed_files(survey: Survey) -> Iterator[Finding]:
    """Files whose hash is no longer the one in the index."""
    table = survey.index.table.set_index("id")
    for sample, facts in survey:
        row = table.loc[sample.id]
        pairs = (
            ("image", sample.image_path, row["sha256"], facts.sha256),
            ("label", sample.labels_path, row["labels_sha256"], facts.labels_sha256),
        )
        for kind, path, expected, found in pairs:
            if expected and found and expected != found:
                message = (
                    f"Expected the {kind} file that was imported (SHA-256 {expected[:12]}...), found {found[:12]}...: "
                    "the file has changed since. Scores of before and after cannot be compared."
                )
                yield Finding(Severity.ERROR, "changed-file", sample.id, str(path), message, _IMPORT_AGAIN)


def partly_read(survey: Survey) -> Iterator[Finding]:
    """Images so large that only a smaller resolution of them was read."""
    for sample, pixels in survey.pixels():
        if not pixels.read_whole:
            message = f"{pixels.height_px} x {pixels.width_px} px: only a smaller resolution was decoded."
            remedy = "Nothing, or convert the file once as a whole to see that it is intact."
            yield Finding(Severity.NOTE, "partly-read", sample.id, str(sample.image_path), message, remedy)


#: A smaller image holds no whole cell at any usual magnification.
_SMALLEST_SIDE_PX = 16


def not_finite(survey: Survey) -> Iterator[Finding]:
    """Images with not-a-number or infinite values."""
    for sample, pixels in survey.pixels():
        if pixels.n_nan or pixels.n_inf:
            message = f"Expected finite values, found {pixels.n_nan} not-a-number and {pixels.n_inf} infinite ones."
            remedy = "Export the image again without them; as it is, they are read as black."
            yield Finding(Severity.WARNING, "not-finite", sample.id, str(sample.image_path), message, remedy)


def constant_images(survey: Survey) -> Iterator[Finding]:
    """Images in which all pixels have one value, such as black ones."""
    for sample, pixels in survey.pixels():
        if pixels.is_constant and pixels.height_px * pixels.width_px > 1:
            what = "no finite value at all" if pixels.low is None else f"{pixels.low:g} in every pixel"
            message = f"Expected an image, found {what}."
            remedy = "Export the image again, or remove it and import the folder again."
            yield Finding(Severity.ERROR, "constant-image", sample.id, str(sample.image_path), message, remedy)


def tiny_images(survey: Survey) -> Iterator[Finding]:
    """Images too small to show a cell; one pixel is an error."""
    for sample, pixels in survey.pixels():
        shortest = min(pixels.height_px, pixels.width_px)
        if shortest < _SMALLEST_SIDE_PX:
            severity = Severity.ERROR if shortest <= 1 else Severity.WARNING
            message = (
                f"Expected at least {_SMALLEST_SIDE_PX} px on each side, "
                f"found {pixels.height_px} x {pixels.width_px} px."
            )
            remedy = "Look whether this is a thumbnail or a failed export; remove it and import the folder again."
            yield Finding(severity, "tiny-image", sample.id, str(sample.image_path), message, remedy)


#: Bits of 63 in which two hashes of one image may differ. Copies that were compressed again, brightened, resized
#: or turned differ in 0 to 3; of the 233,000 pairs of unlike images in NuInsSeg and DSB2018 the closest differ in 12.
MAX_DISTANCE = 6
#: Distances in memory at once.
_BLOCK_ENTRIES = 4_000_000


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
        yield _finding("near-duplicates", "nearly the same image", alike, Severity.WARNING)


def _alike(hashes: np.ndarray) -> list[list[int]]:
    """Places of the images that are alike, directly or through others; in order."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = len(hashes)
    rows = max(1, _BLOCK_ENTRIES // n)
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

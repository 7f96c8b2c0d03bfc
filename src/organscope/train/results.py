"""What a finished training shows its trackers: scores, figures, sample predictions and the bundle."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from organscope.bundle import Bundle
from organscope.dataset.index import Sample
from organscope.predict import classify_image, segment_image
from organscope.report.overlay import draw_overlay, shrunk_to_bytes
from organscope.tracking import Trackers
from organscope.tracking.figures import (
    NamedPicture,
    confusion_figure,
    gallery_figure,
    picture_png,
    reliability_figure,
)

N_SAMPLES = 6
MAX_SAMPLE_PX = 4_000_000
SAMPLE_SIDE_PX = 640


def track_results(trackers: Trackers, bundle: Bundle, validation: Sequence[Sample], folder: Path) -> None:
    """Hand over everything that came out. What cannot be drawn is left out, with a line in the table of problems.

    Args:
        trackers: Of the run.
        bundle: The result.
        validation: Pictures of the inner validation; some are predicted and shown.
        folder: Of the run; its small files become artifacts.
    """
    scores = pd.DataFrame([score.model_dump() for score in bundle.manifest.scores])
    if len(scores):
        trackers.tell("log_table", "scores", scores)
    problems = []
    for draw in (_figures, _samples):
        try:
            for name, png in draw(bundle, validation):
                trackers.tell("log_picture", name, png)
        except Exception as error:
            # The training is done and its bundle verified: a picture of it is not worth its loss.
            problems.append({"figures": draw.__name__, "problem": f"{type(error).__name__}: {error}"})
    if problems:
        trackers.tell("log_table", "problems", pd.DataFrame(problems))
    trackers.tell("log_artifact", "bundle", bundle.source)
    for name in ("split.csv", "config.json"):
        trackers.tell("log_artifact", Path(name).stem, folder / name)


def _figures(bundle: Bundle, validation: Sequence[Sample]) -> Iterator[tuple[str, bytes]]:
    """Confusion matrix and reliability diagram, from the calibration table that travels with the bundle."""
    table = bundle.calibration()
    if not len(table):
        return
    if bundle.manifest.spec.task == "segmentation":
        probability, matched = table["probability"].to_numpy(float), table["matched"].to_numpy(bool)
        if len(probability):
            title = "Cells of the inner validation: probability, as the network gives it"
            yield "figures/reliability", reliability_figure(probability, matched, title)
        return
    organs = bundle.manifest.classes
    by_picture = table.groupby("id")[["label", *(f"p_{organ}" for organ in organs)]].mean()
    probs = by_picture[[f"p_{organ}" for organ in organs]].to_numpy()
    labels = by_picture["label"].to_numpy().astype(int)
    yield "figures/confusion", confusion_figure(labels, probs.argmax(axis=1), organs)
    title = "Pictures of the inner validation, calibrated"
    yield "figures/reliability", reliability_figure(probs.max(axis=1), probs.argmax(axis=1) == labels, title)


def _samples(bundle: Bundle, validation: Sequence[Sample]) -> Iterator[tuple[str, bytes]]:
    """A few validation pictures, evenly spaced over the list, with what the bundle makes of them."""
    step = max(1, len(validation) // N_SAMPLES)
    chosen = list(validation)[::step][:N_SAMPLES]
    if bundle.manifest.spec.task == "segmentation":
        for sample in chosen:
            if (overlay := _segmented(sample, bundle)) is not None:
                yield f"samples/{sample.dataset}-{sample.id}".replace(" ", "_"), picture_png(overlay)
    elif bundle.manifest.spec.subject == "image":
        yield "samples/organs", gallery_figure([_classified(sample, bundle) for sample in chosen])


def _segmented(sample: Sample, bundle: Bundle) -> np.ndarray | None:
    with sample.open() as image:
        if image.height_px * image.width_px > MAX_SAMPLE_PX:
            return None
        labels = segment_image(image, bundle).labels
        return draw_overlay(image.visible(image.read_whole()), labels, image.value_range, max_side_px=SAMPLE_SIDE_PX)


def _classified(sample: Sample, bundle: Bundle) -> NamedPicture:
    with sample.open() as image:
        found = classify_image(image, bundle)
        side = min(image.height_px, image.width_px, 2 * SAMPLE_SIDE_PX)
        pixels = image.visible(image.read((image.height_px - side) // 2, (image.width_px - side) // 2, side, side))
        labels = np.zeros(pixels.shape[:2], np.int32)
        picture, _ = shrunk_to_bytes(pixels, labels, image.value_range, max_side_px=SAMPLE_SIDE_PX // 2)
    best = int(np.argmax(found.probabilities))
    named = found.organs[best]
    caption = f"{sample.organ}\n{named} {found.probabilities[best]:.0%}"
    return NamedPicture(picture, caption, right=named == sample.organ)

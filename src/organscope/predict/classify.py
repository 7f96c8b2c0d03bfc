"""The organ of one image."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, UInt8

from organscope.bundle import Bundle
from organscope.decide import Decision, Rules, decide, nearest_distance, softmax
from organscope.images import Image
from organscope.ops.fields import field_starts
from organscope.ops.pixel_size import sides_px
from organscope.ops.resize import resize_field
from organscope.ops.tiles import Span, read_tile
from organscope.predict.evidence import Evidence
from organscope.predict.look import LookJudge
from organscope.predict.prepare import Preparation, require_subject

EVIDENCE = "evidence"
"""Output of a graph that says what each place adds to the logits."""


@dataclass(frozen=True)
class Classification:
    """The organ of one image.

    Attributes:
        organs: The bundle's classes.
        probabilities: Of each organ, summing to 1: the mean over the fields.
        logits: float32 (fields, organs), as the network gave them.
        features: float32 (fields, d), the network's embedding of each field.
        decision: The first organ, and whether to rely on it.
        evidence: What each place adds to each organ; None where the bundle cannot say.
    """

    organs: tuple[str, ...]
    probabilities: Float[np.ndarray, " organ"]
    logits: Float32[np.ndarray, "field organ"]
    features: Float32[np.ndarray, "field d"]
    decision: Decision
    evidence: Evidence | None = None


def classify_image(image: Image, bundle: Bundle, *, rules: Rules | None = None) -> Classification:
    """Name the organ, or abstain.

    The network sees square fields of the size that it was trained on: the fewest that cover the image, evenly
    spread; where pixels are not square, they are square in micrometers. A smaller image is mirrored up to one
    field. Calibrated probabilities are averaged over the fields,
    so that a field of glass or fat, of which the network is unsure, counts little and one field that errs
    cannot outvote the rest, as it could if logits were averaged. How unknown the image is, is the median of
    its fields' distances to the training pictures. Where the policy says what training pictures look like, the fields
    are measured against that too.

    Args:
        image: Any size from 1 x 1 px; gray, RGB, or one chosen channel.
        bundle: For classification.
        rules: What mistakes cost, and the organ that must not be missed.

    Raises:
        UsageError: The bundle is not for classification of whole images.
        InputError: The image is damaged, has no finite pixel, or has channels of which one must be chosen.
    """
    require_subject(bundle, "image")
    policy = bundle.policy
    preparation = Preparation(image, bundle.manifest.preprocessing)
    judge = LookJudge(policy.quality)
    spec = bundle.manifest.spec
    fields = judge.watch(image_fields(image, preparation, spec.field_px, spec.input_px))
    outputs = [bundle.run(preparation.standardised(field)[None]) for field in fields]
    logits = np.concatenate([output["logits"] for output in outputs])
    features = np.concatenate([output["features"] for output in outputs])
    probabilities = softmax(logits, policy.temperature).mean(axis=0)
    reference = bundle.tensors(policy.reference)["features"]
    distance = float(np.median(nearest_distance(features, reference, policy.n_neighbours)))
    return Classification(
        organs=tuple(bundle.manifest.classes),
        probabilities=probabilities,
        logits=logits,
        features=features,
        decision=decide(probabilities, distance, policy, doubt=judge.fault(), rules=rules),
        evidence=_evidence(image, bundle, outputs),
    )


def _evidence(image: Image, bundle: Bundle, outputs: list[dict[str, np.ndarray]]) -> Evidence | None:
    if EVIDENCE not in bundle.manifest.graph.outputs:
        return None
    sides = sides_px(bundle.manifest.spec.field_px, image.um_per_px)
    rows, columns = (
        field_starts(length, side) for length, side in zip((image.height_px, image.width_px), sides, strict=True)
    )
    return Evidence(np.concatenate([output[EVIDENCE] for output in outputs]), rows, columns, sides)


def image_fields(
    image: Image, preparation: Preparation, field_px: int, input_px: int, *, most: int | None = None
) -> Iterator[UInt8[np.ndarray, "input input 3"]]:
    """The fewest square fields that cover an image, scaled to 8 bits and resized as in training.

    Args:
        image: Any size.
        preparation: Of this image.
        field_px: Side of a field, in pixels of the image; what a smaller image lacks is mirrored.
        input_px: Side that it is resized to.
        most: Of more fields only so many are yielded, spread evenly.
    """
    shape = (image.height_px, image.width_px)
    sides = sides_px(field_px, image.um_per_px)
    rows, columns = (_field_spans(length, side) for length, side in zip(shape, sides, strict=True))
    places = [(row, column) for row in rows for column in columns]
    step = 1.0 if most is None else max(1.0, len(places) / most)
    for number in range(int(len(places) / step)):
        row, column = places[int(number * step)]
        field = preparation.as_bytes(read_tile(image.read, shape, row, column))
        yield resize_field(field, input_px, input_px)


def _field_spans(length_px: int, field_px: int) -> list[Span]:
    return [
        Span(start, start + field_px, start, min(length_px, start + field_px))
        for start in field_starts(length_px, field_px)
    ]

"""The organ of one image.

Where in an image the answer comes from: exact class activation maps of its fields, put together.

The organ of an image of any size, field by field: the same answer as `classify_image`, in parts that can be stored.

The fields are the same and are averaged alike; only those that show nothing but glass are left out.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Float64, Int64, UInt8

from organscope.decision import Decision, Rules, decide, nearest_distance, softmax
from organscope.decision.ood import QualityMonitor, quality_issue
from organscope.inference.preprocess import ImageNormalizer, require_subject
from organscope.io import Image
from organscope.models import Bundle
from organscope.ops.features import N_FEATURES, gray_contrast, texture_features
from organscope.ops.pixel_size import sides_px
from organscope.ops.resample import resize_field
from organscope.ops.tiling import Span, field_starts, read_tile


@dataclass(frozen=True)
class Evidence:
    """What each place of each field adds to the logit of each organ.

    Zhou et al., Learning Deep Features for Discriminative Localization, CVPR 2016: behind global averaging and a
    linear function the logits are the mean of this map, up to a constant for each organ, so nothing is estimated.

    Attributes:
        maps: float32 (field, y', x', organ), as the network gave it.
        row_starts: First row of the fields, from the top; may lie so that fields overlap.
        column_starts: First column of the fields; every row of fields has all of them.
        field_px: Height and width of a field in pixels of the image; what lies beyond the image is a mirror.
    """

    maps: Float32[np.ndarray, "field v u organ"]
    row_starts: Sequence[int]
    column_starts: Sequence[int]
    field_px: tuple[int, int]

    def speaks_for(
        self, organ: int, shape: tuple[int, int], *, max_side_px: int
    ) -> Float32[np.ndarray, "height width"]:
        """What speaks for one organ and against the mean of all, place by place.

        Only differences between organs count in a softmax, so the mean over the organs is taken off. Where fields
        overlap their maps are averaged.

        Args:
            organ: Its number among the classes.
            shape: Height and width of the image.
            max_side_px: Longest side of the map; a smaller image has a map of its own size.

        Returns:
            In units of the logit: above 0 speaks for, below 0 against.
        """
        scale = min(1.0, max_side_px / max(shape))
        down, across = (max(1, round(side * scale)) for side in self.field_px)
        height, width = (max(1, round(length * scale)) for length in shape)
        total, n_fields = np.zeros((height, width), np.float32), np.zeros((height, width), np.float32)
        of_organ = self.maps[..., organ] - self.maps.mean(axis=3)
        places = ((round(y * scale), round(x * scale)) for y in self.row_starts for x in self.column_starts)
        for (top, left), field in zip(places, of_organ, strict=True):
            inside = slice(top, min(top + down, height)), slice(left, min(left + across, width))
            enlarged = resize_field(np.ascontiguousarray(field[:, :, None], np.float32), down, across)[:, :, 0]
            total[inside] += enlarged[: inside[0].stop - top, : inside[1].stop - left]
            n_fields[inside] += 1
        return total / np.maximum(n_fields, 1)


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


def classify_image(
    image: Image, bundle: Bundle, *, rules: Rules | None = None, factor: float | None = None
) -> Classification:
    """Name the organ, or abstain.

    The network sees square fields of the size that it was trained on: the fewest that cover the image, evenly
    spread; where pixels are not square, they are square in micrometers. A smaller image is mirrored up to one
    field. Calibrated probabilities are averaged over the fields,
    so that a field of glass or fat, of which the network is unsure, counts little and one field that errs
    cannot outvote the rest, as it could if logits were averaged. How unknown the image is, is the median of
    its fields' distances to the training images. Where the policy says what training images look like, the fields
    are measured against that too.

    Args:
        image: Any size from 1 x 1 px; gray, RGB, or one chosen channel.
        bundle: For classification.
        rules: What mistakes cost, and the organ that must not be missed.
        factor: Pixels for one of the image that make its cells as large as those of the training. Where it is known,
            fields are cut at that size, and no image is refused for its magnification.

    Raises:
        UsageError: The bundle is not for classification of whole images.
        InputError: The image is damaged, has no finite pixel, or has channels of which one must be chosen.
    """
    require_subject(bundle, "image")
    policy = bundle.policy
    preparation = ImageNormalizer(image, bundle.manifest.preprocessing)
    judge = QualityMonitor(policy.quality, scale_known=factor is not None)
    spec = bundle.manifest.classification
    sides = sides_px(spec.field_px, image.um_per_px, factor or 1.0)
    fields = judge.watch(image_fields(image, preparation, sides, spec.input_px))
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
        evidence=_evidence(image, bundle, outputs, sides),
    )


def _evidence(
    image: Image, bundle: Bundle, outputs: list[dict[str, np.ndarray]], sides: tuple[int, int]
) -> Evidence | None:
    if EVIDENCE not in bundle.manifest.graph.outputs:
        return None
    rows, columns = (
        field_starts(length, side) for length, side in zip((image.height_px, image.width_px), sides, strict=True)
    )
    return Evidence(np.concatenate([output[EVIDENCE] for output in outputs]), rows, columns, sides)


def image_fields(
    image: Image, preparation: ImageNormalizer, sides: tuple[int, int], input_px: int, *, most: int | None = None
) -> Iterator[UInt8[np.ndarray, "input input 3"]]:
    """The fewest square fields that cover an image, scaled to 8 bits and resized as in training.

    Args:
        image: Any size.
        preparation: Of this image.
        sides: Height and width of a field, in pixels of the image; what a smaller image lacks is mirrored.
        input_px: Side that it is resized to.
        most: Of more fields only so many are yielded, spread evenly.
    """
    shape = (image.height_px, image.width_px)
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


NO_TISSUE = "there is no tissue in it, only glass"
_FARTHEST = 2.0
"""Distance of an image of which nothing was looked at."""


@dataclass(frozen=True)
class FieldGrid:
    """Where the fields of an image lie.

    Attributes:
        rows: First rows of the fields, from the top.
        columns: First columns; every row of fields has all of them.
        field_px: Height and width of a field; what lies beyond the image is mirrored.
    """

    rows: tuple[int, ...]
    columns: tuple[int, ...]
    field_px: tuple[int, int]

    def spans(self, number: int, image_px: tuple[int, int]) -> tuple[Span, Span]:
        """Rows and columns of one field, counted in raster order."""
        starts = self.rows[number // len(self.columns)], self.columns[number % len(self.columns)]
        down, across = (
            Span(start, start + side, start, min(length, start + side))
            for start, side, length in zip(starts, self.field_px, image_px, strict=True)
        )
        return down, across

    def starting_in(self, rows: slice, columns: slice) -> list[int]:
        """Numbers of the fields whose first pixel lies in a window."""
        return [
            down * len(self.columns) + across
            for down, y in enumerate(self.rows)
            if rows.start <= y < rows.stop
            for across, x in enumerate(self.columns)
            if columns.start <= x < columns.stop
        ]


@dataclass(frozen=True)
class FieldAnswers:
    """What a network says of some fields of an image.

    Attributes:
        number: Of each field, in raster order of the grid.
        logits: As the network gave them.
        distance: To the training images, from 0 to 2.
        contrast: `gray_contrast`; empty where the policy does not judge looks.
        look: `texture_features`; as `contrast`.
    """

    number: Int64[np.ndarray, " field"]
    logits: Float32[np.ndarray, "field organ"]
    distance: Float32[np.ndarray, " field"]
    contrast: Float64[np.ndarray, " _"]
    look: Float64[np.ndarray, "_ f"]

    @staticmethod
    def none(n_organs: int) -> "FieldAnswers":
        """Of no field at all."""
        nothing = np.zeros(0)
        return FieldAnswers(
            number=nothing.astype(np.int64),
            logits=np.zeros((0, n_organs), np.float32),
            distance=nothing.astype(np.float32),
            contrast=nothing,
            look=np.zeros((0, N_FEATURES)),
        )


def field_grid(image: Image, bundle: Bundle, factor: float | None = None) -> FieldGrid:
    """The fewest fields that cover an image, evenly spread; `factor` as in `classify_image`."""
    sides = sides_px(bundle.manifest.classification.field_px, image.um_per_px, factor or 1.0)
    rows, columns = (
        tuple(field_starts(length, side)) for length, side in zip((image.height_px, image.width_px), sides, strict=True)
    )
    return FieldGrid(rows, columns, sides)


class FieldReader:
    """Shows fields of one image to a classifier."""

    def __init__(self, image: Image, bundle: Bundle, factor: float | None = None) -> None:
        """Read a sample of the image to know its black and white.

        Args:
            image: Any.
            bundle: For classification.
            factor: As in `classify_image`.

        Raises:
            UsageError: The bundle is not for classification of whole images.
            InputError: The image is damaged, or of a kind that cannot be prepared.
        """
        require_subject(bundle, "image")
        self._image = image
        self._image_px = (image.height_px, image.width_px)
        self._bundle = bundle
        self._preparation = ImageNormalizer(image, bundle.manifest.preprocessing)
        self._reference = bundle.tensors(bundle.policy.reference)["features"]
        self.grid = field_grid(image, bundle, factor)

    def answers(self, numbers: Sequence[int]) -> FieldAnswers:
        """What the network says of these fields of the grid.

        Raises:
            InputError: The image is damaged there.
        """
        policy, organs = self._bundle.policy, self._bundle.manifest.classes
        logits, features, contrasts, looks = [], [], [], []
        for number in numbers:
            field = self._field(number)
            output = self._bundle.run(self._preparation.standardised(field)[None])
            logits.append(output["logits"])
            features.append(output["features"])
            if policy.quality is not None:
                contrasts.append(gray_contrast(field))
                looks.append(texture_features(field))
        distance = np.zeros(0, np.float32)
        if features:
            distance = nearest_distance(np.concatenate(features), self._reference, policy.n_neighbours)
        return FieldAnswers(
            number=np.array(numbers, np.int64).reshape(-1),
            logits=np.concatenate([np.zeros((0, len(organs)), np.float32), *logits]),
            distance=distance,
            contrast=np.array(contrasts, np.float64),
            look=np.array(looks, np.float64).reshape(-1, N_FEATURES),
        )

    def _field(self, number: int) -> np.ndarray:
        row, column = self.grid.spans(number, self._image_px)
        pixels = self._preparation.as_bytes(read_tile(self._image.read, self._image_px, row, column))
        input_px = self._bundle.manifest.classification.input_px
        return resize_field(pixels, input_px, input_px)


def join_answers(parts: Sequence[FieldAnswers]) -> FieldAnswers:
    """The same fields in one piece, in raster order of the grid.

    Args:
        parts: At least one.
    """
    joined = {name: np.concatenate([getattr(part, name) for part in parts]) for name in FieldAnswers.__annotations__}
    order = np.argsort(joined["number"], kind="stable")
    return FieldAnswers(**{name: values[order] if len(values) else values for name, values in joined.items()})


def answer_of_fields(
    found: FieldAnswers, bundle: Bundle, rules: Rules | None = None, *, scale_known: bool = False
) -> Classification:
    """The organ of the image that these are all fields with tissue of; features are left out, being many.

    An image without tissue gets every organ with the same probability, and is abstained from.
    """
    policy, organs = bundle.policy, tuple(bundle.manifest.classes)
    if len(found.number):
        probabilities = softmax(found.logits, policy.temperature).mean(axis=0)
        distance = float(np.median(found.distance))
        doubt = quality_issue(found.contrast, found.look, policy.quality, scale_known=scale_known)
    else:
        probabilities, distance, doubt = np.full(len(organs), 1 / len(organs)), _FARTHEST, NO_TISSUE
    return Classification(
        organs=organs,
        probabilities=probabilities,
        logits=found.logits,
        features=np.zeros((0, 0), np.float32),
        decision=decide(probabilities, distance, policy, doubt=doubt, rules=rules),
    )

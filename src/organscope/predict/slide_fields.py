"""The organ of an image of any size, field by field: the same answer as `classify_image`, in parts that can be stored.

The fields are the same and are averaged alike; only those that show nothing but glass are left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, Int64

from organscope.bundle import Bundle
from organscope.decide import Rules, decide, nearest_distance, softmax
from organscope.decide.quality import look_fault
from organscope.images import Image
from organscope.ops.fields import field_starts
from organscope.ops.pixel_size import sides_px
from organscope.ops.resize import resize_field
from organscope.ops.texture import N_FEATURES, gray_contrast, texture_features
from organscope.ops.tiles import Span, read_tile
from organscope.predict.classify import Classification
from organscope.predict.prepare import Preparation, require_subject

NO_TISSUE = "there is no tissue in it, only glass"
FARTHEST = 2.0
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
        return tuple(
            Span(start, start + side, start, min(length, start + side))
            for start, side, length in zip(starts, self.field_px, image_px, strict=True)
        )

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
        distance: To the training pictures, from 0 to 2.
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


def field_grid(image: Image, bundle: Bundle) -> FieldGrid:
    """The fewest fields that cover an image, evenly spread."""
    sides = sides_px(bundle.manifest.spec.field_px, image.um_per_px)
    rows, columns = (
        tuple(field_starts(length, side)) for length, side in zip((image.height_px, image.width_px), sides, strict=True)
    )
    return FieldGrid(rows, columns, sides)


class FieldReader:
    """Shows fields of one image to a classifier."""

    def __init__(self, image: Image, bundle: Bundle) -> None:
        """Read a sample of the image to know its black and white.

        Raises:
            UsageError: The bundle is not for classification of whole images.
            InputError: The image is damaged, or of a kind that cannot be prepared.
        """
        require_subject(bundle, "image")
        self._image = image
        self._image_px = (image.height_px, image.width_px)
        self._bundle = bundle
        self._preparation = Preparation(image, bundle.manifest.preprocessing)
        self._reference = bundle.tensors(bundle.policy.reference)["features"]
        self.grid = field_grid(image, bundle)

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
        input_px = self._bundle.manifest.spec.input_px
        return resize_field(pixels, input_px, input_px)


def join_answers(parts: Sequence[FieldAnswers]) -> FieldAnswers:
    """The same fields in one piece, in raster order of the grid.

    Args:
        parts: At least one.
    """
    joined = {name: np.concatenate([getattr(part, name) for part in parts]) for name in FieldAnswers.__annotations__}
    order = np.argsort(joined["number"], kind="stable")
    return FieldAnswers(**{name: values[order] if len(values) else values for name, values in joined.items()})


def answer_of_fields(found: FieldAnswers, bundle: Bundle, rules: Rules | None = None) -> Classification:
    """The organ of the image that these are all fields with tissue of; features are left out, being many.

    An image without tissue gets every organ with the same probability, and is abstained from.
    """
    policy, organs = bundle.policy, tuple(bundle.manifest.classes)
    if len(found.number):
        probabilities = softmax(found.logits, policy.temperature).mean(axis=0)
        distance, doubt = float(np.median(found.distance)), look_fault(found.contrast, found.look, policy.quality)
    else:
        probabilities, distance, doubt = np.full(len(organs), 1 / len(organs)), FARTHEST, NO_TISSUE
    return Classification(
        organs=organs,
        probabilities=probabilities,
        logits=found.logits,
        features=np.zeros((0, 0), np.float32),
        decision=decide(probabilities, distance, policy, doubt=doubt, rules=rules),
    )

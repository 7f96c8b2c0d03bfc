"""What is decided once for a whole image, before any region of it goes through a network.

Compiled preparation of pixels of which few values exist.
"""

import numpy as np
from jaxtyping import Float32, Num, UInt8

from organscope.errors import UsageError
from organscope.io import Image
from organscope.models import Bundle
from organscope.ops._kernels import kernel
from organscope.ops.intensity import Preprocessing, intensity_range, scale_intensity, standardize, to_rgb


@kernel(nogil=True)
def _look_up(pixels, table):
    """Replace every value of a color by its entry of that color's column: float32 y x c."""
    n_rows, n_columns, n_colors = pixels.shape
    found = np.empty((n_rows, n_columns, n_colors), dtype=np.float32)
    for y in range(n_rows):
        for x in range(n_columns):
            for color in range(n_colors):
                found[y, x, color] = table[pixels[y, x, color], color]
    return found


_SAMPLE_PX = 1 << 22
"""Pixels that are read of a larger image to know its black and white."""

_STATISTICS_PX = 1 << 20
"""About how many of them are sorted; images up to this size count in full."""

_SUBJECTS = {"image": "the organ of whole images", "cell": "the organ of single cells"}
_HINTS = {
    "image": "Choose one for cells; `organscope bundle show NAME` says what a bundle names.",
    "cell": "Use it with `organscope analyze --bundle`, which finds the cells first.",
}


class ImageNormalizer:
    """The bundle's preprocessing with the intensities of one image, so that all its tiles are scaled alike.

    Attributes:
        black_and_white: Values that become 0 and 1.
    """

    def __init__(
        self, image: Image, spec: Preprocessing, *, black_and_white: tuple[float, float] | None = None
    ) -> None:
        """Read a sample of the image and find its black and white.

        Args:
            image: To prepare.
            spec: The bundle's preprocessing.
            black_and_white: What was found in the same image before; then nothing is read.

        Raises:
            ShapeError: The image has several channels that are no colors, and none was chosen.
            ValueRangeError: No pixel of the sample is finite.
        """
        self._spec = spec
        self._visible = image.visible
        if black_and_white is None:
            sample = image.sample(_SAMPLE_PX).reshape(-1, 1, image.n_channels)
            sample = to_rgb(image.visible(sample[:: max(1, len(sample) // _STATISTICS_PX)]))
            black_and_white = intensity_range(sample, spec, image.value_range)
        self.black_and_white = self._low, self._high = black_and_white
        self._table = self._lookup(image.dtype)
        self._byte_of_value: UInt8[np.ndarray, " value"] | None = None
        bytes_ = to_rgb(_all_values(np.dtype(np.uint8)))
        self._standard_of_byte = standardize(bytes_.astype(np.float32) / np.float32(255), spec)[:, 0]

    def network_input(self, pixels: Num[np.ndarray, "y x c"]) -> Float32[np.ndarray, "y x 3"]:
        """Pixels as the network takes them."""
        rgb = to_rgb(self._visible(pixels))
        if self._table is None:
            return standardize(scale_intensity(rgb, self._low, self._high), self._spec)
        # One memory layout, because a kernel is compiled anew for each.
        return _look_up(np.ascontiguousarray(rgb), self._table)

    def as_bytes(self, pixels: Num[np.ndarray, "y x c"]) -> UInt8[np.ndarray, "y x 3"]:
        """Pixels scaled to [0, 255] and rounded, as the fields of a classifier are before they are resized."""
        rgb = to_rgb(self._visible(pixels))
        if rgb.dtype not in (np.uint8, np.uint16):
            return self._rounded(rgb)
        if self._byte_of_value is None:
            self._byte_of_value = self._rounded(_all_values(rgb.dtype)).ravel()
        return self._byte_of_value[rgb]

    def standardised(self, field: UInt8[np.ndarray, "y x 3"]) -> Float32[np.ndarray, "y x 3"]:
        """What `as_bytes` gave, resized or not, as the network takes it."""
        return _look_up(np.ascontiguousarray(field), self._standard_of_byte)

    def _rounded(self, rgb: Num[np.ndarray, "y x c"]) -> UInt8[np.ndarray, "y x c"]:
        return np.rint(scale_intensity(rgb, self._low, self._high) * 255).astype(np.uint8)

    def _lookup(self, dtype: np.dtype) -> Float32[np.ndarray, "value 3"] | None:
        """The result for every value that 8 or 16 bits can have: one look-up instead of ten passes."""
        if dtype not in (np.uint8, np.uint16):
            return None
        values = to_rgb(_all_values(dtype))
        return standardize(scale_intensity(values, self._low, self._high), self._spec)[:, 0]


def intensity_notes(image: Image, spec: Preprocessing) -> tuple[str, ...]:
    """What a person should know of how the intensities of an image were read; one sentence each.

    Raises:
        InputError: The image is damaged, has no finite pixel, or has channels of which one must be chosen.
    """
    if image.dtype == np.uint8:
        return ()
    sample = image.visible(image.sample(_SAMPLE_PX))
    notes = []
    if image.dtype.kind == "f":
        share = 1 - float(np.isfinite(sample).mean())
        if share > 0:
            notes.append(
                f"{share:.2%} of the pixels are no finite numbers; they were seen as black, infinity as white."
            )
    low, high = intensity_range(sample, spec, image.value_range)
    if spec.intensity == "full_range" and (low, high) != image.value_range:
        notes.append(
            f"Black and white were taken as {low:g} and {high:g}, because the pixels do not use the range of their "
            f"type ({image.dtype}, {image.value_range[0]:g} to {image.value_range[1]:g})."
        )
    return tuple(notes)


def _all_values(dtype: np.dtype) -> Num[np.ndarray, "value 1 1"]:
    return np.arange(np.iinfo(dtype).max + 1, dtype=dtype).reshape(-1, 1, 1)


def require_task(bundle: Bundle, task: str) -> None:
    """Refuse a bundle that is for something else.

    Raises:
        UsageError: Says what it is for.
    """
    found = bundle.manifest.spec.task
    if found != task:
        raise UsageError(
            f"Expected a bundle for {task}, found '{bundle.manifest.name}', which is for {found}. "
            "Choose another; `organscope bundle list` shows those inside the package."
        )


def require_subject(bundle: Bundle, subject: str) -> None:
    """Refuse a bundle that does not name the organ of this: `image` or `cell`.

    Raises:
        UsageError: Says what it is for.
    """
    require_task(bundle, "classification")
    found = bundle.manifest.classification.subject
    if found != subject:
        raise UsageError(
            f"Expected a bundle that names {_SUBJECTS[subject]}, found '{bundle.manifest.name}', which names "
            f"{_SUBJECTS[found]}. {_HINTS[found]}"
        )

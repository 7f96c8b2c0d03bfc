"""Where in an image the answer comes from: exact class activation maps of its fields, put together."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from organscope.ops.resize import resize_field


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

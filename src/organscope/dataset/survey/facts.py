"""All that a survey keeps of one sample, as text that can be read back."""

import base64
import json
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from organscope.dataset.survey.cells import CellFacts
from organscope.dataset.survey.pixels import PixelFacts

ARRAY_KEY = "array"


@dataclass(frozen=True)
class Facts:
    """What was found in the files of one sample.

    Attributes:
        id: Of the sample.
        pixels: None where the image cannot be read; `image_error` then says why.
        sha256: Of the image file, "" where it cannot be read.
        cells: None without labels, or where they cannot be read; `labels_error` then says why.
        labels_sha256: Of the label file, "" where there is none or it cannot be read.
    """

    id: str
    pixels: PixelFacts | None = None
    image_error: str = ""
    sha256: str = ""
    cells: CellFacts | None = None
    labels_error: str = ""
    labels_sha256: str = ""


def facts_to_text(facts: Facts) -> str:
    """The facts as one line of JSON; arrays are exact."""
    return json.dumps(asdict(facts), default=_encode_array)


def facts_from_text(text: str) -> Facts:
    """What `facts_to_text` wrote."""
    fields = json.loads(text, object_hook=_decode_array)
    if fields["pixels"] is not None:
        for name in ("value_range", "um_per_px"):
            found = fields["pixels"][name]
            fields["pixels"][name] = None if found is None else tuple(found)
        fields["pixels"] = PixelFacts(**fields["pixels"])
    if fields["cells"] is not None:
        fields["cells"] = CellFacts(**fields["cells"])
    return Facts(**fields)


def _encode_array(array: np.ndarray) -> dict[str, Any]:
    data = base64.b64encode(np.ascontiguousarray(array)).decode("ascii")
    return {ARRAY_KEY: data, "dtype": array.dtype.str, "shape": array.shape}


def _decode_array(fields: dict[str, Any]) -> Any:
    if ARRAY_KEY not in fields:
        return fields
    return np.frombuffer(base64.b64decode(fields[ARRAY_KEY]), fields["dtype"]).reshape(fields["shape"])

"""Inputs and outputs of a bundle in the words of the bioimage.io model format 0.5."""

from pathlib import Path
from typing import Any

import numpy as np

from organscope.bundle.bioimageio_picture import draw_picture, prepare
from organscope.bundle.load import Bundle
from organscope.bundle.manifest import ClassificationSpec, SegmentationSpec
from organscope.ops.preprocess import Preprocessing

INPUT = "image"
CHANNELS = ["red", "green", "blue"]


def picture_size_px(spec: SegmentationSpec | ClassificationSpec) -> tuple[int, int]:
    """Height and width of the test picture: the least that leaves something inside the halo, or the field."""
    if isinstance(spec, ClassificationSpec):
        return spec.input_px, spec.input_px
    least = least_side_px(spec)
    return least, least + 2 * spec.stride_px


def least_side_px(spec: SegmentationSpec) -> int:
    """Smallest side of a tile whose middle, inside the halo, is four strides wide."""
    stride = spec.stride_px
    return -(-(2 * spec.halo_px + 4 * stride) // stride) * stride


def test_arrays(bundle: Bundle) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The test picture, uint8 (1, y, x, 3), and the outputs of the graph for it after what `postprocessing` says."""
    spec = bundle.manifest.spec
    pixels = draw_picture(*picture_size_px(spec), n_nuclei=1 if is_one_cell(spec) else None)
    outputs = bundle.run(prepare(pixels, bundle.manifest.preprocessing))
    return pixels[None], outputs


def expected(name: str, output: np.ndarray, bundle: Bundle) -> np.ndarray:
    """An output after its postprocessing."""
    if name != "logits":
        return output
    scaled = output.astype(np.float64) / bundle.policy.temperature
    exponents = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return (exponents / exponents.sum(axis=1, keepdims=True)).astype(np.float32)


def is_one_cell(spec: SegmentationSpec | ClassificationSpec) -> bool:
    """The network sees a single cell in the middle of its field."""
    return isinstance(spec, ClassificationSpec) and spec.subject == "cell"


def describe_input(bundle: Bundle, test_file: Path) -> dict[str, Any]:
    """Fields of an `InputTensorDescr`."""
    spec = bundle.manifest.spec
    if isinstance(spec, ClassificationSpec):
        size: Any = spec.input_px
        what = f"one field of the picture, {spec.field_px} px of it resized to {spec.input_px} px"
    else:
        size = {"min": least_side_px(spec), "step": spec.stride_px}
        what = "a picture or a tile of it"
    return {
        "id": INPUT,
        "description": f"RGB, 8 bits: {what}. A gray picture goes in three times.",
        "axes": [
            {"type": "batch"},
            {"type": "space", "id": "y", "size": size},
            {"type": "space", "id": "x", "size": size},
            {"type": "channel", "id": "channel", "channel_names": CHANNELS},
        ],
        "data": {"type": "uint8", "range": (0, 255)},
        "test_tensor": {"source": test_file},
        "preprocessing": _preprocessing(bundle.manifest.preprocessing),
    }


def _preprocessing(spec: Preprocessing) -> list[dict[str, Any]]:
    """Scaling of the whole picture to 0 and 1, clipped, then the standard colours."""
    if spec.intensity == "full_range":
        scaling = {"id": "scale_linear", "kwargs": {"gain": 1 / 255, "offset": 0.0}}
    else:
        limits = {"min_percentile": spec.low_percentile, "max_percentile": spec.high_percentile}
        scaling = {"id": "scale_range", "kwargs": {"axes": ["channel", "y", "x"], "eps": 1e-6, **limits}}
    colours = {"mean": list(spec.mean), "std": list(spec.std), "axis": "channel"}
    return [
        {"id": "ensure_dtype", "kwargs": {"dtype": "float32"}},
        scaling,
        {"id": "clip", "kwargs": {"min": 0.0, "max": 1.0}},
        {"id": "fixed_zero_mean_unit_variance", "kwargs": colours},
        {"id": "ensure_dtype", "kwargs": {"dtype": "float32"}},
    ]


def describe_output(name: str, output: np.ndarray, bundle: Bundle, test_file: Path) -> dict[str, Any]:
    """Fields of an `OutputTensorDescr`.

    Args:
        name: Of the output.
        output: As the graph gave it for the test picture.
        bundle: Any.
        test_file: Array of what is expected.
    """
    manifest = bundle.manifest
    fields: dict[str, Any] = {"id": name, "test_tensor": {"source": test_file}, "data": {"type": "float32"}}
    if name == "maps":
        spec = manifest.spec
        fields["data"]["range"] = (0.0, 1.0)
        return fields | {
            "description": "Probabilities, one map each: " + ", ".join(spec.maps),
            "axes": [{"type": "batch"}, *_like_input(spec.halo_px), _channels(list(spec.maps))],
        }
    if name == "logits":
        fields["data"]["range"] = (0.0, 1.0)
        return fields | {
            "description": "Calibrated probability of each class, after scaling by temperature and softmax.",
            "axes": [{"type": "batch"}, _channels(list(manifest.classes))],
            "postprocessing": [
                {"id": "scale_linear", "kwargs": {"gain": 1 / bundle.policy.temperature, "offset": 0.0}},
                {"id": "softmax", "kwargs": {"axis": "channel"}},
                {"id": "ensure_dtype", "kwargs": {"dtype": "float32"}},
            ],
        }
    names = manifest.classes if name == "evidence" else [f"{name}_{i}" for i in range(output.shape[-1])]
    sides = [{"type": "space", "id": axis, "size": n} for axis, n in zip("yx", output.shape[1:-1], strict=False)]
    what = "Class activation maps" if name == "evidence" else "Embedding of the field, which tells how unlike it is"
    return fields | {"description": f"{what}.", "axes": [{"type": "batch"}, *sides, _channels(list(names))]}


def _like_input(halo_px: int) -> list[dict[str, Any]]:
    sides = []
    for axis in "yx":
        side = {"type": "space", "id": axis, "size": {"tensor_id": INPUT, "axis_id": axis}}
        sides.append(side | ({"halo": halo_px} if halo_px else {}))
    return sides


def _channels(names: list[str]) -> dict[str, Any]:
    return {"type": "channel", "id": "channel", "channel_names": names}

"""A drawn image that looks like stained tissue, and a cover made from it: nobody else's image travels along.

Inputs and outputs of a bundle in the words of the bioimage.io model format 0.5.
"""

import io
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int32, UInt8
from PIL import Image, ImageDraw
from scipy import ndimage

from organscope.models.bundle import Bundle
from organscope.models.manifest import ClassificationSpec, SegmentationSpec
from organscope.ops.instances import decode_cells
from organscope.ops.intensity import Preprocessing, intensity_range, scale_intensity, standardize
from organscope.ops.regionprops import cell_outlines

_GROUND = np.array([232.0, 176.0, 208.0])
_NUCLEUS = np.array([96.0, 64.0, 140.0])
_COVER_PX = 320
_OUTLINE = (255, 230, 0)


def _draw_image(height_px: int, width_px: int, n_nuclei: int | None = None) -> UInt8[np.ndarray, "y x 3"]:
    """Dark ellipses on an uneven pink ground; the same at every call.

    Args:
        height_px: Of the image.
        width_px: Of the image.
        n_nuclei: As many as fit loosely where left out; one lies in the middle.
    """
    random = np.random.default_rng(7)
    y, x = np.mgrid[:height_px, :width_px]
    amount = np.zeros((height_px, width_px))
    count = max(1, height_px * width_px // 900) if n_nuclei is None else n_nuclei
    for number in range(count):
        place = np.array([height_px, width_px]) * (random.random(2) if number else 0.5)
        long, short, angle = random.uniform(8, 13), random.uniform(6, 9), random.uniform(0, np.pi)
        along = (x - place[1]) * np.cos(angle) + (y - place[0]) * np.sin(angle)
        across = (y - place[0]) * np.cos(angle) - (x - place[1]) * np.sin(angle)
        amount = np.maximum(amount, (along / long) ** 2 + (across / short) ** 2 < 1)
    amount = ndimage.gaussian_filter(amount, 1)[..., None]
    texture = ndimage.gaussian_filter(random.standard_normal((height_px, width_px)), 3)[..., None]
    pixels = _GROUND * (1 - amount) + _NUCLEUS * amount + 60 * texture + random.normal(0, 4, (height_px, width_px, 3))
    return np.clip(pixels, 0, 255).astype(np.uint8)


def prepare(pixels: UInt8[np.ndarray, "y x 3"], spec: Preprocessing) -> np.ndarray:
    """A whole image as the network takes it, float32 (1, y, x, 3)."""
    low, high = intensity_range(pixels, spec, (0.0, 255.0))
    return np.ascontiguousarray(standardize(scale_intensity(pixels, low, high), spec))[None]


def draw_cover(bundle: Bundle, pixels: UInt8[np.ndarray, "y x 3"], outputs: dict[str, np.ndarray]) -> bytes:
    """PNG: the image, and beside it what the network makes of it (cells, or the most probable classes)."""
    left = Image.fromarray(pixels)
    if bundle.manifest.spec.task == "segmentation":
        right = _outlined(left, decode_cells(outputs["maps"][0], bundle.manifest.segmentation.decoder))
    else:
        right = _bars(outputs["logits"][0], bundle.manifest.classes)
    cover = Image.new("RGB", (2 * _COVER_PX, _COVER_PX), "white")
    for number, image in enumerate((left, right)):
        cover.paste(image.resize((_COVER_PX, _COVER_PX), Image.Resampling.BICUBIC), (number * _COVER_PX, 0))
    content = io.BytesIO()
    cover.save(content, "PNG", optimize=True)
    return content.getvalue()


def _outlined(image: Image.Image, labels: Int32[np.ndarray, "y x"]) -> Image.Image:
    outlined = image.copy()
    draw = ImageDraw.Draw(outlined)
    for outline in cell_outlines(labels):
        draw.line([(float(x), float(y)) for x, y in outline], fill=_OUTLINE, width=1)
    return outlined


def _bars(logits: np.ndarray, classes: list[str]) -> Image.Image:
    """The eight most probable classes as bars."""
    probability = np.exp(logits - logits.max())
    probability /= probability.sum()
    image = Image.new("RGB", (_COVER_PX, _COVER_PX), "white")
    draw = ImageDraw.Draw(image)
    for row, number in enumerate(np.argsort(-probability)[:8]):
        top = 12 + row * 38
        draw.rectangle((12, top + 14, 12 + int(280 * probability[number]), top + 28), fill=(110, 70, 150))
        draw.text((12, top), classes[number], fill="black")
    return image


INPUT = "image"
_CHANNELS = ["red", "green", "blue"]


def _image_size_px(spec: SegmentationSpec | ClassificationSpec) -> tuple[int, int]:
    """Height and width of the test image: the least that leaves something inside the halo, or the field."""
    if isinstance(spec, ClassificationSpec):
        return spec.input_px, spec.input_px
    least = _least_side_px(spec)
    return least, least + 2 * spec.stride_px


def _least_side_px(spec: SegmentationSpec) -> int:
    """Smallest side of a tile whose middle, inside the halo, is four strides wide."""
    stride = spec.stride_px
    return -(-(2 * spec.halo_px + 4 * stride) // stride) * stride


def _exported_spec(bundle: Bundle) -> SegmentationSpec | ClassificationSpec:
    """Bundles for kinds of cells are refused before."""
    manifest = bundle.manifest
    return manifest.segmentation if manifest.spec.task == "segmentation" else manifest.classification


def test_arrays(bundle: Bundle) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The test image, uint8 (1, y, x, 3), and the outputs of the graph for it after what `postprocessing` says."""
    spec = _exported_spec(bundle)
    pixels = _draw_image(*_image_size_px(spec), n_nuclei=1 if _is_one_cell(spec) else None)
    outputs = bundle.run(prepare(pixels, bundle.manifest.preprocessing))
    return pixels[None], outputs


def expected(name: str, output: np.ndarray, bundle: Bundle) -> np.ndarray:
    """An output after its postprocessing."""
    if name != "logits":
        return output
    scaled = output.astype(np.float64) / bundle.policy.temperature
    exponents = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return (exponents / exponents.sum(axis=1, keepdims=True)).astype(np.float32)


def _is_one_cell(spec: SegmentationSpec | ClassificationSpec) -> bool:
    """The network sees a single cell in the middle of its field."""
    return isinstance(spec, ClassificationSpec) and spec.subject == "cell"


def describe_input(bundle: Bundle, test_file: Path) -> dict[str, Any]:
    """Fields of an `InputTensorDescr`."""
    spec = _exported_spec(bundle)
    if isinstance(spec, ClassificationSpec):
        size: Any = spec.input_px
        what = f"one field of the image, {spec.field_px} px of it resized to {spec.input_px} px"
    else:
        size = {"min": _least_side_px(spec), "step": spec.stride_px}
        what = "an image or a tile of it"
    return {
        "id": INPUT,
        "description": f"RGB, 8 bits: {what}. A gray image goes in three times.",
        "axes": [
            {"type": "batch"},
            {"type": "space", "id": "y", "size": size},
            {"type": "space", "id": "x", "size": size},
            {"type": "channel", "id": "channel", "channel_names": _CHANNELS},
        ],
        "data": {"type": "uint8", "range": (0, 255)},
        "test_tensor": {"source": test_file},
        "preprocessing": _preprocessing(bundle.manifest.preprocessing),
    }


def _preprocessing(spec: Preprocessing) -> list[dict[str, Any]]:
    """Scaling of the whole image to 0 and 1, clipped, then the standard colors."""
    if spec.intensity == "full_range":
        scaling = {"id": "scale_linear", "kwargs": {"gain": 1 / 255, "offset": 0.0}}
    else:
        limits = {"min_percentile": spec.low_percentile, "max_percentile": spec.high_percentile}
        scaling = {"id": "scale_range", "kwargs": {"axes": ["channel", "y", "x"], "eps": 1e-6, **limits}}
    colors = {"mean": list(spec.mean), "std": list(spec.std), "axis": "channel"}
    return [
        {"id": "ensure_dtype", "kwargs": {"dtype": "float32"}},
        scaling,
        {"id": "clip", "kwargs": {"min": 0.0, "max": 1.0}},
        {"id": "fixed_zero_mean_unit_variance", "kwargs": colors},
        {"id": "ensure_dtype", "kwargs": {"dtype": "float32"}},
    ]


def describe_output(name: str, output: np.ndarray, bundle: Bundle, test_file: Path) -> dict[str, Any]:
    """Fields of an `OutputTensorDescr`.

    Args:
        name: Of the output.
        output: As the graph gave it for the test image.
        bundle: Any.
        test_file: Array of what is expected.
    """
    manifest = bundle.manifest
    fields: dict[str, Any] = {"id": name, "test_tensor": {"source": test_file}, "data": {"type": "float32"}}
    if name == "maps":
        spec = manifest.segmentation
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

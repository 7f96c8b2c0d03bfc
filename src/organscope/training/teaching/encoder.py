"""Frozen encoders: features of the fields of an image, computed by onnxruntime and kept by the hash of the image.

An encoder is an ONNX graph with the input `input` (n y x 3) and the output `features` (n d), with one metadata entry,
`organscope`, that says how an image is shown to it. The one that ships pools the stages of a network trained on
ImageNet; any bundle that names organs is an encoder, too.
"""

import hashlib
import io
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from importlib import resources
from itertools import islice
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import onnx
from jaxtyping import Float32, UInt8
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from organscope.data.index import Sample
from organscope.errors import UsageError
from organscope.evaluation.baselines import image_statistics
from organscope.inference.classify import image_fields
from organscope.inference.preprocess import ImageNormalizer
from organscope.io.paths import atomic_path, make_folder
from organscope.models import load_bundle
from organscope.models.runtime import Session, parse_safe_graph
from organscope.ops.corruptions import gray_copy, restained
from organscope.ops.intensity import Preprocessing, standardize
from organscope.ops.pixel_size import sides_px

SHIPPED_ENCODER = "imagenet"
INPUT, FEATURES = "input", "features"
_METADATA_KEY = "organscope"
_MAX_FIELDS = 64
"""Fields of one image that teach; of a whole slide these are spread evenly."""

_READERS = 2
_AHEAD = 4


class EncoderSettings(BaseModel):
    """How an image is shown to an encoder, and where the encoder is from.

    Attributes:
        name: For messages and cards.
        source: One sentence: network, data, license.
        field_px: Side of a square field, in pixels of the image.
        input_px: The field is resized to a square of this side.
        preprocessing: From pixels to the network's input.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    source: str
    field_px: int = Field(ge=1)
    input_px: int = Field(ge=1)
    preprocessing: Preprocessing


class Encoder:
    """A frozen network that turns a field into features.

    Attributes:
        settings: How an image is shown to it.
        model: The ONNX graph.
        sha256: Of graph and settings; features of equal hashes are equal.
    """

    def __init__(self, settings: EncoderSettings, model: onnx.ModelProto, *, threads: int | None = None) -> None:
        self.settings = settings
        self.model = model
        graph = model.SerializeToString(deterministic=True)
        self.sha256 = hashlib.sha256(graph + settings.model_dump_json().encode()).hexdigest()
        self._session = Session(graph, INPUT, [FEATURES], threads=threads, where=f"the encoder {settings.name}")

    @property
    def opset(self) -> int:
        """Of its graph."""
        return next(entry.version for entry in self.model.opset_import if not entry.domain)

    def run(self, fields: UInt8[np.ndarray, "n y x 3"]) -> Float32[np.ndarray, "n d"]:
        """Features of fields in [0, 255], one field at a time, so that memory stays flat."""
        return np.concatenate([self._session.run(self.prepare(field)[None])[FEATURES] for field in fields])

    def prepare(self, field: UInt8[np.ndarray, "y x 3"]) -> Float32[np.ndarray, "y x 3"]:
        """A field as the network takes it."""
        return standardize(field.astype(np.float32) / np.float32(255), self.settings.preprocessing)


@dataclass(frozen=True)
class ImageFeatures:
    """What is computed once of each image.

    Attributes:
        fields: Features, one row a field.
        copies: Features of copies of some fields as another laboratory could have stained them, and in gray; none of an
            image without color.
        color: Color histogram of the image, for the baseline.
        texture: Gray, contrast-normalized texture of the image, for the baseline.
    """

    fields: Float32[np.ndarray, "field d"]
    copies: Float32[np.ndarray, "copy d"]
    color: Float32[np.ndarray, " bin"]
    texture: Float32[np.ndarray, " bin"]


def load_encoder(name_or_path: str | Path, *, threads: int | None = None) -> Encoder:
    """Open an encoder: `imagenet`, an ONNX file with its settings inside, or a bundle that names organs.

    Raises:
        UsageError: It is neither.
        BundleError: The bundle or the graph is unsafe or cannot be run.
    """
    if str(name_or_path) == SHIPPED_ENCODER:
        name_or_path = Path(str(resources.files("organscope") / "encoders" / f"{SHIPPED_ENCODER}.onnx"))
    if str(name_or_path).endswith(".onnx"):
        return _encoder_of_file(Path(name_or_path), threads)
    return _encoder_of_bundle(str(name_or_path), threads)


def encode_images(
    encoder: Encoder,
    samples: Sequence[Sample],
    hashes: Sequence[str],
    cache: Path,
    progress: Callable[[int, int], None],
) -> list[ImageFeatures]:
    """Features of every image; those that lie in `cache` are read, the others are computed and put there.

    Args:
        encoder: Frozen.
        samples: Images; read two at a time while the network works.
        hashes: SHA-256 of each image file, as the index holds them.
        cache: Folder; made where it does not exist.
        progress: Told how many of how many are done.

    Raises:
        ImageReadError: An image cannot be read.
        OutputError: The cache cannot be written.
    """
    folder = make_folder(cache / encoder.sha256[:16])
    found: list[ImageFeatures] = []
    with ThreadPoolExecutor(_READERS) as readers:
        for file, read in _ahead(readers, encoder.settings, samples, [folder / f"{name}.npz" for name in hashes]):
            progress(len(found), len(samples))
            image = read.result()
            found.append(image if isinstance(image, ImageFeatures) else _computed(encoder, image, file))
    progress(len(samples), len(samples))
    return found


@dataclass(frozen=True)
class _ReadImage:
    """An image that the network has not seen yet."""

    fields: UInt8[np.ndarray, "n y x 3"]
    color: Float32[np.ndarray, " bin"]
    texture: Float32[np.ndarray, " bin"]


def _ahead(
    readers: ThreadPoolExecutor, settings: EncoderSettings, samples: Sequence[Sample], files: Sequence[Path]
) -> Iterator[tuple[Path, Future]]:
    """What is read, in order; only a few images are read ahead, so that memory stays flat."""
    left = iter(zip(samples, files, strict=True))

    def submit(n: int) -> list[tuple[Path, Future]]:
        return [(file, readers.submit(_read, sample, settings, file)) for sample, file in islice(left, n)]

    waiting = submit(_AHEAD)
    while waiting:
        yield waiting.pop(0)
        waiting += submit(1)


def _read(sample: Sample, settings: EncoderSettings, file: Path) -> ImageFeatures | _ReadImage:
    if (kept := _kept(file)) is not None:
        return kept
    with sample.open() as image:
        preparation = ImageNormalizer(image, settings.preprocessing)
        sides = sides_px(settings.field_px, image.um_per_px)
        fields = image_fields(image, preparation, sides, settings.input_px, most=_MAX_FIELDS)
        return _ReadImage(np.stack(list(fields)), *image_statistics(image))


def _kept(file: Path) -> ImageFeatures | None:
    try:
        content = io.BytesIO(file.read_bytes())
        with np.load(content, allow_pickle=False) as kept:
            return ImageFeatures(kept["fields"], kept["copies"], kept["color"], kept["texture"])
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return None  # not there, or cut off by a full disk: computed (again)


def _computed(encoder: Encoder, read: _ReadImage, file: Path) -> ImageFeatures:
    features = encoder.run(np.concatenate([read.fields, _copies(read.fields)]))
    n_fields = len(read.fields)
    image = ImageFeatures(features[:n_fields], features[n_fields:], read.color, read.texture)
    content = io.BytesIO()
    np.savez(content, **vars(image))
    with atomic_path(file) as path:
        path.write_bytes(content.getvalue())
    return image


def _copies(fields: UInt8[np.ndarray, "n y x 3"]) -> UInt8[np.ndarray, "m y x 3"]:
    """One field restained and one in gray; always the same for the same image."""
    if (fields == fields[..., :1]).all():
        return fields[:0]
    generator = np.random.default_rng(0)
    return np.stack([restained(fields[0], generator), gray_copy(fields[len(fields) // 2])])


def _encoder_of_file(path: Path, threads: int | None) -> Encoder:
    if not path.is_file():
        raise UsageError(f"Expected an encoder at {path}, found no file. Name '{SHIPPED_ENCODER}' or a bundle.")
    model = parse_safe_graph(path.read_bytes(), str(path))
    entries = {entry.key: entry.value for entry in model.metadata_props}
    try:
        settings = EncoderSettings.model_validate(json.loads(entries[_METADATA_KEY]))
    except (KeyError, ValueError, ValidationError):
        raise UsageError(
            f"Expected an encoder with the metadata entry '{_METADATA_KEY}' in {path}, found none that can be read. "
            f"Name '{SHIPPED_ENCODER}', a bundle, or a file that `bench/imagenet_encoder.py` wrote."
        ) from None
    return Encoder(settings, model, threads=threads)


def _encoder_of_bundle(name: str, threads: int | None) -> Encoder:
    bundle = load_bundle(name)
    manifest = bundle.manifest
    if manifest.spec.task != "classification" or manifest.classification.subject != "image":
        raise UsageError(
            f"Expected a bundle that names organs of whole images as encoder, found '{manifest.name}'. "
            f"Name '{SHIPPED_ENCODER}' or another bundle."
        )
    settings = EncoderSettings(
        name=manifest.title,
        source=f"Bundle {manifest.title}: {manifest.licence}.",
        field_px=manifest.classification.field_px,
        input_px=manifest.classification.input_px,
        preprocessing=manifest.preprocessing,
    )
    model = onnx.load_model_from_string(bundle.read(manifest.graph.file))
    return Encoder(settings, _with_plain_names(model, manifest.graph.input), threads=threads)


def _with_plain_names(model: onnx.ModelProto, input_name: str) -> onnx.ModelProto:
    """The part of a graph that leads to `features`, its input named `input`."""
    extractor = onnx.utils.Extractor(model)
    part = extractor.extract_model([input_name], [FEATURES])
    for node in part.graph.node:
        for place, name in enumerate(node.input):
            if name == input_name:
                node.input[place] = INPUT
    part.graph.input[0].name = INPUT
    return part


def encoder_metadata(settings: EncoderSettings) -> dict[str, Any]:
    """The metadata entry of an encoder's ONNX file."""
    return {_METADATA_KEY: settings.model_dump_json()}

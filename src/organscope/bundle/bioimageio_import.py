"""`organscope bundle import`: a model package of bioimage.io as a bundle, where a bundle can say what it says."""

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import safetensors.numpy
from jaxtyping import Float32

from organscope.bundle.bioimageio_export import require_library
from organscope.bundle.bioimageio_reading import (
    InputSide,
    choose_maps,
    read_activation,
    read_axes,
    read_input,
    read_logits,
    refuse,
)
from organscope.bundle.contents import MAX_READ_BYTES, check_files
from organscope.bundle.graph_adapter import INPUT, GraphAdapter
from organscope.bundle.load import Bundle, load_bundle
from organscope.bundle.manifest import (
    MANIFEST_NAME,
    ClassificationSpec,
    Graph,
    Manifest,
    SegmentationSpec,
    TestVectors,
    Weights,
    parse_manifest,
)
from organscope.bundle.safety import parse_safe_graph
from organscope.bundle.session import Session
from organscope.bundle.write import write_bundle
from organscope.decide.policy import Policy
from organscope.decide.unknown import unit_norm
from organscope.errors import IntegrityError, VerificationError
from organscope.ops.instances import HEAD_MAPS, Decoder
from organscope.ops.preprocess import intensity_range, scale_intensity, standardise, to_rgb

GRAPH_FILE = "graph.onnx"
DEFAULT_HALO_PX = 64
"""Where a package does not say how far the network looks."""

MAX_DIFFERENCE = 0.05
"""Mean difference from the package's own test output, in probability or logits: more means another preprocessing."""

Spec = SegmentationSpec | ClassificationSpec


@dataclass(frozen=True)
class _Converted:
    """A foreign network in the form of a bundle; `test_output` is its own foreground (n y x), or its classes (n k)."""

    graph: bytes
    opset: int
    outputs: list[str]
    spec: Spec
    classes: list[str]
    test_input: Float32[np.ndarray, "n y x 3"]
    test_output: np.ndarray


def import_package(file: Path, folder: Path, *, maps: Sequence[str] = ()) -> Bundle:
    """Make a bundle from a package.

    A package that organscope exported gives the same bundle again. Of any other the ONNX weights are taken; it is not
    scored and not calibrated, and says so.

    Args:
        file: The zip file, or its rdf.yaml.
        folder: Of the bundle.
        maps: What the channels of a segmentation network are, see `choose_maps`.

    Raises:
        MissingExtraError: The packages of the extra [bioimageio] are not installed.
        IntegrityError: It is no model package, or a file of it is missing or changed.
        BundleError: A bundle cannot say what it says; the message tells what.
        OutputError: The folder cannot be written.
    """
    model = _read(Path(file))
    attached = {Path(str(part.source)).name: part for part in model.attachments}
    if MANIFEST_NAME in attached:
        return _restore(model, attached, Path(folder))
    converted, side = _convert(model, maps)
    manifest, files = _bundle_of(model, converted, side)
    return load_bundle(write_bundle(folder, manifest, files, max_bytes=MAX_READ_BYTES))


def _read(file: Path) -> Any:
    library = require_library()
    try:
        model = library.load_model_description(file, format_version="latest", perform_io_checks=False)
    except (ValueError, OSError) as error:
        raise IntegrityError(
            f"Expected a model package of bioimage.io at {file}, found: {' '.join(str(error).split())[:300]}."
        ) from error
    if model.weights.onnx is None:
        kinds = [name for name, entry in model.weights if entry is not None]
        raise refuse(f"no ONNX weights in {file}, only {', '.join(kinds)}", "Convert them with: bioimageio add-weights")
    return model


def _content(part: Any) -> bytes:
    """The bytes of a file of the package; nothing is fetched from the internet."""
    if str(part.source).startswith(("http:", "https:")):
        raise refuse(f"a file that is named by its address, {part.source}", "Download the package as one zip file.")
    try:
        return part.get_reader().read()
    except (ValueError, OSError, KeyError) as error:
        raise IntegrityError(f"Expected the file {part.source} of the package, found: {error}.") from error


def _restore(model: Any, attached: dict[str, Any], folder: Path) -> Bundle:
    """The bundle that was exported."""
    manifest = parse_manifest(_content(attached[MANIFEST_NAME]), "the package")
    files = {name: _content(attached[name]) for name in manifest.files if name in attached}
    # Attached where the package has another form of it.
    files[manifest.graph.file] = _content(attached.get(manifest.graph.file, model.weights.onnx))
    check_files(manifest, files, "the package")
    return load_bundle(write_bundle(folder, manifest, files, max_bytes=MAX_READ_BYTES))


def _convert(model: Any, maps: Sequence[str]) -> tuple[_Converted, InputSide]:
    if len(model.inputs) != 1:
        raise refuse(f"{len(model.inputs)} inputs")
    side, output = read_input(model.inputs[0]), model.outputs[0]
    graph = _content(model.weights.onnx)
    # Before anything is done with what a stranger wrote.
    parse_safe_graph(graph, "the package")
    adapter = GraphAdapter(graph, 0)
    adapter.take_rgb(side.layout, side.n_channels)
    test_output = _array(output.test_tensor)
    picture = _test_picture(model.inputs[0], side)
    if any(axis.type == "space" for axis in output.axes):
        spec, classes, expected = _segmentation(adapter, output, side, test_output, maps)
        names = ["maps"]
    else:
        spec, classes, expected = _classification(adapter, output, side, test_output)
        names = ["logits", "features"]
    return _Converted(adapter.finished(), adapter.opset, names, spec, classes, picture, expected), side


def _segmentation(
    adapter: GraphAdapter, output: Any, side: InputSide, test_output: np.ndarray, maps: Sequence[str]
) -> tuple[Spec, list[str], np.ndarray]:
    layout, channels = read_axes(output, ("batch", "channel", "y", "x"))
    if side.fixed_px is not None:
        raise refuse(f"a network for squares of {side.fixed_px} px only", "One for any size is needed.")
    for axis in (axis for axis in output.axes if axis.type == "space"):
        reference = axis.size
        if isinstance(reference, int) or str(reference.axis_id) != str(axis.id) or reference.offset or axis.scale != 1:
            raise refuse(f"an output '{output.id}' of another size than its input")
    head, chosen = choose_maps(channels, maps)
    adapter.give_maps(layout, chosen, read_activation(output, test_output, layout.axes.index("channel")))
    halo = max((int(getattr(axis, "halo", 0)) for axis in output.axes), default=0) or DEFAULT_HALO_PX
    spec = SegmentationSpec(
        stride_px=side.step_px,
        halo_px=-(-halo // side.step_px) * side.step_px,
        maps=list(HEAD_MAPS[head]),
        decoder=Decoder(head=head),
    )
    expected = test_output.transpose(layout.to(("batch", "y", "x", "channel")))
    return spec, ["cell"], expected[..., chosen[0]]


def _classification(
    adapter: GraphAdapter, output: Any, side: InputSide, test_output: np.ndarray
) -> tuple[Spec, list[str], np.ndarray]:
    layout, classes = read_axes(output, ("batch", "channel"))
    adapter.give_logits(layout, len(classes), read_logits(output, test_output))
    side_px = side.fixed_px or 256
    spec = ClassificationSpec(field_px=side_px, input_px=side_px, policy=Policy(n_neighbours=1))
    return spec, list(classes), test_output.transpose(layout.to(("batch", "channel")))


def _test_picture(tensor: Any, side: InputSide) -> Float32[np.ndarray, "n y x 3"]:
    """The package's test input, prepared as a bundle does."""
    raw = _array(tensor.test_tensor).transpose(side.layout.to(("batch", "y", "x", "channel")))
    value_range = (0.0, 255.0) if raw.dtype == np.uint8 else (0.0, 1.0)
    prepared = []
    for picture in raw:
        rgb, spec = to_rgb(picture), side.preprocessing
        prepared.append(standardise(scale_intensity(rgb, *intensity_range(rgb, spec, value_range)), spec))
    return np.ascontiguousarray(np.stack(prepared), np.float32)


def _array(part: Any) -> np.ndarray:
    if part is None:
        raise refuse("no test tensors")
    try:
        return np.load(io.BytesIO(_content(part)), allow_pickle=False)
    except ValueError as error:
        raise IntegrityError(f"Expected test tensors as .npy arrays, found: {error}.") from error


def _bundle_of(model: Any, found: _Converted, side: InputSide) -> tuple[Manifest, dict[str, bytes]]:
    declared = Graph(file=GRAPH_FILE, input=INPUT, outputs=found.outputs, opset=found.opset)
    session = Session(found.graph, INPUT, found.outputs, threads=None, where="the package")
    outputs = session.run(found.test_input)
    _require_alike(found, outputs)
    files = {
        GRAPH_FILE: found.graph,
        "test.safetensors": safetensors.numpy.save({"input": found.test_input, **outputs}),
        "calibration.parquet": _no_calibration(found.spec, found.classes),
        "README.md": _card(model).encode(),
    }
    if isinstance(found.spec, ClassificationSpec):
        files[found.spec.policy.reference] = safetensors.numpy.save({"features": unit_norm(outputs["features"][:1])})
    manifest = Manifest(
        name=re.sub(r"[^a-z0-9]+", "-", str(model.name).lower()).strip("-")[:60] or "imported",
        version=_version(model),
        summary=" ".join(str(model.description or model.name).split()),
        created=datetime.now(UTC).replace(microsecond=0),
        graph=declared,
        weights=Weights(file=GRAPH_FILE, framework="onnx", architecture={}),
        preprocessing=side.preprocessing,
        classes=found.classes,
        spec=found.spec,
        data_fingerprint="unknown",
        calibration="calibration.parquet",
        test=TestVectors(file="test.safetensors", absolute_tolerance=1e-3),
        licence=str(model.license or "not stated"),
    )
    return manifest, files


def _require_alike(found: _Converted, outputs: dict[str, np.ndarray]) -> None:
    """What the bundle gives for the package's test input is what the package says."""
    if isinstance(found.spec, ClassificationSpec):
        given, wanted = (np.argsort(-array, axis=1)[:, :1] for array in (outputs["logits"], found.test_output))
        difference = float((given != wanted).mean())
    else:
        foreground = outputs["maps"][..., 0]
        if found.test_output.shape != foreground.shape:
            raise refuse(f"a test output of {found.test_output.shape} for an input of {foreground.shape}")
        difference = float(np.abs(foreground - found.test_output).mean())
    if not difference <= MAX_DIFFERENCE:
        raise VerificationError(
            f"Expected the package's own test output, found a mean difference of {difference:.3g}: it prepares "
            "pictures in a way that organscope does not."
        )


def _no_calibration(spec: Spec, classes: list[str]) -> bytes:
    columns = ["label", *(f"p_{name}" for name in classes)]
    names = columns if isinstance(spec, ClassificationSpec) else ["probability", "matched"]
    content = io.BytesIO()
    pd.DataFrame({name: pd.Series(dtype=float) for name in names}).to_parquet(content, index=False)
    return content.getvalue()


def _version(model: Any) -> str:
    text = "" if model.version is None else str(model.version)
    return text if re.fullmatch(r"\d+(\.\d+){0,2}", text) else "1"


def _card(model: Any) -> str:
    authors = ", ".join(author.name for author in model.authors) or "not named"
    cited = "\n".join(f"- {entry.text}{f', doi {entry.doi}' if entry.doi else ''}" for entry in model.cite)
    parts = [
        f"# {model.name}",
        str(model.description),
        "Imported from a model package of bioimage.io. Nothing of it was measured by organscope: it is not scored, not "
        "calibrated and not tuned.",
        f"## Authors\n\n{authors}",
        f"## To cite\n\n{cited}",
        f"## Licence\n\n{model.license or 'not stated'}\n",
    ]
    return "\n\n".join(parts)

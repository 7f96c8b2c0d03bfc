"""`organscope bundle import`: a model package of bioimage.io as a bundle, where a bundle can say what it says.

A graph of another program with input and outputs as bundles have them: n y x 3 in, n y x maps or n classes out.

What a package of bioimage.io says about its tensors, as far as a bundle can say the same; the rest is refused.
"""

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import pandas as pd
import safetensors.numpy
from jaxtyping import Float32
from onnx import TensorProto, helper, numpy_helper

from organscope.decision.ood import unit_norm
from organscope.decision.policy import Policy
from organscope.errors import BundleError, IntegrityError, VerificationError
from organscope.models.bioimageio.export import require_library
from organscope.models.bundle import MAX_READ_BYTES, Bundle, check_files, load_bundle
from organscope.models.manifest import (
    MANIFEST_NAME,
    ClassificationSpec,
    Graph,
    Manifest,
    SegmentationSpec,
    TestVectors,
    Weights,
    parse_manifest,
)
from organscope.models.runtime import Session, parse_safe_graph
from organscope.models.writing import write_bundle
from organscope.ops.instances import HEAD_MAPS, Decoder, Head
from organscope.ops.intensity import Preprocessing, intensity_range, scale_intensity, standardize, to_rgb

_INPUT = "image"
_PREFIX = "theirs/"
_LEAST = 1e-7
"""Below it a probability has no logarithm in float32."""

_Activation = Literal["none", "sigmoid", "softmax", "log"]


@dataclass(frozen=True)
class _Layout:
    """Where the axes of a tensor lie.

    Attributes:
        axes: Names in the order of the tensor: batch, channel, y, x; of class logits batch and channel.
    """

    axes: tuple[str, ...]

    def to(self, wanted: Sequence[str]) -> list[int]:
        """The permutation that brings the axes into another order."""
        return [self.axes.index(axis) for axis in wanted]


class _GraphAdapter:
    """Puts nodes before and after a graph.

    Args:
        graph: ONNX, one input.
        output: Number of the output that counts.

    Raises:
        BundleError: It has several inputs, or takes no float32.
    """

    def __init__(self, graph: bytes, output: int) -> None:
        model = onnx.compose.add_prefix(onnx.load_model_from_string(graph), _PREFIX)
        constants = {entry.name for entry in model.graph.initializer}
        inputs = [entry for entry in model.graph.input if entry.name not in constants]
        if len(inputs) != 1 or inputs[0].type.tensor_type.elem_type != TensorProto.FLOAT:
            raise BundleError(
                f"Expected a graph with one input of float32, found {len(inputs)} inputs or another type of number."
            )
        self._model = model
        self._nodes: list[onnx.NodeProto] = []
        self._before: list[onnx.NodeProto] = []
        self._theirs = inputs[0].name
        self._last = model.graph.output[output].name
        del model.graph.input[:], model.graph.output[:], model.graph.value_info[:]

    @property
    def opset(self) -> int:
        """Version of the standard operators."""
        return next(entry.version for entry in self._model.opset_import if entry.domain in ("", "ai.onnx"))

    def take_rgb(self, layout: _Layout, n_channels: int) -> None:
        """Take n y x 3, as their graph wants it: one channel is the mean of the colors."""
        source = _INPUT
        if n_channels == 1:
            self._before.append(self._mean_of_colours(source, "ours/gray"))
            source = "ours/gray"
        order = _Layout(("batch", "y", "x", "channel")).to(layout.axes)
        self._before.append(helper.make_node("Transpose", [source], [self._theirs], perm=order))
        self._model.graph.input.append(
            helper.make_tensor_value_info(_INPUT, TensorProto.FLOAT, ["n", "height", "width", 3])
        )

    def give_maps(self, layout: _Layout, channels: Sequence[int], activation: _Activation) -> None:
        """Give some channels as probabilities, n y x k, in output `maps`."""
        self._activate(activation, layout.axes.index("channel"))
        self._add("Transpose", perm=layout.to(("batch", "y", "x", "channel")))
        self._constant("ours/channels", np.array(channels, np.int64))
        self._add("Gather", "ours/channels", axis=3)
        self._end("maps", ["n", "height", "width", len(channels)])

    def give_logits(self, layout: _Layout, n_classes: int, activation: _Activation) -> None:
        """Give logits, n classes, in output `logits`, and the same as `features`, for want of an embedding."""
        self._activate(activation, layout.axes.index("channel"))
        self._add("Transpose", perm=layout.to(("batch", "channel")))
        logits = self._last
        for name in ("logits", "features"):
            self._last = logits
            self._end(name, ["n", n_classes])

    def finished(self) -> bytes:
        """The whole graph."""
        theirs = list(self._model.graph.node)
        del self._model.graph.node[:]
        self._model.graph.node.extend([*self._before, *theirs, *self._nodes])
        onnx.checker.check_model(self._model)
        return self._model.SerializeToString()

    def _mean_of_colours(self, source: str, name: str) -> onnx.NodeProto:
        if self.opset < 18:
            return helper.make_node("ReduceMean", [source], [name], axes=[3], keepdims=1)
        self._constant("ours/colours", np.array([3], np.int64))
        return helper.make_node("ReduceMean", [source, "ours/colours"], [name], keepdims=1)

    def _activate(self, activation: _Activation, axis: int) -> None:
        if activation == "sigmoid":
            self._add("Sigmoid")
        elif activation == "softmax":
            self._add("Softmax", axis=axis)
        elif activation == "log":
            self._constant("ours/least", np.array(_LEAST, np.float32))
            self._add("Max", "ours/least")
            self._add("Log")

    def _add(self, operator: str, *more: str, **attributes: object) -> None:
        name = f"ours/{operator.lower()}"
        self._nodes.append(helper.make_node(operator, [self._last, *more], [name], **attributes))
        self._last = name

    def _end(self, name: str, shape: list) -> None:
        self._nodes.append(helper.make_node("Identity", [self._last], [name]))
        self._model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))

    def _constant(self, name: str, values: np.ndarray) -> None:
        self._model.graph.initializer.append(numpy_helper.from_array(values, name))


_WORDS_FOR = {
    "foreground": ("foreground", "nuclei", "nucleus", "cell", "cells", "interior", "mask", "probability", "fg"),
    "boundary": ("boundary", "boundaries", "border", "borders", "membrane", "edge", "edges", "contour", "contours"),
    "distance": ("distance", "distances", "dist"),
}
_OTHER = "-"
"""In `--maps`: a channel that is not used."""


def _refuse(found: str, hint: str = "") -> BundleError:
    """The error for what a bundle cannot express."""
    what = "a network for 2D images whose handling organscope can repeat"
    return BundleError(f"Expected {what}, found {found}.{f' {hint}' if hint else ''}")


@dataclass(frozen=True)
class _InputSide:
    """How images go in.

    Attributes:
        layout: Order of the axes.
        n_channels: 1 or 3.
        preprocessing: In the words of a bundle.
        fixed_px: Side of the only square that it takes; none where it takes any size.
        step_px: Sizes are multiples of this.
    """

    layout: _Layout
    n_channels: int
    preprocessing: Preprocessing
    fixed_px: int | None
    step_px: int


def read_input(tensor: Any) -> _InputSide:
    """Understand an `InputTensorDescr`.

    Raises:
        BundleError: A bundle cannot say the same.
    """
    layout, channels = _read_axes(tensor, ("batch", "channel", "y", "x"))
    if len(channels) not in (1, 3):
        raise _refuse(f"{len(channels)} channels", "Networks for 1 or 3 channels can be imported.")
    sizes = [axis.size for axis in tensor.axes if axis.type == "space"]
    fixed = [size for size in sizes if isinstance(size, int)]
    if fixed and (len(fixed) != 2 or fixed[0] != fixed[1]):
        raise _refuse(f"input sizes {sizes}", "It must take squares of one size, or any size.")
    step = 1 if fixed else int(np.lcm.reduce([size.step for size in sizes]))
    return _InputSide(layout, len(channels), _read_preprocessing(tensor, channels), fixed[0] if fixed else None, step)


def _read_axes(tensor: Any, wanted: Sequence[str]) -> tuple[_Layout, list[str]]:
    """Order of the axes, and the names of the channels.

    Raises:
        BundleError: The axes are not those that are wanted.
    """
    names = tuple(str(axis.id) if axis.type == "space" else str(axis.type) for axis in tensor.axes)
    if sorted(names) != sorted(wanted):
        raise _refuse(f"the axes {', '.join(names)} of '{tensor.id}'", f"Needed are {', '.join(wanted)}.")
    return _Layout(names), [str(name) for axis in tensor.axes if axis.type == "channel" for name in axis.channel_names]


def _read_preprocessing(tensor: Any, channels: Sequence[str]) -> Preprocessing:
    """Bring the steps before a network into the form (scaled - mean) / std.

    Raises:
        BundleError: A step depends on the image in a way that a bundle does not know.
    """
    gain, offset, limits = _start(tensor)
    for step in tensor.preprocessing:
        kwargs = step.kwargs
        if step.id == "scale_range":
            limits = _percentiles(kwargs, len(channels))
            gain, offset = np.ones(3), np.zeros(3)
        elif step.id == "scale_linear":
            more, plus = np.asarray(kwargs.gain, np.float64), np.asarray(kwargs.offset, np.float64)
            gain, offset = gain * more, offset * more + plus
        elif step.id == "fixed_zero_mean_unit_variance":
            mean, std = np.asarray(kwargs.mean, np.float64), np.asarray(kwargs.std, np.float64)
            gain, offset = gain / std, (offset - mean) / std
        elif step.id == "clip":
            _require_harmless(kwargs, gain, offset)
        elif step.id != "ensure_dtype":
            raise _refuse(f"the preprocessing '{step.id}'", "It depends on each tile, or is not known.")
    if limits is None and not np.isfinite(gain).all():
        raise _refuse("no word about how intensities go in", "Needed is scale_range, or a scaling of 8-bit pixels.")
    scaling: dict[str, Any] = {"intensity": "full_range"}
    if limits is not None:
        scaling = {"intensity": "percentile", "low_percentile": limits[0], "high_percentile": limits[1]}
    mean, std = np.broadcast_to(-offset / gain, 3), np.broadcast_to(1 / gain, 3)
    return Preprocessing(**scaling, mean=tuple(mean.tolist()), std=tuple(std.tolist()))


def _start(tensor: Any) -> tuple[np.ndarray, np.ndarray, tuple[float, float] | None]:
    """Gain and offset of what is in the file, against the full range from 0 to 1; infinite where that is not known."""
    data = tensor.data
    kind, low_high = getattr(data, "type", ""), tuple(getattr(data, "range", (None, None)))
    gain = 255.0 if kind == "uint8" else 1.0 if kind == "float32" and low_high == (0.0, 1.0) else np.inf
    return np.full(3, gain), np.zeros(3), None


def _percentiles(kwargs: Any, n_channels: int) -> tuple[float, float]:
    axes = {"batch", "channel", "x", "y"} if kwargs.axes is None else {str(axis) for axis in kwargs.axes}
    if not {"x", "y"} <= axes or (n_channels == 3 and "channel" not in axes) or kwargs.reference_tensor is not None:
        raise _refuse("intensities scaled by color, by row or by another image", "A bundle scales all colors alike.")
    low, high = float(kwargs.min_percentile), float(kwargs.max_percentile)
    if low > 50 or high < 50:
        raise _refuse(f"the percentiles {low:g} to {high:g}")
    return low, high


def _require_harmless(kwargs: Any, gain: np.ndarray, offset: np.ndarray) -> None:
    """A bundle clips scaled intensities to 0 and 1, so a clip at these, or wider, changes nothing more."""
    low = -np.inf if kwargs.min is None else kwargs.min
    high = np.inf if kwargs.max is None else kwargs.max
    if (offset < low - 1e-6).any() or (gain + offset > high + 1e-6).any():
        raise _refuse(f"intensities clipped to {low:g} and {high:g}")


def _read_activation(tensor: Any, test_output: np.ndarray, channel_axis: int) -> _Activation:
    """What brings the raw output of a network of maps to probabilities.

    Raises:
        BundleError: Nothing does.
    """
    steps = [step.id for step in tensor.postprocessing if step.id not in ("ensure_dtype", "clip")]
    if steps in (["sigmoid"], ["softmax"]):
        return steps[0]
    if steps:
        raise _refuse(f"the postprocessing {', '.join(steps)} of '{tensor.id}'")
    if test_output.min() < -1e-3 or test_output.max() > 1 + 1e-3:
        raise _refuse(
            f"values from {test_output.min():.3g} to {test_output.max():.3g} in '{tensor.id}'",
            "Probabilities are needed, or a sigmoid or softmax in its postprocessing.",
        )
    return "none"


def _read_logits(tensor: Any, test_output: np.ndarray) -> _Activation:
    """What brings the raw output of a classifier to logits: the logarithm of probabilities, or nothing.

    Raises:
        BundleError: The postprocessing is not known.
    """
    steps = [step.id for step in tensor.postprocessing if step.id not in ("ensure_dtype", "clip")]
    if steps == ["softmax"]:
        return "none"
    if steps:
        raise _refuse(f"the postprocessing {', '.join(steps)} of '{tensor.id}'")
    sums = test_output.sum(axis=-1)
    return "log" if test_output.min() >= 0 and np.allclose(sums, 1, atol=1e-3) else "none"


def choose_maps(channels: Sequence[str], said: Sequence[str]) -> tuple[Head, list[int]]:
    """Which channels are the foreground and its companion.

    Args:
        channels: Names in the package.
        said: In their place, what a person says: `foreground`, `boundary`, `distance` or `-` for each.

    Returns:
        The head of the decoder, and the channels of its maps; without a companion the foreground is its own distance.

    Raises:
        BundleError: They cannot be told.
    """
    hint = "Say what the channels are, such as --maps foreground,boundary, with - for one that is not used."
    if said and len(said) != len(channels):
        raise _refuse(f"{len(channels)} channels and {len(said)} names in --maps", hint)
    names = list(said) if said else [_meaning(name) for name in channels]
    if len(channels) == 1 and not said:
        names = ["foreground"]
    if names.count("foreground") != 1 or names.count("boundary") + names.count("distance") > 1:
        raise _refuse(f"the channels {', '.join(channels)}", hint)
    foreground = names.index("foreground")
    if "boundary" in names:
        return "boundary", [foreground, names.index("boundary")]
    return "distance", [foreground, names.index("distance") if "distance" in names else foreground]


def _meaning(channel: str) -> str:
    words = {word.strip("0123456789") for word in channel.lower().replace("_", " ").replace("-", " ").split()}
    return next((name for name, known in _WORDS_FOR.items() if words & set(known)), _OTHER)


_GRAPH_FILE = "graph.onnx"
_DEFAULT_HALO_PX = 64
"""Where a package does not say how far the network looks."""

_MAX_DIFFERENCE = 0.05
"""Mean difference from the package's own test output, in probability or logits: more means another preprocessing."""

_Spec = SegmentationSpec | ClassificationSpec


@dataclass(frozen=True)
class _Converted:
    """A foreign network in the form of a bundle; `test_output` is its own foreground (n y x), or its classes (n k)."""

    graph: bytes
    opset: int
    outputs: list[str]
    spec: _Spec
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
        raise _refuse(
            f"no ONNX weights in {file}, only {', '.join(kinds)}", "Convert them with: bioimageio add-weights"
        )
    return model


def _content(part: Any) -> bytes:
    """The bytes of a file of the package; nothing is fetched from the internet."""
    if str(part.source).startswith(("http:", "https:")):
        raise _refuse(f"a file that is named by its address, {part.source}", "Download the package as one zip file.")
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


def _convert(model: Any, maps: Sequence[str]) -> tuple[_Converted, _InputSide]:
    if len(model.inputs) != 1:
        raise _refuse(f"{len(model.inputs)} inputs")
    side, output = read_input(model.inputs[0]), model.outputs[0]
    graph = _content(model.weights.onnx)
    # Before anything is done with what a stranger wrote.
    parse_safe_graph(graph, "the package")
    adapter = _GraphAdapter(graph, 0)
    adapter.take_rgb(side.layout, side.n_channels)
    test_output = _array(output.test_tensor)
    image = _test_image(model.inputs[0], side)
    if any(axis.type == "space" for axis in output.axes):
        spec, classes, expected = _segmentation(adapter, output, side, test_output, maps)
        names = ["maps"]
    else:
        spec, classes, expected = _classification(adapter, output, side, test_output)
        names = ["logits", "features"]
    return _Converted(adapter.finished(), adapter.opset, names, spec, classes, image, expected), side


def _segmentation(
    adapter: _GraphAdapter, output: Any, side: _InputSide, test_output: np.ndarray, maps: Sequence[str]
) -> tuple[_Spec, list[str], np.ndarray]:
    layout, channels = _read_axes(output, ("batch", "channel", "y", "x"))
    if side.fixed_px is not None:
        raise _refuse(f"a network for squares of {side.fixed_px} px only", "One for any size is needed.")
    for axis in (axis for axis in output.axes if axis.type == "space"):
        reference = axis.size
        if isinstance(reference, int) or str(reference.axis_id) != str(axis.id) or reference.offset or axis.scale != 1:
            raise _refuse(f"an output '{output.id}' of another size than its input")
    head, chosen = choose_maps(channels, maps)
    adapter.give_maps(layout, chosen, _read_activation(output, test_output, layout.axes.index("channel")))
    halo = max((int(getattr(axis, "halo", 0)) for axis in output.axes), default=0) or _DEFAULT_HALO_PX
    spec = SegmentationSpec(
        stride_px=side.step_px,
        halo_px=-(-halo // side.step_px) * side.step_px,
        maps=list(HEAD_MAPS[head]),
        decoder=Decoder(head=head),
    )
    expected = test_output.transpose(layout.to(("batch", "y", "x", "channel")))
    return spec, ["cell"], expected[..., chosen[0]]


def _classification(
    adapter: _GraphAdapter, output: Any, side: _InputSide, test_output: np.ndarray
) -> tuple[_Spec, list[str], np.ndarray]:
    layout, classes = _read_axes(output, ("batch", "channel"))
    adapter.give_logits(layout, len(classes), _read_logits(output, test_output))
    side_px = side.fixed_px or 256
    spec = ClassificationSpec(field_px=side_px, input_px=side_px, policy=Policy(n_neighbours=1))
    return spec, list(classes), test_output.transpose(layout.to(("batch", "channel")))


def _test_image(tensor: Any, side: _InputSide) -> Float32[np.ndarray, "n y x 3"]:
    """The package's test input, prepared as a bundle does."""
    raw = _array(tensor.test_tensor).transpose(side.layout.to(("batch", "y", "x", "channel")))
    value_range = (0.0, 255.0) if raw.dtype == np.uint8 else (0.0, 1.0)
    prepared = []
    for image in raw:
        rgb, spec = to_rgb(image), side.preprocessing
        prepared.append(standardize(scale_intensity(rgb, *intensity_range(rgb, spec, value_range)), spec))
    return np.ascontiguousarray(np.stack(prepared), np.float32)


def _array(part: Any) -> np.ndarray:
    if part is None:
        raise _refuse("no test tensors")
    try:
        return np.load(io.BytesIO(_content(part)), allow_pickle=False)
    except ValueError as error:
        raise IntegrityError(f"Expected test tensors as .npy arrays, found: {error}.") from error


def _bundle_of(model: Any, found: _Converted, side: _InputSide) -> tuple[Manifest, dict[str, bytes]]:
    declared = Graph(file=_GRAPH_FILE, input=_INPUT, outputs=found.outputs, opset=found.opset)
    session = Session(found.graph, _INPUT, found.outputs, threads=None, where="the package")
    outputs = session.run(found.test_input)
    _require_alike(found, outputs)
    files = {
        _GRAPH_FILE: found.graph,
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
        weights=Weights(file=_GRAPH_FILE, framework="onnx", architecture={}),
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
            raise _refuse(f"a test output of {found.test_output.shape} for an input of {foreground.shape}")
        difference = float(np.abs(foreground - found.test_output).mean())
    if not difference <= _MAX_DIFFERENCE:
        raise VerificationError(
            f"Expected the package's own test output, found a mean difference of {difference:.3g}: it prepares "
            "images in a way that organscope does not."
        )


def _no_calibration(spec: _Spec, classes: list[str]) -> bytes:
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
        f"## License\n\n{model.license or 'not stated'}\n",
    ]
    return "\n\n".join(parts)

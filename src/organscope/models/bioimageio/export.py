"""`organscope bundle export --bioimageio`: a bundle as a model package of bioimage.io, format 0.5.

Everything that the format can say is said in it: axes, halo, preprocessing, test tensors. What it cannot say, how maps
become cells and when to abstain, stands in words in the documentation, and as data in the attached files of the bundle,
from which `organscope bundle import` makes the same bundle again.

A graph in eight-bit integers goes out in floating point: what bioimage.io prepares differs from ours in the seventh
digit, which would round some integers the other way. The graph in integers is attached.

A graph in eight-bit integers brought back to floating point, for programs where the seventh digit must not decide.

Taken is what the static quantization of onnxruntime writes in QDQ form: integers stand only between a QuantizeLinear
and a DequantizeLinear, and as constants before a DequantizeLinear. Formulas: these operators in the ONNX standard.
"""

import re
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from organscope.errors import BundleError, MissingExtraError, OutputError, UsageError
from organscope.models.bioimageio.tensors import (
    INPUT,
    describe_input,
    describe_output,
    draw_cover,
    expected,
    prepare,
    test_arrays,
)
from organscope.models.bundle import Bundle
from organscope.models.describe import describe
from organscope.models.manifest import MANIFEST_NAME, ClassificationSpec

_QUANTIZE, _DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"
_INTEGERS = ("int8", "uint8", "int16", "uint16", "int32")

_Constants = dict[str, np.ndarray]


@dataclass(frozen=True)
class _Steps:
    """The numbers that integers stand for: (integer - zero) scale, with a scale for each channel or one for all."""

    scale: np.ndarray
    zero: np.ndarray
    axis: int

    def numbers(self, integers: np.ndarray) -> np.ndarray:
        """In the type of the scale, of the shape of the integers."""
        shape = [1] * integers.ndim
        if self.scale.size > 1:
            shape[self.axis] = -1
        scale, zero = self.scale.reshape(shape), self.zero.reshape(shape)
        # The difference of two bytes is no byte.
        return (integers.astype(np.int64) - zero.astype(np.int64)).astype(scale.dtype) * scale

    def limits(self) -> tuple[np.ndarray, np.ndarray]:
        """The least and the largest number that an integer stands for."""
        kind = np.iinfo(self.zero.dtype)
        return self.numbers(np.array(kind.min)), self.numbers(np.array(kind.max))


def float_form(graph: bytes) -> bytes:
    """The same network in floating point, with the weights that its integers stand for.

    Of the rounding of activations their limits remain, as Clip: the quantizer takes a ReLU away where the integers
    begin at zero anyhow, so that without limits it would be another network.

    Args:
        graph: ONNX, opset 11 or later.

    Raises:
        BundleError: It has integers in another form, or another scale for each channel of an activation.
    """
    model = onnx.load_model_from_string(graph)
    constants = {entry.name: numpy_helper.to_array(entry) for entry in model.graph.initializer}
    quantized = {node.output[0]: node for node in model.graph.node if node.op_type == _QUANTIZE}
    kept: list[onnx.NodeProto] = []
    made: _Constants = {}
    for node in model.graph.node:
        if node.op_type == _DEQUANTIZE and node.input[0] in constants:
            made[node.output[0]] = _steps(node, constants).numbers(constants[node.input[0]])
        elif node.op_type == _DEQUANTIZE:
            limits = _limits(node, quantized.get(node.input[0]), constants)
            names = [f"{node.output[0]}/{end}" for end in ("least", "most")]
            made.update(zip(names, limits, strict=True))
            kept.append(helper.make_node("Clip", [quantized[node.input[0]].input[0], *names], node.output))
        elif node.op_type != _QUANTIZE:
            kept.append(node)
    _replace(model.graph, kept, made, set(quantized))
    return model.SerializeToString()


def _steps(node: onnx.NodeProto, constants: _Constants) -> _Steps:
    """Scale and zero point of a node; constants, of a type that is left out where the standard has a default."""
    scale, zero = (*node.input, "")[1:3]
    attributes = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
    if scale not in constants or (zero and zero not in constants) or attributes.get("block_size"):
        raise _refused(f"{node.op_type} '{node.name}' with a computed scale, or one for blocks")
    default = np.zeros_like(constants[scale], constants.get(node.input[0], np.empty(0, np.uint8)).dtype)
    steps = _Steps(constants[scale], constants.get(zero, default), attributes.get("axis", 1))
    if steps.zero.dtype.name not in _INTEGERS:
        raise _refused(f"{node.op_type} '{node.name}' of {steps.zero.dtype.name}")
    return steps


def _limits(
    node: onnx.NodeProto, before: onnx.NodeProto | None, constants: _Constants
) -> tuple[np.ndarray, np.ndarray]:
    """What an activation is held to between its quantization and the node that takes it back."""
    if before is None:
        raise _refused(f"{node.op_type} '{node.name}' without {_QUANTIZE} before it")
    here, there = _steps(node, constants), _steps(before, constants)
    if here.scale.size != 1 or there.scale.size != 1 or here.limits() != there.limits():
        raise _refused(f"{node.op_type} '{node.name}' with several scales, or another than its {_QUANTIZE}")
    return here.limits()


def _replace(graph: onnx.GraphProto, kept: list[onnx.NodeProto], made: _Constants, integers: set[str]) -> None:
    """Put nodes and constants in, and take out what nothing reads any more."""
    read = {name for node in kept for name in node.input} | {entry.name for entry in graph.output}
    if read & integers:
        raise _refused(f"integers in '{min(read & integers)}' that go on as integers")
    unread = {name for node in graph.node if node.op_type in (_QUANTIZE, _DEQUANTIZE) for name in node.input} - read
    constants = [entry for entry in graph.initializer if entry.name not in unread]
    constants += [numpy_helper.from_array(np.asarray(values), name) for name, values in made.items()]
    # Of the integers too; it is not needed to run a graph.
    del graph.node[:], graph.initializer[:], graph.value_info[:]
    graph.node.extend(kept)
    graph.initializer.extend(constants)


def _refused(found: str) -> BundleError:
    return BundleError(
        f"Expected a graph in floating point, or one whose eight-bit integers are in QDQ form, found {found}. "
        "Train with int8 = never for another."
    )


AUTHORS = ("The organscope developers",)
_MAX_DESCRIPTION = 1000
_FLOAT_GRAPH = "graph-float.onnx"
_DOI = re.compile(r"\b10\.\d{4,9}/[^\s,;)\]]*[^\s,;)\].]")

_ARCHITECTURES = {
    "segmentation": ("Ronneberger et al., U-Net, MICCAI 2015", "10.1007/978-3-319-24574-4_28"),
    "classification": ("He et al., Deep residual learning, CVPR 2016", "10.1109/CVPR.2016.90"),
}


def export_package(bundle: Bundle, file: Path, *, authors: Sequence[str] = AUTHORS, licence: str | None = None) -> Path:
    """Write a package, and test it with the test function of bioimage.io.

    Args:
        bundle: Any whose graph takes n y x 3.
        file: The zip file.
        authors: Names.
        license: SPDX identifier. Default: the first that the bundle's license names.

    Raises:
        MissingExtraError: The packages of the extra [bioimageio] are not installed.
        UsageError: No license is named that SPDX knows.
        BundleError: The package does not pass the test.
        OutputError: The file cannot be written.
    """
    if bundle.manifest.spec.task == "cell kinds":
        raise UsageError(
            f"Expected a bundle that finds cells or names organs, found '{bundle.manifest.name}': its answers are read "
            "at cells that another bundle found, which the format cannot describe. Share the bundle's folder."
        )
    spec = require_library()
    licence = licence or _license(bundle.manifest.licence)
    with tempfile.TemporaryDirectory() as folder:
        fields = _fields(bundle, Path(folder), authors, licence)
        try:
            model = spec.model.v0_5.ModelDescr(**fields)
        except ValueError as error:
            raise BundleError(f"Expected a bundle that bioimage.io can describe, found: {_short(error)}") from error
        # The writer goes by the ending.
        packed = Path(folder) / "package.zip"
        spec.save_bioimageio_package(model, output_path=packed)
        _require_accepted(packed)
        _move(packed, Path(file))
    return Path(file)


def _require_accepted(package: Path) -> None:
    """Run the test function of bioimage.io on the ONNX weights of a package.

    Raises:
        MissingExtraError: The packages of the extra [bioimageio] are not installed.
        BundleError: It does not pass; says why.
    """
    require_library()
    from bioimageio.core import test_model

    summary = test_model(package, weight_format="onnx", determinism="seed_only")
    if summary.status != "passed":
        errors = "; ".join(f"{error.msg}" for detail in summary.details for error in detail.errors)
        raise BundleError(f"Expected {package.name} to pass the test of bioimage.io, found: {errors[:500]}.")


def _move(packed: Path, file: Path) -> None:
    """Whole or not at all, also from another disk."""
    beside = file.with_name(f".{file.name}.tmp")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(packed, beside)
        beside.replace(file)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise OutputError(f"Expected to write {file}, found: {error.strerror}. Check permissions and space.") from error


def require_library() -> Any:
    """`bioimageio.spec`, and its companion `bioimageio.core` is there too.

    Raises:
        MissingExtraError: They are not installed.
    """
    try:
        import bioimageio.core
        import bioimageio.spec
        from loguru import logger
    except ImportError as error:
        raise MissingExtraError(
            f"Expected the packages of the extra [bioimageio], found no '{error.name}'. Install them: "
            "pip install 'organscope[bioimageio]'"
        ) from error
    # It tells of every step on stderr.
    logger.disable("bioimageio")
    return bioimageio.spec


def _fields(bundle: Bundle, folder: Path, authors: Sequence[str], license: str) -> dict[str, Any]:
    """All fields of a `ModelDescr`; their files lie in `folder`."""
    manifest = bundle.manifest
    for name in manifest.files:
        (folder / name).write_bytes(bundle.read(name))
    (folder / MANIFEST_NAME).write_bytes(bundle.read(MANIFEST_NAME))
    computing, weights = _portable(bundle, folder)
    image, outputs = test_arrays(computing)
    (folder / "cover.png").write_bytes(draw_cover(bundle, image[0], outputs))
    text = _documentation(bundle, _rounding(bundle, image[0], outputs))
    (folder / "documentation.md").write_text(text, encoding="utf-8")
    attached = [name for name in (*manifest.files, MANIFEST_NAME) if name != weights]
    return {
        "name": f"organscope {manifest.name}",
        "description": manifest.summary[:_MAX_DESCRIPTION],
        "authors": [{"name": name} for name in authors],
        "cite": _citations(bundle),
        "license": license,
        "version": manifest.version,
        "timestamp": manifest.created,
        "tags": _tags(bundle),
        "covers": [{"source": folder / "cover.png"}],
        "documentation": {"source": folder / "documentation.md"},
        "attachments": [{"source": folder / name} for name in attached],
        "inputs": [describe_input(bundle, _saved(folder, "test_input.npy", image))],
        "outputs": _outputs(bundle, outputs, folder),
        "weights": {"onnx": {"source": folder / weights, "opset_version": manifest.graph.opset}},
        "config": {"bioimageio": {"reproducibility_tolerance": [_tolerance(bundle)]}},
    }


def _portable(bundle: Bundle, folder: Path) -> tuple[Bundle, str]:
    """The bundle computed in floating point, and the file in `folder` of the graph that does so."""
    if not bundle.has_integers:
        return bundle, bundle.manifest.graph.file
    graph = float_form(bundle.read(bundle.manifest.graph.file))
    (folder / _FLOAT_GRAPH).write_bytes(graph)
    return bundle.with_graph(graph), _FLOAT_GRAPH


def _rounding(bundle: Bundle, image: np.ndarray, outputs: dict[str, np.ndarray]) -> str:
    """What the package's graph is to the bundle's; nothing where it is the same.

    Args:
        bundle: As it is used.
        image: The test image, y x 3.
        outputs: Of the package's graph.
    """
    if not bundle.has_integers:
        return ""
    far = []
    for name, ours in bundle.run(prepare(image, bundle.manifest.preprocessing)).items():
        gap = np.abs(ours - outputs[name])
        far.append(f"`{name}` by {gap.mean():.1g} on average and {gap.max():.1g} at most")
    return (
        "The ONNX weights are the floating-point form of a graph in eight-bit integers, with which organscope computes "
        f"(`{bundle.manifest.graph.file}`, attached). Weights are what the integers stand for; activations keep the "
        f"limits of their integers, but are not rounded. On the test image the two graphs differ: {'; '.join(far)}."
    )


def _outputs(bundle: Bundle, outputs: dict[str, np.ndarray], folder: Path) -> list[dict[str, Any]]:
    """In the order of the graph, by which other programs tell them apart."""
    model = onnx.load_model_from_string(bundle.read(bundle.manifest.graph.file))
    described = []
    for name in (output.name for output in model.graph.output):
        if name not in outputs:
            raise BundleError(f"Expected a graph whose outputs the manifest names, found '{name}' in {bundle.source}.")
        file = _saved(folder, f"test_{name}.npy", expected(name, outputs[name], bundle))
        described.append(describe_output(name, outputs[name], bundle, file))
    return described


def _saved(folder: Path, name: str, array: np.ndarray) -> Path:
    np.save(folder / name, array)
    return folder / name


def _tolerance(bundle: Bundle) -> dict[str, Any]:
    """That of the bundle's own test, as far as the format allows: a hundredth of the largest value of each output."""
    tensors = bundle.tensors(bundle.manifest.test.file)
    most = 0.0099 * min(float(np.abs(values).max()) for name, values in tensors.items() if name != "input")
    # That of integers allows for processors that round the other way: there are none in the package.
    own = 1e-3 if bundle.has_integers else max(1e-3, bundle.manifest.test.absolute_tolerance)
    return {"absolute_tolerance": min(own, most), "relative_tolerance": 1e-3}


def _tags(bundle: Bundle) -> list[str]:
    spec = bundle.manifest.spec
    if isinstance(spec, ClassificationSpec):
        return ["2d", "classification", "organ", "histology", "organscope"]
    return ["2d", "segmentation", "instance-segmentation", "cells", "nuclei", "organscope"]


def _citations(bundle: Bundle) -> list[dict[str, str]]:
    """The network's own, and every DOI of the model card with its line."""
    text, doi = _ARCHITECTURES[bundle.manifest.spec.task]
    cited = {doi: text}
    card = bundle.read(bundle.manifest.card).decode("utf-8", "replace")
    # A citation may go on in the next line.
    for paragraph in re.split(r"\n\s*[-*] |\n\n", card):
        for found in _DOI.findall(paragraph):
            cited.setdefault(found, " ".join(paragraph.split()).lstrip("-* "))
    return [{"text": text, "doi": doi} for doi, text in cited.items()]


def _license(text: str) -> str:
    """The first SPDX identifier in a sentence about licenses.

    Raises:
        UsageError: It names none.
    """
    from bioimageio.spec.generic.v0_3 import LicenseId

    for word in re.findall(r"[A-Za-z0-9][A-Za-z0-9.+-]*", text):
        with suppress(ValueError):
            return str(LicenseId(word))
    raise UsageError(
        f"Expected a license that SPDX knows, found '{text}'. Name it with --licence, such as BSD-3-Clause."
    )


def _documentation(bundle: Bundle, rounding: str) -> str:
    """The card, what the format cannot say, what became of integers, and the facts of `bundle show`."""
    card = bundle.read(bundle.manifest.card).decode("utf-8", "replace").strip()
    facts = describe(bundle.manifest, bundle.certificate)
    return "\n\n".join(
        [
            card,
            "## From outputs to answers",
            _use(bundle),
            *(["## Floating point in place of integers", rounding] if rounding else []),
            "## Validation",
            "Scores on images that did not train, and how far the answers depend on what computes them:",
            f"```text\n{facts}\n```",
            "Made with organscope. `organscope bundle import` makes the same bundle from this package again, out of "
            "`manifest.json` and the other attached files.\n",
        ]
    )


def _use(bundle: Bundle) -> str:
    spec = bundle.manifest.spec
    if isinstance(spec, ClassificationSpec):
        return (
            f"The network sees squares of {spec.field_px} px of the image, resized to {spec.input_px} px; the "
            f"{'cells' if spec.subject == 'cell' else 'fields'} of an image are pooled into one answer. An answer is "
            f"given at a confidence of {spec.policy.min_confidence:.2f} or more, and at a distance of "
            f"{spec.policy.max_distance:.2f} or less between the embedding (`features`, brought to length 1) and its "
            f"{spec.policy.n_neighbours}th nearest in `{spec.policy.reference}`."
        )
    return (
        f"The maps of input `{INPUT}` become labeled cells by thresholds and a flooding that are in `manifest.json` "
        "(`spec.decoder`). Scale intensities by the percentiles of the whole image, before it is cut into tiles; "
        f"tiles overlap by the halo of {spec.halo_px} px, so that they equal the whole."
    )


def _short(error: ValueError) -> str:
    return " ".join(str(error).split())[:500]

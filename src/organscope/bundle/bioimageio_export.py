"""`organscope bundle export --bioimageio`: a bundle as a model package of bioimage.io, format 0.5.

Everything that the format can say is said in it: axes, halo, preprocessing, test tensors. What it cannot say, how maps
become cells and when to abstain, stands in words in the documentation, and as data in the attached files of the bundle,
from which `organscope bundle import` makes the same bundle again.

A graph in eight-bit integers goes out in floating point: what bioimage.io prepares differs from ours in the seventh
digit, which would round some integers the other way. The graph in integers is attached.
"""

import re
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from organscope.bundle.bioimageio_picture import draw_cover, prepare
from organscope.bundle.bioimageio_tensors import INPUT, describe_input, describe_output, expected, test_arrays
from organscope.bundle.describe import describe
from organscope.bundle.float_graph import float_form
from organscope.bundle.load import Bundle
from organscope.bundle.manifest import MANIFEST_NAME, ClassificationSpec
from organscope.errors import BundleError, MissingExtraError, OutputError, UsageError

AUTHORS = ("The organscope developers",)
MAX_DESCRIPTION = 1000
FLOAT_GRAPH = "graph-float.onnx"
DOI = re.compile(r"\b10\.\d{4,9}/[^\s,;)\]]*[^\s,;)\].]")

ARCHITECTURES = {
    "segmentation": ("Ronneberger et al., U-Net, MICCAI 2015", "10.1007/978-3-319-24574-4_28"),
    "classification": ("He et al., Deep residual learning, CVPR 2016", "10.1109/CVPR.2016.90"),
}


def export_package(bundle: Bundle, file: Path, *, authors: Sequence[str] = AUTHORS, licence: str | None = None) -> Path:
    """Write a package, and test it with the test function of bioimage.io.

    Args:
        bundle: Any whose graph takes n y x 3.
        file: The zip file.
        authors: Names.
        licence: SPDX identifier; the first that the bundle's licence names if left out.

    Raises:
        MissingExtraError: The packages of the extra [bioimageio] are not installed.
        UsageError: No licence is named that SPDX knows.
        BundleError: The package does not pass the test.
        OutputError: The file cannot be written.
    """
    spec = require_library()
    licence = licence or _licence(bundle.manifest.licence)
    with tempfile.TemporaryDirectory() as folder:
        fields = _fields(bundle, Path(folder), authors, licence)
        try:
            model = spec.model.v0_5.ModelDescr(**fields)
        except ValueError as error:
            raise BundleError(f"Expected a bundle that bioimage.io can describe, found: {_short(error)}") from error
        # The writer goes by the ending.
        packed = Path(folder) / "package.zip"
        spec.save_bioimageio_package(model, output_path=packed)
        require_accepted(packed)
        _move(packed, Path(file))
    return Path(file)


def require_accepted(package: Path) -> None:
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


def _fields(bundle: Bundle, folder: Path, authors: Sequence[str], licence: str) -> dict[str, Any]:
    """All fields of a `ModelDescr`; their files lie in `folder`."""
    manifest = bundle.manifest
    for name in manifest.files:
        (folder / name).write_bytes(bundle.read(name))
    (folder / MANIFEST_NAME).write_bytes(bundle.read(MANIFEST_NAME))
    computing, weights = _portable(bundle, folder)
    picture, outputs = test_arrays(computing)
    (folder / "cover.png").write_bytes(draw_cover(bundle, picture[0], outputs))
    text = _documentation(bundle, _rounding(bundle, picture[0], outputs))
    (folder / "documentation.md").write_text(text, encoding="utf-8")
    attached = [name for name in (*manifest.files, MANIFEST_NAME) if name != weights]
    return {
        "name": f"organscope {manifest.name}",
        "description": manifest.summary[:MAX_DESCRIPTION],
        "authors": [{"name": name} for name in authors],
        "cite": _citations(bundle),
        "license": licence,
        "version": manifest.version,
        "timestamp": manifest.created,
        "tags": _tags(bundle),
        "covers": [{"source": folder / "cover.png"}],
        "documentation": {"source": folder / "documentation.md"},
        "attachments": [{"source": folder / name} for name in attached],
        "inputs": [describe_input(bundle, _saved(folder, "test_input.npy", picture))],
        "outputs": _outputs(bundle, outputs, folder),
        "weights": {"onnx": {"source": folder / weights, "opset_version": manifest.graph.opset}},
        "config": {"bioimageio": {"reproducibility_tolerance": [_tolerance(bundle)]}},
    }


def _portable(bundle: Bundle, folder: Path) -> tuple[Bundle, str]:
    """The bundle computed in floating point, and the file in `folder` of the graph that does so."""
    if not bundle.has_integers:
        return bundle, bundle.manifest.graph.file
    graph = float_form(bundle.read(bundle.manifest.graph.file))
    (folder / FLOAT_GRAPH).write_bytes(graph)
    return bundle.with_graph(graph), FLOAT_GRAPH


def _rounding(bundle: Bundle, picture: np.ndarray, outputs: dict[str, np.ndarray]) -> str:
    """What the package's graph is to the bundle's; nothing where it is the same.

    Args:
        bundle: As it is used.
        picture: The test picture, y x 3.
        outputs: Of the package's graph.
    """
    if not bundle.has_integers:
        return ""
    far = []
    for name, ours in bundle.run(prepare(picture, bundle.manifest.preprocessing)).items():
        gap = np.abs(ours - outputs[name])
        far.append(f"`{name}` by {gap.mean():.1g} on average and {gap.max():.1g} at most")
    return (
        "The ONNX weights are the floating-point form of a graph in eight-bit integers, with which organscope computes "
        f"(`{bundle.manifest.graph.file}`, attached). Weights are what the integers stand for; activations keep the "
        f"limits of their integers, but are not rounded. On the test picture the two graphs differ: {'; '.join(far)}."
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
    text, doi = ARCHITECTURES[bundle.manifest.spec.task]
    cited = {doi: text}
    card = bundle.read(bundle.manifest.card).decode("utf-8", "replace")
    # A citation may go on in the next line.
    for paragraph in re.split(r"\n\s*[-*] |\n\n", card):
        for found in DOI.findall(paragraph):
            cited.setdefault(found, " ".join(paragraph.split()).lstrip("-* "))
    return [{"text": text, "doi": doi} for doi, text in cited.items()]


def _licence(text: str) -> str:
    """The first SPDX identifier in a sentence about licences.

    Raises:
        UsageError: It names none.
    """
    from bioimageio.spec.generic.v0_3 import LicenseId

    for word in re.findall(r"[A-Za-z0-9][A-Za-z0-9.+-]*", text):
        with suppress(ValueError):
            return str(LicenseId(word))
    raise UsageError(
        f"Expected a licence that SPDX knows, found '{text}'. Name it with --licence, such as BSD-3-Clause."
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
            "Scores on pictures that did not train, and how far the answers depend on what computes them:",
            f"```text\n{facts}\n```",
            "Made with organscope. `organscope bundle import` makes the same bundle from this package again, out of "
            "`manifest.json` and the other attached files.\n",
        ]
    )


def _use(bundle: Bundle) -> str:
    spec = bundle.manifest.spec
    if isinstance(spec, ClassificationSpec):
        return (
            f"The network sees squares of {spec.field_px} px of the picture, resized to {spec.input_px} px; the "
            f"{'cells' if spec.subject == 'cell' else 'fields'} of a picture are pooled into one answer. An answer is "
            f"given at a confidence of {spec.policy.min_confidence:.2f} or more, and at a distance of "
            f"{spec.policy.max_distance:.2f} or less between the embedding (`features`, brought to length 1) and its "
            f"{spec.policy.n_neighbours}th nearest in `{spec.policy.reference}`."
        )
    return (
        f"The maps of input `{INPUT}` become labelled cells by thresholds and a flooding that are in `manifest.json` "
        "(`spec.decoder`). Scale intensities by the percentiles of the whole picture, before it is cut into tiles; "
        f"tiles overlap by the halo of {spec.halo_px} px, so that they equal the whole."
    )


def _short(error: ValueError) -> str:
    return " ".join(str(error).split())[:500]

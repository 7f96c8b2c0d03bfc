"""What a bundle says about itself: `manifest.json`, format version 1.

Everything that the inference side needs to know stands here as data. A key that is not known is an error, because
a rule that is silently left out would give other results than the ones that were measured.

Manifests of older formats, brought to the current one.

When the schema changes: raise `CURRENT_VERSION`, and register under the old version a function that returns
the same content in the next version. Versions follow one another, so that any older manifest gets here. A
bundle of every version stays in `tests/golden`.

The parity certificate: how far the answers of a bundle depend on what computes them.

Made on real images where the bundle was trained; `parity.json` travels with it.
"""

import json
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from organscope.decision.aggregation import JointCalibration, Pooling
from organscope.decision.calibration import ProbabilityCurve
from organscope.decision.policy import Policy
from organscope.decision.trust import TrustRule
from organscope.errors import IntegrityError, ManifestError, UsageError
from organscope.ops.instances import Decoder
from organscope.ops.intensity import Preprocessing

_CURRENT_VERSION = 1

_MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}
"""From a version to the next: none yet, version 1 is the first."""


def _migrate(data: Any, where: str) -> dict[str, Any]:
    """Bring the content of a manifest to the current format.

    Args:
        data: As read from JSON.
        where: The bundle, for messages.

    Raises:
        ManifestError: It is no JSON object, or its version is missing, unknown or newer.
    """
    if not isinstance(data, dict):
        raise ManifestError(f"Expected the manifest of {where} to be a JSON object. Export the bundle again.")
    version = data.get("format_version")
    if not isinstance(version, int) or isinstance(version, bool):
        raise ManifestError(
            f"Expected the manifest of {where} to have a format_version that is a whole number, found "
            f"{version!r}. Check that it is an organscope bundle."
        )
    if version > _CURRENT_VERSION:
        raise ManifestError(
            f"Expected a manifest of format version {_CURRENT_VERSION} or older, found version {version}: "
            f"{where} was made by a newer organscope. Update organscope."
        )
    while version < _CURRENT_VERSION:
        if version not in _MIGRATIONS:
            raise ManifestError(
                f"Expected a manifest of format version 1 to {_CURRENT_VERSION}, found version {version} in "
                f"{where}. Check that it is an organscope bundle."
            )
        data = _MIGRATIONS[version](data)
        version = data["format_version"]
    return data


MANIFEST_NAME = "manifest.json"
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)

# One flat folder: no separators, so that no name can lead out of the bundle.
_FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]*$", max_length=100)]
_Text = Annotated[str, Field(min_length=1)]
_Share = Annotated[float, Field(ge=0, le=1)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class FileEntry(_Part):
    """One file of the bundle: the SHA-256 of its bytes, in lower-case hexadecimal, and their number."""

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    size_bytes: int = Field(ge=0)


class Graph(_Part):
    """The ONNX graph: one input (n y x 3, float32, dynamic n, y, x) and named outputs."""

    file: _FileName
    input: _Text
    outputs: list[_Text] = Field(min_length=1)
    opset: int = Field(ge=1)


class Weights(_Part):
    """The weights to go on training from, and how the network is built again.

    Of a network that another program trained there is the graph alone: framework `onnx`.
    """

    file: _FileName
    framework: Literal["keras", "timm", "onnx"]
    architecture: dict[str, JsonValue]


class SegmentationSpec(_Part):
    """How the maps of a segmentation network are computed and read.

    Attributes:
        stride_px: Height, width and offset of a tile are multiples of this.
        halo_px: Pixels around a tile that its inner part depends on.
        maps: What the channels of output `maps` are, in order.
        decoder: From maps to cells.
        cell_calibration: From a cell's mean foreground probability to the probability that the cell is
            real (matched at IoU 0.5); none where it was not measured.
        typical_diameter_px: Median equivalent diameter of the training cells, in pixels as the network saw them
            before crops were zoomed; none where it was not measured.
        operating_points: Parquet file of missed and false cells by threshold on held-out images (see
            `organscope.inference.operating_points`); none where it was not measured.
        trust: How the cells of an image are judged without knowing the true ones; none where it was not fitted.
    """

    task: Literal["segmentation"] = "segmentation"
    stride_px: int = Field(ge=1)
    halo_px: int = Field(ge=0)
    maps: list[_Text] = Field(min_length=1)
    decoder: Decoder
    cell_calibration: ProbabilityCurve | None = None
    typical_diameter_px: float | None = Field(None, gt=0)
    operating_points: _FileName | None = None
    trust: TrustRule | None = None


class ClassificationSpec(_Part):
    """How the image is shown to a classifier, and how its answer is read.

    Attributes:
        subject: What is named: a whole image, seen as a grid of fields, or a single cell, seen as one field
            around its centroid.
        field_px: Side of the square, in pixels of the image, that the network was trained to see.
        input_px: The field is resized to a square of this side.
        policy: From logits and features to a decision, on an image or on a cell.
        pooling: From the probabilities of an image's cells to one answer; only for the subject `cell`.
        second_look: A cell whose most probable organ has less than this probability, at a temperature of 1, is
            turned to all four sides, and the logits are averaged; 0 for none.
        together: How the cells of an image and the image decide together; only for the subject `cell`, none where they
            were not calibrated beside each other.
    """

    task: Literal["classification"] = "classification"
    subject: Literal["image", "cell"] = "image"
    field_px: int = Field(ge=1)
    input_px: int = Field(ge=1)
    policy: Policy
    pooling: Pooling | None = None
    second_look: float = Field(0.0, ge=0, le=1)
    together: JointCalibration | None = None

    @property
    def cell_pooling(self) -> Pooling:
        """The pooling of a bundle for single cells.

        Raises:
            UsageError: The bundle is for whole images.
        """
        if self.pooling is None:
            raise UsageError("Expected a bundle that names single cells, found one for whole images.")
        return self.pooling

    @model_validator(mode="after")
    def _fits_its_subject(self) -> "ClassificationSpec":
        if (self.subject == "cell") != (self.pooling is not None):
            raise ValueError("pooling is needed for the subject 'cell', and has no meaning for 'image'")
        if self.subject == "image" and (self.second_look or self.together is not None):
            raise ValueError("second_look and together have no meaning for the subject 'image'")
        return self


class ShareMargins(_Part):
    """How far the share of a kind among the cells of a patient was from the truth, for patients that were left out.

    Attributes:
        coverage: Share of the patients (or slides) within the margin.
        n_groups: Patients that were measured.
        margins: Largest difference of a share, one a class; 1 where too few patients were measured to say.
    """

    coverage: float = Field(gt=0, lt=1)
    n_groups: int = Field(ge=1)
    margins: list[_Share] = Field(min_length=1)


class CellKindsSpec(_Part):
    """How the kind of each cell is read from maps over the image: at its centroid.

    The graph gives `logits` and `features` (n v u c), one entry for each square of `stride_px`.

    Attributes:
        stride_px: Pixels, as the network sees them, that an entry of the maps stands for along each axis.
        multiple_px: Height and width of what the network sees are multiples of this.
        halo_px: Pixels around a cell that its answer depends on.
        typical_diameter_px: Median equivalent diameter of the cells that were learned from, in pixels as the network
            saw them; none where it is unknown.
        policy: From logits and features of a cell to a decision on it.
        shares: How far counted shares were from true ones; none where it was not measured.
    """

    task: Literal["cell kinds"] = "cell kinds"
    stride_px: int = Field(ge=1)
    multiple_px: int = Field(ge=1)
    halo_px: int = Field(ge=0)
    typical_diameter_px: float | None = Field(None, gt=0)
    policy: Policy
    shares: ShareMargins | None = None


class Score(_Part):
    """One measured figure with its 95 % interval; the manifest lists the most telling first."""

    dataset: _Text
    subset: str
    n_images: int = Field(ge=0)
    metric: _Text
    value: float
    low: float | None = None
    high: float | None = None


class TestVectors(_Part):
    """A test input and the output that was expected where the bundle was made.

    The file (safetensors) holds the tensor `input` and one tensor named as each output of the graph.
    """

    __test__ = False  # not a test class, whatever pytest makes of its name

    file: _FileName
    absolute_tolerance: float = Field(gt=0)


class Manifest(_Part):
    """All that a bundle says about itself.

    Attributes:
        format_version: Of this schema.
        name: Of the model, as in `--bundle NAME`.
        version: Of the model: 1.0.0, then later ones.
        summary: One sentence.
        created: When, in UTC.
        files: Every file but the manifest; filled in by `write_bundle`.
        classes: Organs or kinds of cells in the order of the logits, or the kinds of object that are segmented.
        um_per_px: Pixel size of the training images; none where it is unknown or mixed.
        spec: What belongs to the task.
        scores: Measured through the inference side, the most telling first.
        data_fingerprint: SHA-256 that the dataset index gives for the data it was trained on.
        calibration: Parquet file of out-of-fold probabilities and labels.
        test: What `verify_bundle` replays.
        card: The model card: data, license, limits.
        parity: How far the answers depend on what computes them (see `organscope.models.manifest`); none in bundles
        that
            were not compared.
        license: Of the weights.
    """

    format_version: Literal[1] = 1
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=60)
    version: str = Field(pattern=r"^\d+(\.\d+){0,2}$")
    summary: _Text
    created: AwareDatetime
    files: dict[_FileName, FileEntry] = Field(default_factory=dict)
    graph: Graph
    weights: Weights
    preprocessing: Preprocessing
    classes: list[_Text] = Field(min_length=1)
    um_per_px: float | None = Field(None, gt=0)
    spec: SegmentationSpec | ClassificationSpec | CellKindsSpec = Field(discriminator="task")
    scores: list[Score] = Field(default_factory=list)
    data_fingerprint: _Text
    calibration: _FileName
    test: TestVectors
    card: _FileName = "README.md"
    parity: _FileName | None = None
    licence: _Text

    @model_validator(mode="after")
    def _check_parts_agree(self) -> "Manifest":
        if self.created.utcoffset() != timedelta(0):
            raise ValueError(f"created must be in UTC, found {self.created.isoformat()}")
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("classes must differ from one another")
        needed = {"maps"} if self.spec.task == "segmentation" else {"logits", "features"}
        if missing := needed - set(self.graph.outputs):
            raise ValueError(f"a graph for {self.spec.task} needs the outputs {sorted(missing)}")
        _check_file_names(self.files)
        return self

    def named_files(self) -> list[str]:
        """The files that the manifest speaks of; each must be in the bundle."""
        names = [self.graph.file, self.weights.file, self.calibration, self.test.file, self.card]
        names += [] if self.parity is None else [self.parity]
        if self.spec.task != "segmentation":
            return [*names, self.spec.policy.reference]
        return names if self.spec.operating_points is None else [*names, self.spec.operating_points]

    @property
    def segmentation(self) -> SegmentationSpec:
        """What belongs to a network that finds cells.

        Raises:
            UsageError: The bundle is for something else.
        """
        if isinstance(self.spec, SegmentationSpec):
            return self.spec
        raise UsageError(_OTHER_TASK.format(wanted="segmentation", name=self.name, task=self.spec.task))

    @property
    def classification(self) -> ClassificationSpec:
        """What belongs to a network that names images or cells.

        Raises:
            UsageError: The bundle is for something else.
        """
        if isinstance(self.spec, ClassificationSpec):
            return self.spec
        raise UsageError(_OTHER_TASK.format(wanted="classification", name=self.name, task=self.spec.task))

    @property
    def cell_kinds(self) -> CellKindsSpec:
        """What belongs to a network that names kinds of cells.

        Raises:
            UsageError: The bundle is for something else.
        """
        if isinstance(self.spec, CellKindsSpec):
            return self.spec
        raise UsageError(_OTHER_TASK.format(wanted="cell kinds", name=self.name, task=self.spec.task))

    @property
    def policy(self) -> Policy:
        """From logits and features to a decision, on an image or a cell.

        Raises:
            UsageError: The bundle finds cells, and decides on nothing.
        """
        return self.cell_kinds.policy if isinstance(self.spec, CellKindsSpec) else self.classification.policy

    @property
    def title(self) -> str:
        """Name and version."""
        return f"{self.name} {self.version}"

    @property
    def size_bytes(self) -> int:
        """Of all files together, without the manifest."""
        return sum(entry.size_bytes for entry in self.files.values())


_OTHER_TASK = "Expected a bundle for {wanted}, found '{name}', which is for {task}. Choose another with --bundle."


def parse_manifest(text: bytes, where: str) -> Manifest:
    """Read a manifest of this version or an older one.

    Args:
        text: UTF-8 JSON.
        where: The bundle, for messages.

    Raises:
        ManifestError: It is no JSON, of an unknown version, does not fit the schema, or speaks of a file
            that it does not list.
    """
    try:
        data = json.loads(text.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ManifestError(
            f"Expected {MANIFEST_NAME} of {where} to be JSON, found: {error}. Copy the bundle again."
        ) from None
    current = _migrate(data, where)
    try:
        manifest = Manifest.model_validate_json(json.dumps(current), strict=True)
    except ValidationError as error:
        raise ManifestError(_sentence(error, where)) from None
    if missing := sorted(set(manifest.named_files()) - set(manifest.files)):
        raise ManifestError(
            f"Expected {MANIFEST_NAME} of {where} to list every file that it names, found no entry for "
            f"{', '.join(missing)}. Export the bundle again."
        )
    return manifest


def render_manifest(manifest: Manifest) -> bytes:
    """The manifest as indented UTF-8 JSON; `parse_manifest` gives it back unchanged."""
    return (manifest.model_dump_json(indent=2) + "\n").encode("utf-8")


def _check_file_names(files: dict[str, FileEntry]) -> None:
    """Names that a file system could mistake for one another, or for a device, are refused."""
    if MANIFEST_NAME in files:
        raise ValueError(f"{MANIFEST_NAME} cannot list itself")
    if len({name.lower() for name in files}) != len(files):
        raise ValueError("file names must differ by more than upper and lower case")
    for name in files:
        if _RESERVED.fullmatch(name) or name.endswith("."):
            raise ValueError(f"'{name}' is not a portable file name")


def _sentence(error: ValidationError, where: str) -> str:
    found = "; ".join(_problem(problem) for problem in error.errors()[:5])
    return (
        f"Expected {MANIFEST_NAME} of {where} to fit format version {_CURRENT_VERSION}, found: {found}. "
        "Export the bundle again, or correct it where it was made."
    )


def _problem(problem: Any) -> str:
    key = ".".join(str(part) for part in problem["loc"]) or "manifest"
    if problem["type"] == "extra_forbidden":
        return f"unknown key '{key}'"
    if problem["type"] == "missing":
        return f"missing key '{key}'"
    return f"'{key}': {problem['msg'].removeprefix('Value error, ')}"


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) != len(pairs):
        raise ValueError("one and the same key twice")
    return data


def _no_constant(name: str) -> None:
    raise ValueError(f"the number {name}, which JSON does not have")


PARITY_FILE = "parity.json"

Kind = Literal["framework", "int8", "tiles", "threads"]

_WORDS: dict[str, str] = {
    "framework": "framework against ONNX",
    "int8": "floating point against 8-bit integers",
    "tiles": "tiles against the whole",
    "threads": "1 thread against 2",
}


class Comparison(_Part):
    """Two ways to compute the same answers.

    Attributes:
        kind: Which two.
        n_images: Images that both were shown.
        largest_difference: Of a probability: of a pixel's maps for segmentation, of an organ for classification.
        unit: What is counted: cells that are outlined or named, or images that are named.
        n_units: How many the first way gave.
        n_changed: Of these, cells with another outline, or cells and images with another organ.
        n_lost: Cells of either way that match none of the other at an IoU of .5.
        scores: Of the second way less the first, by metric.
        note: What else to know.
    """

    kind: Kind
    n_images: int = Field(ge=1)
    largest_difference: float = Field(ge=0)
    unit: Literal["cells", "images"]
    n_units: int = Field(ge=0)
    n_changed: int = Field(ge=0)
    n_lost: int = Field(0, ge=0)
    scores: dict[str, float] = Field(default_factory=dict)
    note: str = ""


class Certificate(_Part):
    """What was compared, on which images, and with what.

    Attributes:
        images: In words.
        made_with: Versions and processor, by name.
        comparisons: In the order in which they are shown.
    """

    pictures: str
    made_with: dict[str, str]
    comparisons: list[Comparison]


def parse_certificate(content: bytes, where: str) -> Certificate:
    """Read a `parity.json`.

    Raises:
        IntegrityError: It is no certificate.
    """
    try:
        return Certificate.model_validate_json(content)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        raise IntegrityError(
            f"Expected {PARITY_FILE} of {where} to be a parity certificate, found: {fault['msg']} at "
            f"{'.'.join(str(part) for part in fault['loc']) or 'its root'}. Certify the bundle again."
        ) from None


def certificate_in_words(certificate: Certificate) -> list[str]:
    """A heading, and a line a comparison."""
    return [f"Parity, on {certificate.pictures}", *(f"  {_line(comparison)}" for comparison in certificate.comparisons)]


def _line(found: Comparison) -> str:
    name = _WORDS[found.kind] + (f" ({found.note})" if found.note else "")
    if found.largest_difference == 0 and found.n_changed == 0:
        return f"{name}: the same to the last digit"
    changed = f"{found.n_changed} of {found.n_units} {found.unit} changed"
    lost = f" ({found.n_lost} lost or new)" if found.unit == "cells" and found.n_lost else ""
    # Adding zero takes the sign from a zero.
    scores = "".join(f", {metric} {round(difference, 4) + 0.0:+.4f}" for metric, difference in found.scores.items())
    return f"{name}: probabilities within {found.largest_difference:.1e}; {changed}{lost}{scores}"

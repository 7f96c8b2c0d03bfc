"""Open a bundle by name or path.

The bytes of a bundle, from a folder or a zip file, checked against its manifest.

Whatever is read here may come from a stranger: sizes are checked before reading, names before use, and
nothing is ever written or executed.

The bundles inside the package, and how a name or a path finds one.
"""

import hashlib
import io
import stat
import zipfile
import zlib
from copy import copy
from dataclasses import dataclass
from functools import cached_property, partial
from importlib import resources
from pathlib import Path
from typing import Literal, Protocol, Self

import numpy as np
import onnx
import pandas as pd
import pyarrow
import pyarrow.parquet
import safetensors.numpy
from jaxtyping import Float32
from safetensors import SafetensorError

from organscope.decision.fitting import complete_policy
from organscope.decision.policy import Policy
from organscope.errors import IntegrityError, ManifestError, UnknownNameError
from organscope.models.manifest import MANIFEST_NAME, Certificate, Manifest, Score, parse_certificate, parse_manifest
from organscope.models.runtime import Session, parse_safe_graph

MAX_READ_BYTES = 256 * 1024**2
"""All files of a bundle together, uncompressed. Above what is ever written, to read what others wrote."""

MAX_FILES = 64
_MAX_ZIP_HEADERS = 1000
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def read_contents(path: Path) -> tuple[Manifest, dict[str, bytes]]:
    """Read a bundle and check every file.

    Args:
        path: A folder, or a zip file with the bundle's files at its root or in one folder.

    Returns:
        The manifest, and the bytes of every file including the manifest's.

    Raises:
        ManifestError: The manifest is missing, unknown, or does not fit its schema.
        IntegrityError: A file is missing, unlisted, changed, or of a kind that is refused.
    """
    if path.is_dir() and not (path / MANIFEST_NAME).is_file():
        raise _no_manifest(path)
    try:
        contents = _read_folder(path) if path.is_dir() else _read_zip(path)
    except OSError as error:
        raise IntegrityError(
            f"Expected {path} to be readable, found: {error.strerror}. Check its permissions."
        ) from None
    if MANIFEST_NAME not in contents:
        raise _no_manifest(path)
    manifest = parse_manifest(contents[MANIFEST_NAME], str(path))
    check_files(manifest, contents, str(path))
    return manifest, contents


def check_files(manifest: Manifest, contents: dict[str, bytes], where: str) -> None:
    """Compare names, sizes and SHA-256 with the manifest.

    Raises:
        IntegrityError: A file is missing, is not in the manifest, or differs.
    """
    present = set(contents) - {MANIFEST_NAME}
    if missing := sorted(set(manifest.files) - present):
        raise IntegrityError(f"Expected {', '.join(missing)} in {where}, found nothing. Copy the bundle again.")
    if extra := sorted(present - set(manifest.files)):
        raise IntegrityError(
            f"Expected only files that the manifest of {where} lists, found {', '.join(extra)}. Remove them."
        )
    for name, entry in manifest.files.items():
        found = hashlib.sha256(contents[name]).hexdigest()
        if found != entry.sha256 or len(contents[name]) != entry.size_bytes:
            raise IntegrityError(
                f"Expected {name} of {where} to have SHA-256 {entry.sha256[:12]}..., found {found[:12]}...: "
                "it was changed or damaged. Copy the bundle again from where you trust it."
            )


def _read_folder(folder: Path) -> dict[str, bytes]:
    files = sorted(folder.iterdir())
    for file in files:
        if file.is_symlink() or not file.is_file():
            raise _refused(folder, file.name, "links, folders and devices are refused")
    _check_amount(folder, len(files), sum(file.stat().st_size for file in files))
    return {file.name: file.read_bytes() for file in files}


def _read_zip(path: Path) -> dict[str, bytes]:
    _check_amount(path, 1, path.stat().st_size)
    packed = path.read_bytes()
    # Counted before zipfile makes an object of each: a directory of millions of entries fills the memory.
    if packed.count(b"PK\x01\x02") > _MAX_ZIP_HEADERS:
        raise _refused(path, "thousands of entries", f"more than {MAX_FILES} files are refused")
    try:
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            for member in members:
                _check_member(path, member)
            _check_amount(path, len(members), sum(member.file_size for member in members))
            names = _flat_names(path, members)
            # zipfile never gives more than the declared size, and compares the CRC at the end.
            return {name: archive.read(member) for name, member in zip(names, members, strict=True)}
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise IntegrityError(
            f"Expected {path} to be a bundle: a folder or a sound zip file, found: {error}. Copy it again."
        ) from None


def _check_member(path: Path, member: zipfile.ZipInfo) -> None:
    parts = member.filename.split("/")
    if member.filename.startswith("/") or "\\" in member.filename or ":" in parts[0] or ".." in parts:
        raise _refused(path, member.filename, "paths that lead out of the bundle are refused")
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        raise _refused(path, member.filename, "links and devices are refused")
    if member.flag_bits & 0x1 or member.compress_type not in _COMPRESSIONS:
        raise _refused(path, member.filename, "encryption and compression other than deflate are refused")


def _flat_names(path: Path, members: list[zipfile.ZipInfo]) -> list[str]:
    """Names below the one folder that the archive may have around its files."""
    folders = {member.filename.rpartition("/")[0] for member in members}
    if len(folders) > 1 or any("/" in folder for folder in folders):
        raise _refused(path, ", ".join(sorted(folders)), "files of one bundle lie in one folder")
    names = [member.filename.rpartition("/")[2] for member in members]
    if len(set(names)) != len(names):
        raise _refused(path, "one name twice", "which of them counts cannot be known")
    return names


def _check_amount(path: Path, n_files: int, n_bytes: int) -> None:
    if n_files > MAX_FILES or n_bytes > MAX_READ_BYTES:
        raise _refused(
            path,
            f"{n_files} files of {n_bytes / 1024**2:.0f} MB",
            f"more than {MAX_FILES} files or {MAX_READ_BYTES // 1024**2} MB are refused",
        )


def _refused(path: Path, found: str, why: str) -> IntegrityError:
    return IntegrityError(f"Expected {path} to hold plain files only, found {found}: {why}. Do not use this bundle.")


def _no_manifest(path: Path) -> ManifestError:
    return ManifestError(f"Expected {MANIFEST_NAME} in {path}, found none. Check that it is an organscope bundle.")


_N_MAIN_SCORES = 3


@dataclass(frozen=True)
class BundleSummary:
    """One line of `organscope bundle list`; `scores` are the first, most telling ones."""

    name: str
    version: str
    task: Literal["segmentation", "classification", "cell kinds"]
    summary: str
    size_bytes: int
    scores: list[Score]
    path: Path


def shipped_folder() -> Path:
    """The folder of the package that holds a folder a bundle."""
    return Path(str(resources.files("organscope") / "bundles"))


def shipped_names() -> list[str]:
    """Names of the bundles inside the package, sorted."""
    folder = shipped_folder()
    found = folder.iterdir() if folder.is_dir() else ()
    return sorted(path.name for path in found if (path / MANIFEST_NAME).is_file())


def find_bundle(name_or_path: str | Path) -> Path:
    """The folder or zip file that a name or a path means.

    Raises:
        UnknownNameError: There is none; lists the names there are.
    """
    if isinstance(name_or_path, str) and name_or_path in shipped_names():
        return shipped_folder() / name_or_path
    path = Path(name_or_path)
    if path.exists():
        return path
    names = ", ".join(shipped_names()) or "none"
    raise UnknownNameError(
        f"Expected the name of a bundle or a path, found '{name_or_path}'. Bundles in the package: {names}."
    )


def list_bundles() -> list[BundleSummary]:
    """What each bundle of the package says about itself; graphs and hashes are not looked at.

    Raises:
        ManifestError: A manifest does not fit its schema.
    """
    paths = [shipped_folder() / name for name in shipped_names()]
    return [_summary(path, parse_manifest((path / MANIFEST_NAME).read_bytes(), str(path))) for path in paths]


def _summary(path: Path, manifest: Manifest) -> BundleSummary:
    return BundleSummary(
        name=path.name,
        version=manifest.version,
        task=manifest.spec.task,
        summary=manifest.summary,
        size_bytes=manifest.size_bytes,
        scores=manifest.scores[:_N_MAIN_SCORES],
        path=path,
    )


_MAX_TABLE_CELLS = 50_000_000


class _Engine(Protocol):
    """What can stand in for onnxruntime: it computes the outputs of a batch."""

    def run(self, batch: Float32[np.ndarray, "n y x c"]) -> dict[str, np.ndarray]:
        """As `Bundle.run`."""


class Bundle:
    """A checked bundle: what it says, its files, and its network ready to run.

    Attributes:
        manifest: What it says about itself.
        source: Folder or zip file it was read from.
        sha256: Of its manifest, and thereby of all its files: one and the same model, one and the same value.
    """

    def __init__(
        self, source: Path, manifest: Manifest, contents: dict[str, bytes], *, threads: int | None = None
    ) -> None:
        """Check the graph and start the session; `load_bundle` reads and hashes the files before.

        Raises:
            UnsafeGraphError: The graph could reach beyond itself.
            ManifestError: The graph is not as the manifest says.
            BundleError: onnxruntime cannot run the graph.
        """
        self.manifest = manifest
        self.source = source
        self.sha256 = hashlib.sha256(contents[MANIFEST_NAME]).hexdigest()
        self._contents = contents
        self._threads = threads
        graph = contents[manifest.graph.file]
        _check_opset(parse_safe_graph(graph, str(source)), manifest, source)
        self._session: _Engine = Session(
            graph, manifest.graph.input, manifest.graph.outputs, threads=threads, where=str(source)
        )

    def __repr__(self) -> str:
        return f"Bundle({self.manifest.title}, {self.source})"

    @property
    def name(self) -> str:
        """What the manifest calls it."""
        return self.manifest.name

    @property
    def version(self) -> str:
        """The version that the manifest states."""
        return self.manifest.version

    @property
    def task(self) -> str:
        """One of "segmentation", "classification" and "cell kinds"."""
        return self.manifest.spec.task

    @property
    def scores(self) -> pd.DataFrame:
        """What was measured: dataset, subset, n_images, metric, value, low, high."""
        return pd.DataFrame([score.model_dump() for score in self.manifest.scores])

    @property
    def card(self) -> str:
        """The model card as Markdown: data, license, limits."""
        return self.read(self.manifest.card).decode("utf-8")

    def __reduce__(self) -> tuple:
        # A session cannot be sent to another process; reading and checking again can.
        return partial(load_bundle, threads=self._threads), (self.source.absolute(),)

    def run(self, batch: Float32[np.ndarray, "n y x c"]) -> dict[str, np.ndarray]:
        """Run the network on a prepared batch.

        Args:
            batch: After preprocessing, n y x 3.

        Returns:
            One array an output: for segmentation `maps` (n y x k, in [0, 1]); for classification `logits`
            (n, classes) and `features` (n, d). All float32.

        Raises:
            ShapeError: The batch is of another shape or dtype, or of a size that the graph cannot take.
        """
        return self._session.run(batch)

    def read(self, file: str) -> bytes:
        """The bytes of a file, as hashed.

        Raises:
            UnknownNameError: The bundle has no such file.
        """
        if file not in self._contents:
            raise UnknownNameError(
                f"Expected a file of {self.source}, found no '{file}'. There are: {', '.join(sorted(self._contents))}."
            )
        return self._contents[file]

    def tensors(self, file: str) -> dict[str, np.ndarray]:
        """The arrays of a safetensors file, by name.

        Raises:
            UnknownNameError: The bundle has no such file.
            IntegrityError: It is no safetensors file.
        """
        try:
            return safetensors.numpy.load(self.read(file))
        except (SafetensorError, KeyError, ValueError) as error:
            raise _unreadable(self.source, file, "safetensors", error) from None

    @cached_property
    def policy(self) -> Policy:
        """How a classifier's outputs are decided on; older bundles get contract and sets from their calibration.

        Raises:
            IntegrityError: The calibration table is no Parquet file.
        """
        manifest = self.manifest
        return complete_policy(manifest.policy, self.calibration(), manifest.classes)

    @cached_property
    def certificate(self) -> Certificate | None:
        """How far its answers depend on what computes them; none where that was not compared.

        Raises:
            IntegrityError: It cannot be read.
        """
        file = self.manifest.parity
        return None if file is None else parse_certificate(self.read(file), str(self.source))

    @cached_property
    def has_integers(self) -> bool:
        """The graph computes in eight-bit integers."""
        model = onnx.load_model_from_string(self.read(self.manifest.graph.file))
        return any(node.op_type == "QuantizeLinear" for node in model.graph.node)

    def with_engine(self, engine: _Engine) -> Self:
        """The same bundle computed by something else, such as the framework that it was trained in."""
        other = copy(self)
        other._session = engine
        return other

    def with_graph(self, graph: bytes, threads: int | None = None) -> Self:
        """The same bundle computed by another graph of its inputs and outputs."""
        declared = self.manifest.graph
        return self.with_engine(
            Session(graph, declared.input, declared.outputs, threads=threads, where=str(self.source))
        )

    def with_threads(self, threads: int) -> Self:
        """The same bundle computed by so many threads."""
        return self.with_graph(self.read(self.manifest.graph.file), threads)

    def calibration(self) -> pd.DataFrame:
        """The out-of-fold probabilities and labels.

        Raises:
            IntegrityError: It is no Parquet file, or it would fill the memory.
        """
        return self.table(self.manifest.calibration)

    def table(self, file: str) -> pd.DataFrame:
        """The rows of a Parquet file.

        Raises:
            UnknownNameError: The bundle has no such file.
            IntegrityError: It is no Parquet file, or it would fill the memory.
        """
        try:
            table = pyarrow.parquet.ParquetFile(io.BytesIO(self.read(file)))
            n_cells = table.metadata.num_rows * table.metadata.num_columns
            if n_cells > _MAX_TABLE_CELLS:
                raise ValueError(f"{n_cells} cells, more than {_MAX_TABLE_CELLS}")
            return table.read().to_pandas()
        except (pyarrow.ArrowException, ValueError, OSError) as error:
            raise _unreadable(self.source, file, "Parquet", error) from None


def load_bundle(name_or_path: str | Path, *, threads: int | None = None) -> Bundle:
    """Open a bundle and check it: manifest, every SHA-256, safety of the graph.

    Args:
        name_or_path: Name of a bundle of the package (`nuclei`), or path of a folder or zip file. A name
            goes before a file of that name in the working folder; write `./nuclei` for the file.
        threads: For the network; none for one a core that this process may use.

    Raises:
        UnknownNameError: There is no bundle of that name or at that path.
        BundleError: It cannot be used; the subclass says why.
    """
    source = find_bundle(name_or_path)
    manifest, contents = read_contents(source)
    return Bundle(source, manifest, contents, threads=threads)


def _check_opset(model: onnx.ModelProto, manifest: Manifest, source: Path) -> None:
    found = [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    if found != [manifest.graph.opset]:
        raise ManifestError(
            f"Expected the graph of {source} to have opset {manifest.graph.opset}, found {found}. "
            "Export the bundle again."
        )


def _unreadable(source: Path, file: str, kind: str, error: Exception) -> IntegrityError:
    return IntegrityError(f"Expected {file} of {source} to be a {kind} file, found: {error}. Export it again.")

"""Open a bundle by name or path."""

import hashlib
import io
from copy import copy
from functools import cached_property, partial
from pathlib import Path
from typing import Protocol, Self

import numpy as np
import onnx
import pandas as pd
import pyarrow
import pyarrow.parquet
import safetensors.numpy
from jaxtyping import Float32
from safetensors import SafetensorError

from organscope.bundle.contents import read_contents
from organscope.bundle.manifest import MANIFEST_NAME, Manifest
from organscope.bundle.parity import Certificate, parse_certificate
from organscope.bundle.safety import parse_safe_graph
from organscope.bundle.session import Session
from organscope.bundle.shipped import find_bundle
from organscope.decide.completion import complete_policy
from organscope.decide.policy import Policy
from organscope.errors import IntegrityError, ManifestError, UnknownNameError

_MAX_TABLE_CELLS = 50_000_000


class Engine(Protocol):
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
        self._session: Engine = Session(
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
        """Either "segmentation" or "classification"."""
        return self.manifest.spec.task

    @property
    def scores(self) -> pd.DataFrame:
        """What was measured: dataset, subset, n_images, metric, value, low, high."""
        return pd.DataFrame([score.model_dump() for score in self.manifest.scores])

    @property
    def card(self) -> str:
        """The model card as Markdown: data, licence, limits."""
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
        return complete_policy(manifest.spec.policy, self.calibration(), manifest.classes)

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

    def with_engine(self, engine: Engine) -> Self:
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

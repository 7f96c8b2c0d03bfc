"""What every bundle of a trained network is written from, whatever the network.

The model card of a bundle: data, scores, license, limits, in the words of the configuration.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import pandas as pd

from organscope.models import (
    Bundle,
    CellKindsSpec,
    Certificate,
    ClassificationSpec,
    Graph,
    Manifest,
    Score,
    SegmentationSpec,
    TestVectors,
    Weights,
    load_bundle,
    write_bundle,
)
from organscope.models.describe import score_table
from organscope.models.manifest import PARITY_FILE
from organscope.models.writing import MAX_BUNDLE_BYTES
from organscope.ops.intensity import Preprocessing
from organscope.training.config import BundleSettings

_NOT_MEASURED = "Not measured: the configuration names no test images."


def render_card(settings: BundleSettings, scores: Sequence[Score], facts: Sequence[str]) -> str:
    """Write the card in Markdown.

    Args:
        settings: Name, summary, license, data and limits.
        scores: As they stand in the manifest.
        facts: One sentence each about the network, its training and its calibration.
    """
    parts = [
        f"# {settings.name} {settings.version}",
        settings.summary,
        "For research use, not a medical device.",
        "## Network and training\n\n" + "\n".join(f"- {fact}" for fact in facts),
        "## Data\n\n" + settings.data_statement.strip(),
        "## Measured\n\n" + (score_table(scores) if scores else _NOT_MEASURED),
        "## Limits\n\n" + settings.limits.strip(),
        f"## Licence\n\n{settings.licence}",
    ]
    return "\n\n".join(parts) + "\n"


GRAPH_FILE = "graph.onnx"
_TEST_FILE = "test.safetensors"
_CALIBRATION_FILE = "calibration.parquet"
_CARD_FILE = "README.md"


def now() -> datetime:
    """In UTC, to the second."""
    return datetime.now(UTC).replace(microsecond=0)


def as_parquet(table: pd.DataFrame) -> bytes:
    """A table without its row numbers."""
    content = io.BytesIO()
    table.to_parquet(content, index=False)
    return content.getvalue()


@dataclass(frozen=True)
class TrainedParts:
    """A trained network as files, and what its bundle says however much about it is measured.

    Attributes:
        settings: Name, version, license and words of the card.
        preprocessing: How pixels go in.
        classes: As in the manifest.
        declared: Input and outputs of the graph; its file is `GRAPH_FILE`.
        graph: ONNX.
        weights: The entry of the manifest.
        weights_content: The bytes of its file.
        test: Test input and expected outputs, safetensors.
        tolerance: Of the expected outputs.
        fingerprint: Of the data.
        facts: Sentences for the card.
        created: When.
        um_per_px: Pixel size of the training images; none where it is unknown or mixed.
    """

    settings: BundleSettings
    preprocessing: Preprocessing
    classes: list[str]
    declared: Graph
    graph: bytes
    weights: Weights
    weights_content: bytes
    test: bytes
    tolerance: float
    fingerprint: str
    facts: Sequence[str]
    created: datetime = field(default_factory=now)
    um_per_px: float | None = None

    def with_graph(self, graph: bytes, test: bytes, tolerance: float) -> Self:
        """The same network computed by another graph."""
        return replace(self, graph=graph, test=test, tolerance=tolerance)

    def with_fact(self, fact: str) -> Self:
        """One more sentence on the card."""
        return replace(self, facts=[*self.facts, fact])

    def write(
        self,
        folder: Path,
        spec: SegmentationSpec | ClassificationSpec | CellKindsSpec,
        calibration: pd.DataFrame,
        *,
        scores: Sequence[Score] = (),
        certificate: Certificate | None = None,
        files: Mapping[str, bytes] | None = None,
        max_bytes: int = MAX_BUNDLE_BYTES,
    ) -> Bundle:
        """Write and verify the bundle with what is known by now, and open it as a user would.

        Args:
            folder: Of the bundle.
            spec: What belongs to the task.
            calibration: Out-of-sample probabilities and labels.
            scores: Of the test images.
            certificate: What computes it, compared.
            files: Further files that `spec` names.
            max_bytes: As in `write_bundle`.
        """
        contents = {
            GRAPH_FILE: self.graph,
            self.weights.file: self.weights_content,
            _TEST_FILE: self.test,
            _CALIBRATION_FILE: as_parquet(calibration),
            _CARD_FILE: render_card(self.settings, scores, self.facts).encode(),
            **(files or {}),
        }
        if certificate is not None:
            contents[PARITY_FILE] = _certificate_file(certificate)
        manifest = self._manifest(spec, scores, None if certificate is None else PARITY_FILE)
        return load_bundle(write_bundle(folder, manifest, contents, max_bytes=max_bytes))

    def _manifest(
        self, spec: SegmentationSpec | ClassificationSpec | CellKindsSpec, scores: Sequence[Score], parity: str | None
    ) -> Manifest:
        return Manifest(
            name=self.settings.name,
            version=self.settings.version,
            summary=self.settings.summary,
            created=self.created,
            graph=self.declared,
            weights=self.weights,
            preprocessing=self.preprocessing,
            classes=self.classes,
            um_per_px=self.um_per_px,
            spec=spec,
            scores=list(scores),
            data_fingerprint=self.fingerprint,
            calibration=_CALIBRATION_FILE,
            test=TestVectors(file=_TEST_FILE, absolute_tolerance=self.tolerance),
            card=_CARD_FILE,
            parity=parity,
            licence=self.settings.licence,
        )


def with_certificate(bundle: Bundle, certificate: Certificate, folder: Path) -> Bundle:
    """Write a finished bundle again with a certificate; all else stays as it is.

    Args:
        bundle: Any.
        certificate: Its own.
        folder: Of the new bundle; may be that of the old one.
    """
    manifest = bundle.manifest.model_copy(update={"parity": PARITY_FILE})
    files = {name: bundle.read(name) for name in bundle.manifest.files} | {PARITY_FILE: _certificate_file(certificate)}
    largest = max(MAX_BUNDLE_BYTES, bundle.manifest.size_bytes + len(files[PARITY_FILE]) + 100_000)
    return load_bundle(write_bundle(folder, manifest, files, max_bytes=largest))


def _certificate_file(certificate: Certificate) -> bytes:
    """As `parity.json` holds it."""
    return (certificate.model_dump_json(indent=2) + "\n").encode()

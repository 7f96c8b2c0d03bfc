from .bundle import Bundle, BundleSummary, list_bundles, load_bundle
from .describe import describe
from .manifest import (
    CellKindsSpec,
    Certificate,
    ClassificationSpec,
    Comparison,
    FileEntry,
    Graph,
    Manifest,
    Score,
    SegmentationSpec,
    ShareMargins,
    TestVectors,
    Weights,
)
from .verification import VerifyReport, require_verified, verify_bundle
from .writing import write_bundle

__all__ = [
    "Bundle",
    "BundleSummary",
    "CellKindsSpec",
    "Certificate",
    "ClassificationSpec",
    "Comparison",
    "FileEntry",
    "Graph",
    "Manifest",
    "Score",
    "SegmentationSpec",
    "ShareMargins",
    "TestVectors",
    "VerifyReport",
    "Weights",
    "describe",
    "list_bundles",
    "load_bundle",
    "require_verified",
    "verify_bundle",
    "write_bundle",
]

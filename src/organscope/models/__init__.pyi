from .bundle import Bundle, BundleSummary, list_bundles, load_bundle
from .describe import describe
from .manifest import (
    Certificate,
    ClassificationSpec,
    Comparison,
    FileEntry,
    Graph,
    Manifest,
    Score,
    SegmentationSpec,
    TestVectors,
    Weights,
)
from .verification import VerifyReport, require_verified, verify_bundle
from .writing import write_bundle

__all__ = [
    "Bundle",
    "BundleSummary",
    "Certificate",
    "ClassificationSpec",
    "Comparison",
    "FileEntry",
    "Graph",
    "Manifest",
    "Score",
    "SegmentationSpec",
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

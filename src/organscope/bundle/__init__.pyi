from .describe import describe
from .load import Bundle, load_bundle
from .manifest import ClassificationSpec, FileEntry, Graph, Manifest, Score, SegmentationSpec, TestVectors, Weights
from .parity import Certificate, Comparison
from .shipped import BundleSummary, list_bundles
from .verify import VerifyReport, require_verified, verify_bundle
from .write import write_bundle

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

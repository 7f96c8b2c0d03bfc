"""The portable model: manifest, checks, onnxruntime session, replayed test."""

from organscope.bundle.describe import describe
from organscope.bundle.load import Bundle, load_bundle
from organscope.bundle.manifest import (
    ClassificationSpec,
    FileEntry,
    Graph,
    Manifest,
    Score,
    SegmentationSpec,
    TestVectors,
    Weights,
)
from organscope.bundle.parity import Certificate, Comparison
from organscope.bundle.shipped import BundleSummary, list_bundles
from organscope.bundle.verify import VerifyReport, require_verified, verify_bundle
from organscope.bundle.write import write_bundle

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

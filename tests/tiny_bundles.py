"""Tiny but real bundles of both tasks, for everybody's tests.

The segmentation graph gives darkness as foreground probability, and a blurred copy of it as distance map;
the classification graph looks at the mean color. Both are small enough to think through by hand.
"""

import hashlib
import io
import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import safetensors.numpy
from onnx import TensorProto, helper, numpy_helper

from organscope.decision import Policy, unit_norm
from organscope.decision.aggregation import Pooling
from organscope.models import (
    Bundle,
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
from organscope.ops.instances import Decoder
from organscope.ops.intensity import Preprocessing

OPSET = 17
SHARPNESS = 12.0
HALO_PX = 4
ORGANS = ["red organ", "green organ", "blue organ"]
CREATED = datetime(2025, 1, 1, tzinfo=UTC)


def write_tiny_segmentation(folder: Path, *, graph: bytes | None = None, **changes) -> Path:
    """A bundle that finds dark cells: foreground is sigmoid(12 (0.5 - mean of RGB)), halo 4, stride 4.

    Args:
        folder: To write to.
        graph: Another one.
        changes: Fields of the manifest to replace.
    """
    graph = graph or segmentation_graph().SerializeToString()
    manifest = Manifest(
        **{
            **_common("tiny-nuclei", graph_outputs=["maps"], framework="keras"),
            "summary": "Finds what is dark; for tests only.",
            "classes": ["nucleus"],
            "spec": SegmentationSpec(
                stride_px=4,
                halo_px=HALO_PX,
                maps=["foreground", "distance"],
                decoder=Decoder(head="distance"),
            ),
            **changes,
        }
    )
    files = {
        "graph.onnx": graph,
        "weights.h5": b"no weights, for tests only",
        "test.safetensors": _test_vectors(graph, ["maps"], (1, 16, 24)),
        "calibration.parquet": as_parquet(pd.DataFrame({"probability": [0.2, 0.9], "matched": [False, True]})),
        "README.md": b"# tiny-nuclei\n\nFor tests only.\n",
    }
    return write_bundle(folder, manifest, files)


def write_tiny_classification(folder: Path, **changes) -> Path:
    """A bundle that tells red, green and blue images apart; gray ones lie far from its reference.

    Args:
        folder: To write to.
        changes: Fields of the manifest to replace.
    """
    graph = classification_graph().SerializeToString()
    manifest = Manifest(
        **{
            **_common("tiny-organs", graph_outputs=["logits", "features"], framework="timm"),
            "summary": "Tells colors apart; for tests only.",
            "classes": ORGANS,
            "spec": ClassificationSpec(
                field_px=64,
                input_px=32,
                policy=Policy(temperature=0.8, min_confidence=0.6, max_distance=0.35, n_neighbours=2),
            ),
            **changes,
        }
    )
    return write_bundle(folder, manifest, classification_files(graph))


def write_tiny_cell_organs(folder: Path, **changes) -> Path:
    """A bundle that tells red, green and blue cells apart, each with 8 px around its centroid.

    Args:
        folder: To write to.
        changes: Fields of the manifest to replace.
    """
    spec = ClassificationSpec(
        subject="cell",
        field_px=8,
        input_px=8,
        policy=Policy(temperature=0.8, min_confidence=0.6, max_distance=0.35, n_neighbours=2),
        pooling=Pooling(rule="mean", correlation=0.5, min_confidence=0.7),
    )
    summary = "Tells the colors of cells apart; for tests only."
    return write_tiny_classification(
        folder, **{"name": "tiny-cell-organs", "summary": summary, "spec": spec, **changes}
    )


def classification_files(graph: bytes) -> dict[str, bytes]:
    """All files but the manifest of the tiny classification bundle."""
    table = pd.DataFrame(np.eye(3), columns=[f"p_{organ}" for organ in ORGANS]).assign(label=[0, 1, 2])
    return {
        "graph.onnx": graph,
        "weights.safetensors": safetensors.numpy.save({"head": np.eye(3, dtype=np.float32)}),
        "test.safetensors": _test_vectors(graph, ["logits", "features"], (2, 32, 32)),
        "reference.safetensors": safetensors.numpy.save({"features": reference_features()}),
        "calibration.parquet": as_parquet(table),
        "README.md": b"# tiny-organs\n\nFor tests only.\n",
    }


def reference_features() -> np.ndarray:
    """Unit-norm mean colors of imagined training images: shades of red, green and blue, float32 12 x 3."""
    shades = np.array([0.0, 0.05, 0.1, 0.15], dtype=np.float32)[:, None]
    return unit_norm(np.concatenate([np.roll([[1, 0, 0]], k, axis=1) + shades for k in range(3)]).astype(np.float32))


def segmentation_graph() -> onnx.ModelProto:
    """n y x 3 -> maps n y x 2, at full resolution, with a receptive field of 9 px."""
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["gray"], axes=[3], keepdims=1),
        helper.make_node("Sub", ["half", "gray"], ["dark"]),
        helper.make_node("Mul", ["dark", "sharpness"], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], ["foreground"]),
        helper.make_node("Transpose", ["foreground"], ["channels_first"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["channels_first", "kernel"], ["blurred"], pads=[HALO_PX] * 4),
        helper.make_node("Transpose", ["blurred"], ["distance"], perm=[0, 2, 3, 1]),
        helper.make_node("Concat", ["foreground", "distance"], ["maps"], axis=3),
    ]
    width = 2 * HALO_PX + 1
    constants = {
        "half": np.float32(0.5),
        "sharpness": np.float32(SHARPNESS),
        "kernel": np.full((1, 1, width, width), 1.0 / width**2, np.float32),
    }
    return _model("tiny_segmentation", nodes, constants, {"maps": ["n", "y", "x", 2]})


def classification_graph() -> onnx.ModelProto:
    """n y x 3 -> features n x 3 (mean color) and logits n x 3 (8 times it)."""
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["features"], axes=[1, 2], keepdims=0),
        helper.make_node("Gemm", ["features", "head"], ["logits"]),
    ]
    constants = {"head": (8.0 * np.eye(3)).astype(np.float32)}
    return _model("tiny_classification", nodes, constants, {"features": ["n", 3], "logits": ["n", 3]})


def reseal(folder: Path, files: dict[str, bytes] | None = None, **changes) -> Path:
    """Change a written bundle as a forger would: new files and manifest keys, and SHA-256 that fit them.

    Args:
        folder: The bundle.
        files: Bytes by name, to replace or add.
        changes: Top-level keys of the manifest to replace or add.
    """
    manifest = json.loads((folder / "manifest.json").read_text())
    for name, data in (files or {}).items():
        (folder / name).write_bytes(data)
        manifest["files"][name] = {"sha256": hashlib.sha256(data).hexdigest(), "size_bytes": len(data)}
    (folder / "manifest.json").write_text(json.dumps({**manifest, **changes}))
    return folder


def tiny_segmentation(folder: Path) -> Bundle:
    """Written and loaded, with one thread."""
    return load_bundle(write_tiny_segmentation(folder), threads=1)


def tiny_classification(folder: Path) -> Bundle:
    """Written and loaded, with one thread."""
    return load_bundle(write_tiny_classification(folder), threads=1)


def tiny_cell_organs(folder: Path) -> Bundle:
    """Written and loaded, with one thread."""
    return load_bundle(write_tiny_cell_organs(folder), threads=1)


def _common(name: str, *, graph_outputs: list[str], framework: str) -> dict:
    return {
        "name": name,
        "version": "1.0.0",
        "created": CREATED,
        "graph": Graph(file="graph.onnx", input="image", outputs=graph_outputs, opset=OPSET),
        "weights": Weights(
            file="weights.h5" if framework == "keras" else "weights.safetensors",
            framework=framework,
            architecture={"name": "tiny"},
        ),
        "preprocessing": Preprocessing(intensity="full_range"),
        "um_per_px": 0.5,
        "scores": [Score(dataset="none", subset="", n_images=0, metric="Dice", value=0.5, low=0.4, high=0.6)],
        "data_fingerprint": "0" * 64,
        "calibration": "calibration.parquet",
        "test": TestVectors(file="test.safetensors", absolute_tolerance=1e-5),
        "card": "README.md",
        "licence": "BSD-3-Clause",
    }


def _model(name: str, nodes: list, constants: dict[str, np.ndarray], outputs: dict[str, list]) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", "y", "x", 3])],
        [helper.make_tensor_value_info(key, TensorProto.FLOAT, shape) for key, shape in outputs.items()],
        [numpy_helper.from_array(np.asarray(value), key) for key, value in constants.items()],
    )
    # An old IR version, so that every onnxruntime that is allowed can read it.
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def _test_vectors(graph: bytes, outputs: list[str], shape: tuple[int, int, int]) -> bytes:
    """A seeded input and what onnxruntime makes of it."""
    import onnxruntime

    batch = np.random.default_rng(0).random((*shape, 3), dtype=np.float32)
    found = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"]).run(outputs, {"image": batch})
    return safetensors.numpy.save({"input": batch, **dict(zip(outputs, found, strict=True))})


def as_parquet(table: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    return buffer.getvalue()

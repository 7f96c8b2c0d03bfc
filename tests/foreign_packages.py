"""Model packages as others write them: channels first, one gray channel, logits, a sigmoid in the postprocessing."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDE_PX = 64


def write_foreign_package(file: Path, **changes: Any) -> Path:
    """A gray network for dark cells, n c y x: logit 10 (0.5 - gray), and ten times less as boundary.

    Args:
        file: Zip.
        changes: Fields of the description to replace.
    """
    import bioimageio.spec
    from bioimageio.spec.model.v0_5 import ModelDescr

    folder = file.parent
    raw = np.random.default_rng(0).random((1, 1, SIDE_PX, SIDE_PX), np.float32)
    output = 1 / (1 + np.exp(-np.concatenate([10 * (0.5 - raw), 0.5 - raw], axis=1)))
    paths = [folder / name for name in ("input.npy", "output.npy", "model.onnx", "README.md")]
    np.save(paths[0], raw)
    np.save(paths[1], output.astype(np.float32))
    onnx.save(gray_graph(), paths[2])
    paths[3].write_text("# Dark cells\n\n## Validation\n\nNone.\n")
    fields = {
        "name": "Dark Cells",
        "description": "Finds what is dark.",
        "authors": [{"name": "A. Stranger"}],
        "cite": [{"text": "A paper", "doi": "10.1000/182"}],
        "license": "MIT",
        "documentation": {"source": paths[3]},
        "inputs": [gray_input(paths[0])],
        "outputs": [two_maps(paths[1])],
        "weights": {"onnx": {"source": paths[2], "opset_version": 18}},
    }
    bioimageio.spec.save_bioimageio_package(ModelDescr(**_changed(fields, changes)), output_path=file)
    return file


def gray_input(test_file: Path) -> dict[str, Any]:
    """n c y x, from 0 to 1."""
    sides = [{"type": "space", "id": axis, "size": {"min": 32, "step": 16}} for axis in "yx"]
    return {
        "id": "raw",
        "axes": [{"type": "batch"}, {"type": "channel", "channel_names": ["gray"]}, *sides],
        "data": {"type": "float32", "range": (0.0, 1.0)},
        "test_tensor": {"source": test_file},
    }


def two_maps(test_file: Path) -> dict[str, Any]:
    """n c y x, after a sigmoid."""
    sides = [{"type": "space", "id": a, "size": {"tensor_id": "raw", "axis_id": a}, "halo": 8} for a in "yx"]
    return {
        "id": "prediction",
        "axes": [{"type": "batch"}, {"type": "channel", "channel_names": ["nuclei", "boundary"]}, *sides],
        "test_tensor": {"source": test_file},
        "postprocessing": [{"id": "sigmoid"}],
    }


def gray_graph() -> onnx.ModelProto:
    """n 1 y x -> n 2 y x."""
    kernel = np.array([-10, -1], np.float32).reshape(2, 1, 1, 1)
    offset = np.array([5, 0.5], np.float32)
    graph = helper.make_graph(
        [helper.make_node("Conv", ["image", "kernel", "offset"], ["maps"])],
        "gray",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 1, "y", "x"])],
        [helper.make_tensor_value_info("maps", TensorProto.FLOAT, ["n", 2, "y", "x"])],
        [numpy_helper.from_array(kernel, "kernel"), numpy_helper.from_array(offset, "offset")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def _changed(fields: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """`input` and `output` change the only tensor, other names a whole field."""
    for name, tensors in (("input", "inputs"), ("output", "outputs")):
        fields[tensors] = [fields[tensors][0] | changes.pop(name, {})]
    return fields | changes

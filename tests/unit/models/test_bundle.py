import io
import pickle
import subprocess
import sys
import zipfile

import numpy as np
import pandas as pd
import pytest

import tiny_bundles
from organscope.errors import IntegrityError, ManifestError, UnknownNameError, UnsafeGraphError
from organscope.models import bundle as load
from organscope.models import bundle as shipped
from organscope.models import load_bundle


def test_a_bundle_runs_and_gives_its_files(organs):
    bundle = load_bundle(organs, threads=1)
    red = np.zeros((1, 4, 4, 3), np.float32)
    red[..., 0] = 1
    found = bundle.run(red)
    assert list(found) == ["logits", "features"]
    np.testing.assert_array_equal(found["logits"], [[8, 0, 0]])
    assert bundle.tensors("reference.safetensors")["features"].shape == (12, 3)
    assert bundle.calibration()["label"].tolist() == [0, 1, 2]
    assert bundle.read("README.md").startswith(b"# tiny-organs")
    assert "tiny-organs 1.0.0" in repr(bundle)


def test_a_zip_gives_the_same_bundle(organs, tmp_path):
    with zipfile.ZipFile(tmp_path / "organs.zip", "w") as archive:
        for file in organs.iterdir():
            archive.write(file, file.name)
    assert load_bundle(str(tmp_path / "organs.zip")).sha256 == load_bundle(organs).sha256


def test_a_bundle_goes_to_another_process(organs):
    bundle = load_bundle(organs, threads=1)
    again = pickle.loads(pickle.dumps(bundle))
    assert again.sha256 == bundle.sha256
    again.run(np.zeros((1, 4, 4, 3), np.float32))


def test_an_unknown_name_lists_those_there_are(nuclei, monkeypatch):
    monkeypatch.setattr(shipped, "shipped_folder", lambda: nuclei.parent)
    with pytest.raises(UnknownNameError, match=r"'nuclie'.*package: nuclei\."):
        load_bundle("nuclie")


def test_an_unknown_file_lists_those_there_are(organs):
    with pytest.raises(UnknownNameError, match=r"'x'.*README\.md, .*weights\.safetensors"):
        load_bundle(organs).read("x")


def test_an_unsafe_graph_is_refused_although_its_hash_fits(nuclei):
    model = tiny_bundles.segmentation_graph()
    model.graph.node[3].domain = "my.domain"
    tiny_bundles.reseal(nuclei, {"graph.onnx": model.SerializeToString()})
    with pytest.raises(UnsafeGraphError, match="Sigmoid"):
        load_bundle(nuclei)


def test_another_opset_than_the_manifest_says_is_refused(nuclei):
    model = tiny_bundles.segmentation_graph()
    model.opset_import[0].version = 16
    tiny_bundles.reseal(nuclei, {"graph.onnx": model.SerializeToString()})
    with pytest.raises(ManifestError, match=r"opset 17, found \[16\]"):
        load_bundle(nuclei)


def test_onnxruntime_is_given_the_hashed_bytes_and_no_path(nuclei, monkeypatch):
    seen = []
    real = load.Session.__init__
    monkeypatch.setattr(
        load.Session, "__init__", lambda self, graph, *args, **kw: seen.append(graph) or real(self, graph, *args, **kw)
    )
    bundle = load_bundle(nuclei)
    assert seen == [bundle.read("graph.onnx")]
    assert isinstance(seen[0], bytes)


@pytest.mark.parametrize("file", ["test.safetensors", "reference.safetensors"])
def test_no_safetensors_is_one_sentence(organs, file):
    bundle = load_bundle(tiny_bundles.reseal(organs, {file: b"pickled"}))
    with pytest.raises(IntegrityError, match="safetensors"):
        bundle.tensors(file)


def test_no_parquet_is_one_sentence(organs):
    bundle = load_bundle(tiny_bundles.reseal(organs, {"calibration.parquet": b"PAR1 no PAR1"}))
    with pytest.raises(IntegrityError, match="Parquet"):
        bundle.calibration()


def test_a_table_that_would_fill_the_memory_is_refused(organs, monkeypatch):
    monkeypatch.setattr(load, "_MAX_TABLE_CELLS", 999)
    buffer = io.BytesIO()
    pd.DataFrame({"zeros": np.zeros(1000)}).to_parquet(buffer)
    bundle = load_bundle(tiny_bundles.reseal(organs, {"calibration.parquet": buffer.getvalue()}))
    with pytest.raises(IntegrityError, match="1000 cells"):
        bundle.calibration()


def test_the_use_side_needs_no_training_framework():
    heavy = ("torch", "tensorflow", "keras", "matplotlib", "sklearn")
    code = f"import sys, organscope.models; print([m for m in {heavy} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"

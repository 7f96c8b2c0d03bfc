"""Packages of bioimage.io: ours pass its own test and come back; those of others are taken or refused."""

import zipfile

import numpy as np
import onnx
import pytest

from foreign_packages import write_foreign_package
from organscope.cli.main import app
from organscope.errors import BundleError, IntegrityError, UsageError
from organscope.models import load_bundle, verify_bundle
from organscope.models.bioimageio.export import export_package, require_library
from organscope.models.bioimageio.importing import choose_maps, import_package, read_input
from organscope.ops.intensity import Preprocessing
from quantised_unet import quantized_unet_graph
from small_unet import HALO_PX
from tiny_bundles import tiny_cell_organs, tiny_classification, tiny_segmentation, write_tiny_segmentation

pytest.importorskip("bioimageio.core", reason="the extra [bioimageio] is not installed")
pytestmark = [
    # Its libraries use what xarray and pydantic call old.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]


@pytest.mark.parametrize("make", [tiny_segmentation, tiny_classification, tiny_cell_organs])
def test_an_exported_bundle_passes_their_test_and_comes_back(make, tmp_path):
    bundle = make(tmp_path / "tiny")
    package = export_package(bundle, tmp_path / "tiny.zip", authors=["Ada Lovelace"])
    with zipfile.ZipFile(package) as archive:
        assert {"rdf.yaml", "cover.png", "documentation.md", "graph.onnx"} <= set(archive.namelist())
        told = archive.read("rdf.yaml").decode()
    assert "Ada Lovelace" in told
    assert "license: BSD-3-Clause" in told
    back = import_package(package, tmp_path / "back")
    assert back.sha256 == bundle.sha256


def test_a_bundle_in_integers_goes_out_in_floating_point_and_comes_back_in_integers(tmp_path):
    bundle = load_bundle(write_small_unet_in_integers(tmp_path / "small"), threads=1)
    assert bundle.has_integers
    package = export_package(bundle, tmp_path / "small.zip")
    with zipfile.ZipFile(package) as archive:
        plain = onnx.load_model_from_string(archive.read("graph-float.onnx"))
        assert archive.read("graph.onnx") == bundle.read("graph.onnx")
        told = archive.read("documentation.md").decode()
    assert not {"QuantizeLinear", "DequantizeLinear"} & {node.op_type for node in plain.graph.node}
    assert "floating-point form of a graph in eight-bit integers" in told
    back = import_package(package, tmp_path / "back")
    assert back.sha256 == bundle.sha256
    assert back.read("graph.onnx") == bundle.read("graph.onnx")


def write_small_unet_in_integers(folder):
    spec = tiny_segmentation(folder.parent / "tiny").manifest.spec
    # As those that training writes: the scaling by percentiles is where two programs differ in the seventh digit.
    preprocessing = Preprocessing(low_percentile=1, high_percentile=99.8)
    changes = {"spec": spec.model_copy(update={"halo_px": HALO_PX}), "preprocessing": preprocessing}
    return write_tiny_segmentation(folder, graph=quantized_unet_graph(), **changes)


def test_the_preprocessing_is_described_whole(tmp_path):
    spec = Preprocessing(low_percentile=2, high_percentile=99, mean=(0.5, 0.25, 0.125), std=(0.5, 0.2, 0.1))
    bundle = load_bundle(write_tiny_segmentation(tmp_path / "tiny", preprocessing=spec))
    package = export_package(bundle, tmp_path / "tiny.zip")
    model = require_library().load_model_description(package, format_version="latest")
    found = read_input(model.inputs[0]).preprocessing
    assert (found.intensity, found.low_percentile, found.high_percentile) == ("percentile", 2, 99)
    np.testing.assert_allclose([found.mean, found.std], [spec.mean, spec.std], rtol=1e-12)  # rounding of float64


def test_a_license_without_a_name_is_asked_for(tmp_path):
    from organscope.models import write_bundle

    bundle = tiny_segmentation(tmp_path / "tiny")
    files = {name: bundle.read(name) for name in bundle.manifest.files}
    manifest = bundle.manifest.model_copy(update={"licence": "as you like it"})
    with pytest.raises(UsageError, match="--licence"):
        export_package(load_bundle(write_bundle(tmp_path / "free", manifest, files)), tmp_path / "free.zip")


def test_a_gray_network_with_channels_first_is_taken(tmp_path):
    package = write_foreign_package(tmp_path / "dark.zip")
    bundle = import_package(package, tmp_path / "dark")
    assert verify_bundle(bundle).ok
    spec = bundle.manifest.spec
    assert (spec.maps, spec.decoder.head) == (["foreground", "boundary"], "boundary")
    assert (spec.stride_px, spec.halo_px) == (16, 16)
    assert bundle.manifest.licence == "MIT"
    assert "A. Stranger" in bundle.read("README.md").decode()
    # Half-dark in every color: logits 10 (0.5 - 0.25) and 0.5 - 0.25.
    maps = bundle.run(np.full((1, 16, 16, 3), 0.25, np.float32))["maps"]
    np.testing.assert_allclose(maps[0, 3, 3], 1 / (1 + np.exp([-2.5, -0.25])), rtol=1e-5)


def test_it_finds_cells_after_the_import(tmp_path, call_segment):
    import_package(write_foreign_package(tmp_path / "dark.zip"), tmp_path / "dark")
    assert call_segment(tmp_path / "dark") == 2


@pytest.fixture
def call_segment(tmp_path):
    """Segment a bright image with two dark squares through the command line; gives the number of cells."""
    import pandas as pd
    from PIL import Image
    from typer.testing import CliRunner

    def call(bundle) -> int:
        pixels = np.full((64, 80, 3), 230, np.uint8)
        pixels[10:24, 10:24] = pixels[40:54, 50:64] = 20
        Image.fromarray(pixels).save(tmp_path / "two.png")
        words = ["segment", tmp_path / "two.png", "--bundle", bundle, "-o", tmp_path / "out", "--um-per-px", "0.5"]
        result = CliRunner().invoke(app, [str(word) for word in words])
        assert result.exit_code == 0, result.output
        return len(pd.read_csv(tmp_path / "out" / "two" / "cells.csv"))

    return call


ZERO_MEAN = {"id": "zero_mean_unit_variance", "kwargs": {"axes": ["y", "x"]}}
FIXED = [{"type": "space", "id": axis, "size": 64} for axis in "yx"]
REFUSED = {
    "it depends on each tile": ({"input": {"preprocessing": [ZERO_MEAN]}}, "zero_mean_unit_variance"),
    "nothing says what the numbers mean": ({"input": {"data": {"type": "float32"}}}, "no word about how intensities"),
    "values without an activation": ({"output": {"postprocessing": []}}, None),
    "another activation": (
        {"output": {"postprocessing": [{"id": "binarize", "kwargs": {"threshold": 0.5}}]}},
        "the postprocessing binarize",
    ),
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_a_bundle_cannot_say_is_refused(why, tmp_path):
    changes, found = REFUSED[why]
    package = write_foreign_package(tmp_path / "dark.zip", **changes)
    if found is None:
        # The test output is between 0 and 1, the graph gives logits: what comes out is not what they say.
        with pytest.raises(BundleError, match="own test output"):
            import_package(package, tmp_path / "dark")
        return
    with pytest.raises(BundleError, match=found):
        import_package(package, tmp_path / "dark")
    assert not (tmp_path / "dark").exists()


def test_what_is_no_package_is_said(tmp_path):
    (tmp_path / "no.zip").write_bytes(b"PK nothing")
    with pytest.raises(IntegrityError, match="Expected a model package"):
        import_package(tmp_path / "no.zip", tmp_path / "no")


def test_channels_are_told_by_their_names_or_by_a_person():
    assert choose_maps(["nuclei"], ()) == ("distance", [0, 0])
    assert choose_maps(["background", "cell_interior", "cell border"], ("-", "foreground", "boundary")) == (
        "boundary",
        [1, 2],
    )
    assert choose_maps(["foreground", "distance"], ()) == ("distance", [0, 1])
    for channels, said in ((["a", "b"], ()), (["a"], ("foreground", "boundary")), (["a"], ("boundary",))):
        with pytest.raises(BundleError, match="--maps"):
            choose_maps(channels, said)

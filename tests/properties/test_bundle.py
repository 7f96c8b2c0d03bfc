"""Any valid manifest survives being written; any changed byte of a bundle is found."""

import shutil
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tiny_bundles
from organscope.decision import Policy, ProbabilityCurve
from organscope.errors import BundleError
from organscope.models import (
    ClassificationSpec,
    FileEntry,
    Graph,
    Manifest,
    Score,
    SegmentationSpec,
    TestVectors,
    Weights,
    describe,
    load_bundle,
)
from organscope.models.manifest import parse_manifest, render_manifest
from organscope.ops.instances import Decoder
from organscope.ops.intensity import Preprocessing

text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
share = st.floats(0, 1)
inner = st.floats(0.01, 0.99)
number = st.floats(allow_nan=False, allow_infinity=False)
file_names = ["graph.onnx", "weights.h5", "table.parquet", "test.safetensors", "README.md", "known.safetensors"]
entries = st.builds(FileEntry, sha256=st.from_regex(r"[0-9a-f]{64}", fullmatch=True), size_bytes=st.integers(0, 9**9))
json_values = st.recursive(st.none() | st.booleans() | st.integers() | number | text, st.lists, max_leaves=4)
curves = st.lists(share, min_size=1, max_size=6, unique=True).flatmap(
    lambda x: st.lists(share, min_size=len(x), max_size=len(x)).map(
        lambda y: ProbabilityCurve(x=tuple(sorted(x)), y=tuple(sorted(y)))
    )
)
segmentation = st.builds(
    SegmentationSpec,
    stride_px=st.integers(1, 64),
    halo_px=st.integers(0, 512),
    maps=st.lists(text, min_size=1, max_size=3),
    decoder=st.builds(Decoder, foreground_threshold=inner, seed_threshold=inner, min_area_px=st.integers(0, 99)),
    cell_calibration=st.none() | curves,
)
classification = st.builds(
    ClassificationSpec,
    field_px=st.integers(1, 4096),
    input_px=st.integers(1, 1024),
    policy=st.builds(
        Policy,
        temperature=st.floats(0.05, 20),
        min_confidence=share,
        max_distance=st.floats(0, 2),
        n_neighbours=st.integers(1, 50),
        reference=st.just("known.safetensors"),
    ),
)
manifests = st.builds(
    Manifest,
    name=st.from_regex(r"[a-z0-9][a-z0-9_-]{0,20}", fullmatch=True),
    version=st.just("1.2.3"),
    summary=text,
    created=st.datetimes(datetime(2020, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),
    files=st.fixed_dictionaries(dict.fromkeys(file_names, entries)),
    graph=st.just(Graph(file="graph.onnx", input="i", outputs=["maps", "logits", "features"], opset=17)),
    weights=st.builds(
        Weights,
        file=st.just("weights.h5"),
        framework=st.sampled_from(["keras", "timm"]),
        architecture=st.dictionaries(text, json_values, max_size=3),
    ),
    preprocessing=st.builds(Preprocessing, intensity=st.sampled_from(["percentile", "full_range"])),
    classes=st.lists(text, min_size=1, max_size=5, unique=True),
    um_per_px=st.none() | st.floats(0.01, 10),
    spec=segmentation | classification,
    scores=st.lists(
        st.builds(
            Score,
            dataset=text,
            subset=text,
            n_images=st.integers(0, 999),
            metric=text,
            value=number,
            low=st.none() | number,
            high=st.none() | number,
        ),
        max_size=3,
    ),
    data_fingerprint=text,
    calibration=st.just("table.parquet"),
    test=st.builds(TestVectors, file=st.just("test.safetensors"), absolute_tolerance=inner),
    card=st.just("README.md"),
    licence=text,
)


@given(manifests)
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
def test_a_manifest_survives_being_written(manifest):
    again = parse_manifest(render_manifest(manifest), "x")
    assert again == manifest
    assert render_manifest(again) == render_manifest(manifest)
    assert manifest.name in describe(manifest)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return tiny_bundles.write_tiny_segmentation(tmp_path_factory.mktemp("bundle") / "tiny")


@given(data=st.data())
@settings(max_examples=40)
def test_any_changed_byte_is_found(written, tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("changed") / "tiny"
    shutil.copytree(written, folder)
    file = folder / data.draw(st.sampled_from(sorted(p.name for p in folder.iterdir() if p.suffix != ".json")))
    content = bytearray(file.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    file.write_bytes(content)
    with pytest.raises(BundleError):
        load_bundle(folder)


@given(manifest_bytes=st.binary(max_size=200) | text.map(str.encode))
@settings(max_examples=60)
def test_any_bytes_as_manifest_are_one_sentence(manifest_bytes):
    with pytest.raises(BundleError, match="Expected"):
        parse_manifest(manifest_bytes, "x")

import json
import re

import pytest
from pydantic import ValidationError

import tiny_bundles
from organscope.errors import ManifestError, UsageError
from organscope.models.manifest import FileEntry, Manifest, parse_manifest, render_manifest

ENTRY = FileEntry(sha256="0" * 64, size_bytes=1)


def _data(folder) -> dict:
    return json.loads((folder / "manifest.json").read_text())


def _parse(data) -> Manifest:
    return parse_manifest(json.dumps(data).encode(), "bundle x")


def test_what_is_written_is_read(nuclei):
    text = (nuclei / "manifest.json").read_bytes()
    manifest = parse_manifest(text, "x")
    assert manifest.spec.task == "segmentation"
    assert manifest.spec.decoder.head == "distance"
    assert manifest.created == tiny_bundles.CREATED
    assert render_manifest(manifest) == text


def test_what_belongs_to_the_other_task_is_refused_with_a_sentence(nuclei, organs):
    cells, classes = (parse_manifest((folder / "manifest.json").read_bytes(), "x") for folder in (nuclei, organs))
    assert cells.segmentation is cells.spec
    assert classes.classification is classes.spec
    with pytest.raises(UsageError, match=f"a bundle for classification, found '{cells.name}', which is for segment"):
        _ = cells.classification
    with pytest.raises(UsageError, match=f"a bundle for segmentation, found '{classes.name}', which is for classif"):
        _ = classes.segmentation
    with pytest.raises(UsageError, match="names single cells"):
        _ = classes.classification.cell_pooling


def test_every_named_file_is_listed(organs):
    manifest = parse_manifest((organs / "manifest.json").read_bytes(), "x")
    assert set(manifest.named_files()) == set(manifest.files)


@pytest.mark.parametrize("at", [[], ["spec"], ["spec", "decoder"], ["preprocessing"], ["graph"]])
def test_an_unknown_key_is_an_error_at_any_depth(nuclei, at):
    data = _data(nuclei)
    part = data
    for key in at:
        part = part[key]
    part["stain"] = "HE"
    with pytest.raises(ManifestError, match=r"unknown key '[\w.]*stain'"):
        _parse(data)


def test_a_missing_key_is_named(nuclei):
    data = _data(nuclei)
    del data["licence"]
    with pytest.raises(ManifestError, match="missing key 'licence'"):
        _parse(data)


def test_a_later_version_says_so(nuclei):
    with pytest.raises(ManifestError, match="found version 2: bundle x was made by a newer organscope"):
        _parse({**_data(nuclei), "format_version": 2, "more": 1})


@pytest.mark.parametrize("version", ["1", None, True, 1.0])
def test_a_version_is_a_whole_number(nuclei, version):
    with pytest.raises(ManifestError, match="whole number"):
        _parse({**_data(nuclei), "format_version": version})


def test_a_version_that_never_was_is_an_error(nuclei):
    with pytest.raises(ManifestError, match="found version 0"):
        _parse({**_data(nuclei), "format_version": 0})


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"", "JSON"),
        (b"\xff\xfe", "JSON"),
        (b"[]", "JSON object"),
        (b'{"a": 1, "a": 2}', "twice"),
        (b'{"a": NaN}', "NaN"),
        (b"[" * 100_000, "JSON"),
    ],
)
def test_what_is_no_json_object_is_an_error(text, why):
    with pytest.raises(ManifestError, match=why):
        parse_manifest(text, "x")


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"um_per_px": 0}, "um_per_px"),
        ({"um_per_px": "0.5"}, "um_per_px"),
        ({"classes": []}, "classes"),
        ({"classes": ["a", "a"]}, "classes must differ"),
        ({"created": "2025-01-01T00:00:00+02:00"}, "must be in UTC"),
        ({"created": "2025-01-01T00:00:00"}, "created"),
        ({"name": "Up Case"}, "name"),
        ({"version": "one"}, "version"),
        ({"graph": {"file": "graph.onnx", "input": "i", "outputs": ["other"], "opset": 17}}, "outputs"),
        ({"graph": {"file": "../graph.onnx", "input": "i", "outputs": ["maps"], "opset": 17}}, "graph.file"),
    ],
)
def test_a_value_that_does_not_fit_is_named(nuclei, change, key):
    with pytest.raises(ManifestError, match=re.escape(key)):
        _parse({**_data(nuclei), **change})


def test_a_named_file_must_be_listed(nuclei):
    data = _data(nuclei)
    del data["files"]["calibration.parquet"]
    with pytest.raises(ManifestError, match=r"no entry for calibration\.parquet"):
        _parse(data)


@pytest.mark.parametrize(
    "name",
    ["../x", "/x", "a/b", "a\\b", "..", ".hidden", "c:x", "nul", "COM1.txt", "x.", "manifest.json", "", "é", "a\n"],
)
def test_file_names_are_plain(nuclei, name):
    data = _data(nuclei)
    data["files"][name] = {"sha256": "0" * 64, "size_bytes": 1}
    with pytest.raises(ManifestError):
        _parse(data)


def test_file_names_differ_by_more_than_case(nuclei):
    data = _data(nuclei)
    data["files"]["readme.md"] = data["files"]["README.md"]
    with pytest.raises(ManifestError, match="upper and lower case"):
        _parse(data)


def test_a_manifest_is_frozen(nuclei):
    manifest = parse_manifest((nuclei / "manifest.json").read_bytes(), "x")
    with pytest.raises(ValidationError):
        manifest.name = "other"


def test_pooling_belongs_to_cells_alone(tmp_path):
    folder = tiny_bundles.write_tiny_cell_organs(tmp_path / "cells")
    spec = parse_manifest((folder / "manifest.json").read_bytes(), "x").spec
    assert spec.subject == "cell"
    for changes in ({"subject": "image"}, {"pooling": None}):
        with pytest.raises(ValidationError, match="pooling is needed for the subject 'cell'"):
            type(spec)(**{**spec.model_dump(), **changes})

"""organscope bundle."""

import json
import shutil

from organscope.data.index import read_index, write_index
from texture_set import write_texture_set


def test_list_as_table_and_as_json(call):
    assert call("bundle", "list").exit_code == 0
    assert isinstance(json.loads(call("bundle", "list", "--json").stdout), list)


def test_show_tells_license_and_classes(call, organs):
    result = call("bundle", "show", organs)
    assert result.exit_code == 0
    assert "BSD-3-Clause" in result.stdout
    assert "red organ" in result.stdout


def test_certify_writes_what_was_compared(call, organs, tmp_path):
    textures = write_texture_set(tmp_path)
    index = read_index(textures.parent / "index")
    paths = [str(index.resolve(path)) for path in index.table["image"]]
    write_index(tmp_path / "red", index.table.assign(organ="red organ", image=paths))
    words = ["--on", tmp_path / "red", "--fold", "1", "--without-framework", "-o", tmp_path / "certified"]
    result = call("bundle", "certify", organs, *words)
    assert result.exit_code == 0, result.stderr
    assert "Parity, on 6 images of textures (fold 1)" in result.stdout
    assert "1 thread against 2" in call("bundle", "show", tmp_path / "certified").stdout
    assert "Parity: not compared" in call("bundle", "show", organs).stdout
    refused = call("bundle", "certify", organs, "--on", textures.parent / "index", "--without-framework")
    assert refused.exit_code == 2
    assert "Expected annotated images" in refused.stderr


def test_together_needs_an_ensemble(call, organs, tmp_path):
    result = call("bundle", "together", organs, organs, tmp_path, "-o", tmp_path / "out")
    assert result.exit_code == 2
    assert "to be calibrated out of fold" in result.stderr
    assert not (tmp_path / "out").exists()


def test_show_as_json_is_the_manifest(call, organs):
    manifest = json.loads(call("bundle", "show", organs, "--json").stdout)
    assert manifest["certificate"] is None
    assert manifest["name"] == "tiny-organs"
    assert manifest["spec"]["task"] == "classification"


def test_verify_names_each_bundle(call, organs, cells):
    result = call("bundle", "verify", organs, cells)
    assert result.exit_code == 0
    assert result.stdout.count(": sound (difference") == 2


def test_changed_file_fails_and_the_others_are_verified(call, organs, cells, tmp_path):
    changed = shutil.copytree(organs, tmp_path / "changed")
    (changed / "README.md").write_text("Another card.")
    result = call("bundle", "verify", changed, cells, "--json")
    assert result.exit_code == 1
    rows = json.loads(result.stdout)
    assert [row["ok"] for row in rows] == [False, True]
    assert "README.md" in rows[0]["message"]
    assert f"Failed: {changed}" in result.stderr

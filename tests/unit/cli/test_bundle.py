"""organscope bundle."""

import json
import shutil


def test_list_as_table_and_as_json(call):
    assert call("bundle", "list").exit_code == 0
    assert isinstance(json.loads(call("bundle", "list", "--json").stdout), list)


def test_show_tells_licence_and_classes(call, organs):
    result = call("bundle", "show", organs)
    assert result.exit_code == 0
    assert "BSD-3-Clause" in result.stdout
    assert "red organ" in result.stdout


def test_show_as_json_is_the_manifest(call, organs):
    manifest = json.loads(call("bundle", "show", organs, "--json").stdout)
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

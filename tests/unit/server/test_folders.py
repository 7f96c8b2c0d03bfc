"""No path leads out of the allowed folders."""

import os

import pytest

from organscope.errors import UsageError
from organscope.server.errors import RefusalError
from organscope.server.settings import Settings
from organscope.server.uploads import allowed_name, find_allowed, list_allowed


@pytest.fixture
def allowed(tmp_path, png):
    root = tmp_path / "slides"
    (root / "case 1").mkdir(parents=True)
    (root / "case 1" / "a.png").write_bytes(png)
    (root / "case 1" / "notes.txt").write_text("not an image")
    (root / ".hidden").mkdir()
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "b.png").write_bytes(png)
    (root / "way out").symlink_to(secret)
    (root / "out.png").symlink_to(secret / "b.png")
    (root / "inside.png").symlink_to(root / "case 1" / "a.png")
    return Settings(tmp_path / "store", allowed=(root,), analyse=False)


@pytest.mark.parametrize(
    "path", ["slides", "slides/case 1", "slides/case 1/a.png", "slides/./case 1/a.png", "slides/inside.png"]
)
def test_what_lies_inside_is_found(allowed, path):
    assert find_allowed(allowed, path).exists()


def test_a_whole_path_inside_is_found_under_its_short_name(allowed):
    (root,) = allowed.allowed
    assert find_allowed(allowed, str(root / "case 1" / "a.png")).is_file()
    assert allowed_name(allowed, f"{root}/case 1") == "slides/case 1"
    for outside in (root.parent / "secret" / "b.png", root / ".." / "secret" / "b.png", root / "way out" / "b.png"):
        with pytest.raises(RefusalError) as refusal:
            find_allowed(allowed, str(outside))
        assert refusal.value.status == 403


@pytest.mark.parametrize(
    "path",
    [
        "slides/../secret/b.png", "slides/case 1/../../secret/b.png", "../secret/b.png", "..", "/etc/passwd",
        "//etc/passwd", "secret/b.png", "slides/way out/b.png",
        "slides/out.png", "slides\\..\\secret", "slides/a\0.png", "", ".",
    ],
)  # fmt: skip
def test_what_leads_out_is_refused(allowed, path):
    with pytest.raises(RefusalError) as refusal:
        find_allowed(allowed, path)
    assert refusal.value.status == 403
    assert "secret/b.png" not in refusal.value.detail.replace(path, "")


@pytest.mark.parametrize(
    "path", ["slides/%2e%2e/secret/b.png", "slides/..%2fsecret", "slides/none.png", "slides/" + "a" * 400]
)
def test_what_is_not_there_is_not_found(allowed, path):
    with pytest.raises(RefusalError) as refusal:
        find_allowed(allowed, path)
    assert refusal.value.status == 404


def test_a_listing_shows_folders_and_images_alone(allowed):
    assert [entry.path for entry in list_allowed(allowed, "")] == ["slides"]
    assert [entry.name for entry in list_allowed(allowed, "slides/case 1")] == ["a.png"]
    assert ".hidden" not in [entry.name for entry in list_allowed(allowed, "slides")]


def test_allowed_folders_have_names_of_their_own(tmp_path):
    (tmp_path / "a" / "slides").mkdir(parents=True)
    (tmp_path / "b" / "slides").mkdir(parents=True)
    with pytest.raises(UsageError, match="different names"):
        Settings(tmp_path, allowed=(tmp_path / "a" / "slides", tmp_path / "b" / "slides"))
    with pytest.raises(UsageError, match="found none"):
        Settings(tmp_path, allowed=(tmp_path / "nowhere",))


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_folder_is_added_without_what_its_links_lead_to(finished, png, tmp_path):
    client, _, _ = finished
    root = client.app.state.settings.allowed[0]
    (root / "one.png").write_bytes(png)
    (tmp_path / "two.png").write_bytes(png)
    (root / "two.png").symlink_to(tmp_path / "two.png")
    study = client.post("/api/studies", json={"name": "slides"}).json()["id"]
    answer = client.post(f"/api/studies/{study}/slides", json={"path": "slides"})
    assert [image["name"] for image in answer.json()["images"]] == ["slides/one.png"]
    assert [refused["name"] for refused in answer.json()["refused"]] == ["slides/two.png"]
    assert client.post(f"/api/studies/{study}/slides", json={"path": "../x"}).status_code == 403
    client.delete(f"/api/studies/{study}")
    assert (root / "one.png").is_file()

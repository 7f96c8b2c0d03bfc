"""What is uploaded is judged by content, limited while it arrives, and refused with a sentence."""

import io
import zipfile

import numpy as np
import pytest

from organscope.server.uploads import file_name, shown_name, true_suffix
from web_pictures import encoded


def send(client, study, content, name="a.png"):
    return client.post(f"/api/studies/{study}/uploads", params={"name": name}, content=content)


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def test_an_image_waits_in_the_queue(client, study, png):
    answer = send(client, study, png, "liver/a.png")
    assert answer.status_code == 201
    (image,) = answer.json()["images"]
    assert (image["name"], image["state"], image["height_px"], image["width_px"]) == ("liver/a.png", "queued", 128, 160)
    assert image["seconds_left"] > 0
    assert client.get("/api/queue").json()["n_waiting"] == 1


def test_the_content_counts_and_not_the_name(client, settings, study, png):
    answer = send(client, study, png, "notes.txt")
    image = answer.json()["images"][0]["id"]
    assert [path.name for path in settings.upload_folder(image).iterdir()] == ["notes.png"]
    refused = send(client, study, b"MZ this is a program", "a.png")
    assert refused.status_code == 422
    assert "of no known format" in refused.json()["detail"]


@pytest.mark.parametrize("share", [0.3, 0.9, 0.99])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
def test_truncated_files_are_refused(client, study, colon, kind, share):
    whole = encoded(colon[:128, :160], kind)
    answer = send(client, study, whole[: int(share * len(whole))])
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("Expected")
    assert "store" not in answer.json()["detail"]


def test_an_empty_file_is_refused(client, study):
    assert send(client, study, b"").status_code == 422


def test_a_file_that_is_too_large_is_refused_before_it_is_read(client, study):
    answer = send(client, study, bytes(2_000_001))
    assert answer.status_code == 413
    assert "Expected at most 2.0 MB" in answer.json()["detail"]


def test_a_stream_without_a_length_is_cut_off(client, settings, study):
    answer = send(client, study, (bytes(100_000) for _ in range(100)))
    assert answer.status_code == 413
    assert not list((settings.store / "uploads").iterdir())


def test_an_image_of_too_many_pixels_is_refused_although_its_file_is_small(client, study):
    bomb = encoded(np.zeros((1001, 1000), np.uint8))
    assert len(bomb) < 10_000
    answer = send(client, study, bomb)
    assert answer.status_code == 422
    assert "megapixels" in answer.json()["detail"]


def test_a_zip_is_a_folder_of_images(client, study, png):
    answer = send(
        client, study, zipped({"a/1.png": png, "a/2.png": png, "a/notes.txt": b"text", ".hidden": b"x"}), "a.zip"
    )
    assert [image["name"] for image in answer.json()["images"]] == ["a/1.png", "a/2.png"]
    assert [entry["name"] for entry in answer.json()["refused"]] == ["a/notes.txt"]


def test_a_zip_that_leads_out_stays_inside(client, settings, study, png):
    answer = send(client, study, zipped({"../../../evil.png": png, "/etc/passwd.png": png}), "a.zip")
    assert [image["name"] for image in answer.json()["images"]] == ["evil.png", "etc/passwd.png"]
    written = list(settings.store.rglob("*.png"))
    assert all((settings.store / "uploads") in path.parents for path in written)
    assert not list(settings.store.parent.glob("*.png"))


def test_a_zip_bomb_is_refused(client, study):
    answer = send(client, study, zipped({"a.png": bytes(1_900_000)}, zipfile.ZIP_DEFLATED), "a.zip")
    assert answer.status_code == 413
    assert "unpacks" in answer.json()["detail"]


def test_a_zip_of_ten_thousand_files_is_refused(client, study):
    answer = send(client, study, zipped({f"{n}.png": b"x" for n in range(10_000)}), "a.zip")
    assert answer.status_code == 413
    assert "10,000 files" in answer.json()["detail"]


def test_a_damaged_zip_is_refused_and_leaves_nothing(client, settings, study, png):
    whole = zipped({"a.png": png, "b.png": png})
    assert send(client, study, whole[: len(whole) // 2], "a.zip").status_code == 422
    assert not list((settings.store / "uploads").iterdir())


def test_a_full_queue_answers_503_with_a_time(client, study, png):
    for _ in range(20):
        assert send(client, study, png).status_code == 201
    answer = send(client, study, png)
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0


def test_a_study_takes_no_more_than_it_may(client, study):
    answer = send(client, study, zipped({f"{n}.png": b"x" for n in range(51)}), "a.zip")
    assert answer.status_code == 413
    assert "at most 50 more images" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("../../a.png", "a.png"),
        ("C:\\Users\\x\\a.png", "C:/Users/x/a.png"),
        ("a\x00\nb.png", "a__b.png"),
        ("/", "image"),
        ("x" * 500, "x" * 120),
        ("\ud800.png", "?.png"),
    ],
)
def test_shown_names_are_harmless(name, expected):
    assert shown_name(name) == expected


@pytest.mark.parametrize(
    ("name", "expected"), [("a/Ü b.png", "U_b.png"), ("..", "image"), ("日本.tif", "tif"), ("-rf.png", "-rf.png")]
)
def test_file_names_are_plain(name, expected):
    assert file_name(name) == expected


@pytest.mark.parametrize(
    ("head", "stated", "expected"),
    [
        (b"II*\0", ".svs", ".svs"),
        (b"II*\0", ".exe", ".tif"),
        (b"\xff\xd8\xff\xe0", "", ".jpg"),
        (b"SQLite", ".svslide", ".svslide"),
    ],
)
def test_the_suffix_follows_the_content(head, stated, expected):
    assert true_suffix(head, stated) == expected

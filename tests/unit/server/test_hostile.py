"""Whatever a stranger sends is refused with a sentence; it opens nothing, fills nothing and stops nothing."""

import ast
import io
import os
import sqlite3
import struct
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from fastapi.testclient import TestClient

import organscope.server
from organscope.client import Client
from organscope.server import store
from organscope.server.app import create_app
from organscope.server.settings import Limits

ADDRESS = "http://127.0.0.1:8765"
OME = (
    '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" {own}><Image ID="Image:0">'
    '<Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8" SizeX="64" SizeY="64" SizeC="1" SizeZ="1" SizeT="1">'
    '<Channel ID="C:0" SamplesPerPixel="1"/><TiffData IFD="0" PlaneCount="1"><UUID FileName="{name}">{uuid}</UUID>'
    "</TiffData></Pixels></Image></OME>"
)
OWN, OTHER = "urn:uuid:00000000-0000-0000-0000-000000000001", "urn:uuid:00000000-0000-0000-0000-000000000002"


def send(client, study, content, name="a.tif"):
    return client.post(f"/api/studies/{study}/uploads", params={"name": name}, content=content)


def tiff(description: str | None = None, side: int = 64, **options) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, np.zeros((side, side), np.uint8), description=description, metadata=None, **options)
    return stream.getvalue()


def limited(settings, **limits) -> TestClient:
    found = replace(settings, limits=replace(settings.limits, **limits))
    return TestClient(create_app(found), base_url=ADDRESS)


def new_study(client) -> str:
    return client.post("/api/studies", json={"name": "x"}).json()["id"]


@pytest.mark.parametrize(
    "path",
    [
        "/static/../settings.py", "/static/..%2fsettings.py", "/static/%2e%2e/settings.py",
        "/static/%252e%252e/settings.py", "/static/..%5csettings.py", "/static/%c0%ae%c0%ae/settings.py",
        "/static/%ef%bc%8e%ef%bc%8e/settings.py", "/static//etc/passwd", "/static/%2fetc%2fpasswd",
        "/images/..%2f..%2fetc%2fpasswd", "/api/images/..%2f..%2fstudies", "/api/studies/..%2f..%2f/tables/cells.csv",
        "/api/images/%2e%2e/files/cells.csv", "/api/images/x/tiles/0/..%2f..%2f/0", "/%00",
    ],
)  # fmt: skip
def test_no_address_leads_to_a_file_of_the_server(client, path):
    answer = client.get(path)
    assert "root:" not in answer.text
    assert "class Settings" not in answer.text
    assert answer.status_code in (200, 303, 400, 403, 404, 422)
    assert answer.status_code != 200 or path.startswith("/images/")


@pytest.mark.parametrize(
    "path",
    [
        "../secret.png", "slides/../../secret.png", "slides/%2e%2e/%2e%2e/secret.png", "slides/..%2f..%2fsecret.png",
        "slides/%252e%252e/secret.png", "slides\\..\\secret.png", "/etc/passwd", "//etc/passwd", "file:///etc/passwd",
        "slides/\u2025/secret.png", "slides/\uff0e\uff0e/secret.png", "slides/..\0/secret.png", "~/secret.png",
        "slides/link.png", "slides/folder-link/secret.png", "slides/chain.png",
    ],
)  # fmt: skip
def test_no_path_leaves_the_allowed_folders(settings, tmp_path, png, path):
    root = tmp_path / "slides"
    root.mkdir()
    (tmp_path / "secret.png").write_bytes(png)
    (root / "link.png").symlink_to(tmp_path / "secret.png")
    (root / "folder-link").symlink_to(tmp_path)
    (root / "chain.png").symlink_to(root / "link.png")
    with TestClient(create_app(replace(settings, allowed=(root,))), base_url=ADDRESS) as client:
        study = new_study(client)
        for answer in (
            client.post(f"/api/studies/{study}/slides", json={"path": path}),
            client.get("/api/folders", params={"path": path}),
        ):
            assert answer.status_code in (403, 404)
            assert answer.json()["detail"].startswith("Expected")
        assert client.get(f"/api/studies/{study}").json()["rows"] == []


@pytest.mark.parametrize("name", ["../secret.tif", "/etc/secret.tif", "b.tif", "%2e%2e/secret.tif"])
def test_an_ome_tiff_that_names_other_files_is_refused(client, study, name):
    answer = send(client, study, tiff(OME.format(own=f'UUID="{OWN}"', name=name, uuid=OTHER)))
    assert answer.status_code == 422
    assert "names others" in answer.json()["detail"]
    companion = (
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><BinaryOnly MetadataFile="../x.ome"/></OME>'
    )
    assert send(client, study, tiff(companion)).status_code == 422


def test_an_ome_tiff_that_names_itself_is_taken_under_any_name(client, study):
    content = tiff(OME.format(own=f'UUID="{OWN}"', name="before.ome.tif", uuid=OWN))
    assert send(client, study, content, "renamed.tif").status_code == 201


def test_a_list_of_files_is_no_image(client, study):
    slide = b"[Virtual Microscope Specimen]\nImageFile=../../etc/secret.jpg\n"
    answer = send(client, study, slide, "slide.vms")
    assert answer.status_code == 422
    assert "no known format" in answer.json()["detail"]


def test_an_image_bomb_of_some_kilobytes_is_refused(client, study):
    bomb = tiff(side=4000, compression="zlib", tile=(256, 256))
    assert len(bomb) < 200_000
    answer = send(client, study, bomb)
    assert answer.status_code in (413, 422)
    assert "megapixels" in answer.json()["detail"]


def test_a_tiff_that_says_it_is_huge_is_refused(client, study):
    content = bytearray(tiff())
    with tifffile.TiffFile(io.BytesIO(bytes(content))) as file:
        for tag in ("ImageWidth", "ImageLength"):
            struct.pack_into("<H", content, file.pages.first.tags[tag].valueoffset, 60_000)
    assert send(client, study, bytes(content)).status_code in (413, 422)


def test_a_zip_whose_part_lies_about_its_size_is_refused(client, settings, study, png):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", png + bytes(5_000_000))
    content = bytearray(stream.getvalue())
    # In the directory at the end of the zip the unpacked size stands 24 bytes behind its signature.
    struct.pack_into("<I", content, content.index(b"PK\x01\x02") + 24, 100)
    assert send(client, study, bytes(content), "a.zip").status_code in (413, 422)
    assert not list((settings.store / "uploads").iterdir())


def test_a_zip_in_a_zip_is_no_image(client, study, png):
    inner, outer = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("a.png", png)
    with zipfile.ZipFile(outer, "w") as archive:
        archive.writestr("b.zip", inner.getvalue())
    assert send(client, study, outer.getvalue()).status_code == 422


@pytest.mark.parametrize("content", [b"<svg onload='alert(1)'/>", b"%PDF-1.4", b"\x7fELF", b"\x80\x04\x95pickle."])
def test_a_wrong_type_is_refused_whatever_it_is_called(client, study, content):
    answer = send(client, study, content, "a.png")
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("Expected")


def test_the_ten_thousandth_file_of_a_study_is_refused(settings, png):
    with limited(settings, images_a_study=3) as client:
        study = new_study(client)
        codes = [send(client, study, png).status_code for _ in range(5)]
    assert codes == [201, 201, 201, 413, 413]


def test_too_many_uploads_at_once_are_told_when_to_come_again(client, study, png):
    client.app.state.parts.uploads = client.app.state.settings.limits.uploads_at_once
    answer = send(client, study, png)
    assert (answer.status_code, answer.headers["Retry-After"].isdigit()) == (503, True)


def test_short_memory_keeps_new_work_out(finished, study, client, png):
    client.app.state.parts.supervisor._used_bytes = client.app.state.settings.limits.memory_bytes
    answer = send(client, study, png)
    assert (answer.status_code, answer.headers["Retry-After"].isdigit()) == (503, True)
    assert client.get("/").status_code == 200, "looking is still possible"
    full, _, image = finished
    full.app.state.parts.supervisor._used_bytes = full.app.state.settings.limits.memory_bytes
    assert full.get(f"/api/images/{image}/report.html").status_code == 503
    full.app.state.parts.supervisor._used_bytes = 0
    assert full.get(f"/api/images/{image}/report.html").status_code == 200


def test_a_disk_that_is_nearly_full_takes_nothing(settings, png):
    with limited(settings, free_disk_bytes=1 << 60) as client:
        answer = send(client, new_study(client), png)
    assert answer.status_code == 507
    assert "room on the disk" in answer.json()["detail"]


def test_a_disk_that_fills_up_meanwhile_is_a_sentence(client, study, png, monkeypatch):
    def full(*_args, **_options):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("organscope.server.routes.studies.receive", full)
    assert send(client, study, png).status_code == 507


def test_a_busy_database_is_told_when_to_come_again(client, monkeypatch):
    def busy(*_args):
        raise sqlite3.OperationalError("database is locked")

    monkeypatch.setattr(store, "studies_of", busy)
    answer = client.get("/api/studies")
    assert (answer.status_code, answer.headers["Retry-After"].isdigit()) == (503, True)


def test_names_are_text_on_every_page_and_in_every_report(client, study, png):
    name = "<script>alert(1)</script>.png"
    assert send(client, study, png, name).json()["images"][0]["name"] == "<script>alert(1)</script>.png"[-120:]
    for path in (f"/studies/{study}", '/images/"><script>alert(1)</script>', "/<script>alert(1)</script>"):
        assert "<script>alert" not in client.get(path, headers={"Accept": "text/html"}).text


def test_no_pickle_eval_or_shell():
    """The text of the room, and of the client, holds none of them."""
    forbidden = {"eval", "exec", "compile", "__import__", "system", "popen", "allow_pickle"}
    sources = [*Path(organscope.server.__file__).parent.rglob("*.py"), Path(Client.__init__.__code__.co_filename)]
    for source in sources:
        tree = ast.parse(source.read_text("utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                called = getattr(node.func, "id", getattr(node.func, "attr", ""))
                assert called not in forbidden, f"{source.name}:{node.lineno}"
                assert not any(word.arg in ("shell", "allow_pickle") for word in node.keywords), source.name
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = {alias.name for alias in node.names} | {getattr(node, "module", "")}
                assert not names & {"pickle", "marshal", "shelve", "dill", "joblib"}, source.name


def test_limits_have_defaults_that_limit():
    limits = Limits()
    assert limits.memory_bytes < os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert limits.upload_bytes <= 2_000_000_000

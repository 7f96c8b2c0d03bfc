import json
import stat
import zipfile

import pytest

from organscope.errors import IntegrityError, ManifestError
from organscope.models import bundle
from organscope.models.bundle import read_contents


def _zip(folder, target, prefix="", compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(target, "w", compression) as archive:
        for file in folder.iterdir():
            archive.write(file, prefix + file.name)
    return target


def _add(archive_path, name, data=b"x", mode=0):
    member = zipfile.ZipInfo(name)
    member.external_attr = mode << 16
    with zipfile.ZipFile(archive_path, "a") as archive:
        archive.writestr(member, data)


@pytest.mark.parametrize("prefix", ["", "nuclei/"])
def test_a_zip_reads_like_its_folder(nuclei, tmp_path, prefix):
    assert read_contents(_zip(nuclei, tmp_path / "b.zip", prefix)) == read_contents(nuclei)


@pytest.mark.parametrize("name", ["graph.onnx", "weights.h5", "README.md", "test.safetensors"])
def test_a_changed_byte_is_found_in_any_file(nuclei, name):
    data = bytearray((nuclei / name).read_bytes())
    data[-1] ^= 1
    (nuclei / name).write_bytes(data)
    with pytest.raises(IntegrityError, match=rf"{name} .*SHA-256"):
        read_contents(nuclei)


def test_a_missing_file_is_named(nuclei):
    (nuclei / "weights.h5").unlink()
    with pytest.raises(IntegrityError, match=r"Expected weights\.h5"):
        read_contents(nuclei)


def test_an_unlisted_file_is_refused(nuclei):
    (nuclei / "graph.onnx.data").write_bytes(b"x")
    with pytest.raises(IntegrityError, match=r"found graph\.onnx\.data"):
        read_contents(nuclei)


def test_a_link_is_refused_even_to_the_same_bytes(nuclei, tmp_path):
    (nuclei / "weights.h5").rename(tmp_path / "elsewhere")
    (nuclei / "weights.h5").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(IntegrityError, match="links"):
        read_contents(nuclei)


def test_a_folder_inside_is_refused(nuclei):
    (nuclei / "more").mkdir()
    with pytest.raises(IntegrityError, match="folders"):
        read_contents(nuclei)


def test_a_wrong_size_is_found(nuclei):
    data = json.loads((nuclei / "manifest.json").read_text())
    data["files"]["README.md"]["size_bytes"] += 1
    (nuclei / "manifest.json").write_text(json.dumps(data))
    with pytest.raises(IntegrityError, match=r"README\.md"):
        read_contents(nuclei)


def test_a_folder_without_manifest_is_no_bundle(tmp_path):
    with pytest.raises(ManifestError, match=r"manifest\.json"):
        read_contents(tmp_path)


def test_a_zip_without_manifest_is_no_bundle(tmp_path):
    zipfile.ZipFile(tmp_path / "b.zip", "w").close()
    with pytest.raises(ManifestError, match=r"manifest\.json"):
        read_contents(tmp_path / "b.zip")


@pytest.mark.parametrize(
    "name", ["../evil", "/etc/evil", "a/../../evil", "c:/evil", "..\\evil", "other/evil", "a/b/evil"]
)
def test_a_zip_path_that_leads_elsewhere_is_refused(nuclei, tmp_path, name):
    packed = _zip(nuclei, tmp_path / "b.zip")
    _add(packed, name)
    with pytest.raises(IntegrityError, match=r"paths that lead out|one folder"):
        read_contents(packed)


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_a_zip_link_or_device_is_refused(nuclei, tmp_path, kind):
    packed = _zip(nuclei, tmp_path / "b.zip")
    _add(packed, "link", b"/etc/passwd", kind | 0o777)
    with pytest.raises(IntegrityError, match="links and devices"):
        read_contents(packed)


def test_a_name_twice_in_a_zip_is_refused(nuclei, tmp_path):
    packed = _zip(nuclei, tmp_path / "b.zip")
    with pytest.warns(UserWarning, match="Duplicate name"):
        _add(packed, "README.md")
    with pytest.raises(IntegrityError, match="one name twice"):
        read_contents(packed)


def test_a_zip_bomb_is_refused_before_it_is_unpacked(nuclei, tmp_path, monkeypatch):
    packed = _zip(nuclei, tmp_path / "b.zip")
    _add(packed, "zeros", b"\0" * (bundle.MAX_READ_BYTES + 1))
    monkeypatch.setattr(zipfile.ZipFile, "read", lambda *_: pytest.fail("unpacked"))
    with pytest.raises(IntegrityError, match="MB are refused"):
        read_contents(packed)


def test_a_zip_that_understates_its_sizes_gives_no_more_than_it_says(nuclei, tmp_path):
    packed = _zip(nuclei, tmp_path / "b.zip", compression=zipfile.ZIP_STORED)
    data = packed.read_bytes()
    with zipfile.ZipFile(packed) as archive:
        size = archive.getinfo("test.safetensors").file_size
    packed.write_bytes(data.replace(size.to_bytes(4, "little"), (8).to_bytes(4, "little")))
    with pytest.raises(IntegrityError):
        read_contents(packed)


def test_too_many_files_are_refused(nuclei, tmp_path):
    packed = _zip(nuclei, tmp_path / "b.zip")
    with zipfile.ZipFile(packed, "a") as archive:
        for k in range(bundle.MAX_FILES):
            archive.writestr(f"f{k}", b"")
    with pytest.raises(IntegrityError, match="files or"):
        read_contents(packed)


def test_thousands_of_entries_are_refused_before_they_are_read(tmp_path):
    (tmp_path / "b.zip").write_bytes(b"PK\x01\x02" * 2000)
    with pytest.raises(IntegrityError, match="thousands"):
        read_contents(tmp_path / "b.zip")


def test_unusual_compression_is_refused(nuclei, tmp_path):
    with pytest.raises(IntegrityError, match="deflate"):
        read_contents(_zip(nuclei, tmp_path / "b.zip", compression=zipfile.ZIP_LZMA))


@pytest.mark.parametrize("keep", [0, 10, 2000])
def test_a_truncated_zip_is_one_sentence(nuclei, tmp_path, keep):
    packed = _zip(nuclei, tmp_path / "b.zip")
    packed.write_bytes(packed.read_bytes()[:keep])
    with pytest.raises(IntegrityError, match="sound zip"):
        read_contents(packed)


def test_a_damaged_zip_is_one_sentence(nuclei, tmp_path):
    packed = _zip(nuclei, tmp_path / "b.zip")
    data = bytearray(packed.read_bytes())
    data[60:400] = b"\xff" * 340
    packed.write_bytes(data)
    with pytest.raises(IntegrityError, match="sound zip"):
        read_contents(packed)

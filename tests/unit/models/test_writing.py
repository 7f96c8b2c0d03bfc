from pathlib import Path

import pytest

import tiny_bundles
from organscope.errors import BundleError, ManifestError, OutputError, VerificationError
from organscope.models import load_bundle, write_bundle
from organscope.models.bundle import read_contents


def _parts(folder):
    """Manifest and files of a written bundle, to be written again."""
    manifest, contents = read_contents(folder)
    contents.pop("manifest.json")
    return manifest, contents


def test_files_can_be_paths(nuclei, tmp_path):
    manifest, contents = _parts(nuclei)
    files = {name: nuclei / name for name in contents}
    assert write_bundle(tmp_path / "deep" / "copy", manifest, files) == tmp_path / "deep" / "copy"
    assert load_bundle(tmp_path / "deep" / "copy").sha256 == load_bundle(nuclei).sha256


def test_nothing_but_the_bundle_is_left(nuclei):
    write_bundle(nuclei, *_parts(nuclei))
    assert [path.name for path in nuclei.parent.iterdir()] == ["nuclei"]
    assert nuclei.stat().st_mode & 0o777 == 0o755


def test_an_older_bundle_stays_until_the_new_one_verifies(nuclei):
    before = load_bundle(nuclei).sha256
    manifest, contents = _parts(nuclei)
    model = tiny_bundles.segmentation_graph()
    model.graph.initializer[1].raw_data = b"\0\0\0\0"
    with pytest.raises(VerificationError):
        write_bundle(nuclei, manifest, {**contents, "graph.onnx": model.SerializeToString()})
    assert load_bundle(nuclei).sha256 == before
    assert [path.name for path in nuclei.parent.iterdir()] == ["nuclei"]


def test_an_older_bundle_comes_back_if_the_last_rename_fails(nuclei, monkeypatch):
    manifest, contents = _parts(nuclei)
    real = Path.rename

    def fail(self, target):
        if self.suffix == ".tmp" and not self.name.endswith(".old.tmp"):
            raise OSError(28, "No space left on device")
        return real(self, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(OutputError, match="No space left"):
        write_bundle(nuclei, manifest, contents)
    load_bundle(nuclei)
    assert [path.name for path in nuclei.parent.iterdir()] == ["nuclei"]


def test_more_than_25_mb_are_refused(nuclei, tmp_path):
    manifest, contents = _parts(nuclei)
    with pytest.raises(BundleError, match=r"at most 25 MB, found 25\.\d MB.*weights\.h5"):
        write_bundle(tmp_path / "new", manifest, {**contents, "weights.h5": bytes(25_000_000)})
    assert not (tmp_path / "new").exists()


def test_a_file_that_the_manifest_names_must_be_given(nuclei, tmp_path):
    manifest, contents = _parts(nuclei)
    del contents["README.md"]
    with pytest.raises(ManifestError, match=r"README\.md"):
        write_bundle(tmp_path / "new", manifest, contents)


def test_a_file_name_that_leads_elsewhere_is_refused(nuclei, tmp_path):
    manifest, contents = _parts(nuclei)
    with pytest.raises(ManifestError):
        write_bundle(tmp_path / "new", manifest, {**contents, "../evil": b""})
    assert not (tmp_path / "evil").exists()


def test_a_source_that_is_not_there_is_one_sentence(nuclei, tmp_path):
    manifest, contents = _parts(nuclei)
    with pytest.raises(BundleError, match="No such file"):
        write_bundle(tmp_path / "new", manifest, {**contents, "README.md": tmp_path / "absent.md"})


def test_other_peoples_folders_are_not_replaced(nuclei, tmp_path):
    other = tmp_path / "thesis"
    other.mkdir()
    (other / "chapter.txt").write_text("irreplaceable")
    with pytest.raises(OutputError, match="other files"):
        write_bundle(other, *_parts(nuclei))
    assert (other / "chapter.txt").read_text() == "irreplaceable"


def test_a_file_in_the_way_is_not_replaced(nuclei, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="something else"):
        write_bundle(tmp_path / "file", *_parts(nuclei))
    with pytest.raises(OutputError, match="write the bundle"):
        write_bundle(tmp_path / "file" / "below", *_parts(nuclei))

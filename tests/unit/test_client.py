"""What the client saves is never written over another file, and images of equal names are told apart."""

from pathlib import Path

import pytest

from organscope.client import Client, Result, _named_apart
from organscope.errors import OutputError


class Stub(Client):
    """Answers with fixed bytes."""

    def __init__(self, content: bytes) -> None:
        super().__init__("http://127.0.0.1:9")
        self.content = content

    def fetch(self, path: str) -> bytes:
        return self.content


def result(content: bytes, stem: str) -> Result:
    return Result(Stub(content), "id", f"{stem}.tif", "done", "", None, None, None, "", None, 1, stem)


def test_a_file_with_other_content_is_not_overwritten(tmp_path):
    first = result(b"six", "img").download("cells.csv", tmp_path)
    assert result(b"six", "img").download("cells.csv", tmp_path) == first
    with pytest.raises(OutputError, match="other content"):
        result(b"nine", "img").download("cells.csv", tmp_path)
    assert first.read_bytes() == b"six"
    result(b"nine", "img").download("cells.csv", tmp_path, overwrite=True)
    assert first.read_bytes() == b"nine"
    assert [path.name for path in tmp_path.iterdir()] == ["img-cells.csv"]


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="Cannot write"):
        result(b"six", "img").download("cells.csv", tmp_path / "file")


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ([("/a/s1/i.tif", "i.tif"), ("/a/s2/i.tif", "i.tif")], ["s1/i.tif", "s2/i.tif"]),
        ([("/a/s1/i.tif", "i.tif"), ("/a/s2/I.tif", "I.tif")], ["s1/i.tif", "s2/I.tif"]),
        ([("/a/x/i.tif", "x/i.tif"), ("/b/x/i.tif", "x/i.tif")], ["a/x/i.tif", "b/x/i.tif"]),
        ([("/a/i.tif", "i.tif"), ("/a/i.tif", "i.tif"), ("/a/j.tif", "j.tif")], ["i.tif", "i.tif", "j.tif"]),
    ],
)
def test_files_of_equal_names_keep_their_folders(files, expected):
    assert [shown for _, shown in _named_apart([(Path(path), shown) for path, shown in files])] == expected

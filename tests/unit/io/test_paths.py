"""Which images a person names, and where their results go."""

import pytest

from organscope import system
from organscope.errors import ImageReadError, UsageError
from organscope.io import image_files, open_image
from organscope.io.paths import place_below
from organscope.io.remote import is_url, located


@pytest.fixture
def folder(tmp_path):
    for name in [
        "b/z.png",
        "b/a.TIF",
        "a.ome.tif",
        "ü \n.jpg",
        ".hidden.png",
        ".git/x.png",
        "notes.txt",
        "c/x.zarr/0/q.png",
    ]:
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(b"")
    return tmp_path / "in"


def test_folders_are_searched_in_order_and_mirrored(folder):
    found = image_files([folder])
    assert [stem for _, stem in found] == ["a", "b/a", "b/z", "c/x", "ü \n"]
    assert found[3][0] == folder / "c" / "x.zarr"


def test_named_files_need_no_known_suffix(folder):
    assert image_files([str(folder / "notes.txt"), folder / "b" / "z.png"]) == [
        (folder / "notes.txt", "notes"),
        (folder / "b" / "z.png", "z"),
    ]


def test_the_same_file_twice_is_one_image(folder):
    assert len(image_files([folder, folder])) == 5


def test_symlink_loops_end(folder):
    (folder / "b" / "loop").symlink_to(folder)
    assert len(image_files([folder])) == 5


def test_links_that_lead_nowhere_are_listed_and_opening_says_why(folder):
    links = {
        "not_fetched.tif": ".git/annex/objects/xx/MD5E-s1--0.tif",
        "other_drive": "/mnt/unmounted/slides",
        "stack.zarr": "/mnt/unmounted/stack.zarr",
        "v2.5x": "/mnt/unmounted/v2.5x",
        "itself.png": "itself.png",
        "more notes.txt": "/mnt/unmounted/notes.txt",
        ".hidden.png": "/mnt/unmounted/hidden.png",
    }
    (folder / ".hidden.png").unlink()
    for name, target in links.items():
        (folder / name).symlink_to(target)
    found = {stem: path for path, stem in image_files([folder]) if path.is_symlink()}
    assert list(found) == ["itself", "not_fetched", "other_drive", "stack", "v2"]
    for path in found.values():
        with pytest.raises(ImageReadError, match=r"found a link to .*, which does not exist\. Fetch"):
            open_image(path)


def test_a_folder_that_cannot_be_listed_is_listed_and_opening_says_why(folder, monkeypatch):
    listed = type(folder).iterdir

    def refuse(path):
        if path == folder / "b":
            raise PermissionError(13, "Permission denied")
        return listed(path)

    monkeypatch.setattr(type(folder), "iterdir", refuse)
    found = image_files([folder])
    assert [stem for _, stem in found] == ["a", "b", "c/x", "ü \n"]
    with pytest.raises(ImageReadError, match="b, found: Permission denied"):
        open_image(folder / "b")
    with pytest.raises(UsageError, match="Permission denied"):
        image_files([folder / "b"])


def test_what_systems_put_beside_images_is_passed_over(folder):
    for name in ("._a.ome.tif", ".DS_Store", "Thumbs.db", "desktop.ini", "__MACOSX/b/._z.png", "__MACOSX/z.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    assert len(image_files([folder])) == 5


@pytest.mark.parametrize("second", ["z.tif", "z.ome.tif"])
def test_two_images_with_one_target_are_wrong_use(folder, second):
    (folder / "b" / second).write_bytes(b"")
    with pytest.raises(UsageError, match=r"one target 'b/z': .*z\.(png|.*tif) and .*z\."):
        image_files([folder])


def test_two_folders_with_one_target_are_wrong_use(folder, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a.png").write_bytes(b"")
    with pytest.raises(UsageError, match=r"a\.ome\.tif and .*other"):
        image_files([folder, tmp_path / "other"])


def test_empty_folder_says_what_was_looked_for(tmp_path):
    with pytest.raises(UsageError, match=r"found none.*\.png.*\.svs.*\.zarr"):
        image_files([tmp_path])


def test_missing_input(tmp_path):
    with pytest.raises(UsageError, match="nothing at"):
        image_files([tmp_path / "gone"])


def test_results_get_names_that_every_system_accepts(tmp_path):
    for name in ("con.png", "NUL/a.png", "ends with dots...png", "blank .tif"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [stem for _, stem in image_files([tmp_path])] == ["NUL_/a", "blank_", "con_", "ends with dots__"]
    assert image_files([tmp_path / "con.png"]) == [(tmp_path / "con.png", "con_")]
    assert place_below(tmp_path, "set/aux", ".tif") == tmp_path / "set" / "aux_.tif"


def test_names_that_differ_in_case_alone_are_one_where_the_system_says_so(tmp_path, monkeypatch):
    for name in ("one/A.png", "two/a.png"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    inputs = [tmp_path / "one" / "A.png", tmp_path / "two" / "a.png"]
    monkeypatch.setattr(system, "FOLDS_CASE", False)
    assert [stem for _, stem in image_files(inputs)] == ["A", "a"]
    monkeypatch.setattr(system, "FOLDS_CASE", True)
    with pytest.raises(UsageError, match="one target 'a'"):
        image_files(inputs)


def test_a_drive_is_no_address():
    for name in ("C:/images/a.png", "c:\\images\\a.png", "D:a.png"):
        assert not is_url(located(name))

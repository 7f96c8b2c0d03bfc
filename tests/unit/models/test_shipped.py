import pytest

import tiny_bundles
from organscope.errors import ManifestError
from organscope.models import bundle, describe, list_bundles, load_bundle


@pytest.fixture
def package(nuclei, organs, monkeypatch):
    monkeypatch.setattr(bundle, "shipped_folder", lambda: nuclei.parent)
    return nuclei.parent


def test_bundles_of_the_package_are_listed(package):
    first, second = list_bundles()
    assert (first.name, first.task) == ("nuclei", "segmentation")
    assert (second.name, second.task) == ("organs", "classification")
    assert first.scores[0].metric == "Dice"
    assert first.size_bytes == sum(f.stat().st_size for f in first.path.iterdir() if f.name != "manifest.json")


def test_a_folder_without_manifest_is_not_listed(package):
    (package / "__pycache__").mkdir()
    assert len(list_bundles()) == 2


def test_a_name_goes_before_a_file_of_that_name(package, tmp_path, monkeypatch):
    (tmp_path / "cwd" / "nuclei").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "cwd")
    assert load_bundle("nuclei").source == package / "nuclei"
    with pytest.raises(ManifestError):
        load_bundle("./nuclei")


def test_no_folder_of_bundles_is_an_empty_list(tmp_path, monkeypatch):
    monkeypatch.setattr(bundle, "shipped_folder", lambda: tmp_path / "absent")
    assert list_bundles() == []


def test_what_is_shipped_loads_and_says_what_it_is():
    for summary in list_bundles():
        assert summary.summary
        assert load_bundle(summary.name).manifest.scores


def test_a_description_holds_what_decides(written):
    words = describe(load_bundle(written / "nuclei").manifest)
    for expected in ["tiny-nuclei: Finds", "segmentation", "BSD-3-Clause", "0.5 um", "Dice 0.500 [0.400, 0.600]"]:
        assert expected in words
    words = describe(load_bundle(written / "organs").manifest)
    for expected in [f"3: {', '.join(tiny_bundles.ORGANS)}", "at least 0.60", "at most 0.35", "resized to 32 px"]:
        assert expected in words

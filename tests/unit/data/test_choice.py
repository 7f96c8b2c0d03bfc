"""Channel and plane that were chosen for an import are those that training and evaluation open."""

import numpy as np
import pytest
import tifffile

from organscope.data import import_folder, read_index
from organscope.io.selection import Choice


@pytest.fixture
def folder(tmp_path, rng):
    images = tmp_path / "set"
    images.mkdir()
    stack = rng.integers(0, 255, (3, 2, 40, 50), dtype=np.uint8)
    tifffile.imwrite(images / "a.tif", stack, imagej=True, metadata={"axes": "ZCYX"})
    return images, stack


def test_what_was_chosen_is_opened_again(tmp_path, folder):
    images, stack = folder
    report = import_folder(images, tmp_path / "index", choice=Choice(channel=1, z=2))
    assert report.problems == [] or not any("channels" in problem.message for problem in report.problems)
    (sample,) = read_index(tmp_path / "index").samples()
    with sample.open() as image:
        np.testing.assert_array_equal(image.read_whole()[:, :, 0], stack[2, 1])
        assert image.notes == ()
    other = import_folder(images, tmp_path / "other", choice=Choice(channel=1))
    assert other.index.fingerprint() != report.index.fingerprint()


def test_what_was_not_chosen_is_said(tmp_path, folder):
    images, _ = folder
    said = " ".join(problem.message for problem in import_folder(images, tmp_path / "index").problems)
    assert "Plane 1 of 3 in z was read" in said
    assert "found 2 channels" in said


def test_a_plane_that_is_not_there_leaves_the_image_out(tmp_path, folder):
    from organscope.errors import InputError

    images, _ = folder
    with pytest.raises(InputError, match="3 z planes"):
        import_folder(images, tmp_path / "index", choice=Choice(z=5))

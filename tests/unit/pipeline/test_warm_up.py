"""The made-up image."""

from organscope.pipeline import Models, warm_up


def test_made_up_image_goes_all_the_way(models, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    ended = []
    monkeypatch.setattr("organscope.pipeline.image.write_overlay", lambda path, image, note: ended.append(image.shape))
    warm_up(models)
    assert ended == [(96, 96, 3)]
    assert list(tmp_path.iterdir()) == []


def test_error_is_left_for_the_first_real_image():
    warm_up(Models(cells=object()))

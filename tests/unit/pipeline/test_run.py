"""A run over images, called as a program would call it."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from organscope.errors import OutputError
from organscope.io import Image
from organscope.io.image import hold_image
from organscope.pipeline import Failure, ImageResult, Listener, Models, ReadOptions, plan_run, run_plan


class Recorder(Listener):
    def __init__(self) -> None:
        self.events: list[str] = []
        self.fractions: list[float] = []

    def image_started(self, target) -> None:
        self.events.append(f"started {target.stem}")

    def image_advanced(self, fraction) -> None:
        self.fractions.append(fraction)

    def image_ended(self, outcome) -> None:
        self.events.append("failed" if isinstance(outcome, Failure) else "done")


def test_listener_hears_of_every_image(tmp_path, picture, models):
    (tmp_path / "text.tif").write_text("no image")
    recorder = Recorder()
    result = run_plan(plan_run([picture, tmp_path / "text.tif"], tmp_path / "out"), models, listener=recorder)
    assert recorder.events == ["started colon", "done", "started text", "failed"]
    assert recorder.fractions[-1] == 1.0
    assert (len(result.images), len(result.failures)) == (1, 1)


def test_every_image_is_read_once(tmp_path, picture, models, monkeypatch):
    reads = []
    whole = Image.read_whole

    def counted(self, level=0):
        if not type(self._source).__name__.lstrip("_").startswith("Held"):
            reads.append(self.name)
        return whole(self, level)

    monkeypatch.setattr(Image, "read_whole", counted)
    run_plan(plan_run([picture], tmp_path / "out"), models)
    assert reads == ["colon.png"]


def test_held_image_is_the_image(picture):
    from organscope.io import open_image

    with open_image(picture, um_per_px=(0.5, 0.5)) as image:
        held = hold_image(image)
        assert (held.um_per_px, held.dtype, held.value_range) == ((0.5, 0.5), image.dtype, image.value_range)
        np.testing.assert_array_equal(held.read_whole(), image.read_whole())
        np.testing.assert_array_equal(held.read(3, 5, 7, 9), image.read(3, 5, 7, 9))


def test_an_image_too_large_to_hold_gives_the_same_cells(tmp_path, picture, models, monkeypatch):
    run_plan(plan_run([picture], tmp_path / "held"), models)
    monkeypatch.setattr("organscope.io.image.MAX_HELD_PX", 1000)
    run_plan(plan_run([picture], tmp_path / "by_region"), models)
    tables = [pd.read_parquet(tmp_path / out / "colon" / "cells.parquet") for out in ("held", "by_region")]
    pd.testing.assert_frame_equal(*tables)


def test_chosen_channel_is_the_only_one_measured(tmp_path, picture, models):
    plan = plan_run([picture], tmp_path / "out")
    run_plan(plan, Models(cells=models.cells), ReadOptions(channel=1, um_per_px=(0.5, 0.5)))
    table = pd.read_parquet(tmp_path / "out" / "colon" / "cells.parquet")
    assert [name for name in table.columns if name.startswith("mean_intensity")] == ["mean_intensity_0"]
    np.testing.assert_allclose(table["area_um2"], table["area_px"] / 4)


def test_mistake_of_the_program_is_a_failure_with_its_trace(tmp_path, picture, models, monkeypatch):
    def fail(*_args, **_keywords):
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr("organscope.pipeline.image.classify_image", fail)
    (failure,) = run_plan(plan_run([picture], tmp_path / "out"), models).failures
    assert "Internal error, ZeroDivisionError: by zero" in failure.message
    assert "Traceback" in failure.trace


def test_too_little_memory_is_a_sentence(tmp_path, picture, models, monkeypatch):
    def fail(*_args, **_keywords):
        raise MemoryError

    monkeypatch.setattr("organscope.pipeline.image.segment_image", fail)
    (failure,) = run_plan(plan_run([picture], tmp_path / "out"), models).failures
    assert "memory" in failure.message
    assert not failure.trace


def test_interruption_goes_through_and_leaves_nothing_half_written(tmp_path, picture, models, monkeypatch):
    def interrupt(*_args, **_keywords):
        raise KeyboardInterrupt

    monkeypatch.setattr("organscope.pipeline.image.write_overlay", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run_plan(plan_run([picture], tmp_path / "out"), models)
    assert list((tmp_path / "out").iterdir()) == []


def test_run_file_that_cannot_be_written_is_a_failure_of_its_own(tmp_path, picture, models):
    (tmp_path / "out" / "summary.csv").mkdir(parents=True)
    result = run_plan(plan_run([picture], tmp_path / "out"), models)
    assert [failure.name for failure in result.failures] == [str(tmp_path / "out" / "summary.csv")]
    assert [path.name for path in result.files] == ["predictions.csv", "policy.json", "report.html"]


def test_output_folder_is_tried_first(tmp_path, picture, models):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError):
        run_plan(plan_run([picture], tmp_path / "file"), models)


def test_figures_of_a_result(tmp_path, picture, models):
    (image,) = run_plan(plan_run([picture], tmp_path / "out"), models).images
    known = dataclasses.replace(image, areas_px=np.array([4.0, 8.0, 12.0]), um_per_px=(0.5, 0.5))
    assert (known.n_cells, known.median_area_px, known.median_area_um2) == (3, 8.0, 2.0)
    empty = dataclasses.replace(image, areas_px=np.zeros(0))
    assert (empty.n_cells, empty.median_area_px) == (0, None)
    assert isinstance(image, ImageResult)
    assert image.megapixels == pytest.approx(64 * 96 / 1e6)

"""Slides through a run: the cells of the whole, again after a kill, and a broken slide alone."""

import gzip
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image as PillowImage

import tiny_bundles
from organscope.inference import regions as predict_slide
from organscope.inference import segment_image
from organscope.io import open_image, read_labels
from organscope.pipeline import Listener, Models, ReadOptions, Streaming, WorkerConfig, plan_run, run_plan
from organscope.pipeline.image import work_on_image as work
from organscope.pipeline.ledger import ledger_path
from organscope.pipeline.plan import Target
from organscope.pipeline.slides import parts_folder
from organscope.pipeline.status import run_status

SMALL = {"window_px": 96, "whole_px": 1000}
"""Every image is a slide, of several windows."""


@pytest.fixture(scope="module")
def all_models(models, tmp_path_factory) -> Models:
    cell_organs = tiny_bundles.tiny_cell_organs(tmp_path_factory.mktemp("bundles") / "cell_organs")
    return Models(models.cells, models.organs, cell_organs)


@pytest.fixture
def slide(tmp_path, colon) -> Path:
    """Tissue beside glass."""
    pixels = np.full((300, 420, 3), 240, np.uint8)
    pixels[:, :260] = colon[:300, :260]
    path = tmp_path / "slide.tif"
    tifffile.imwrite(path, pixels, tile=(64, 64), photometric="rgb")
    return path


def run(path, out, models, **options):
    return run_plan(plan_run([path], out), models, ReadOptions(um_per_px=0.5), streaming=Streaming(**SMALL, **options))


def same_partition(one, other) -> bool:
    pairs = np.unique(np.stack([one.ravel(), other.ravel()]), axis=1)
    return len(np.unique(pairs[0])) == len(np.unique(pairs[1])) == pairs.shape[1]


@pytest.mark.parametrize("um_per_px", [0.5, 0.3, (0.8, 0.4)])
def test_cells_are_those_of_the_whole(tmp_path, slide, all_models, um_per_px):
    streaming = Streaming(**SMALL, zarr_labels=True)
    result = run_plan(plan_run([slide], tmp_path / "out"), all_models, ReadOptions(um_per_px), streaming=streaming)
    assert not result.failures
    assert (result.images[0].scale.factor == 1.0) == (um_per_px == 0.5)
    folder = tmp_path / "out" / "slide"
    with open_image(slide, um_per_px=um_per_px) as image:
        whole = segment_image(image, all_models.cells)
    labels = read_labels(folder / "labels.ome.tif")
    assert labels.max() == whole.labels.max() == result.images[0].n_cells
    assert same_partition(labels, whole.labels)
    with open_image(folder / "labels.ome.zarr") as zarr:
        np.testing.assert_array_equal(zarr.read_whole()[:, :, 0], labels)


@pytest.mark.parametrize("um_per_px", [0.5, (0.7, 0.35)])
def test_table_says_the_same_of_each_cell(tmp_path, slide, all_models, um_per_px):
    reading = ReadOptions(um_per_px)
    run_plan(plan_run([slide], tmp_path / "out"), all_models, reading, streaming=Streaming(**SMALL))
    whole = run_plan(plan_run([slide], tmp_path / "whole"), all_models, reading)
    tables = [
        pd.read_parquet(tmp_path / folder / "slide" / "cells.parquet").drop(columns="id") for folder in ("out", "whole")
    ]
    assert tables[0].columns.tolist() == tables[1].columns.tolist()
    place = ["centroid_y_px", "centroid_x_px"]
    one, other = (table.sort_values(place, ignore_index=True) for table in tables)
    # A batch of cells of another size may round another way.
    pd.testing.assert_frame_equal(one, other, rtol=1e-5)
    assert (
        whole.images[0].cell_answer.counts.tolist()
        == one["organ"].value_counts().reindex(all_models.cell_organs.manifest.classes, fill_value=0).tolist()
    )


def test_results_of_a_slide_belong_together(tmp_path, slide, all_models):
    (image,) = run(slide, tmp_path / "out", all_models).images
    folder = tmp_path / "out" / "slide"
    labels, table = read_labels(folder / "labels.ome.tif"), pd.read_parquet(folder / "cells.parquet")
    assert table["id"].tolist() == list(range(1, image.n_cells + 1))
    np.testing.assert_array_equal(np.bincount(labels.ravel())[1:], table["area_px"])
    features = json.loads(gzip.decompress((folder / "cells-0001.geojson.gz").read_bytes()))["features"]
    assert [feature["properties"]["name"] for feature in features] == [str(number) for number in table["id"]]
    rings = [np.array(feature["geometry"]["coordinates"][0]) for feature in features]
    assert all(abs(ring[:, 1].mean() - y) < 20 for ring, y in zip(rings, table["centroid_y_px"], strict=True))
    with PillowImage.open(folder / "organ_map.png") as drawn:
        assert drawn.size == (420, 300)
    with open_image(folder / "organ_map.ome.zarr") as zarr:
        assert zarr.n_channels == 3
        values = zarr.read_whole()
    assert np.isnan(values[:, -1]).all()
    np.testing.assert_allclose(values[0, 0].sum(), 1, rtol=1e-5)
    assert image.fields_by_organ.sum() == np.isfinite(values[:, :, 0]).sum()
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Organs of the fields" in page
    assert not (tmp_path / "out" / ".organscope" / "parts" / "slide.parts").exists()


def test_classify_alone_looks_at_fields_alone(tmp_path, slide, models):
    (image,) = run(slide, tmp_path / "out", Models(organs=models.organs)).images
    assert image.classification.decision.organ_index is not None
    names = sorted(path.name for path in (tmp_path / "out" / "slide").iterdir())
    assert names == ["organ_map.ome.zarr", "organ_map.png"]


def test_slide_of_glass_has_no_cells_and_no_organ(tmp_path, all_models):
    path = tmp_path / "glass.tif"
    tifffile.imwrite(path, np.full((200, 230, 3), 240, np.uint8), photometric="rgb")
    (image,) = run(path, tmp_path / "out", all_models).images
    assert image.n_cells == 0
    assert (image.classification.decision.decision, image.cell_answer.agreement) == ("abstain", "no cells")
    table = pd.read_parquet(tmp_path / "out" / "glass" / "cells.parquet")
    assert len(table) == 0
    assert {"organ", "probability", "mean_intensity_2", "area_um2"} <= set(table.columns)


class Interrupting(Listener):
    """Raises as Ctrl-C does, after so many regions."""

    def __init__(self, after: int) -> None:
        self.left = after

    def image_advanced(self, fraction) -> None:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


def files_of(folder) -> dict[str, bytes]:
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


@pytest.mark.parametrize("after", [3, 16, 22])
def test_interrupted_run_goes_on_and_ends_the_same(tmp_path, slide, all_models, after, monkeypatch):
    run(slide, tmp_path / "straight", all_models)
    plan = plan_run([slide], tmp_path / "out")
    with pytest.raises(KeyboardInterrupt):
        run_plan(plan, all_models, ReadOptions(um_per_px=0.5), Interrupting(after), streaming=Streaming(**SMALL))
    done = []
    predict_slide_window = predict_slide.SlideReader.window
    monkeypatch.setattr(
        predict_slide.SlideReader, "window", lambda self, n, then: done.append(n) or predict_slide_window(self, n, then)
    )
    run(slide, tmp_path / "out", all_models)
    assert len(done) == max(0, 20 - after)
    assert files_of(tmp_path / "out" / "slide") == files_of(tmp_path / "straight" / "slide")


def test_slide_that_is_away_for_a_run_keeps_its_regions(tmp_path, slide, all_models, monkeypatch):
    plan = plan_run([slide], tmp_path / "out")
    with pytest.raises(KeyboardInterrupt):
        run_plan(plan, all_models, ReadOptions(um_per_px=0.5), Interrupting(16), streaming=Streaming(**SMALL))
    slide.rename(tmp_path / "away.tif")
    result = run_plan(plan, all_models, ReadOptions(um_per_px=0.5), streaming=Streaming(**SMALL))
    assert [failure.name for failure in result.failures] == [str(slide)]
    assert [image.source for image in run_status(plan.out).quarantined] == [str(slide)]
    (tmp_path / "away.tif").rename(slide)
    done = []
    window = predict_slide.SlideReader.window
    monkeypatch.setattr(
        predict_slide.SlideReader, "window", lambda self, n, then: done.append(n) or window(self, n, then)
    )
    assert not run(slide, plan.out, all_models).failures
    assert done == [16, 17, 18, 19]


def test_parts_that_are_damaged_or_unknown_are_done_again(tmp_path, slide, all_models):
    run(slide, tmp_path / "straight", all_models)
    plan = plan_run([slide], tmp_path / "out")
    with pytest.raises(KeyboardInterrupt):
        run_plan(plan, all_models, ReadOptions(um_per_px=0.5), Interrupting(22), streaming=Streaming(**SMALL))
    parts = parts_folder(plan.out, plan.targets[0])
    for stage in ("windows", "seams"):
        # As after a power cut: the name is there, the content is not, or not all of it.
        first, second = sorted(parts.glob(f"{stage}-*"))[:2]
        first.write_bytes(b"")
        second.write_bytes(second.read_bytes()[:-100])
    (parts / "windows-000019.safetensors").write_bytes(b"of a run with other options")
    assert not run(slide, tmp_path / "out", all_models).failures
    assert files_of(tmp_path / "out" / "slide") == files_of(tmp_path / "straight" / "slide")


def test_parts_of_a_slide_are_not_in_the_folder_of_another(tmp_path):
    outer, inner = (parts_folder(tmp_path, Target(Path(f"{stem}.tif"), Path(stem))) for stem in ("case", "case/part"))
    assert outer not in inner.parents


KILLED_RUN = """
import os, signal, sys
import test_slides as tests
from organscope.pipeline import Models, ReadOptions, Streaming, plan_run, run_plan
from organscope.models import load_bundle

class Killing(tests.Interrupting):
    def image_advanced(self, fraction):
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

models = Models(*(load_bundle(path, threads=1) for path in sys.argv[3:]))
plan, reading = plan_run([sys.argv[1]], sys.argv[2]), ReadOptions(um_per_px=0.5)
run_plan(plan, models, reading, Killing(7), streaming=Streaming(**tests.SMALL))
"""


def test_killed_run_goes_on_and_ends_the_same(tmp_path, slide, all_models):
    run(slide, tmp_path / "straight", all_models)
    bundles = [str(bundle.source) for bundle in all_models.loaded()]
    words = [sys.executable, "-c", KILLED_RUN, str(slide), str(tmp_path / "out"), *bundles]
    paths = os.pathsep.join([str(Path(__file__).parent), str(Path(tiny_bundles.__file__).parent)])
    done = subprocess.run(words, env=os.environ | {"PYTHONPATH": paths}, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert run_status(tmp_path / "out").state == "interrupted"
    assert len(list((tmp_path / "out" / ".organscope" / "parts" / "slide.parts").iterdir())) > 0
    run(slide, tmp_path / "out", all_models)
    assert files_of(tmp_path / "out" / "slide") == files_of(tmp_path / "straight" / "slide")


def test_finished_run_is_not_done_again(tmp_path, slide, all_models, monkeypatch):
    first = run(slide, tmp_path / "out", all_models)
    before = files_of(tmp_path / "out" / "slide")
    monkeypatch.setattr("organscope.pipeline.slides.run_tasks", lambda *_, **__: iter(()))
    again = run(slide, tmp_path / "out", all_models)
    assert files_of(tmp_path / "out" / "slide") == before
    assert again.images[0].n_cells == first.images[0].n_cells
    assert again.images[0].classification.decision == first.images[0].classification.decision
    assert pd.read_csv(tmp_path / "out" / "summary.csv")["status"].tolist() == ["done"]


def test_broken_slide_is_quarantined_and_tried_again(tmp_path, slide, all_models):
    broken = tmp_path / "broken.tif"
    broken.write_bytes(slide.read_bytes()[: slide.stat().st_size // 2])
    good = broken.with_name("good.tif")
    good.write_bytes(slide.read_bytes())
    plan = plan_run([broken, good], tmp_path / "out")
    result = run_plan(plan, all_models, ReadOptions(um_per_px=0.5), streaming=Streaming(**SMALL))
    assert [image.target.source for image in result.images] == [good]
    (failure,) = result.failures
    assert failure.name == str(broken)
    assert str(broken) in failure.message
    broken.write_bytes(slide.read_bytes())
    result = run_plan(plan, all_models, ReadOptions(um_per_px=0.5), streaming=Streaming(**SMALL))
    assert not result.failures
    assert result.images[0].n_cells == result.images[1].n_cells


def test_two_processes_give_the_same_files(tmp_path, slide, all_models):
    straight = run(slide, tmp_path / "straight", all_models)
    plan, reading = plan_run([slide], tmp_path / "out"), ReadOptions(um_per_px=0.5)
    result = run_plan(plan, all_models, reading, workforce=WorkerConfig(workers=2), streaming=Streaming(**SMALL))
    assert not result.failures
    assert files_of(tmp_path / "out" / "slide") == files_of(tmp_path / "straight" / "slide")
    assert result.images[0].classification.decision == straight.images[0].classification.decision
    assert result.images[0].target == plan.targets[0]


def test_small_images_are_remembered_too(tmp_path, colon, all_models, monkeypatch):
    for name in ("a", "b"):
        PillowImage.fromarray(colon[:64, :96]).save(tmp_path / f"{name}.png")
    plan = plan_run([tmp_path / "a.png", tmp_path / "b.png"], tmp_path / "out")
    first = run_plan(plan, all_models, streaming=Streaming())
    (tmp_path / "out" / "b" / "overlay.png").unlink()
    done = []
    monkeypatch.setattr(
        "organscope.pipeline.image.work_on_image",
        lambda target, *rest: done.append(target.stem.name) or work(target, *rest),
    )
    again = run_plan(plan, all_models, streaming=Streaming())
    assert done == ["b"]
    for one, other in zip(first.images, again.images, strict=True):
        assert one.n_cells == other.n_cells
        assert one.cell_answer.decision == other.cell_answer.decision
        np.testing.assert_array_equal(one.classification.probabilities, other.classification.probabilities)
    PillowImage.fromarray(colon[64:128, :96]).save(tmp_path / "a.png")
    run_plan(plan, all_models, streaming=Streaming())
    assert done == ["b", "a"]


def test_damaged_ledger_is_begun_anew(tmp_path, slide, all_models):
    ledger_path(tmp_path / "out").parent.mkdir(parents=True)
    ledger_path(tmp_path / "out").write_bytes(b"no ledger" * 1000)
    assert len(run(slide, tmp_path / "out", all_models).images) == 1

"""From allowed memory to tiles; and the plan that is said first."""

import pytest
import tifffile

from organscope.errors import UsageError
from organscope.inference.maps import MAX_TILE_PX
from organscope.pipeline import Models, ReadOptions, Streaming, memory_from_text, plan_run
from organscope.pipeline.memory import WAITING_BYTES, expected_bytes
from organscope.pipeline.progress import duration_text
from organscope.pipeline.slide_plan import plan_slides


@pytest.mark.parametrize(
    ("text", "size"), [("2GB", 2e9), ("1500 mb", 1.5e9), ("1.5GiB", 1.5 * 2**30), ("0.002 TB", 2e9)]
)
def test_sizes_are_read(text, size):
    assert memory_from_text(text) == size


@pytest.mark.parametrize("text", ["2", "GB", "-1GB", "two GB", "2 apples", ""])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(UsageError, match="--memory"):
        memory_from_text(text)


def test_less_memory_makes_smaller_tiles(models):
    tiles = [Streaming(size).tile_px(models, 1) for size in (8e8, 1e9, 8e9, None)]
    assert tiles == sorted(tiles)
    assert tiles[-2:] == [MAX_TILE_PX, MAX_TILE_PX]
    assert all(expected_bytes(tile) <= size for tile, size in zip(tiles, (8e8, 1e9, 8e9), strict=False))


def test_two_workers_share_the_memory(models):
    assert Streaming(2e9 + WAITING_BYTES).tile_px(models, 2) == Streaming(1e9).tile_px(models, 1)
    assert Streaming(2.5e9).held_px(2) <= Streaming(2.5e9).held_px(1)


def test_too_little_memory_is_refused_with_what_is_needed(models):
    with pytest.raises(UsageError, match=r"Expected at least 7.. MB, found --memory 500 MB"):
        Streaming(5e8).tile_px(models, 1)
    assert Streaming(5e8).tile_px(Models(organs=models.organs), 1) == MAX_TILE_PX


def test_plan_counts_regions_and_tiles(tmp_path, colon, models):
    tifffile.imwrite(tmp_path / "a.tif", colon, tile=(64, 64), photometric="rgb")
    (tmp_path / "broken.tif").write_bytes(b"")
    targets = plan_run([tmp_path], tmp_path / "out").targets
    plan = plan_slides(targets, models, ReadOptions(), Streaming(), 2)
    assert (plan.n_slides, plan.n_windows, plan.n_tiles, plan.tissue) == (2, 1, 1, 1.0)
    assert plan.seconds > 0
    assert plan.memory_mb == pytest.approx((2 * expected_bytes(MAX_TILE_PX) + WAITING_BYTES) / 1e6)
    assert plan.sentence().startswith("Plan: 2 slides, 0 megapixels, 1 regions, 1 tiles of which about 100% show")
    assert plan_slides(targets, Models(organs=models.organs), ReadOptions(), Streaming(), 1).seconds is None


def test_durations_are_said_as_people_say_them():
    assert [duration_text(s) for s in (0.2, 60, 120, 3600, 8000)] == ["1 s", "60 s", "2 min", "60 min", "2 h 13 min"]

"""Where the time of `analyze` goes, stage by stage.

    python bench/profile_analyze.py IMAGE [IMAGE ...] [--rounds 3]

Seconds on the clock of each stage, the least of some rounds, summed over the images; a stage that runs in a thread of
its own beside others counts in full, so shares may add up to more than the whole. Nothing else should run meanwhile.
"""

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest import mock

from organscope.pipeline import ReadOptions, load_models
from organscope.pipeline.image import warm_up, work_on_image
from organscope.pipeline.models import CLASSIFICATION, SEGMENTATION
from organscope.pipeline.plan import Target

STAGES = {
    "read the file": "organscope.pipeline.image.hold_image",
    "cells: network": "organscope.inference.maps.run_tile",
    "cells: second look at sizes": "organscope.inference.segment.estimate_scale",
    "cells: maps to cells": "organscope.inference.stitching.decode_cells",
    "cells: measures": "organscope.pipeline.image.measure_cells",
    "organ of each cell": "organscope.pipeline.image.classify_centers",
    "organ of the image": "organscope.pipeline.image.classify_image",
    "outlines": "organscope.pipeline.image.cell_polygons",
    "labels": "organscope.pipeline.image.write_labels",
    "tables": "organscope.pipeline.image.write_cells",
    "GeoJSON": "organscope.pipeline.image.write_geojson",
    "overlay": "organscope.pipeline.image.write_overlay",
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path, nargs="+")
    parser.add_argument("--rounds", type=int, default=3)
    told = parser.parse_args()
    models = load_models((SEGMENTATION, CLASSIFICATION))
    warm_up(models)
    rounds = [measured(told.images, models) for _ in range(told.rounds)]
    whole = min(found["whole"] for found in rounds)
    print(f"{'whole':30} {whole:8.3f} s")
    for stage in STAGES:
        seconds = min(found[stage] for found in rounds)
        print(f"{stage:30} {seconds:8.3f} s {seconds / whole:6.1%}")


def measured(images: list[Path], models: Any) -> Counter:
    """Seconds of each stage and of the whole, for one round."""
    seconds: Counter = Counter()
    with ExitStack() as stack, tempfile.TemporaryDirectory() as folder:
        for stage, name in STAGES.items():
            stack.enter_context(mock.patch(name, timed(stage, name, seconds)))
        started = time.perf_counter()
        for number, image in enumerate(images):
            work_on_image(Target(image, Path(str(number))), Path(folder), models, ReadOptions())
        seconds["whole"] = time.perf_counter() - started
    return seconds


def timed(stage: str, name: str, seconds: Counter) -> Callable:
    """The function of this name, which adds its seconds to a stage."""
    module, _, attribute = name.rpartition(".")
    function = getattr(__import__(module, fromlist=[attribute]), attribute)

    def run(*args: Any, **keywords: Any) -> Any:
        started = time.perf_counter()
        try:
            return function(*args, **keywords)
        finally:
            seconds[stage] += time.perf_counter() - started

    return run


if __name__ == "__main__":
    main()

"""A folder of runs as trainings and sweeps leave it, written through the trackers and Optuna, without training."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from organscope.sweep import Space
from organscope.sweep.space import make_folder, write_space
from organscope.sweep.study import Ending, SweepStudy
from organscope.tracking import RunFacts
from organscope.tracking.figures import confusion_figure, image_png
from organscope.tracking.mlflow import MlflowTracker

BACKBONES = ("resnet18d", "resnet34", "convnext_atto", "regnety_002")
ORGANS = ("liver", "spleen", "kidney")
STUDY = """
[data]
sources = [{ index = "index" }]

[bundle]
name = "tiny"
"""


def write_runs(folder: Path, n_runs: int, *, epochs: int = 12, files: bool = True) -> None:
    """Classification runs of several backbones, each better the smaller its learning rate.

    Args:
        folder: That holds the run folders.
        n_runs: How many.
        epochs: Of each.
        files: Also write images.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tracker = MlflowTracker()
    random = np.random.default_rng(0)
    images = _images(random) if files else {}
    for number in range(n_runs):
        backbone = BACKBONES[number % len(BACKBONES)]
        rate = float(f"{10 ** random.uniform(-4, -2):.3g}")
        tracker.start(_facts(folder, number, backbone, rate))
        best = 0.95 - 0.2 * abs(math.log10(rate) + 3)
        for epoch in range(1, epochs + 1):
            accuracy = best * (1 - math.exp(-epoch / 4)) + random.normal(0, 0.01)
            tracker.log_metrics(_metrics(epoch, accuracy), epoch)
        for name, png in images.items():
            tracker.log_picture(name, png)
        score = {"dataset": "nuinsseg", "subset": "fold 1", "n_images": 40, "metric": "accuracy", "value": best}
        tracker.log_table("scores", pd.DataFrame([score | {"low": best - 0.05, "high": best + 0.04}]))
        tracker.finish("failed" if number % 17 == 16 else "finished")


def write_sweep(folder: Path, n_trials: int, base: Path, **changes: Any) -> Space:
    """A sweep over two parameters with a result for each trial; every fifth fails."""
    base.write_text(STUDY)
    content = {
        "name": "rates",
        "task": "classification",
        "config": base,
        "parameters": {
            "fit.learning_rate": {"min": 1e-4, "max": 1e-2, "log": True},
            "network.backbone": {"values": list(BACKBONES)},
        },
        "objectives": [{"metric": "balanced_accuracy", "direction": "maximize"}],
        "epochs": 4,
        "pruner": {"kind": "none"},
    }
    space = Space.model_validate(content | changes)
    make_folder(folder)
    write_space(space, folder)
    study = SweepStudy(space, f"sqlite:///{folder.resolve() / 'study.db'}")
    while (trial := study.next_trial(n_trials)) is not None:
        score = 0.9 - 0.2 * abs(math.log10(trial.params["fit.learning_rate"]) + 3)
        if trial.number % 5 == 4:
            study.finish(trial, Ending("failed", reason="out of memory: <b>64 GiB</b>"), again=False)
            continue
        for epoch in range(1, 5 if len(space.objectives) == 1 else 1):
            trial.report(score * epoch / 4, epoch)
        values = (score, 10.0 + trial.number)[: len(space.objectives)]
        study.finish(trial, Ending("complete", values=values, epochs=4, seconds=3.0))
    study.close()
    return space


def _facts(folder: Path, number: int, backbone: str, rate: float) -> RunFacts:
    run = folder / f"{backbone}-{number:03}"
    in_sweep = {"sweep": "rates", "trial": str(number)} if number % 2 else {}
    return RunFacts(
        name=run.name,
        project="organscope",
        run_folder=run,
        store=folder,
        config=_config(backbone, rate, number),
        tags={"task": "classification", "git_commit": "0123abc", "host": "desk", **in_sweep},
        environment="numpy==2\n",
    )


def _config(backbone: str, rate: float, number: int) -> dict[str, Any]:
    return {
        "network": {"backbone": backbone, "stages": 3, "drop_rate": 0.2},
        "fit": {"learning_rate": rate, "batch": 32, "epochs": 12, "seed": number},
        "augmentation": {f"setting_{place}": place for place in range(30)},
        "data": {"sources": [{"index": "indexes/nuinsseg"}], "test_folds": [1]},
    }


def _metrics(epoch: int, accuracy: float) -> Mapping[str, float]:
    return {
        "train/loss": 3 * math.exp(-epoch / 5) + 0.2,
        "validation/balanced_accuracy": accuracy,
        "validation/nll": 2.5 * (1 - accuracy) + 0.1,
        "learning_rate": 1e-3 * math.cos(epoch / 10),
        "images_per_s": 40.0,
        "memory_mb": 900.0,
        "seconds_per_epoch": 6.0,
    }


def _images(random: np.random.Generator) -> dict[str, bytes]:
    truth = random.integers(0, 3, 40)
    predicted = np.where(random.random(40) < 0.8, truth, (truth + 1) % 3)
    noise = random.integers(0, 255, (96, 128, 3)).astype(np.uint8)
    return {
        "figures/confusion": confusion_figure(truth, predicted, ORGANS),
        "samples/organs": image_png(noise),
    }

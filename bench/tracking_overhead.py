"""What tracking costs a training: the same training with and without a tracker, in turn.

    python bench/tracking_overhead.py classification configs/organs_resnet18_texture.toml --set fit.epochs=60 \\
        --repeats 3
    python bench/tracking_overhead.py segmentation configs/nuclei.toml --set fit.epochs=4 --repeats 2 --tracker both

Each training is a process of its own, started as a person would start it, from its first line to its bundle. Trackers
take turns, and the first of each round changes, so that a machine that slows down does so for all. Printed are the
median ratios to `--track none` of the wall time and of the processor time within each round, and the seconds behind
them. To import and to start a tracker costs some seconds however long the training is, so choose a length that people
train for, ten minutes or more. Nothing else should run on the machine meanwhile.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from counted import run_counted


def main() -> None:
    """Train in turn, print the ratios, write JSON."""
    arguments = _arguments()
    ways = ["none", arguments.tracker]
    rounds = []
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        for number in range(arguments.repeats):
            order = ways if number % 2 == 0 else ways[::-1]
            rounds.append({way: train(way, Path(folder) / f"{way}-{number}", arguments) for way in order})
            print(f"round {number + 1}: " + ", ".join(f"{way} {rounds[-1][way]['wall_s']:.1f} s" for way in ways))
    result = {
        "task": arguments.task,
        "tracker": arguments.tracker,
        "settings": arguments.settings,
        "wall_ratio": _ratio(rounds, arguments.tracker, "wall_s"),
        "processor_ratio": _ratio(rounds, arguments.tracker, "processor_s"),
        "machine": {"cpus": os.cpu_count(), "platform": platform.platform(), "python": platform.python_version()},
        "rounds": rounds,
    }
    print(f"wall time with {arguments.tracker} / none: {result['wall_ratio']:.4f}")
    print(f"processor time with {arguments.tracker} / none: {result['processor_ratio']:.4f}")
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")


def train(tracker: str, folder: Path, arguments: argparse.Namespace) -> dict[str, float]:
    """One training in a process of its own."""
    program = str(Path(sys.executable).with_name("organscope"))
    words = [program, "train", arguments.task, str(arguments.config), "-o", str(folder / "run"), "--track", tracker]
    for setting in ("tracking.wandb_mode=offline", *arguments.settings):
        words += ["--set", setting]
    counted = run_counted(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    if "Warning" in counted.said:
        sys.exit(f"{' '.join(words)} warned: {counted.said}")
    return {"wall_s": counted.wall_s, "processor_s": counted.processor_s}


def _ratio(rounds: list[dict[str, dict[str, float]]], tracker: str, figure: str) -> float:
    return statistics.median(turn[tracker][figure] / turn["none"][figure] for turn in rounds)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=["classification", "segmentation"])
    parser.add_argument("config", type=Path)
    parser.add_argument("--tracker", default="mlflow", choices=["mlflow", "wandb", "both"])
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where the runs lie while it lasts")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()

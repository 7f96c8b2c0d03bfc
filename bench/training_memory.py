"""Does a training need more memory for a larger set, and how long does it wait for its data?

    python bench/training_memory.py --index indexes/nuinsseg
    python bench/training_memory.py --index indexes/nuinsseg --trainer segmentation --steps 4

Each trainer learns for a few steps from a part of the images of an index, and from eight times as many, with
`fit.cache_mb` so small that neither part fits into it: as a set of 45 GB does not fit into memory. Every run is a
process of its own that ends with an untuned bundle; its peak memory is what the operating system counted (resident
set), and the time that it waited is `waiting_share` in its `metrics.jsonl`. Targets: larger over smaller peak at most
1.15, waiting at most a tenth. Nothing else should run on the machine meanwhile.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd

from counted import run_counted
from organscope.data.index import read_index, write_index

TIMES = 8
CONFIGS = {"segmentation": "configs/nuclei.toml", "classification": "configs/organs_resnet18.toml"}


def main() -> None:
    """Measure, print a table in Markdown, write JSON."""
    arguments = _arguments()
    rows = []
    print("| trainer | images | steps | peak memory mb | waiting |\n|---|---:|---:|---:|---:|", flush=True)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        parts = write_parts(arguments.index, Path(name))
        for trainer in arguments.trainer:
            for n_images, index in parts:
                row = measure(trainer, index, n_images, parts[-1][0], arguments)
                rows.append(row)
                memory, waiting = f"{row['peak_memory_mb']:,.0f}", f"{row['waiting_share']:.1%}"
                print(f"| {trainer} | {n_images} | {row['steps']} | {memory} | {waiting} |", flush=True)
    print()
    for trainer in arguments.trainer:
        few, many = (row["peak_memory_mb"] for row in rows if row["trainer"] == trainer)
        print(f"{trainer}: larger over smaller set {many / few:.2f}")
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


def write_parts(index: Path, folder: Path) -> list[tuple[int, Path]]:
    """An index of every eighth image and one of all, of organs with enough of them; the images stay in place."""
    whole = read_index(index)
    table = whole.table.sort_values(["organ", "id"])
    table = table[table.groupby("organ")["id"].transform("size") >= 2 * TIMES].assign(fold=2, split="")
    for column in ("image", "labels"):
        table[column] = [str(whole.resolve(path)) if path else "" for path in table[column]]
    parts = {"part": table.iloc[::TIMES], "all": table}
    return [(len(rows), write_part(folder / name, rows)) for name, rows in parts.items()]


def write_part(folder: Path, rows: pd.DataFrame) -> Path:
    """One index of some rows."""
    write_index(folder, rows.reset_index(drop=True))
    return folder


def measure(
    trainer: str, index: Path, n_images: int, most_images: int, arguments: argparse.Namespace
) -> dict[str, float | str]:
    """Train in a process of its own."""
    # An epoch of a classification is as long as the set: the smaller one gets more of them, not fewer steps.
    epochs = 2 if trainer == "segmentation" else max(1, round(most_images / n_images))
    settings = {
        "data.sources": f'[{{ index = "{index.absolute()}" }}]',
        "fit.epochs": epochs,
        "fit.batch": arguments.batch,
        "fit.cache_mb": arguments.cache_mb,
        "draft": "true",
    }
    settings |= {"fit.steps_per_epoch": arguments.steps} if trainer == "segmentation" else {}
    run = index.with_name(f"{index.name}-{trainer}")
    words = [str(Path(sys.executable).with_name("organscope")), "train", trainer, CONFIGS[trainer], "-o", str(run)]
    words += ["--track", "none", *(word for key, value in settings.items() for word in ("--set", f"{key}={value}"))]
    counted = run_counted(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    logged = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return {
        "trainer": trainer,
        "pictures": n_images,
        "steps": round(sum(row["n_images"] for row in logged) / arguments.batch),
        "peak_memory_mb": counted.peak_memory_mb,
        "waiting_share": sum(row["waiting_share"] for row in logged) / len(logged),
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--index", type=Path, required=True, help="with organs and labels")
    parser.add_argument("--trainer", nargs="+", choices=list(CONFIGS), default=list(CONFIGS))
    parser.add_argument("--steps", type=int, default=30, help="of an epoch of the segmentation, which has two")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--cache-mb", type=int, default=10)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("--folder", type=Path, help="for runs, which are removed again")
    return parser.parse_args()


if __name__ == "__main__":
    main()

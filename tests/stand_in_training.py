"""What a sweep starts in place of `organscope train` in tests: writes epochs in no time, or fails as it is told.

The table `[bundle]` of the trial's configuration says what happens: its `summary` is the fate of the training.
"""

import json
import os
import signal
import sys
import time
import tomllib
from pathlib import Path

CONFIG = """
[data]
sources = [{ index = "index" }]

[bundle]
name = "tiny"
summary = "ends well"
"""


def train(config: dict, folder: Path) -> None:
    """Write the epochs of a training whose score depends on the learning rate alone."""
    fate = config["bundle"]["summary"]
    rate = config["fit"]["learning_rate"]
    rows = []
    for epoch in range(1, config["fit"]["epochs"] + 1):
        score = 1 - abs(rate - 0.01) * 50 + 0.001 * epoch if fate != "diverges" else float("nan")
        rows.append({"epoch": epoch, "loss": 1 / epoch, "score": score, "nll": 1 - score})
        part = folder / "metrics.part"
        part.write_text("".join(json.dumps(row) + "\n" for row in rows))
        part.replace(folder / "metrics.jsonl")
        if fate != "ends well" and epoch == 1:
            meet(fate, folder)


def meet(fate: str, folder: Path) -> None:
    """Fail in one of many ways, or wait until a second sweep beside this one has begun a trial."""
    if fate == "crashes":
        print("Error: Expected images, found none.", file=sys.stderr)
        sys.exit(1)
    if fate == "runs out of memory":
        raise MemoryError("Unable to allocate 64 GiB")
    if fate == "is killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if fate == "hangs":
        time.sleep(600)
    if fate == "waits for company":
        while len({trial.parent for trial in folder.parents[2].glob("*/trials/*")}) < 2:
            time.sleep(0.01)


if __name__ == "__main__":
    _, _, config_file, _, run_folder = sys.argv[1:]
    train(tomllib.loads(Path(config_file).read_text()), Path(run_folder))

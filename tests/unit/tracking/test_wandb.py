"""An offline run of W&B, read back from the `.wandb` file that `wandb sync` would upload."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import wandb

from organscope.tracking import RunFacts
from organscope.tracking.figures import image_png
from organscope.tracking.wandb import WandbTracker

HEADER_BYTES = 7
BLOCK_BYTES = 32 * 1024
FULL, LAST = 1, 4


def transactions(file: Path) -> Iterator[bytes]:
    """The records of a `.wandb` file: LevelDB's log format behind a header of seven bytes.

    Each piece has a checksum (4 bytes), a length (2) and a kind (1) before it, and lies within one block.
    """
    content = file.read_bytes()
    assert content.startswith(b":W&B")
    place, whole = HEADER_BYTES, b""
    while place + HEADER_BYTES <= len(content):
        left = BLOCK_BYTES - place % BLOCK_BYTES
        if left < HEADER_BYTES:
            place += left
            continue
        _, length, kind = struct.unpack_from("<IHB", content, place)
        whole += content[place + HEADER_BYTES : place + HEADER_BYTES + length]
        place += HEADER_BYTES + length
        if kind in (FULL, LAST):
            yield whole
            whole = b""


def records(folder: Path) -> list:
    """Every record of the only run below a folder."""
    from wandb.proto import wandb_internal_pb2

    (file,) = folder.glob("wandb/offline-run-*/*.wandb")
    return [wandb_internal_pb2.Record.FromString(data) for data in transactions(file)]


@pytest.fixture(scope="module")
def environment() -> Iterator[pytest.MonkeyPatch]:
    """Environment variables for all tests of this file."""
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")
def tracked(tmp_path_factory, environment):
    """The records of one whole run."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "bundle").mkdir()
    (folder / "bundle" / "graph.onnx").write_bytes(b"graph")
    tags = {"task": "segmentation", "git_commit": "0123abc", "sweep": "nets", "trial": "4"}
    config = {"fit": {"epochs": 3}}
    # W&B keeps a copy of artifacts below the person's home.
    environment.setenv("WANDB_DATA_DIR", str(folder))
    tracker = WandbTracker("offline")
    tracker.start(RunFacts("nuclei", "cells", folder / "nuclei", folder, config, tags, "python 3\n"))
    tracker.log_steps("train/step_loss", [0.9, 0.7], 4)
    tracker.log_metrics({"train/loss": 0.8, "validation/pq": 0.25}, 2)
    tracker.log_picture("samples/one", image_png(np.full((8, 9, 3), 200, np.uint8)))
    tracker.log_table("scores", pd.DataFrame({"metric": ["pq"], "value": [0.4]}))
    tracker.log_facts({"data_fingerprint": "f00d"})
    tracker.log_artifact("bundle", folder / "bundle")
    tracker.finish("finished")
    # W&B's service writes the end of the file when it ends itself, as it does with the process.
    wandb.teardown()
    return records(folder)


def logged(tracked) -> list[dict]:
    rows = []
    for record in tracked:
        if record.WhichOneof("record_type") == "history":
            rows.append({"/".join(item.nested_key): json.loads(item.value_json) for item in record.history.item})
    return rows


def test_metrics_lie_on_their_axis(tracked):
    rows = logged(tracked)
    steps = [(row["step"], row["train/step_loss"]) for row in rows if "train/step_loss" in row]
    assert steps == [(4, 0.9), (5, 0.7)]
    assert [(row["epoch"], row["validation/pq"]) for row in rows if "validation/pq" in row] == [(2, 0.25)]


def test_the_run_says_what_it_is(tracked):
    (run,) = [record.run for record in tracked if record.WhichOneof("record_type") == "run"]
    assert (run.project, run.display_name, run.run_group) == ("cells", "nuclei", "nets")
    config = {item.key: json.loads(item.value_json) for item in run.config.update}
    assert config["fit"] == {"epochs": 3}
    text = str(tracked)
    assert "0123abc" in text
    assert "f00d" in text


def test_images_tables_and_the_bundle_are_in_it(tracked):
    rows = logged(tracked)
    assert [row["samples/one/_type"] for row in rows if "samples/one/_type" in row] == ["image-file"]
    assert [row["scores/_type"] for row in rows if "scores/_type" in row] == ["table-file"]
    artifacts = {record.artifact.type: record.artifact for record in tracked if record.HasField("artifact")}
    assert [entry.path for entry in artifacts["model"].manifest.contents] == ["graph.onnx"]


def test_it_ended_well(tracked):
    (end,) = [record.exit for record in tracked if record.WhichOneof("record_type") == "exit"]
    assert end.exit_code == 0

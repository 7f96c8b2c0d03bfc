"""What a run folder tells of the run, and what differs between two runs."""

import json
from pathlib import Path

import pandas as pd
import pytest

from organscope.errors import UsageError
from organscope.training import reproduce as reproduce_module
from organscope.training.origin import ORIGIN_FILE, Base, Origin, base_of
from organscope.training.record import RunRecord, read_record
from organscope.training.reproduce import compare_numbers, differences, reproduce
from texture_set import write_texture_set
from tiny_bundles import tiny_classification

BUNDLE = {"name": "tiny", "summary": "For tests only."}
ROWS = (
    {"epoch": 1, "loss": 0.5, "seconds": 2.0, "score": None},
    {"epoch": 2, "loss": 0.25, "seconds": 1.0, "score": 1},
)


def write_run(folder: Path, index: str, rows=ROWS, origin: Origin | None = None, task: str = "classification") -> Path:
    """The folder of a run that was stopped before it had a bundle."""
    folder.mkdir(parents=True)
    config = {"task": task, "data": {"sources": [{"index": index}]}, "bundle": BUNDLE}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "environment.txt").write_text("python 3.11.7\nLinux\nnumpy==2.4.6\nrich==13.0\n")
    if origin is not None:
        (folder / ORIGIN_FILE).write_text(origin.model_dump_json())
    return folder


@pytest.fixture
def index(tmp_path) -> Path:
    (tmp_path / "set").mkdir()
    write_texture_set(tmp_path / "set")
    return tmp_path / "set" / "index"


def test_a_stopped_run_is_read(tmp_path, index):
    record = read_record(write_run(tmp_path / "run", str(index)))
    assert record.config.task == "classification"
    assert record.packages == {"python": "3.11.7", "numpy": "2.4.6", "rich": "13.0"}
    assert record.bundle is None
    assert not record.is_finetuned
    assert [row["loss"] for row in record.epochs] == [0.5, 0.25]


def test_an_index_is_found_from_the_folder_the_run_was_started_in(tmp_path, index):
    run = write_run(tmp_path / "run", "set/index", origin=Origin(folder=str(tmp_path)))
    assert read_record(run).config.data.sources[0].index == index
    moved = write_run(tmp_path / "moved", "gone/index")
    with pytest.raises(UsageError, match="Say where it lies now with --data"):
        read_record(moved)
    assert read_record(moved, (index,)).config.data.sources[0].index == index
    with pytest.raises(UsageError, match="once for each of the 1 indexes"):
        read_record(moved, (index, index))


def test_what_is_no_run_is_refused(tmp_path, index):
    with pytest.raises(UsageError, match="Expected the folder of a training"):
        read_record(tmp_path)
    with pytest.raises(UsageError, match="trained for an epoch"):
        read_record(write_run(tmp_path / "new", str(index), rows=()))
    with pytest.raises(UsageError, match="found task 'cooking'"):
        read_record(write_run(tmp_path / "other", str(index), task="cooking"))


def test_a_fine_tuning_needs_its_bundle(tmp_path, index):
    old = write_run(tmp_path / "old", str(index), task="segmentation")
    (old / "finetuning.csv").write_text("")
    with pytest.raises(UsageError, match="Name the bundle with --from"):
        reproduce(old, tmp_path / "new")
    base = Base(name="nuclei", source=str(tmp_path / "gone"), sha256="0")
    tuned = write_run(tmp_path / "tuned", str(index), task="segmentation", origin=Origin(base=base))
    with pytest.raises(UsageError, match="Say where it lies now with --from"):
        reproduce(tuned, tmp_path / "new")


def test_a_backbone_of_another_bundle_is_where_it_lies_now(tmp_path, index):
    bundle = tiny_classification(tmp_path / "tiny")
    run = write_run(tmp_path / "run", str(index), origin=Origin(base=base_of(bundle)))
    content = json.loads((run / "config.json").read_text()) | {"network": {"start": "gone"}}
    (run / "config.json").write_text(json.dumps(content))
    then = read_record(run)
    assert then.is_finetuned
    assert reproduce_module._config(then, bundle).network.start == str(bundle.source)


def record(epochs, **changes) -> RunRecord:
    facts = {"folder": Path("run"), "config": None, "written": None, "origin": None, "packages": {}, "bundle": None}
    return RunRecord(**{**facts, "split": pd.DataFrame(), "epochs": list(epochs), "is_finetuned": False, **changes})


def test_numbers_are_compared_to_the_last_digit():
    same = compare_numbers(record(ROWS), record([row | {"seconds": 9.0} for row in ROWS]))
    assert same.same
    assert same.first_difference == ""
    assert dict(zip(same.table["metric"], same.table["difference"], strict=True)) == {"loss": 0, "score": 0}
    other = compare_numbers(record(ROWS), record([ROWS[0], ROWS[1] | {"loss": 0.25 + 1e-12}]))
    assert not other.same
    assert other.first_difference.startswith("loss of epoch 2")


def test_a_shorter_run_is_compared_as_far_as_it_went():
    assert compare_numbers(record(ROWS[:1]), record(ROWS)).same
    assert not compare_numbers(record(ROWS), record([ROWS[0], {"epoch": 2}])).same


def test_what_else_differs_is_said():
    def origin(**computer: str) -> Origin:
        return Origin(computer=computer, data_fingerprint="a" * 64)

    then = origin(processor="A", bfloat16="yes", git_commit="1" * 40)
    one = record(ROWS, packages={"numpy": "2.4.6", "rich": "13"}, origin=then)
    assert differences(one, one) == []
    other = record(
        ROWS,
        packages={"numpy": "2.5.0", "rich": "14", "organscope": "1"},
        origin=origin(processor="B", bfloat16="no", cpus="2", git_commit="2" * 40).model_copy(
            update={"threads": {"OMP_NUM_THREADS": "1"}, "data_fingerprint": "b" * 64, "processes": 2}
        ),
        split=pd.DataFrame({"part": ["training"]}),
    )
    assert differences(one, other) == [
        "The data differ: fingerprint aaaaaaaaaaaa then, bbbbbbbbbbbb now. Images, labels or folds of an index have "
        "changed.",
        "Packages differ: numpy 2.4.6 then, 2.5.0 now.",
        "organscope missing then, 1 now.",
        "Another processor: A then, B now.",
        "Another support of bfloat16: yes then, no now.",
        "Threads: as many as there are then, OMP_NUM_THREADS=1 now.",
        "Trained by 1 processes then, by 2 now.",
        "Another commit of organscope: 1111111111 then, 2222222222 now.",
    ]

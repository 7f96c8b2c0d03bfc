"""Two workers, each a sweep of its own with the same command, on one study in a real PostgreSQL."""

import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import stand_in_training
from organscope.errors import UsageError
from organscope.sweep.run import Means, run_sweep
from organscope.sweep.study import SweepStudy, counted, opened_storage
from postgresql import find_programs, running_server


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    programs = find_programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql, as root: make test does it)")
    if importlib.util.find_spec("psycopg") is None:
        pytest.skip("psycopg is not installed (pip install '.[postgresql]')")
    # A socket's path may have 107 letters, and its account must reach it: not below pytest's own folder.
    with tempfile.TemporaryDirectory(prefix="pg-") as folder:
        os.chmod(folder, 0o755)  # noqa: PTH101
        with running_server(programs, Path(folder) / "server") as address:
            yield address


WORKER = """
import sys
from pathlib import Path
from organscope.sweep import Space, trial_process
from organscope.sweep.run import Means, run_sweep
trial_process.PROGRAM, trial_process.POLL_SECONDS = (sys.executable, "-S", {stand_in!r}), 0.01
run_sweep(Space.model_validate_json({space!r}), Path({folder!r}), Means(8, storage={url!r}))
"""


def test_two_workers_share_one_study(space, url, tmp_path):
    # Else one may have done all trials while the other still starts.
    searched = space(
        name="shared", trial={"bundle.summary": "waits for company"}, sampler={"kind": "random", "seed": 5}
    )
    code = {"stand_in": stand_in_training.__file__, "space": searched.model_dump_json(by_alias=True), "url": url}
    workers = [
        subprocess.Popen([sys.executable, "-c", WORKER.format(folder=str(tmp_path / name), **code)])
        for name in ("one", "two")
    ]
    assert [worker.wait(120) for worker in workers] == [0, 0]
    with closing(SweepStudy(searched, url)) as study:
        trials = counted(study.trials())
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 8
    assert len({trial.params["fit.learning_rate"] for trial in trials}) == 8
    assert {trial.user_attrs["pid"] for trial in trials} == {worker.pid for worker in workers}
    own = [{folder.name for folder in (tmp_path / name / "trials").iterdir()} for name in ("one", "two")]
    assert not own[0] & own[1]
    assert all((tmp_path / name / "best.toml").exists() for name in ("one", "two"))


@pytest.mark.usefixtures("stand_in")
def test_a_sweep_of_the_same_name_over_another_space_is_refused(space, url, folder):
    run_sweep(space(name="mine"), folder, Means(1, storage=url))
    with pytest.raises(UsageError, match="another space"):
        run_sweep(space(name="mine", epochs=7), folder, Means(1, storage=url))


def test_a_server_that_does_not_answer_is_a_sentence_without_the_password(tmp_path):
    expected = pytest.raises(UsageError, match="cannot be used")
    with expected as caught, opened_storage(f"postgresql://me:secret@/db?host={tmp_path}"):
        pass
    assert "secret" not in str(caught.value)

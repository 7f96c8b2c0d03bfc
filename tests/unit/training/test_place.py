"""Which process of a training this is, and what each does of the work."""

import pytest

from organscope.errors import ConfigError
from organscope.training.origin import Place, torchrun_place
from organscope.training.run import FollowingRun, RunDirectory, run_directory


def test_torchrun_tells_the_place():
    assert torchrun_place({"RANK": "1"}) == Place()
    environment = {"TORCHELASTIC_RUN_ID": "x", "RANK": "3", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2"}
    place = torchrun_place(environment)
    assert (place.leads, place.is_alone, place.n_machines) == (False, False, 2)


def test_a_batch_is_shared_evenly():
    Place(0, 4, 4).require_shares(32)
    Place().require_shares(7)
    for batch in (30, 4):
        with pytest.raises(ConfigError, match=r"fit\.batch"):
            Place(0, 4, 4).require_shares(batch)


def test_alone_draws_as_ever():
    assert Place().seed(3, 4) == (3, 4)
    assert Place(1, 2, 2).seed(3, 4) == (3, 4, 1)


def test_only_the_first_writes_and_reports(tmp_path):
    said = []
    run, report = run_directory(tmp_path / "run", Place(1, 2, 2), said.append)
    with run:
        run.start(None, source=None, resume=False)
        run.log({"epoch": 1, "loss": 1.0})
        report("epoch 1")
    assert isinstance(run, FollowingRun)
    assert not (tmp_path / "run").exists()
    assert said == []
    run, report = run_directory(tmp_path / "run", Place(), said.append)
    assert type(run) is RunDirectory
    assert report == said.append

"""One training in two real processes that TF_CONFIG names."""

import json
import os
import socket
import subprocess
import sys

import pytest

from disc_pictures import CONFIG, write_discs
from organscope.data import import_folder
from organscope.errors import ConfigError
from organscope.models import load_bundle, verify_bundle
from organscope.training.origin import Place
from organscope.training.segmentation.distributed import tf_config_place

SHORT = ("fit.epochs=2", "fit.steps_per_epoch=6", "draft=true", "tracking.to='none'")


def free_ports(n_ports: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(n_ports)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def test_two_processes_train_one_network(tmp_path):
    write_discs(tmp_path / "set", 8)
    import_folder(tmp_path / "set", tmp_path / "index", holdout=0.2, seed=0)
    (tmp_path / "config.toml").write_text(CONFIG.format(index="index"))
    command = [sys.executable, "-m", "organscope", "train", "segmentation", str(tmp_path / "config.toml")]
    command += ["-o", str(tmp_path / "run")]
    for setting in SHORT:
        command += ["--set", setting]
    workers = [f"127.0.0.1:{port}" for port in free_ports(2)]
    started = []
    for index in range(2):
        config = {"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}}
        environment = os.environ | {"TF_CONFIG": json.dumps(config), "TF_NUM_INTRAOP_THREADS": "1"}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        started.append(subprocess.Popen(command, env=environment, **pipes))
    told = [process.communicate(timeout=300) for process in started]
    assert [process.returncode for process in started] == [0, 0], told
    # The second process says nothing of its own and writes nothing.
    assert ["Bundle:" in out for out, _ in told] == [True, False]
    assert ["epoch 2/2" in err for _, err in told] == [True, False]
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [(row["epoch"], row["n_images"]) for row in rows] == [(1, 24), (2, 24)]
    assert rows[1]["loss"] < rows[0]["loss"]
    assert all(0 <= row["waiting_share"] < 1 for row in rows)
    assert verify_bundle(load_bundle(tmp_path / "run" / "bundle")).ok


def test_tf_config_tells_the_place():
    config = {"cluster": {"worker": ["one:1", "two:2"]}, "task": {"type": "worker", "index": 1}}
    assert tf_config_place({"TF_CONFIG": json.dumps(config)}) == Place(1, 2)
    assert tf_config_place({}) == Place()
    for wrong in ("{", "{}", json.dumps(config | {"task": {"type": "chief", "index": 0}})):
        with pytest.raises(ConfigError, match="Expected TF_CONFIG"):
            tf_config_place({"TF_CONFIG": wrong})

"""One training in two real processes, as `torchrun` starts them."""

import json
import subprocess
import sys

from organscope.models import load_bundle, verify_bundle
from texture_set import write_texture_set

SHORT = ("fit.epochs=3", "draft=true", "discriminant.share=0.0", "tracking.to='none'")


def test_two_processes_train_one_network(tmp_path):
    config_file = write_texture_set(tmp_path)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += ["-m", "organscope", "train", "classification", str(config_file), "-o", str(tmp_path / "run")]
    for setting in SHORT:
        command += ["--set", setting]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr
    # The second process says nothing and writes nothing.
    assert ended.stdout.count("Bundle:") == 1
    assert ended.stderr.count("epoch 2/3") == 1
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [(row["epoch"], row["n_images"]) for row in rows] == [(1, 16), (2, 16), (3, 16)]
    assert all(0 < row["loss"] < 10 for row in rows)
    assert all(0 <= row["waiting_share"] < 1 for row in rows)
    assert not list(tmp_path.rglob("*.tmp*"))
    bundle = load_bundle(tmp_path / "run" / "bundle")
    assert verify_bundle(bundle).ok

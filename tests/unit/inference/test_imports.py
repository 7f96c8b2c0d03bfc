"""Predicting needs no deep-learning framework and no figures."""

import subprocess
import sys

HEAVY = ("torch", "tensorflow", "keras", "matplotlib")


def test_importing_predict_leaves_the_frameworks_out():
    code = f"import sys, organscope.inference; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

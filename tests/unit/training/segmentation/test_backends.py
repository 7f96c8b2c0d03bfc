"""Network, losses and augmentation are Keras alone: another backend takes the same step."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

STEP = """
import sys
import keras
import numpy as np
from organscope.training.segmentation.augment import vary_appearance
from organscope.training.segmentation.config import AugmentationSettings, LossSettings, NetworkSettings
from organscope.training.segmentation.fit import MapLoss
from organscope.training.segmentation.network import build_network

def step(folder):
    network = build_network(NetworkSettings(base_filters=4, depth=2, attention=True, decoders=2, head="flow"))
    file = f"{folder}/weights.npz"
    if keras.backend.backend() == "tensorflow":
        np.savez(file, *network.get_weights())
    stored = np.load(file)
    network.set_weights([stored[name] for name in stored.files])
    random = np.random.default_rng(0)
    images = random.random((2, 32, 32, 3), dtype=np.float32)
    settings = AugmentationSettings(illumination=0.2, brown=0.5)
    images = keras.ops.convert_to_numpy(vary_appearance(images, settings, random))
    maps = random.random((2, 32, 32, 4), dtype=np.float32)
    maps[..., 0] = maps[..., 0] > 0.5
    loss = MapLoss(LossSettings(overlap="focal_tversky", positive_weight=2.0))
    network.compile(optimizer=keras.optimizers.SGD(0.5), loss=loss)
    losses = [float(network.train_on_batch(images, maps)) for _ in range(3)]
    logits = network.predict(images, verbose=0)
    np.savez(f"{folder}/{keras.backend.backend()}.npz", images=images, losses=losses, logits=logits)
"""


@pytest.mark.parametrize("backend", ["torch"])
def test_a_step_is_the_same_on_another_backend(backend, tmp_path):
    here: dict = {}
    exec(compile(STEP, "step", "exec"), here)
    assert keras.backend.backend() == "tensorflow"
    here["step"](tmp_path)
    environment = os.environ | {"KERAS_BACKEND": backend}
    run = [sys.executable, "-c", f"{STEP}\nstep({str(tmp_path)!r})\nassert 'tensorflow' not in sys.modules"]
    done = subprocess.run(run, env=environment, capture_output=True, text=True, cwd=Path.cwd())
    assert done.returncode == 0, done.stderr[-2000:]
    expected, found = (np.load(tmp_path / f"{name}.npz") for name in ("tensorflow", backend))
    # Float32 sums in other orders; three steps carry the difference on.
    assert found["images"] == pytest.approx(expected["images"], abs=1e-5)
    assert found["losses"] == pytest.approx(expected["losses"], rel=1e-3)
    assert found["losses"][2] < found["losses"][0]
    assert found["logits"] == pytest.approx(expected["logits"], abs=0.02)

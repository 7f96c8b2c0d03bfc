"""The network of StarDist alone, timed on request; started by `segmentation_speed.py` in StarDist's own environment.

    python bench/stardist_network.py IMAGE.npy ... --threads 2

Builds the default 2D model (grid 2, 32 rays, 3 channels) with random weights, which take as long as trained ones. Every
line that it reads is the number of an image; it answers with the seconds that the network took for that image, from an
array in memory to its two outputs in memory. Reading, normalization, non-maximum suppression and drawing are left out.
"""

import argparse
import os
import sys
import time

DIVISOR_PX = 16


def main() -> None:
    """Answer until the input ends."""
    arguments = _arguments()
    # TensorFlow 2.16 and newer come with Keras 3; StarDist's network is one of Keras 2.
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever libraries print goes to stderr, so that only answers reach the caller
    import numpy as np
    import tensorflow as tf
    from stardist.models import Config2D, StarDist2D

    tf.config.threading.set_intra_op_parallelism_threads(arguments.threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    network = StarDist2D(Config2D(n_channel_in=3, grid=(2, 2)), name=None, basedir=None).keras_model
    images = []
    for path in arguments.images:
        pixels = np.load(path).astype(np.float32) / 255
        padding = [(0, -side % DIVISOR_PX) for side in pixels.shape[:2]]
        images.append(np.pad(pixels, [*padding, (0, 0)], mode="reflect")[None])
    answers.write(f"ready stardist network, TensorFlow {tf.__version__}\n")
    for line in sys.stdin:
        image = images[int(line)]
        started = time.perf_counter()
        network.predict(image, batch_size=1, verbose=0)
        answers.write(f"{time.perf_counter() - started}\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", nargs="+")
    parser.add_argument("--threads", type=int, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    main()

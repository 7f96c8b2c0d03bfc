"""How fast a trained organ network answers: PyTorch as it is, onnxruntime, and onnxruntime in eight-bit integers.

    python bench/classification_speed.py RUN_DIR [--threads 2] [--rounds 7] [--images 32] [--json FILE]

All contestants take the same prepared fields of images that the run held out, in turns, on the same threads; of each,
the best batch counts. PyTorch computes eagerly in float32, inference mode, channels last. `classify` is all that the
command does with an image: read the file, prepare, judge its look, run, decide.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import safetensors.torch
import torch

from organscope.inference import classify_image
from organscope.models import Bundle, load_bundle
from organscope.training.classification.config import ClassificationConfig, NetworkConfig
from organscope.training.classification.data import Images
from organscope.training.classification.export import (
    calibration_batches,
    calibration_images,
    prepared_fields,
    quantized_copy,
)
from organscope.training.classification.network import OrganNetwork, build_network
from organscope.training.config import check_settings
from organscope.training.split import split_samples

BATCHES = (1, 2, 4, 8, 16, 32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--images", type=int, default=32)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    config = check_settings(ClassificationConfig, json.loads((options.run / "config.json").read_text()), "config.json")
    split = split_samples(config.data)
    with tempfile.TemporaryDirectory() as scratch:
        exact = load_bundle(options.run / "bundle", threads=options.threads)
        batches = calibration_batches(config, calibration_images(config, split.training))
        quantized_copy(exact, batches, Path(scratch) / "int8")
        integers = load_bundle(Path(scratch) / "int8", threads=options.threads)
        samples = split.test[:: -(-len(split.test) // options.images)]
        images = Images(samples, config.field, config.preprocessing, np.inf)
        fields = prepared_fields(np.concatenate([images.fields(n)[:1] for n in range(len(images))]), config)
        found = {"threads": options.threads, "images": len(samples)}
        found |= network_times(load_network(exact), exact, integers, fields, options.rounds)
        found |= classify_times(samples, exact, integers, options.rounds)
        found |= accuracies(split.test, exact, integers)
    report(found)
    if options.json:
        options.json.write_text(json.dumps(found, indent=2))


def load_network(bundle: Bundle) -> OrganNetwork:
    """The network of a bundle in PyTorch, from the weights that it stores."""
    architecture = dict(bundle.manifest.weights.architecture)
    told = NetworkConfig(**{key: architecture[key] for key in ("backbone", "arguments", "stages", "texture")})
    network = build_network(told, architecture["n_organs"]).eval()
    network.load_state_dict(safetensors.torch.load(bundle.read(bundle.manifest.weights.file)))
    return network.to(memory_format=torch.channels_last)


def network_times(
    network: OrganNetwork, exact: Bundle, integers: Bundle, fields: np.ndarray, rounds: int
) -> dict[str, float]:
    """Milliseconds a field of each contestant at its best batch."""

    def eager(batch: np.ndarray) -> None:
        with torch.inference_mode():
            network(torch.from_numpy(batch).permute(0, 3, 1, 2))

    contestants: dict[str, Callable[[np.ndarray], object]] = {
        "torch_ms": eager,
        "onnxruntime_ms": exact.run,
        "int8_ms": integers.run,
    }
    batches = [size for size in BATCHES if size <= len(fields)]
    times: dict[tuple[str, int], list[float]] = {}
    for turn in range(rounds + 1):
        for name, run in contestants.items():
            for size in batches:
                seconds = run_all(run, fields, size)
                if turn > 0:  # the first turn only warms up
                    times.setdefault((name, size), []).append(1000 * seconds)
    medians = {key: statistics.median(values) for key, values in times.items()}
    best = {name: min(batches, key=lambda size: medians[name, size]) for name in contestants}
    found = {name: medians[name, best[name]] for name in contestants}
    return found | {name.replace("_ms", "_batch"): best[name] for name in contestants}


def run_all(run: Callable[[np.ndarray], object], fields: np.ndarray, size: int) -> float:
    """Seconds a field when all are run in batches of one size."""
    n = len(fields) // size * size
    started = time.perf_counter()
    for first in range(0, n, size):
        run(fields[first : first + size])
    return (time.perf_counter() - started) / n


def classify_times(samples: list, exact: Bundle, integers: Bundle, rounds: int) -> dict[str, float]:
    """Milliseconds an image of the whole of `classify`, from the file to the decision."""
    times: dict[str, list[float]] = {"classify_ms": [], "classify_int8_ms": []}
    for turn in range(rounds + 1):
        for name, bundle in zip(times, (exact, integers), strict=True):
            started = time.perf_counter()
            for sample in samples:
                with sample.open() as image:
                    classify_image(image, bundle)
            if turn > 0:
                times[name].append(1000 * (time.perf_counter() - started) / len(samples))
    return {name: statistics.median(values) for name, values in times.items()}


def accuracies(samples: list, exact: Bundle, integers: Bundle) -> dict[str, float]:
    """Share of the held-out images that each names rightly."""
    right = {"accuracy": 0, "accuracy_int8": 0}
    for sample in samples:
        with sample.open() as image:
            for name, bundle in zip(right, (exact, integers), strict=True):
                found = classify_image(image, bundle)
                right[name] += found.organs[int(np.argmax(found.probabilities))] == sample.organ
    return {name: count / len(samples) for name, count in right.items()}


def report(found: dict[str, float]) -> None:
    """Print a Markdown table and the ratios."""
    print(f"{found['threads']} threads, {found['images']} images; milliseconds an image\n")
    print("| contestant | best batch | network | times PyTorch | whole of classify | accuracy |")
    print("| --- | --- | --- | --- | --- | --- |")
    rows = [
        ("PyTorch, eager, float32", "torch", None, None),
        ("onnxruntime, float32", "onnxruntime", "classify_ms", "accuracy"),
        ("onnxruntime, int8", "int8", "classify_int8_ms", "accuracy_int8"),
    ]
    for name, key, whole, accuracy in rows:
        print(
            f"| {name} | {found[key + '_batch']} | {found[key + '_ms']:.2f} | "
            f"{found['torch_ms'] / found[key + '_ms']:.2f} | {'' if whole is None else format(found[whole], '.2f')} | "
            f"{'' if accuracy is None else format(found[accuracy], '.4f')} |"
        )
    print(f"\nAccuracy lost by integers: {found['accuracy'] - found['accuracy_int8']:.4f}")


if __name__ == "__main__":
    main()

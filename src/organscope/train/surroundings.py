"""What differs between a run and one that repeats it, besides the numbers, in sentences."""

import os
from collections.abc import Mapping

from organscope.train.origin import THREAD_VARIABLES, Origin
from organscope.train.record import RunRecord

_READ = "python numpy scipy pandas scikit-learn scikit-image pillow imagecodecs tifffile numba"
_TRAIN = "torch torchvision timm lightning onnxscript tensorflow tensorflow-cpu tensorflow_cpu keras tf2onnx h5py"
_RUN = "onnx onnxruntime safetensors"
NUMERIC_PACKAGES = frozenset(f"{_READ} {_TRAIN} {_RUN}".split())
"""Those that read pictures or compute."""

COMPUTER = {
    "processor": "processor",
    "bfloat16": "support of bfloat16",
    "cpus": "number of processors",
    "platform": "system",
}
"""What of a computer decides the last digits, and its name in a sentence."""


def differences(then: RunRecord, now: RunRecord) -> list[str]:
    """One sentence for each thing that may change the numbers."""
    return [
        *_data(then, now),
        *_packages(then.packages, now.packages),
        *_origin(then.origin, now.origin),
    ]


def _data(then: RunRecord, now: RunRecord) -> list[str]:
    found = []
    if not then.data_fingerprint:
        found.append("The run does not say which data it was trained on.")
    elif then.data_fingerprint != now.data_fingerprint:
        found.append(
            f"The data differ: fingerprint {then.data_fingerprint[:12]} then, {now.data_fingerprint[:12]} now. "
            "Pictures, labels or folds of an index have changed."
        )
    if len(then.split) and not then.split.equals(now.split):
        parts = (f"{table['part'].value_counts().to_dict()}" for table in (then.split, now.split))
        found.append("The split differs: {} then, {} now.".format(*parts))
    return found


def _packages(then: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    if not then:
        return ["The run does not say which packages it used."]
    changed = [name for name in sorted(then.keys() | now.keys()) if then.get(name) != now.get(name)]
    telling = [name for name in changed if name in NUMERIC_PACKAGES]
    found = []
    if telling:
        each = (f"{name} {then.get(name, 'missing')} then, {now.get(name, 'missing')} now" for name in telling)
        found.append(f"Packages differ: {'; '.join(each)}.")
    if "organscope" in changed:
        versions = then.get("organscope", "missing"), now.get("organscope", "missing")
        found.append("organscope {} then, {} now.".format(*versions))
    return found


def _origin(then: Origin | None, now: Origin | None) -> list[str]:
    if then is None or now is None:
        return ["The run does not say on which computer and commit it was made: it is older than that record."]
    found = []
    for key, name in COMPUTER.items():
        if key in then.computer and then.computer[key] != now.computer.get(key):
            found.append(f"Another {name}: {then.computer[key]} then, {now.computer.get(key)} now.")
    if then.threads != now.threads:
        found.append(f"Threads: {_threads(then)} then, {_threads(now)} now.")
    if then.processes != now.processes:
        found.append(f"Trained by {then.processes} processes then, by {now.processes} now.")
    commits = [origin.computer.get("git_commit", "") for origin in (then, now)]
    if commits[0] != commits[1]:
        found.append("Another commit of organscope: {} then, {} now.".format(*(c[:10] or "none" for c in commits)))
    elif "yes" in (then.computer.get("git_changed"), now.computer.get("git_changed")):
        found.append("The code had changes that no commit holds, so it may be another.")
    if then.base != now.base and (then.base is None or now.base is None or then.base.sha256 != now.base.sha256):
        found.append("The bundle that it went on from is another.")
    return found


def _threads(origin: Origin) -> str:
    return ", ".join(f"{key}={value}" for key, value in origin.threads.items()) or "as many as there are"


def threads_as_then(then: Origin | None) -> None:
    """Compute with as many threads as then; only before a framework is loaded."""
    if then is not None:
        for name in THREAD_VARIABLES:
            os.environ.pop(name, None)
        os.environ.update(then.threads)

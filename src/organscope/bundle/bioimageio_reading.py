"""What a package of bioimage.io says about its tensors, as far as a bundle can say the same; the rest is refused."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from organscope.bundle.graph_adapter import Activation, Layout
from organscope.errors import BundleError
from organscope.ops.instances import Head
from organscope.ops.preprocess import Preprocessing

WORDS_FOR = {
    "foreground": ("foreground", "nuclei", "nucleus", "cell", "cells", "interior", "mask", "probability", "fg"),
    "boundary": ("boundary", "boundaries", "border", "borders", "membrane", "edge", "edges", "contour", "contours"),
    "distance": ("distance", "distances", "dist"),
}
OTHER = "-"
"""In `--maps`: a channel that is not used."""


def refuse(found: str, hint: str = "") -> BundleError:
    """The error for what a bundle cannot express."""
    what = "a network for 2D pictures whose handling organscope can repeat"
    return BundleError(f"Expected {what}, found {found}.{f' {hint}' if hint else ''}")


@dataclass(frozen=True)
class InputSide:
    """How pictures go in.

    Attributes:
        layout: Order of the axes.
        n_channels: 1 or 3.
        preprocessing: In the words of a bundle.
        fixed_px: Side of the only square that it takes; none where it takes any size.
        step_px: Sizes are multiples of this.
    """

    layout: Layout
    n_channels: int
    preprocessing: Preprocessing
    fixed_px: int | None
    step_px: int


def read_input(tensor: Any) -> InputSide:
    """Understand an `InputTensorDescr`.

    Raises:
        BundleError: A bundle cannot say the same.
    """
    layout, channels = read_axes(tensor, ("batch", "channel", "y", "x"))
    if len(channels) not in (1, 3):
        raise refuse(f"{len(channels)} channels", "Networks for 1 or 3 channels can be imported.")
    sizes = [axis.size for axis in tensor.axes if axis.type == "space"]
    fixed = [size for size in sizes if isinstance(size, int)]
    if fixed and (len(fixed) != 2 or fixed[0] != fixed[1]):
        raise refuse(f"input sizes {sizes}", "It must take squares of one size, or any size.")
    step = 1 if fixed else int(np.lcm.reduce([size.step for size in sizes]))
    return InputSide(layout, len(channels), read_preprocessing(tensor, channels), fixed[0] if fixed else None, step)


def read_axes(tensor: Any, wanted: Sequence[str]) -> tuple[Layout, list[str]]:
    """Order of the axes, and the names of the channels.

    Raises:
        BundleError: The axes are not those that are wanted.
    """
    names = tuple(str(axis.id) if axis.type == "space" else str(axis.type) for axis in tensor.axes)
    if sorted(names) != sorted(wanted):
        raise refuse(f"the axes {', '.join(names)} of '{tensor.id}'", f"Needed are {', '.join(wanted)}.")
    return Layout(names), [str(name) for axis in tensor.axes if axis.type == "channel" for name in axis.channel_names]


def read_preprocessing(tensor: Any, channels: Sequence[str]) -> Preprocessing:
    """Bring the steps before a network into the form (scaled - mean) / std.

    Raises:
        BundleError: A step depends on the picture in a way that a bundle does not know.
    """
    gain, offset, limits = _start(tensor)
    for step in tensor.preprocessing:
        kwargs = step.kwargs
        if step.id == "scale_range":
            limits = _percentiles(kwargs, len(channels))
            gain, offset = np.ones(3), np.zeros(3)
        elif step.id == "scale_linear":
            more, plus = np.asarray(kwargs.gain, np.float64), np.asarray(kwargs.offset, np.float64)
            gain, offset = gain * more, offset * more + plus
        elif step.id == "fixed_zero_mean_unit_variance":
            mean, std = np.asarray(kwargs.mean, np.float64), np.asarray(kwargs.std, np.float64)
            gain, offset = gain / std, (offset - mean) / std
        elif step.id == "clip":
            _require_harmless(kwargs, gain, offset)
        elif step.id != "ensure_dtype":
            raise refuse(f"the preprocessing '{step.id}'", "It depends on each tile, or is not known.")
    if limits is None and not np.isfinite(gain).all():
        raise refuse("no word about how intensities go in", "Needed is scale_range, or a scaling of 8-bit pixels.")
    scaling: dict[str, Any] = {"intensity": "full_range"}
    if limits is not None:
        scaling = {"intensity": "percentile", "low_percentile": limits[0], "high_percentile": limits[1]}
    mean, std = np.broadcast_to(-offset / gain, 3), np.broadcast_to(1 / gain, 3)
    return Preprocessing(**scaling, mean=tuple(mean.tolist()), std=tuple(std.tolist()))


def _start(tensor: Any) -> tuple[np.ndarray, np.ndarray, tuple[float, float] | None]:
    """Gain and offset of what is in the file, against the full range from 0 to 1; infinite where that is not known."""
    data = tensor.data
    kind, low_high = getattr(data, "type", ""), tuple(getattr(data, "range", (None, None)))
    gain = 255.0 if kind == "uint8" else 1.0 if kind == "float32" and low_high == (0.0, 1.0) else np.inf
    return np.full(3, gain), np.zeros(3), None


def _percentiles(kwargs: Any, n_channels: int) -> tuple[float, float]:
    axes = {"batch", "channel", "x", "y"} if kwargs.axes is None else {str(axis) for axis in kwargs.axes}
    if not {"x", "y"} <= axes or (n_channels == 3 and "channel" not in axes) or kwargs.reference_tensor is not None:
        raise refuse("intensities scaled by colour, by row or by another picture", "A bundle scales all colours alike.")
    low, high = float(kwargs.min_percentile), float(kwargs.max_percentile)
    if low > 50 or high < 50:
        raise refuse(f"the percentiles {low:g} to {high:g}")
    return low, high


def _require_harmless(kwargs: Any, gain: np.ndarray, offset: np.ndarray) -> None:
    """A bundle clips scaled intensities to 0 and 1, so a clip at these, or wider, changes nothing more."""
    low = -np.inf if kwargs.min is None else kwargs.min
    high = np.inf if kwargs.max is None else kwargs.max
    if (offset < low - 1e-6).any() or (gain + offset > high + 1e-6).any():
        raise refuse(f"intensities clipped to {low:g} and {high:g}")


def read_activation(tensor: Any, test_output: np.ndarray, channel_axis: int) -> Activation:
    """What brings the raw output of a network of maps to probabilities.

    Raises:
        BundleError: Nothing does.
    """
    steps = [step.id for step in tensor.postprocessing if step.id not in ("ensure_dtype", "clip")]
    if steps in (["sigmoid"], ["softmax"]):
        return steps[0]
    if steps:
        raise refuse(f"the postprocessing {', '.join(steps)} of '{tensor.id}'")
    if test_output.min() < -1e-3 or test_output.max() > 1 + 1e-3:
        raise refuse(
            f"values from {test_output.min():.3g} to {test_output.max():.3g} in '{tensor.id}'",
            "Probabilities are needed, or a sigmoid or softmax in its postprocessing.",
        )
    return "none"


def read_logits(tensor: Any, test_output: np.ndarray) -> Activation:
    """What brings the raw output of a classifier to logits: the logarithm of probabilities, or nothing.

    Raises:
        BundleError: The postprocessing is not known.
    """
    steps = [step.id for step in tensor.postprocessing if step.id not in ("ensure_dtype", "clip")]
    if steps == ["softmax"]:
        return "none"
    if steps:
        raise refuse(f"the postprocessing {', '.join(steps)} of '{tensor.id}'")
    sums = test_output.sum(axis=-1)
    return "log" if test_output.min() >= 0 and np.allclose(sums, 1, atol=1e-3) else "none"


def choose_maps(channels: Sequence[str], said: Sequence[str]) -> tuple[Head, list[int]]:
    """Which channels are the foreground and its companion.

    Args:
        channels: Names in the package.
        said: In their place, what a person says: `foreground`, `boundary`, `distance` or `-` for each.

    Returns:
        The head of the decoder, and the channels of its maps; without a companion the foreground is its own distance.

    Raises:
        BundleError: They cannot be told.
    """
    hint = "Say what the channels are, such as --maps foreground,boundary, with - for one that is not used."
    if said and len(said) != len(channels):
        raise refuse(f"{len(channels)} channels and {len(said)} names in --maps", hint)
    names = list(said) if said else [_meaning(name) for name in channels]
    if len(channels) == 1 and not said:
        names = ["foreground"]
    if names.count("foreground") != 1 or names.count("boundary") + names.count("distance") > 1:
        raise refuse(f"the channels {', '.join(channels)}", hint)
    foreground = names.index("foreground")
    if "boundary" in names:
        return "boundary", [foreground, names.index("boundary")]
    return "distance", [foreground, names.index("distance") if "distance" in names else foreground]


def _meaning(channel: str) -> str:
    words = {word.strip("0123456789") for word in channel.lower().replace("_", " ").replace("-", " ").split()}
    return next((name for name, known in WORDS_FOR.items() if words & set(known)), OTHER)

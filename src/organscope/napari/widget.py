"""Widgets of napari: find the cells of an image layer, measure those of a labels layer that was corrected.

The work is done in a thread, so that napari stays usable; the activity dock shows that it goes on.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from magicgui.widgets import CheckBox, ComboBox, Container, FloatSpinBox, PushButton, Widget, create_widget
from napari.layers import Image, Labels
from napari.qt.threading import thread_worker
from napari.utils.notifications import show_error, show_info

from organscope.errors import OrganscopeError
from organscope.napari.layers import LayerData, analyzed_layers, measured_layers, sentence_of
from organscope.pipeline.measures import MEASURES

_BOTH, _CELLS = "cells and organ", "cells"


def analysis_widget(napari_viewer: Any) -> Container:
    """Image layer to labels, organ and organs of the cells.

    Args:
        napari_viewer: napari fills it in by the name of the argument.
    """
    task = ComboBox(label="task", choices=[_BOTH, _CELLS], value=_BOTH)

    def work(pixels: np.ndarray, asked: dict[str, Any]) -> list[LayerData]:
        return analyzed_layers(pixels, organ=task.value == _BOTH, **asked)

    return _layer_work(napari_viewer, "Find cells", [task], work)


def measuring_widget(napari_viewer: Any) -> Container:
    """Image layer and labels layer, corrected with napari's own tools, to measures.

    Args:
        napari_viewer: napari fills it in by the name of the argument.
    """
    labels = create_widget(label="cells", annotation=Labels)

    def work(pixels: np.ndarray, asked: dict[str, Any]) -> list[LayerData]:
        return measured_layers(pixels, np.asarray(labels.value.data), **asked)

    return _layer_work(napari_viewer, "Measure", [labels], work)


def _layer_work(
    viewer: Any,
    button: str,
    choices: Sequence[Widget],
    work: Callable[[np.ndarray, dict[str, Any]], list[LayerData]],
) -> Container:
    """An image layer, its pixel size, measures, and a button that starts the work in a thread."""
    image = create_widget(label="image", annotation=Image)
    um_per_px = FloatSpinBox(label="um per pixel (0: unknown)", value=0.0, min=0.0, max=1000.0, step=0.01)
    measures = [CheckBox(text=name, value=False) for name in MEASURES]
    run = PushButton(text=button)

    def show(layers: list[LayerData]) -> None:
        scale, translate = image.value.scale[-2:], image.value.translate[-2:]
        for data, arguments, _ in layers:
            viewer.add_labels(data, scale=scale, translate=translate, **arguments)
        show_info(sentence_of(layers))

    def start() -> None:
        if image.value is None:
            show_error("Open an image first.")
            return
        side = um_per_px.value
        asked = {
            "name": image.value.name,
            "um_per_px": (side, side) if side > 0 else None,
            "measures": [box.text for box in measures if box.value],
        }
        run.enabled = False
        worker = thread_worker(work, progress={"desc": "organscope"})(np.asarray(image.value.data), asked)
        worker.returned.connect(show)
        worker.errored.connect(_say)
        worker.finished.connect(lambda: setattr(run, "enabled", True))
        worker.start()

    run.changed.connect(start)
    return Container(widgets=[image, *choices, um_per_px, *measures, run])


def _say(error: Exception) -> None:
    known = isinstance(error, OrganscopeError)
    show_error(str(error) if known else f"Internal error, {type(error).__name__}: {error}.")

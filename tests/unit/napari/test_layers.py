"""The plugin of napari without a display: layers of results, its manifest; its widget where napari is installed."""

import os
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image as PillowImage

import organscope
import organscope as osc
import tiny_bundles
from organscope.napari import layers

MANIFEST = Path(organscope.__file__).parent / "napari" / "napari.yaml"


@pytest.fixture
def labels() -> np.ndarray:
    found = np.zeros((64, 96), np.int32)
    found[3:12, 5:17], found[30:41, 60:66] = 4, 9
    return found


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """The analysis with bundles that answer at once."""
    bundles = [
        str(tiny_bundles.write_tiny_segmentation(tmp_path / "cells")),
        str(tiny_bundles.write_tiny_classification(tmp_path / "organs")),
        str(tiny_bundles.write_tiny_cell_organs(tmp_path / "cell-organs")),
    ]
    monkeypatch.setattr(layers, "analyze", partial(osc.analyze, models=bundles))


def test_results_open_as_labels_with_their_table(tmp_path, colon, labels):
    PillowImage.fromarray(colon[:64, :96]).save(tmp_path / "a.png")
    osc.measure(tmp_path / "a.png", labels).save(tmp_path / "out")
    for path in (tmp_path / "out" / "a", tmp_path / "out" / "a" / "labels.tif"):
        ((data, arguments, kind),) = layers.reader_of(str(path))(str(path))
        assert kind == "labels"
        assert (data == labels).all()
        assert arguments["features"]["index"].tolist() == [0, 4, 9]
        assert arguments["features"]["area_px"][1:].tolist() == [108, 66]
    assert layers.reader_of(str(tmp_path / "a.png")) is None
    assert layers.reader_of(str(tmp_path)) is None


def test_an_image_becomes_cells_and_organs(tiny, colon):
    found = layers.analyzed_layers(colon[:64, :96], "colon", um_per_px=(0.5, 0.5), measures=["neighbors"])
    (cells, of_cells, _), (organs, of_organs, _) = found
    assert of_cells["name"] == "colon cells"
    assert len(of_cells["features"]) == len(np.unique(cells))
    assert "neighbor_count" in of_cells["features"]
    named = of_organs["features"].set_index("index")["organ"]
    table = of_cells["features"].set_index("index")
    for number in np.unique(cells)[1:]:
        assert {named[value] for value in np.unique(organs[cells == number])} == {table["organ"][number]}
    assert "cells; " in layers.sentence_of(found)


def test_corrected_labels_are_measured(colon, labels):
    ((_, arguments, _),) = layers.measured_layers(colon[:64, :96], labels, "a", measures=["texture"])
    assert arguments["features"]["haralick_contrast"].notna().tolist() == [False, True, True]
    assert layers.sentence_of([(labels, arguments, "labels")]) == "2 cells."


@pytest.mark.filterwarnings("ignore")
def test_the_manifest_is_valid():
    npe2 = pytest.importorskip("npe2", reason="the extra [napari] is not installed")
    manifest = npe2.PluginManifest.from_file(MANIFEST)
    manifest.validate_imports()
    assert {widget.display_name for widget in manifest.contributions.widgets} == {
        "Find cells, name the organ", "Measure corrected cells",
    }  # fmt: skip
    (sample,) = layers.sample_layers()
    assert sample[0].shape == (512, 512, 3)


@pytest.mark.filterwarnings("ignore")
def test_the_widget_adds_layers_from_a_thread(tiny, colon, monkeypatch):
    pytest.importorskip("napari", reason="the extra [napari] is not installed")
    qtbot = pytest.importorskip("pytestqt", reason="pytest-qt is not installed")
    assert qtbot is not None
    monkeypatch.setitem(os.environ, "QT_QPA_PLATFORM", "offscreen")
    from magicgui.widgets import Container
    from napari.components import ViewerModel
    from qtpy.QtWidgets import QApplication

    from organscope.napari import widget

    application = QApplication.instance() or QApplication([])
    viewer = ViewerModel()
    viewer.add_image(colon[:64, :96], name="colon", rgb=True, scale=(2, 2))
    monkeypatch.setattr(widget, "analyzed_layers", layers.analyzed_layers)
    made = widget.analysis_widget(viewer)
    assert isinstance(made, Container)
    made[0].choices = list(viewer.layers)
    made[0].value = viewer.layers[0]
    made[-1].changed.emit(True)
    for _ in range(600):
        application.processEvents()
        if len(viewer.layers) == 3:
            break
        application.thread().msleep(100)
    assert [layer.name for layer in viewer.layers] == ["colon", "colon cells", "colon organs"]
    assert viewer.layers["colon cells"].scale.tolist() == [2, 2]
    assert isinstance(viewer.layers["colon cells"].features, pd.DataFrame)

"""Results as AnnData and SpatialData, opened by the packages that read them."""

import sys

import numpy as np
import pytest
import tifffile

import organscope as osc
from organscope.errors import MissingExtraError


@pytest.fixture
def labels() -> np.ndarray:
    found = np.zeros((64, 96), np.int32)
    for n, (y, x) in enumerate([(5, 5), (5, 40), (30, 10), (32, 60), (50, 80)]):
        found[y : y + 9 + n, x : x + 12] = 2 * n + 1
    return found


@pytest.fixture
def image_file(tmp_path, colon):
    resolution = (1e4 / 0.25, 1e4 / 0.25)
    tifffile.imwrite(
        tmp_path / "a.tif", colon[:64, :96], photometric="rgb", resolution=resolution, resolutionunit="CENTIMETER"
    )
    return tmp_path / "a.tif"


@pytest.mark.filterwarnings("ignore")
def test_squidpy_finds_neighbors(image_file, labels):
    pytest.importorskip("anndata", reason="the extra [spatial] is not installed")
    squidpy = pytest.importorskip("squidpy", reason="the extra [spatial] is not installed")
    cells = osc.measure(image_file, labels, measures=["neighbors"])
    table = cells.to_anndata()
    assert table.obs["id"].tolist() == [1, 3, 5, 7, 9]
    assert table.obs_names[1] == "a-3"
    assert table[:, "area_px"].X.ravel().tolist() == cells.table["area_px"].tolist()
    assert table.uns["organscope"]["um_per_px"].tolist() == [0.25, 0.25]
    squidpy.gr.spatial_neighbors_delaunay(table)
    degree = np.asarray((table.obsp["spatial_connectivities"] > 0).sum(axis=1)).ravel()
    assert degree.tolist() == cells.table["delaunay_degree"].tolist()


@pytest.mark.filterwarnings("ignore")
def test_spatialdata_keeps_places_in_pixels_and_micrometers(tmp_path, image_file, labels):
    spatialdata = pytest.importorskip("spatialdata", reason="the extra [spatial] is not installed")
    cells = osc.measure(image_file, labels)
    cells.to_spatialdata().write(tmp_path / "a.zarr")
    found = spatialdata.read_zarr(tmp_path / "a.zarr")
    assert (found.labels["cells"].to_numpy() == labels).all()
    assert found.images["image"].shape == (3, 64, 96)
    assert found.shapes["outlines"].index.tolist() == [1, 3, 5, 7, 9]
    for (x, y), cell in zip(found.tables["table"].obsm["spatial"], found.shapes["outlines"].geometry, strict=True):
        assert cell.centroid.x == pytest.approx(x)
        assert cell.centroid.y == pytest.approx(y)
    in_um = spatialdata.transform(found.shapes["outlines"], to_coordinate_system="um")
    np.testing.assert_allclose(in_um.geometry.area, cells.table["area_um2"])
    low, high = (spatialdata.get_extent(found, coordinate_system="um")["x"][n] for n in (0, 1))
    assert (low, high) == (0, 24)
    _, table = spatialdata.join_spatialelement_table(
        sdata=found, spatial_element_names=["cells"], table_name="table", how="left"
    )
    assert table.n_obs == 5


@pytest.mark.filterwarnings("ignore")
def test_a_run_writes_both(tmp_path, image_file, labels, models):
    anndata = pytest.importorskip("anndata", reason="the extra [spatial] is not installed")
    spatialdata = pytest.importorskip("spatialdata", reason="the extra [spatial] is not installed")
    result = osc.run(
        image_file, tmp_path / "out", task="segment", models=str(models.cells.source), anndata=True, spatialdata=True
    )
    assert not result.failures
    table = anndata.read_h5ad(tmp_path / "out" / "a" / "cells.h5ad")
    assert table.n_obs == result.images[0].n_cells
    found = spatialdata.read_zarr(tmp_path / "out" / "a" / "cells.spatialdata.zarr")
    assert found.tables["table"].n_obs == table.n_obs


def test_without_the_extra_nothing_is_started(tmp_path, image_file, labels, models, monkeypatch):
    monkeypatch.setitem(sys.modules, "anndata", None)
    monkeypatch.setattr("organscope.pipeline.spatial.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"organscope\[spatial\]"):
        osc.measure(image_file, labels).to_anndata()
    with pytest.raises(MissingExtraError, match="anndata"):
        osc.run(image_file, tmp_path / "out", task="segment", models=str(models.cells.source), anndata=True)
    assert not (tmp_path / "out").exists()

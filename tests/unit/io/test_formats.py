"""GeoJSON, ImageScope XML, ImageJ selections: what real tools write besides plain polygons, and damage."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import roifile
from PIL import Image as PillowImage

from annotation_writers import polygon_roi
from organscope.errors import AnnotationError
from organscope.io.annotations import read_cells
from organscope.ops.polygons import Cells, paint_cells

SQUARE = [[1, 1], [3, 1], [3, 3], [1, 3], [1, 1]]


def labels_of(cells: Cells) -> list[list[int]]:
    return paint_cells(cells.masks, 4, 4).labels.tolist()


def geojson(path: Path, *features) -> Cells:
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return read_cells(path, 4, 4)


def feature(geometry: dict | None, **properties) -> dict:
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def polygon(*rings) -> dict:
    return {"type": "Polygon", "coordinates": rings}


def test_regions_round_detections_are_no_cells(tmp_path):
    region = feature(polygon([[0, 0], [4, 0], [4, 4], [0, 4], [0, 0]]), objectType="annotation")
    cell = feature(polygon(SQUARE), objectType="cell")
    assert len(geojson(tmp_path / "a.geojson", region, cell).masks) == 1
    assert len(geojson(tmp_path / "a.geojson", region).masks) == 1


def test_features_without_an_area_are_counted(tmp_path):
    point = {"type": "Point", "coordinates": [1, 1]}
    cells = geojson(tmp_path / "a.geojson", feature(point), feature(None), feature(polygon(SQUARE)))
    assert len(cells.masks) == 1
    assert sorted(problem.split(" have")[0] for problem in cells.problems) == ["1 of type None", "1 of type Point"]


@pytest.mark.parametrize("geometry", [polygon([[0, 0], [1, 1]]), polygon(), polygon("text"), polygon([[0], [1], [2]])])
def test_a_damaged_feature_does_not_stop_the_others(tmp_path, geometry):
    cells = geojson(tmp_path / "a.geojson", feature(geometry), feature(polygon(SQUARE)))
    assert len(cells.masks) == 1
    assert len(cells.problems) == 1


def test_one_feature_and_a_bare_list_are_read_too(tmp_path):
    for content in (feature(polygon(SQUARE)), [feature(polygon(SQUARE))]):
        (tmp_path / "a.json").write_text(json.dumps(content))
        assert len(read_cells(tmp_path / "a.json", 4, 4).masks) == 1


@pytest.mark.parametrize("content", ["", "no json", "[1]", '{"type": "Topology"}', "[" * 100_000])
def test_what_is_no_geojson(tmp_path, content):
    (tmp_path / "a.geojson").write_text(content)
    with pytest.raises(AnnotationError, match=r"a\.geojson"):
        read_cells(tmp_path / "a.geojson", 4, 4)


def aperio(path: Path, regions: str, head: str = "") -> Cells:
    path.write_text(f"{head}<Annotations><Annotation><Regions>{regions}</Regions></Annotation></Annotations>")
    return read_cells(path, 4, 4)


def region(kind: int, *corners, negative: int = 0) -> str:
    vertices = "".join(f'<Vertex X="{x}" Y="{y}" Z="0"/>' for x, y in corners)
    return f'<Region Id="9" Type="{kind}" NegativeROA="{negative}"><Vertices>{vertices}</Vertices></Region>'


def test_shapes_of_imagescope(tmp_path):
    rectangle, ellipse = region(1, *SQUARE[:4]), region(2, (0, 0), (4, 4))
    cells = aperio(tmp_path / "a.xml", ellipse + rectangle + region(3, (0, 0), (1, 1)))
    assert labels_of(cells) == [[0, 1, 1, 0], [1, 2, 2, 1], [1, 2, 2, 1], [0, 1, 1, 0]]
    assert len(cells.problems) == 1
    assert "type 3" in cells.problems[0]


def test_negative_regions_are_cut_out(tmp_path):
    cells = aperio(tmp_path / "a.xml", region(0, (0, 0), (4, 0), (4, 4), (0, 4)) + region(0, *SQUARE, negative=1))
    assert labels_of(cells) == [[1, 1, 1, 1], [1, 0, 0, 1], [1, 0, 0, 1], [1, 1, 1, 1]]


def test_entities_are_refused_before_they_expand(tmp_path):
    bomb = '<!DOCTYPE a [<!ENTITY b "' + "x" * 100 + '"><!ENTITY c "&b;&b;&b;">]>'
    with pytest.raises(AnnotationError, match="document type"):
        aperio(tmp_path / "a.xml", "&c;", bomb)
    with pytest.raises(AnnotationError, match="document type"):
        aperio(tmp_path / "a.xml", "", '<!DOCTYPE a SYSTEM "file:///etc/passwd">')


@pytest.mark.parametrize("content", ["", "<Annotations><Region>", "<svg/>", "text"])
def test_what_is_no_imagescope_file(tmp_path, content):
    (tmp_path / "a.xml").write_text(content)
    with pytest.raises(AnnotationError, match=r"a\.xml"):
        read_cells(tmp_path / "a.xml", 4, 4)


def test_a_corner_without_numbers_is_named(tmp_path):
    text = '<Region Id="5"><Vertices><Vertex X="1"/><Vertex X="a" Y="1"/><Vertex X="1" Y="2"/></Vertices></Region>'
    assert "region 5" in aperio(tmp_path / "a.xml", text).problems[0]


def test_shapes_of_imagej(tmp_path):
    kinds = roifile.ROI_TYPE
    rectangle = roifile.ImagejRoi(roitype=kinds.RECT, left=1, top=1, right=3, bottom=3)
    oval = roifile.ImagejRoi(roitype=kinds.OVAL, left=0, top=0, right=4, bottom=4)
    point = roifile.ImagejRoi.frompoints([[1, 1]])
    point.roitype = kinds.POINT
    for name, roi in {"oval": oval, "rectangle": rectangle, "spot": point}.items():
        roi.name = name
        roi.tofile(tmp_path / "a.zip")
    cells = read_cells(tmp_path / "a.zip", 4, 4)
    assert labels_of(cells) == [[0, 1, 1, 0], [1, 2, 2, 1], [1, 2, 2, 1], [0, 1, 1, 0]]
    assert len(cells.problems) == 1
    assert "spot" in cells.problems[0]


def test_one_selection_with_fractions_of_a_pixel(tmp_path):
    polygon_roi(np.array(SQUARE[:4]) + 0.25).tofile(tmp_path / "a.roi")
    assert labels_of(read_cells(tmp_path / "a.roi", 4, 4))[1] == [0, 1, 1, 0]


def test_damaged_selections(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"PK\x03\x04 no zip")
    with pytest.raises(AnnotationError, match=r"a\.zip"):
        read_cells(tmp_path / "a.zip", 4, 4)
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("notes.txt", "nothing")
    with pytest.raises(AnnotationError, match="none"):
        read_cells(tmp_path / "b.zip", 4, 4)
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as archive:
        archive.writestr("bad.roi", b"Iout but cut off")
        archive.writestr("good.roi", polygon_roi(np.array(SQUARE[:4])).tobytes())
    cells = read_cells(tmp_path / "c.zip", 4, 4)
    assert len(cells.masks) == 1
    assert "bad.roi" in cells.problems[0]


def test_masks_that_do_not_fit_are_named(tmp_path):
    for name, size, value in (("1.png", (4, 4), 255), ("2.png", (5, 4), 255), ("3.png", (4, 4), 0)):
        PillowImage.fromarray(np.full(size, value, np.uint8)).save(tmp_path / name)
    (tmp_path / "4.png").write_bytes(b"")
    cells = read_cells(tmp_path, 4, 4)
    assert len(cells.masks) == 1
    assert [problem for problem in cells.problems if "5 x 4" in problem]
    assert len(cells.problems) == 3
    (tmp_path / "1.png").unlink()
    with pytest.raises(AnnotationError, match="mask"):
        read_cells(tmp_path, 4, 4)


def test_an_unknown_format_lists_the_known_ones(tmp_path):
    with pytest.raises(AnnotationError, match="geojson"):
        read_cells(tmp_path / "a.docx", 4, 4)

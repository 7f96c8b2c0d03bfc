"""What is a cell in a file and what is not: kinds of QuPath, layers, crowds, planes, regions, holes."""

import gzip
import json
import zipfile
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
import roifile

from annotation_writers import composite_roi, polygon_roi
from organscope.errors import AnnotationError
from organscope.io.annotations import read_cells
from organscope.io.coco import build_store, encode_counts, link_images, read_coco_cells
from organscope.io.imagej import Plane, read_imagej
from organscope.ops.polygons import CellMask, Cells, is_region_class, leave_out_regions, paint_cells

SIZE = (256, 256)


def square(x: float, y: float, side: float) -> list[list[float]]:
    return [[x, y], [x + side, y], [x + side, y + side], [x, y + side], [x, y]]


def feature(*rings, id="x", **properties) -> dict:
    geometry = {"type": "Polygon", "coordinates": rings}
    return {"type": "Feature", "id": id, "geometry": geometry, "properties": properties}


def four(id="x", **properties) -> list[dict]:
    return [feature(square(20 + 40 * n, 30, 20), id=id, **properties) for n in range(4)]


def read(folder: Path, features: list[dict]) -> Cells:
    (folder / "a.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return read_cells(folder / "a.geojson", *SIZE)


def areas(cells: Cells) -> list[int]:
    return [cell.area_px for cell in cells.masks]


REGION = square(0, 0, 200)


@pytest.mark.parametrize(
    "features",
    [
        [feature(REGION, id="PathAnnotationObject"), *four("PathCellObject")],
        [feature(REGION, id="PathAnnotationObject"), *four("PathDetectionObject")],
        [feature(REGION, object_type="annotation"), *four(object_type="cell")],
        [feature(REGION, objectType="annotation"), *four(objectType="detection")],
        [feature(REGION, id="PathTileObject"), *four("PathCellObject")],
        [feature(REGION, id="PathRootObject"), *four("PathAnnotationObject")],
        [feature(REGION, id="TMACoreObject"), *four("PathAnnotationObject")],
        [feature(REGION, objectType="tmaCore"), *four(objectType="annotation")],
        [feature(REGION, objectType="root"), *four(objectType="annotation")],
        [feature(square(100, 100, 80), classification={"name": "Ignore*"}), *four()],
        [feature(REGION, classification="Region*"), *four(objectType="annotation", classification={"name": "Tumor"})],
        [feature(square(25, 35, 6), objectType="detection"), *four(objectType="cell")],
    ],
)
def test_only_cells_of_qupath_are_cells_and_the_rest_is_counted(tmp_path, features):
    cells = read(tmp_path, features)
    assert areas(cells) == [400, 400, 400, 400]
    assert cells.problems == []
    assert len(cells.left_out) == 1


def test_what_was_drawn_by_hand_among_detections_is_kept_where_it_is_as_large_as_a_cell(tmp_path):
    manual = feature(
        square(140, 30, 20), objectType="annotation", classification={"name": "Tumor", "color": [200, 0, 0]}
    )
    cells = read(tmp_path, [*four(objectType="detection")[:3], manual, feature(REGION, objectType="annotation")])
    assert areas(cells) == [400] * 4
    assert (cells.masks[3].class_name, cells.masks[3].color) == ("Tumor", "#c80000")
    assert "1 annotations of the size of a cell" in cells.notes[0]
    assert "1 annotations left out" in cells.left_out[0]


def test_classes_of_all_versions_of_qupath(tmp_path):
    kinds = [
        "Tumor",
        {"name": "Tumor", "colorRGB": -3670016},
        {"names": ["Tumor", "Positive"], "color": [1, 2, 3]},
        None,
    ]
    cells = read(tmp_path, [feature(square(20 * n, 0, 9), classification=kind) for n, kind in enumerate(kinds)])
    found = [(cell.class_name, cell.color) for cell in cells.masks]
    assert found == [("Tumor", ""), ("Tumor", "#c80000"), ("Tumor: Positive", "#010203"), ("", "")]


def test_cells_with_a_nucleus_are_read_by_their_own_outline(tmp_path):
    nucleus = {"type": "Polygon", "coordinates": [square(25, 35, 6)]}
    both, only = feature(square(20, 30, 20), objectType="cell"), feature(objectType="cell")
    both["nucleusGeometry"] = only["nucleusGeometry"] = nucleus
    only["geometry"] = None
    cells = read(tmp_path, [both, only])
    assert areas(cells) == [400, 36]
    assert len(cells.notes) == 2


def test_collections_third_coordinates_and_open_rings(tmp_path):
    parts = [
        {"type": "Polygon", "coordinates": [[[x, y, 0] for x, y in square(0, 0, 10)[:-1]]]},
        {"type": "LineString", "coordinates": [[0, 0], [9, 9]]},
        {"type": "MultiPolygon", "coordinates": [[square(20, 0, 10), square(22, 2, 2)[::-1]]]},
    ]
    collection = {"type": "Feature", "geometry": {"type": "GeometryCollection", "geometries": parts}}
    mixed = feature([[40, 0, 1], [50, 0], [50, 0], [50, 10, 2], [40, 10]])
    assert areas(read(tmp_path, [collection, mixed])) == [196, 100]


def test_points_alone_are_no_outlines(tmp_path):
    points = {"type": "Feature", "geometry": {"type": "MultiPoint", "coordinates": [[1, 1], [2, 2]]}, "properties": {}}
    cells = read(tmp_path, [points])
    assert cells.says_nothing
    assert "MultiPoint" in cells.problems[0]
    assert not read(tmp_path, []).says_nothing


def test_packed_geojson_and_other_encodings(tmp_path):
    text = json.dumps(four(classification="Zellkörper"), ensure_ascii=False)
    (tmp_path / "a.geojson.gz").write_bytes(gzip.compress(text.encode()))
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("b.geojson", text)
    for name, encoding in (("c", "cp1252"), ("d", "utf-8-sig"), ("e", "utf-16")):
        (tmp_path / f"{name}.geojson").write_bytes(text.encode(encoding))
    for path in tmp_path.iterdir():
        cells = read_cells(path, *SIZE)
        assert areas(cells) == [400] * 4, path
        assert cells.masks[0].class_name == "Zellkörper"
    (tmp_path / "cut.geojson.gz").write_bytes(gzip.compress(text.encode())[:-9])
    with pytest.raises(AnnotationError, match="cut"):
        read_cells(tmp_path / "cut.geojson.gz", *SIZE)


def xml(folder: Path, text: str, name: str = "a.xml") -> Cells:
    (folder / name).write_text(text)
    return read_cells(folder / name, *SIZE)


def asap(kind: str, corners: list, group: str = "None", name: str = "A") -> str:
    places = "".join(f'<Coordinate Order="{n}" X="{x}" Y="{y}"/>' for n, (x, y) in reversed(list(enumerate(corners))))
    return (
        f'<Annotation Name="{name}" Type="{kind}" PartOfGroup="{group}" Color="#F4FA58">'
        f"<Coordinates>{places}</Coordinates></Annotation>"
    )


def test_asap(tmp_path):
    shapes = asap("Polygon", square(0, 0, 10)[:-1], "Tumor") + asap("Rectangle", square(20, 0, 10)[:-1])
    shapes += asap("Spline", square(40, 0, 10)[:-1]) + asap("Dot", [[1, 1]])
    groups = '<AnnotationGroups><Group Name="Tumor" PartOfGroup="None" Color="#64FE2E"/></AnnotationGroups>'
    cells = xml(tmp_path, f"<ASAP_Annotations><Annotations>{shapes}</Annotations>{groups}</ASAP_Annotations>")
    assert areas(cells) == [100, 100, 100]
    assert [(cell.class_name, cell.color) for cell in cells.masks][:2] == [("Tumor", "#64fe2e"), ("", "")]
    assert "1 splines" in cells.notes[0]
    assert "type Dot" in cells.problems[0]


def test_halo(tmp_path):
    vertices = "".join(f'<V X="{x}" Y="{y}"/>' for x, y in square(0, 0, 10)[:-1])
    regions = f'<Region Type="Polygon" NegativeROA="0"><Vertices>{vertices}</Vertices></Region>'
    for kind in ("Rectangle", "Ellipse", "Ruler"):
        ends = '<V X="20" Y="0"/><V X="40" Y="20"/>' if kind != "Rectangle" else '<V X="60" Y="0"/><V X="70" Y="10"/>'
        regions += f'<Region Type="{kind}" NegativeROA="0"><Vertices>{ends}</Vertices></Region>'
    text = (
        f'<Annotations><Annotation Name="Tumor" LineColor="255"><Regions>{regions}</Regions></Annotation></Annotations>'
    )
    cells = xml(tmp_path, text, "a.annotations")
    assert areas(cells)[:2] == [100, 100]
    assert abs(areas(cells)[2] - np.pi * 100) < 8
    assert (cells.masks[0].class_name, cells.masks[0].color) == ("Tumor", "#ff0000")
    assert "type Ruler" in cells.problems[0]


def test_cvat(tmp_path):
    corners = ";".join(f"{x},{y}" for x, y in square(0, 0, 10)[:-1])
    image = (
        '<image id="0" name="sub\\a.png" width="256" height="256">'
        f'<polygon label="tumor" points="{corners}"/><ellipse label="x" cx="60" cy="60" rx="10" ry="5"/>'
        '<mask label="m" rle="1, 2, 1, 2" left="100" top="50" width="3" height="2"/>'
        '<box label="b" xtl="1" ytl="1" xbr="5" ybr="5"/></image>'
    )
    other = image.replace("a.png", "b.png")
    for text in (f"<annotations>{image}</annotations>", f"<annotations>{other}{image}</annotations>"):
        cells = xml(tmp_path, text)
        assert areas(cells)[::2] == [100, 4]
        assert abs(areas(cells)[1] - np.pi * 50) < 8
        assert (cells.masks[2].top_px, cells.masks[2].left_px) == (50, 101)
        assert cells.masks[2].mask.tolist() == [[True, True], [True, True]]
        assert cells.masks[0].class_name == "tumor"
        assert "type box" in cells.problems[0]
    with pytest.raises(AnnotationError, match="2 images"):
        xml(tmp_path, f"<annotations>{other}{other}</annotations>")
    with pytest.raises(AnnotationError, match="100 x 256"):
        xml(tmp_path, f"<annotations>{image}</annotations>".replace('height="256"', 'height="100"'))


@pytest.mark.parametrize(("root", "found"), [("annotation", "Pascal VOC"), ("OME", "<OME>"), ("svg", "<svg>")])
def test_other_roots_are_refused_by_name(tmp_path, root, found):
    with pytest.raises(AnnotationError, match=found):
        xml(tmp_path, f"<{root}><object><bndbox/></object></{root}>")


def test_a_hole_of_imagescope_belongs_to_the_region_that_it_lies_in(tmp_path):
    def region(corners, negative=0):
        places = "".join(f'<Vertex X="{x}" Y="{y}"/>' for x, y in corners[:-1])
        return f'<Region NegativeROA="{negative}"><Vertices>{places}</Vertices></Region>'

    # The hole comes first, and reaches into a larger neighbor, which stays whole.
    regions = region(square(50, 10, 20), 1) + region(square(0, 0, 70)) + region(square(65, 0, 100))
    regions += region(square(200, 200, 5), 1)
    cells = xml(
        tmp_path,
        f'<Annotations><Annotation Name="" LineColor="65280"><Attributes><Attribute Name="Description" Value="gland"/>'
        f"</Attributes><Regions>{regions}</Regions></Annotation></Annotations>",
    )
    assert areas(cells) == [70 * 70 - 20 * 20, 100 * 100]
    assert (cells.masks[0].class_name, cells.masks[0].color) == ("gland", "#00ff00")
    assert "lies in no region" in cells.problems[0]


def rois(path: Path, **positions) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(6):
            roi = polygon_roi(np.array(square(20 + 30 * number, 40, 15)[:-1]))
            for name, value in positions.items():
                setattr(roi, name, value(number))
            archive.writestr(f"{number}.roi", roi.tobytes())
    return path


@pytest.mark.parametrize(
    ("positions", "plane", "n_cells"),
    [
        ({"position": lambda n: n % 3 + 1}, Plane(n_z=3), 2),
        ({"position": lambda n: n % 3 + 1}, Plane(z=2, n_z=3), 2),
        ({"position": lambda n: n % 3}, Plane(n_z=3), 4),
        ({"position": lambda n: n % 3 + 1}, Plane(z=None, n_z=3), 6),
        ({"z_position": lambda n: n % 3 + 1, "c_position": lambda n: 1, "t_position": lambda n: 1}, Plane(n_z=3), 2),
        ({"t_position": lambda n: n % 3 + 1, "c_position": lambda n: 1}, Plane(t=3, n_t=3), 2),
        ({"c_position": lambda n: n % 2 + 1}, Plane(channel=2, n_channels=2), 3),
        ({"c_position": lambda n: n % 2 + 1}, Plane(n_channels=2), 6),
        # Number 4 of a hyperstack of 2 channels, 3 slices: channel 2, slice 2.
        ({"position": lambda n: n + 1}, Plane(channel=2, z=2, n_channels=2, n_z=3), 1),
        ({"position": lambda n: 3}, Plane(), 6),
    ],
)
def test_selections_of_the_plane_that_was_read(tmp_path, positions, plane, n_cells):
    cells = read_imagej(rois(tmp_path / "a.zip", **positions), *SIZE, plane)
    assert len(cells.masks) == n_cells
    assert [f"{6 - n_cells} of 6" in text for text in cells.left_out] == ([True] if n_cells < 6 else [])


def test_selections_of_several_planes_do_not_fit_an_image_of_one(tmp_path):
    with pytest.raises(AnnotationError, match="3 planes"):
        read_imagej(rois(tmp_path / "a.zip", position=lambda n: n % 3 + 1), *SIZE, Plane())


def test_composite_selections_with_holes_islands_and_curves(tmp_path):
    rings = [np.array(square(x, x, side)[:-1]) for x, side in ((10, 100), (30, 60), (50, 20))]
    composite_roi(rings).tofile(tmp_path / "a.roi")
    assert areas(read_cells(tmp_path / "a.roi", *SIZE)) == [100 * 100 - 60 * 60 + 20 * 20]
    # A circle of radius 50 of four cubic curves; 0.5523 is the usual distance of their handles.
    handle = 50 * 0.5522847
    path = [0, 150, 100]
    for turn in range(4):
        c, s = [(1, 0), (0, 1), (-1, 0), (0, -1)][turn]
        for x, y in ((50, handle), (handle, 50), (0, 50)):
            path += ([3] if (x, y) == (50, handle) else []) + [100 + c * x - s * y, 100 + s * x + c * y]
    roi = composite_roi([np.array(square(50, 50, 100)[:-1])])
    roi.multi_coordinates = np.array([*path, 4], np.float32)
    roi.shape_roi_size = len(path) + 1
    roi.group = 3
    roi.tofile(tmp_path / "b.roi")
    (cell,) = read_cells(tmp_path / "b.roi", *SIZE).masks
    assert abs(cell.area_px - np.pi * 50**2) < 60
    assert cell.class_name == "group 3"


def test_text_is_no_cell(tmp_path):
    roi = roifile.ImagejRoi(roitype=roifile.ROI_TYPE.RECT, left=1, top=1, right=30, bottom=30)
    roi.subtype = roifile.ROI_SUBTYPE.TEXT
    roi.tofile(tmp_path / "a.roi")
    assert "text" in read_cells(tmp_path / "a.roi", *SIZE).problems[0]


def coco(folder: Path, annotations: list[dict], height: int = 20, width: int = 30, encoding="utf-8", **more) -> Cells:
    document = {
        "images": [{"id": 1, "file_name": "sub\\A.png", "height": float(height), "width": str(width)}],
        "annotations": [{"id": n, "image_id": 1, **annotation} for n, annotation in enumerate(annotations)],
        "categories": [{"id": "1", "name": "Zellkörper"}, {"id": 2, "name": "Tissue region"}],
    } | more
    (folder / "coco.json").write_bytes(json.dumps(document, ensure_ascii=False).encode(encoding))
    assert build_store([folder / "coco.json"], folder / "store.sqlite") == []
    found, problems = link_images(folder / "store.sqlite", [PurePosixPath("set/sub/a.png")])
    assert (len(found), problems) == (1, [])
    return read_coco_cells(folder / "store.sqlite", PurePosixPath("set/sub/a.png"), height, width)


CORNERS = [2, 2, 6, 2, 6, 6, 2, 6]


@pytest.mark.parametrize("image_id", [1, 1.0, "1", " 1"])
@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "utf-16", "utf-8-sig"])
def test_ids_as_numbers_and_text_in_any_encoding(tmp_path, image_id, encoding):
    annotation = {"image_id": image_id, "category_id": 1.0, "segmentation": [CORNERS]}
    cells = coco(tmp_path, [annotation], encoding=encoding)
    assert [(cell.area_px, cell.class_name) for cell in cells.masks] == [(16, "Zellkörper")]


def test_crowds_boxes_and_flat_lists(tmp_path):
    crowd = {"iscrowd": 1, "segmentation": {"size": [20, 30], "counts": [0, 600]}}
    box = {"bbox": [10, 10, 5, 5], "segmentation": []}
    pairs = {"segmentation": [[10, 10], [14, 10], [14, 14], [10, 14]]}
    cells = coco(tmp_path, [{"segmentation": CORNERS}, pairs, {"segmentation": [CORNERS, [1, 1]]}, crowd, box])
    assert areas(cells) == [16, 16, 16]
    assert "2 annotations" in cells.notes[0]
    assert "1 annotations left out: crowds" in cells.left_out[0]
    assert "1 annotations have a box" in cells.problems[0]
    assert coco(tmp_path, [box, box]).says_nothing
    assert not coco(tmp_path, []).says_nothing


def test_run_lengths_of_a_turned_size_are_read_where_the_box_tells_how(tmp_path):
    mask = np.zeros((20, 30), bool)
    mask[3:7, 10:22] = True
    box = [10, 3, 12, 4]
    turned = {"size": [30, 20], "counts": encode_counts(mask.T, 0, 0, 30, 20)}
    exchanged = {"size": [30, 20], "counts": encode_counts(mask, 0, 0, 20, 30)}
    for segmentation in (turned, exchanged):
        cells = coco(tmp_path, [{"segmentation": segmentation, "bbox": box}, {"segmentation": segmentation}])
        np.testing.assert_array_equal(paint_cells(cells.masks, 20, 30).labels > 0, mask)
        assert len(cells.masks) == len(cells.problems) == len(cells.notes) == 1


def block(top: int, left: int, height: int, width: int, class_name: str = "") -> CellMask:
    return CellMask(top, left, np.ones((height, width), bool), class_name)


def regions(*masks: CellMask) -> tuple[int, int, int]:
    found = leave_out_regions(Cells(list(masks)), 100, 100)
    return len(found.masks), len(found.left_out), len(found.notes)


def test_what_holds_others_or_fills_the_image_is_a_region():
    three = [block(10, 10 + 10 * n, 5, 5) for n in range(3)]
    assert regions(*three) == (3, 0, 0)
    assert regions(*three, block(5, 5, 40, 40)) == (3, 1, 0)
    assert regions(block(0, 0, 100, 100)) == (0, 1, 0)
    assert regions(three[0], block(0, 0, 80, 80)) == (1, 1, 0)
    assert regions(*three[:2], block(5, 5, 20, 30)) == (2, 1, 0)
    # Kept, and named: a nucleus in its cell, a cell that divides, one cell that nearly fills the image.
    assert regions(three[0], block(8, 8, 10, 10)) == (2, 0, 1)
    assert regions(*three[:2], block(9, 9, 8, 18)) == (3, 0, 1)
    assert regions(block(0, 0, 80, 80)) == (1, 0, 1)
    assert regions(*three, block(50, 50, 20, 20)) == (4, 0, 1)
    # A hole is not held by the cell round it.
    ring = np.ones((40, 40), bool)
    ring[1:-1, 1:-1] = False
    assert regions(*three, CellMask(5, 5, ring)) == (4, 0, 0)  # 156 px, below ten times 25
    assert regions(block(1, 1, 9, 9, "Tissue"), *three) == (3, 1, 0)


def test_names_of_regions():
    for name in ("Region*", "Ignore*", "tissue region", "ROI", "roi_2", "Tissue", "background", "TMA core", "Regions"):
        assert is_region_class(name), name
    for name in ("", "nucleus", "Tumor", "tissue macrophage", "Stroma", "heroic", "group 3"):
        assert not is_region_class(name), name

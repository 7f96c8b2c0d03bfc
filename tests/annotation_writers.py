"""Write label images in the formats that organscope only reads, for round trips."""

from pathlib import Path

import numpy as np
import roifile
import tifffile
from scipy import ndimage

from organscope.ops.polygons import Outline, cell_regions, trace_cell


def connected_cells(labels: np.ndarray) -> np.ndarray:
    """The 4-connected pieces of every label as cells of their own: what a format without multipolygons holds."""
    pieces = np.zeros_like(labels)
    for number in np.unique(labels[labels > 0]):
        found, n_found = ndimage.label(labels == number)
        pieces = np.where(found > 0, found + pieces.max(), pieces) if n_found else pieces
    return pieces.astype(np.int32)


def outlines_of(labels: np.ndarray) -> list[list[Outline]]:
    return [trace_cell(mask, top, left) for _, top, left, mask in cell_regions(labels)]


def write_aperio(path: Path, labels: np.ndarray) -> None:
    """ImageScope XML, holes as negative regions."""
    rings = [
        (ring, negative)
        for (outline,) in outlines_of(labels)
        for ring, negative in [(outline.exterior, 0), *((hole, 1) for hole in outline.holes)]
    ]
    regions = "".join(
        f'<Region Id="{number}" Type="0" NegativeROA="{negative}"><Vertices>'
        + "".join(f'<Vertex X="{x}" Y="{y}" Z="0"/>' for x, y in ring)
        + "</Vertices></Region>"
        for number, (ring, negative) in enumerate(rings, start=1)
    )
    path.write_text(
        f'<?xml version="1.0"?><Annotations MicronsPerPixel="0.25"><Annotation Id="1"><Regions>{regions}'
        "</Regions></Annotation></Annotations>"
    )


def write_roi_zip(path: Path, labels: np.ndarray) -> None:
    """ImageJ ROI zip: polygons, and composite selections where there are holes or pieces."""
    path.unlink(missing_ok=True)
    for number, outlines in enumerate(outlines_of(labels), start=1):
        rings = [ring for outline in outlines for ring in (outline.exterior, *outline.holes)]
        roi = polygon_roi(rings[0]) if len(rings) == 1 else composite_roi(rings)
        roi.name = f"cell {number:04d}"
        roi.tofile(path)


def polygon_roi(ring: np.ndarray) -> roifile.ImagejRoi:
    roi = roifile.ImagejRoi.frompoints(ring)
    roi.roitype = roifile.ROI_TYPE.POLYGON
    return roi


def composite_roi(rings: list[np.ndarray]) -> roifile.ImagejRoi:
    """A path of moves (0), lines (1) and closings (4), as java.awt.geom writes it."""
    path: list[float] = []
    for ring in rings:
        path += [0, *ring[0].tolist()]
        for point in ring[1:]:
            path += [1, *point.tolist()]
        path.append(4)
    points = np.concatenate(rings)
    left, top = points.min(axis=0).tolist()
    right, bottom = points.max(axis=0).tolist()
    return roifile.ImagejRoi(
        roitype=roifile.ROI_TYPE.RECT,
        left=left, top=top, right=right, bottom=bottom,
        shape_roi_size=len(path), multi_coordinates=np.array(path, np.float32),
    )  # fmt: skip


def write_cell_masks(folder: Path, labels: np.ndarray) -> None:
    """One 0/255 image a cell."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in np.unique(labels[labels > 0]):
        tifffile.imwrite(folder / f"{number:04d}.tif", (labels == number).astype(np.uint8) * 255)

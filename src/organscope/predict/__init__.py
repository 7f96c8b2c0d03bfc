"""One image through one bundle: its cells, its organ, or the organ of each cell. No framework is needed."""

from organscope.predict.cell_size import Scale, Sizing, require_diameter
from organscope.predict.cells import CellOrgans, classify_cells, classify_centres
from organscope.predict.classify import Classification, classify_image
from organscope.predict.maps import predict_maps
from organscope.predict.operating_point import OperatingPoint, choose_operating_point
from organscope.predict.segment import Segmentation, choose_scale, segment_image

__all__ = [
    "CellOrgans",
    "Classification",
    "OperatingPoint",
    "Scale",
    "Segmentation",
    "Sizing",
    "choose_operating_point",
    "choose_scale",
    "classify_cells",
    "classify_centres",
    "classify_image",
    "predict_maps",
    "require_diameter",
    "segment_image",
]

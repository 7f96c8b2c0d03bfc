from .cell_classification import CellOrgans, classify_cells, classify_centers
from .cell_kinds import CellKinds, name_cell_kinds
from .classify import Classification, classify_image
from .maps import predict_maps
from .operating_points import OperatingPoint, choose_operating_point
from .scale import Scale, Sizing, require_diameter
from .segment import Segmentation, choose_scale, segment_image

__all__ = [
    "CellKinds",
    "CellOrgans",
    "Classification",
    "OperatingPoint",
    "Scale",
    "Segmentation",
    "Sizing",
    "choose_operating_point",
    "choose_scale",
    "classify_cells",
    "classify_centers",
    "classify_image",
    "name_cell_kinds",
    "predict_maps",
    "require_diameter",
    "segment_image",
]

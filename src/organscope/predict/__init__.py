"""One image through one bundle: its cells, its organ, or the organ of each cell. No framework is needed."""

from organscope.predict.cells import CellOrgans, classify_cells, classify_centres
from organscope.predict.classify import Classification, classify_image
from organscope.predict.maps import predict_maps
from organscope.predict.segment import Segmentation, segment_image

__all__ = [
    "CellOrgans",
    "Classification",
    "Segmentation",
    "classify_cells",
    "classify_centres",
    "classify_image",
    "predict_maps",
    "segment_image",
]

"""One image through one bundle: its cells, or its organ. No deep-learning framework is needed."""

from organscope.predict.classify import Classification, classify_image
from organscope.predict.maps import predict_maps
from organscope.predict.segment import Segmentation, segment_image

__all__ = ["Classification", "Segmentation", "classify_image", "predict_maps", "segment_image"]

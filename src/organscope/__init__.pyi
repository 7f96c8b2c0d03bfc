from . import errors
from ._api import (
    Dataset,
    Model,
    analyze,
    classify,
    compare,
    decide,
    evaluate,
    finetune,
    list_models,
    load_model,
    read_dataset,
    read_image,
    run,
    segment,
    teach,
    to_geojson,
    train_classification,
    train_segmentation,
)
from .io.image import Image
from .io.labels import read_labels, write_labels
from .pipeline.analysis import Analysis, OrganPrediction, Segmentation

__version__: str
__all__ = [
    "Analysis",
    "Dataset",
    "Image",
    "Model",
    "OrganPrediction",
    "Segmentation",
    "__version__",
    "analyze",
    "classify",
    "compare",
    "decide",
    "errors",
    "evaluate",
    "finetune",
    "list_models",
    "load_model",
    "read_dataset",
    "read_image",
    "read_labels",
    "run",
    "segment",
    "teach",
    "to_geojson",
    "train_classification",
    "train_segmentation",
    "write_labels",
]

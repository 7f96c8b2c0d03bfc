from .geojson import write_geojson
from .image import Image
from .labels import read_labels, write_labels
from .open import open_image
from .paths import atomic_path, image_files
from .source import Level
from .tables import write_cells

__all__ = [
    "Image",
    "Level",
    "atomic_path",
    "image_files",
    "open_image",
    "read_labels",
    "write_cells",
    "write_geojson",
    "write_labels",
]

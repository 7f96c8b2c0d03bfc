from .atomic import atomic_path
from .cells import write_cells
from .files import image_files
from .geojson import write_geojson
from .image import Image
from .labels import read_labels, write_labels
from .opening import open_image
from .source import Level

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

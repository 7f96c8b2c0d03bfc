"""Open any microscope image lazily; write label images, tables and GeoJSON."""

from organscope.images.atomic import atomic_path
from organscope.images.cells import write_cells
from organscope.images.files import image_files
from organscope.images.geojson import write_geojson
from organscope.images.image import Image
from organscope.images.labels import read_labels, write_labels
from organscope.images.opening import open_image
from organscope.images.source import Level

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

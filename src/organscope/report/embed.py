"""Pictures inside the page, so that one file can be kept, sent and opened anywhere."""

import base64
import io
from pathlib import Path

from PIL import Image as Picture

# Longest side of each picture by the number of pictures on the page: the page stays under about 30 MB.
SIDE_PX_BY_COUNT = ((12, 1024), (60, 640), (300, 384))
SMALLEST_SIDE_PX = 256


def side_px_for(n_pictures: int) -> int:
    """Longest side of a picture on a page that shows so many of them."""
    return next((side for count, side in SIDE_PX_BY_COUNT if n_pictures <= count), SMALLEST_SIDE_PX)


def picture_uri(path: Path, max_side_px: int) -> str:
    """The picture at `path` as a JPEG data URI, shrunk to `max_side_px` on its longer side."""
    with Picture.open(path) as picture:
        small = picture.convert("RGB")
    small.thumbnail((max_side_px, max_side_px), Picture.Resampling.LANCZOS)
    stream = io.BytesIO()
    small.save(stream, format="JPEG", quality=88, subsampling=0)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode("ascii")

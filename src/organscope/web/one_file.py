"""An image that comes from outside is one file: formats that name further files would open those of others."""

from pathlib import Path
from xml.etree import ElementTree

import tifffile

from organscope.errors import InputError

TIFF_MAGICS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
#: Of PNG, JPEG, BMP and of slides that are one SQLite file.
OTHER_MAGICS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"BM", b"SQLite format 3\0")
#: What names another file in OME-XML (OME Data Model 2016-06: `UUID` of `TiffData`, and `BinaryOnly`).
NAMING = ("FileName", "MetadataFile")


def require_one_file(path: Path) -> None:
    """Make sure that reading an image opens no file but this one.

    Text files such as VMS, which list the files of a slide, are no known format here. OME-TIFF may keep planes and
    metadata in other files, whose names can lead anywhere; tifffile follows them.

    Raises:
        InputError: It is of no format that is one file, or it names other files.
    """
    with path.open("rb") as file:
        head = file.read(16)
    if head.startswith(TIFF_MAGICS):
        _require_no_names(path)
    elif not head.startswith(OTHER_MAGICS):
        raise InputError(
            f"Expected an image, found that {path} is of no known format that is one file. "
            "Export it as TIFF, OME-TIFF, PNG or JPEG."
        )


def _require_no_names(path: Path) -> None:
    try:
        with tifffile.TiffFile(path, _multifile=False) as file:
            text = file.ome_metadata
        root = None if text is None else ElementTree.fromstring(text)
    except Exception:
        # Damage is reported by the reader, which comes next; XML that is none names nothing.
        return
    if root is not None and any(_names_another(element, root.get("UUID")) for element in root.iter()):
        raise InputError(
            f"Expected an OME-TIFF that is one file, found that {path} names others. Export all planes into one file."
        )


def _names_another(element: ElementTree.Element, own: str | None) -> bool:
    is_own = own is not None and element.tag.endswith("UUID") and element.text == own
    return any(name in element.attrib for name in NAMING) and not is_own

"""File names for what leaves the page: told apart on every file system, and the same in every download.

Two images of one study may have equal names (`slide1/img_001.tif` and `slide2/img_001.tif`, or `A.png` and `a.png`).
Each gets a name of its own that stays as it is when more images arrive, because images are named in the order of their
arrival.
"""

import re
import unicodedata
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Any

#: Windows keeps these for devices, whatever the suffix.
RESERVED = frozenset({"con", "prn", "aux", "nul"} | {f"{name}{n}" for name in ("com", "lpt") for n in range(1, 10)})
#: File systems take 255 bytes; the kind of the file (`-cells.parquet`) and a number are added.
_MAX_BYTES = 180


def plain_part(text: str, otherwise: str) -> str:
    """One part of a path that every file system takes: letters and digits of any script, `.`, `-` and `_`.

    Args:
        text: Any text.
        otherwise: Stands for a text of which nothing is left.
    """
    kept = re.sub(r"[^\w.-]+", "_", unicodedata.normalize("NFC", text)).strip("._ ")
    kept = kept.encode()[:_MAX_BYTES].decode(errors="ignore").strip("._ ") or otherwise
    return f"{kept}_" if kept.split(".")[0].casefold() in RESERVED else kept


def file_stems(known: Iterable[dict[str, Any]], new: Iterable[dict[str, Any]]) -> dict[str, str]:
    """The name without suffix of the files of each new image, by id; no two are equal, not even but for capitals.

    Folders of the name are kept in front, joined by `_`: `slide1/img_001.tif` becomes `slide1_img_001`.

    Args:
        known: Images of the study that are named already, with `file_stem`.
        new: Images with `id` and `name`, in the order of their arrival.
    """
    stems: dict[str, str] = {}
    taken = {image["file_stem"].casefold() for image in known}
    for image in new:
        stem = next(stem for stem in _candidates(image["name"]) if stem.casefold() not in taken)
        taken.add(stem.casefold())
        stems[image["id"]] = stem
    return stems


def _candidates(name: str) -> Iterable[str]:
    path = PurePosixPath(name.replace("\\", "/"))
    stem = re.sub(r"\.ome$", "", path.stem, flags=re.IGNORECASE) or path.name
    first = plain_part("_".join((*path.parent.parts, stem)), "image")
    yield first
    if path.suffix:
        yield f"{first}_{plain_part(path.suffix, 'file')}"
    number = 2
    while True:
        yield f"{first}-{number}"
        number += 1

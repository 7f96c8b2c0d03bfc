"""From the bytes of a request to image files in their place: limited while they arrive, judged by content.

Folders that the operator allows: what lies in them, and that nothing leads out of them.

An image that comes from outside is one file: formats that name further files would open those of others.
"""

import re
import shutil
import unicodedata
import zipfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

import tifffile
from starlette.concurrency import run_in_threadpool

from organscope.errors import InputError
from organscope.io import open_image
from organscope.io.paths import SLIDE_SUFFIXES, SUFFIXES, is_zarr
from organscope.ops.pixel_size import PixelSize
from organscope.server.errors import RefusalError
from organscope.server.settings import Limits, Settings
from organscope.server.store import NewImage, new_id
from organscope.server.wording import for_page

_MAX_LISTED = 2_000


@dataclass(frozen=True)
class _Entry:
    """A folder or an image below an allowed folder.

    Attributes:
        name: Its own name.
        path: From the name of the allowed folder on, with `/` between.
        is_folder: Whether it can be opened further.
    """

    name: str
    path: str
    is_folder: bool


def find_allowed(settings: Settings, path: str) -> Path:
    """The file or folder of a path such as `slides/case 12/a.svs`, whose first part names an allowed folder.

    The whole path of a file inside an allowed folder is taken too.

    Raises:
        RefusalError: 403, where the path leads out of the allowed folders in any way; 404, where nothing is there.
    """
    roots = {folder.resolve().name: folder.resolve() for folder in settings.allowed}
    parts = PurePosixPath(allowed_name(settings, path)).parts
    if "\\" in path or "\0" in path or ".." in parts or not parts or parts[0] not in roots:
        raise _outside(path, roots)
    root = roots[parts[0]]
    try:
        # Links are followed first, so that it is the place itself that is judged.
        found = root.joinpath(*parts[1:]).resolve(strict=True)
    except (OSError, RuntimeError, ValueError):
        raise RefusalError(
            404, f"Expected an image or a folder at {path[:200]!r}, found nothing. Check the name."
        ) from None
    if not found.is_relative_to(root):
        raise _outside(path, roots)
    return found


def allowed_name(settings: Settings, path: str) -> str:
    """The path from the name of the allowed folder on, of a whole path into one; any other as it is."""
    whole = PurePosixPath(path.strip())
    for folder in settings.allowed if whole.is_absolute() else ():
        for root in (folder.absolute(), folder.resolve()):
            if whole.is_relative_to(root):
                return str(PurePosixPath(folder.resolve().name) / whole.relative_to(root))
    return path


def list_allowed(settings: Settings, path: str) -> list[_Entry]:
    """Folders and images of an allowed folder, by name; of no path the allowed folders themselves.

    Raises:
        RefusalError: As `find_allowed`; 422, where it is no folder.
    """
    if not path:
        names = sorted(folder.resolve().name for folder in settings.allowed)
        return [_Entry(name, name, True) for name in names]
    folder = find_allowed(settings, path)
    if not folder.is_dir():
        raise RefusalError(422, f"Expected a folder at {path[:200]!r}, found a file.")
    found = [_entry(child, path) for child in sorted(folder.iterdir()) if not child.name.startswith(".")]
    return [entry for entry in found if entry is not None][:_MAX_LISTED]


def _entry(child: Path, path: str) -> _Entry | None:
    is_image = is_zarr(child) or (child.suffix.lower() in SUFFIXES and child.is_file())
    if not (is_image or child.is_dir()):
        return None
    return _Entry(child.name, f"{path.rstrip('/')}/{child.name}", not is_image)


def _outside(path: str, roots: dict[str, Path]) -> RefusalError:
    allowed = ", ".join(sorted(roots)) or "none (start the server with --allow FOLDER)"
    return RefusalError(
        403, f"Expected a path inside an allowed folder, found {path[:200]!r}. Allowed folders: {allowed}."
    )


_TIFF_MAGICS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
#: Of PNG, JPEG, BMP and of slides that are one SQLite file.
_OTHER_MAGICS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"BM", b"SQLite format 3\0")
#: What names another file in OME-XML (OME Data Model 2016-06: `UUID` of `TiffData`, and `BinaryOnly`).
_NAMING = ("FileName", "MetadataFile")


def require_one_file(path: Path) -> None:
    """Make sure that reading an image opens no file but this one.

    Text files such as VMS, which list the files of a slide, are no known format here. OME-TIFF may keep planes and
    metadata in other files, whose names can lead anywhere; tifffile follows them.

    Raises:
        InputError: It is of no format that is one file, or it names other files.
    """
    with path.open("rb") as file:
        head = file.read(16)
    if head.startswith(_TIFF_MAGICS):
        _require_no_names(path)
    elif not head.startswith(_OTHER_MAGICS):
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
    return any(name in element.attrib for name in _NAMING) and not is_own


_ZIP_MAGIC = b"PK\x03\x04"
_PNG_MAGIC, _PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND"
_JPEG_MAGIC, _JPEG_END = b"\xff\xd8\xff", b"\xff\xd9"
_MAGIC_SUFFIXES = {_PNG_MAGIC: ".png", _JPEG_MAGIC: ".jpg", b"BM": ".bmp"}
_TIFF_SUFFIXES = SLIDE_SUFFIXES | {".tif", ".tiff", ".btf", ".tf8"}
_TAIL_BYTES = 1 << 16
#: A zip whose parts say that they unpack to more than this many times their size is a bomb; images reach 30.
_MAX_ZIP_RATIO = 200
_MAX_NAME_LENGTH = 120
_CHUNK_BYTES = 1 << 20
_LEFT_OUT = ("__MACOSX/", "Thumbs.db", ".DS_Store")


@dataclass
class Upload:
    """What came out of one request: images, and files that are none with the reason."""

    images: list[NewImage] = field(default_factory=list)
    refused: list[dict[str, str]] = field(default_factory=list)


async def receive(stream: AsyncIterator[bytes], target: Path, limits: Limits) -> None:
    """Write a request to a file as it arrives, never more than is allowed.

    Raises:
        RefusalError: 413, where it is too large; 422, where it is empty.
    """
    n_bytes = 0
    with target.open("wb") as file:
        async for chunk in stream:
            n_bytes += len(chunk)
            if n_bytes > limits.upload_bytes:
                raise RefusalError(
                    413,
                    f"Expected a file of at most {limits.upload_bytes / 1e6:,.0f} MB, found a larger one. {_SLIDES}",
                )
            await run_in_threadpool(file.write, chunk)
    if not n_bytes:
        raise RefusalError(422, "Expected a file, found one of 0 bytes. Copy or export it again.")


def settle(received: Path, name: str, settings: Settings, free: int) -> Upload:
    """Look into a file that arrived and put its images into their folders.

    Args:
        received: The file; moved away.
        name: As the user named it; only shown, never believed.
        free: How many images the study may still hold.

    Raises:
        RefusalError: 413 or 422, where it is no image and no zip of images, or too large; says why.
    """
    with received.open("rb") as file:
        is_zip = file.read(len(_ZIP_MAGIC)) == _ZIP_MAGIC
    if is_zip:
        return _unpack(received, name, settings, free)
    try:
        return Upload([_place(received, shown_name(name), settings)])
    except InputError as error:
        raise RefusalError(422, _sentence(error, received, name)) from error


def shown_name(name: str) -> str:
    """A name for people: no folders that lead out, no control characters, not too long, never empty."""
    clean = unicodedata.normalize("NFC", name.encode("utf-8", "replace").decode("utf-8")).replace("\\", "/")
    parts = [part for part in PurePosixPath(clean).parts if part not in ("/", "..", ".")]
    text = "".join(letter if letter.isprintable() else "_" for letter in "/".join(parts))
    return text[-_MAX_NAME_LENGTH:].strip(" /") or "image"


def file_name(name: str) -> str:
    """A name for the disk: the last part of the shown name, letters and digits of ASCII alone."""
    last = PurePosixPath(shown_name(name)).name
    plain = unicodedata.normalize("NFKD", last).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9._-]+", "_", plain).strip("._") or "image"


def _inspect(path: Path, limits: Limits) -> tuple[int, int, PixelSize | None]:
    """Height, width and pixel size of an image file.

    Raises:
        InputError: It is no image, truncated, damaged, or names other files.
        RefusalError: 413, where it has too many pixels.
    """
    require_one_file(path)
    with open_image(path, max_pixels=limits.image_pixels) as image:
        height, width, um_per_px = image.height_px, image.width_px, image.um_per_px
    if height * width > limits.image_pixels:
        raise RefusalError(
            413,
            f"Expected at most {limits.image_pixels / 1e6:,.0f} megapixels, found {height} x {width} px. {_SLIDES}",
        )
    _require_end(path)
    return height, width, um_per_px


def true_suffix(head: bytes, stated: str) -> str:
    """The suffix that fits the content; of a TIFF also one that slide scanners give to theirs."""
    if head.startswith((b"II", b"MM")):
        return stated.lower() if stated.lower() in _TIFF_SUFFIXES else ".tif"
    return next((suffix for magic, suffix in _MAGIC_SUFFIXES.items() if head.startswith(magic)), stated.lower())


def _place(received: Path, name: str, settings: Settings) -> NewImage:
    height, width, um_per_px = _inspect(received, settings.limits)
    image = new_id()
    folder = settings.upload_folder(image)
    folder.mkdir(parents=True)
    n_bytes = received.stat().st_size
    with received.open("rb") as file:
        head = file.read(16)
    wanted = Path(file_name(name))
    path = received.replace(folder / (wanted.stem + true_suffix(head, wanted.suffix)))
    return NewImage(image, name, path, True, n_bytes, height, width, um_per_px)


def _require_end(path: Path) -> None:
    """PNG and JPEG say where they end; what is cut short would only be found by decoding it."""
    with path.open("rb") as file:
        head = file.read(8)
        file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        tail = file.read()
    for magic, ending in ((_PNG_MAGIC, _PNG_END), (_JPEG_MAGIC, _JPEG_END)):
        if head.startswith(magic) and ending not in tail:
            raise InputError(f"Expected a whole image, found that {path} is truncated. Copy or export it again.")


def _unpack(received: Path, name: str, settings: Settings, free: int) -> Upload:
    arrivals = Upload()
    try:
        with zipfile.ZipFile(received) as archive:
            parts = [part for part in archive.infolist() if _wanted(part)]
            _require_modest(parts, name, settings.limits, free)
            for part in parts:
                _unpack_part(archive, part, arrivals, settings)
    except (zipfile.BadZipFile, NotImplementedError, EOFError, ValueError, OSError, RuntimeError) as error:
        _remove(arrivals, settings)
        raise RefusalError(
            422, f"Expected a zip of images, found that {name[:80]!r} is damaged ({error}). Pack it again."
        ) from error
    except BaseException:
        _remove(arrivals, settings)
        raise
    finally:
        received.unlink(missing_ok=True)
    if not arrivals.images:
        reason = arrivals.refused[0]["reason"] if arrivals.refused else "it is empty."
        raise RefusalError(422, f"Expected images in the zip {name[:80]!r}, found none: {reason}")
    return arrivals


def _wanted(part: zipfile.ZipInfo) -> bool:
    hidden = PurePosixPath(part.filename).name.startswith(".")
    return not (part.is_dir() or hidden or any(word in part.filename for word in _LEFT_OUT))


def _require_modest(parts: list[zipfile.ZipInfo], name: str, limits: Limits, free: int) -> None:
    if len(parts) > free:
        raise RefusalError(
            413,
            f"Expected at most {free:,} more images in this study, found {len(parts):,} files in {name[:80]!r}. "
            "Make several studies, or use `organscope analyze` on the folder.",
        )
    unpacked, packed = sum(part.file_size for part in parts), sum(part.compress_size for part in parts)
    if unpacked > limits.upload_bytes or unpacked > _MAX_ZIP_RATIO * max(packed, 1):
        raise RefusalError(
            413,
            f"Expected a zip that unpacks to at most {limits.upload_bytes / 1e6:,.0f} MB and "
            f"{_MAX_ZIP_RATIO} times its "
            f"size, found {unpacked / 1e6:,.0f} MB from {packed / 1e6:,.1f} MB. Upload the images themselves.",
        )


def _unpack_part(archive: zipfile.ZipFile, part: zipfile.ZipInfo, arrivals: Upload, settings: Settings) -> None:
    name = shown_name(part.filename)
    target = settings.store / "uploads" / f".arriving-{new_id()}"
    try:
        with archive.open(part) as source, target.open("wb") as file:
            # What a part says of its size may be a lie: `zipfile` stops there, and the sum was checked.
            shutil.copyfileobj(source, file, _CHUNK_BYTES)
        arrivals.images.append(_place(target, name, settings))
    except InputError as error:
        arrivals.refused.append({"name": name, "reason": _sentence(error, target, name)})
    except RefusalError as refusal:
        arrivals.refused.append({"name": name, "reason": refusal.detail})
    finally:
        target.unlink(missing_ok=True)


def _remove(arrivals: Upload, settings: Settings) -> None:
    for image in arrivals.images:
        shutil.rmtree(settings.upload_folder(image.id), ignore_errors=True)


def _sentence(error: InputError, path: Path, name: str) -> str:
    """The reason with the name that the user knows, not the place on this machine."""
    return for_page(str(error).replace(str(path), shown_name(name)))


_SLIDES = "Ask the operator to allow the folder of the slide, and give its path."

"""From the bytes of a request to image files in their place: limited while they arrive, judged by content."""

import re
import shutil
import unicodedata
import zipfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from starlette.concurrency import run_in_threadpool

from organscope.errors import InputError
from organscope.images import open_image
from organscope.images.files import SLIDE_SUFFIXES
from organscope.ops.pixel_size import PixelSize
from organscope.web.one_file import require_one_file
from organscope.web.refusals import RefusalError
from organscope.web.settings import Limits, Settings
from organscope.web.studies import NewImage, new_id

ZIP_MAGIC = b"PK\x03\x04"
PNG_MAGIC, PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND"
JPEG_MAGIC, JPEG_END = b"\xff\xd8\xff", b"\xff\xd9"
SUFFIXES = {PNG_MAGIC: ".png", JPEG_MAGIC: ".jpg", b"BM": ".bmp"}
TIFF_SUFFIXES = SLIDE_SUFFIXES | {".tif", ".tiff", ".btf", ".tf8"}
TAIL_BYTES = 1 << 16
#: A zip whose parts say that they unpack to more than this many times their size is a bomb; pictures reach 30.
MAX_ZIP_RATIO = 200
MAX_NAME_LENGTH = 120
CHUNK_BYTES = 1 << 20
LEFT_OUT = ("__MACOSX/", "Thumbs.db", ".DS_Store")


@dataclass
class Arrivals:
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
                    413, f"Expected a file of at most {limits.upload_bytes / 1e6:,.0f} MB, found a larger one. {SLIDES}"
                )
            await run_in_threadpool(file.write, chunk)
    if not n_bytes:
        raise RefusalError(422, "Expected a file, found one of 0 bytes. Copy or export it again.")


def settle(received: Path, name: str, settings: Settings, free: int) -> Arrivals:
    """Look into a file that arrived and put its images into their folders.

    Args:
        received: The file; moved away.
        name: As the user named it; only shown, never believed.
        free: How many images the study may still hold.

    Raises:
        RefusalError: 413 or 422, where it is no image and no zip of images, or too large; says why.
    """
    with received.open("rb") as file:
        is_zip = file.read(len(ZIP_MAGIC)) == ZIP_MAGIC
    if is_zip:
        return _unpack(received, name, settings, free)
    try:
        return Arrivals([_place(received, shown_name(name), settings)])
    except InputError as error:
        raise RefusalError(422, _sentence(error, received, name)) from error


def shown_name(name: str) -> str:
    """A name for people: no folders that lead out, no control characters, not too long, never empty."""
    clean = unicodedata.normalize("NFC", name.encode("utf-8", "replace").decode("utf-8")).replace("\\", "/")
    parts = [part for part in PurePosixPath(clean).parts if part not in ("/", "..", ".")]
    text = "".join(letter if letter.isprintable() else "_" for letter in "/".join(parts))
    return text[-MAX_NAME_LENGTH:].strip(" /") or "image"


def file_name(name: str) -> str:
    """A name for the disk: the last part of the shown name, letters and digits of ASCII alone."""
    last = PurePosixPath(shown_name(name)).name
    plain = unicodedata.normalize("NFKD", last).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9._-]+", "_", plain).strip("._") or "image"


def inspect(path: Path, limits: Limits) -> tuple[int, int, PixelSize | None]:
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
            f"Expected at most {limits.image_pixels / 1e6:,.0f} megapixels, found {height} x {width} px. {SLIDES}",
        )
    _require_end(path)
    return height, width, um_per_px


def true_suffix(head: bytes, stated: str) -> str:
    """The suffix that fits the content; of a TIFF also one that slide scanners give to theirs."""
    if head.startswith((b"II", b"MM")):
        return stated.lower() if stated.lower() in TIFF_SUFFIXES else ".tif"
    return next((suffix for magic, suffix in SUFFIXES.items() if head.startswith(magic)), stated.lower())


def _place(received: Path, name: str, settings: Settings) -> NewImage:
    height, width, um_per_px = inspect(received, settings.limits)
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
        file.seek(max(0, path.stat().st_size - TAIL_BYTES))
        tail = file.read()
    for magic, ending in ((PNG_MAGIC, PNG_END), (JPEG_MAGIC, JPEG_END)):
        if head.startswith(magic) and ending not in tail:
            raise InputError(f"Expected a whole image, found that {path} is truncated. Copy or export it again.")


def _unpack(received: Path, name: str, settings: Settings, free: int) -> Arrivals:
    arrivals = Arrivals()
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
    return not (part.is_dir() or hidden or any(word in part.filename for word in LEFT_OUT))


def _require_modest(parts: list[zipfile.ZipInfo], name: str, limits: Limits, free: int) -> None:
    if len(parts) > free:
        raise RefusalError(
            413,
            f"Expected at most {free:,} more images in this study, found {len(parts):,} files in {name[:80]!r}. "
            "Make several studies, or use `organscope analyze` on the folder.",
        )
    unpacked, packed = sum(part.file_size for part in parts), sum(part.compress_size for part in parts)
    if unpacked > limits.upload_bytes or unpacked > MAX_ZIP_RATIO * max(packed, 1):
        raise RefusalError(
            413,
            f"Expected a zip that unpacks to at most {limits.upload_bytes / 1e6:,.0f} MB and {MAX_ZIP_RATIO} times its "
            f"size, found {unpacked / 1e6:,.0f} MB from {packed / 1e6:,.1f} MB. Upload the images themselves.",
        )


def _unpack_part(archive: zipfile.ZipFile, part: zipfile.ZipInfo, arrivals: Arrivals, settings: Settings) -> None:
    name = shown_name(part.filename)
    target = settings.store / "uploads" / f".arriving-{new_id()}"
    try:
        with archive.open(part) as source, target.open("wb") as file:
            # What a part says of its size may be a lie: `zipfile` stops there, and the sum was checked.
            shutil.copyfileobj(source, file, CHUNK_BYTES)
        arrivals.images.append(_place(target, name, settings))
    except InputError as error:
        arrivals.refused.append({"name": name, "reason": _sentence(error, target, name)})
    except RefusalError as refusal:
        arrivals.refused.append({"name": name, "reason": refusal.detail})
    finally:
        target.unlink(missing_ok=True)


def _remove(arrivals: Arrivals, settings: Settings) -> None:
    for image in arrivals.images:
        shutil.rmtree(settings.upload_folder(image.id), ignore_errors=True)


def _sentence(error: InputError, path: Path, name: str) -> str:
    """The reason with the name that the user knows, not the place on this machine."""
    return str(error).replace(str(path), shown_name(name))


SLIDES = "Ask the operator to allow the folder of the slide, and give its path."

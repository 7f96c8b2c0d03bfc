"""The bytes of a bundle, from a folder or a zip file, checked against its manifest.

Whatever is read here may come from a stranger: sizes are checked before reading, names before use, and
nothing is ever written or executed.
"""

import hashlib
import io
import stat
import zipfile
import zlib
from pathlib import Path

from organscope.bundle.manifest import MANIFEST_NAME, Manifest, parse_manifest
from organscope.errors import IntegrityError, ManifestError

MAX_READ_BYTES = 256 * 1024**2
"""All files of a bundle together, uncompressed. Above what is ever written, to read what others wrote."""

MAX_FILES = 64
_MAX_ZIP_HEADERS = 1000
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def read_contents(path: Path) -> tuple[Manifest, dict[str, bytes]]:
    """Read a bundle and check every file.

    Args:
        path: A folder, or a zip file with the bundle's files at its root or in one folder.

    Returns:
        The manifest, and the bytes of every file including the manifest's.

    Raises:
        ManifestError: The manifest is missing, unknown, or does not fit its schema.
        IntegrityError: A file is missing, unlisted, changed, or of a kind that is refused.
    """
    if path.is_dir() and not (path / MANIFEST_NAME).is_file():
        raise _no_manifest(path)
    try:
        contents = _read_folder(path) if path.is_dir() else _read_zip(path)
    except OSError as error:
        raise IntegrityError(
            f"Expected {path} to be readable, found: {error.strerror}. Check its permissions."
        ) from None
    if MANIFEST_NAME not in contents:
        raise _no_manifest(path)
    manifest = parse_manifest(contents[MANIFEST_NAME], str(path))
    check_files(manifest, contents, str(path))
    return manifest, contents


def check_files(manifest: Manifest, contents: dict[str, bytes], where: str) -> None:
    """Compare names, sizes and SHA-256 with the manifest.

    Raises:
        IntegrityError: A file is missing, is not in the manifest, or differs.
    """
    present = set(contents) - {MANIFEST_NAME}
    if missing := sorted(set(manifest.files) - present):
        raise IntegrityError(f"Expected {', '.join(missing)} in {where}, found nothing. Copy the bundle again.")
    if extra := sorted(present - set(manifest.files)):
        raise IntegrityError(
            f"Expected only files that the manifest of {where} lists, found {', '.join(extra)}. Remove them."
        )
    for name, entry in manifest.files.items():
        found = hashlib.sha256(contents[name]).hexdigest()
        if found != entry.sha256 or len(contents[name]) != entry.size_bytes:
            raise IntegrityError(
                f"Expected {name} of {where} to have SHA-256 {entry.sha256[:12]}..., found {found[:12]}...: "
                "it was changed or damaged. Copy the bundle again from where you trust it."
            )


def _read_folder(folder: Path) -> dict[str, bytes]:
    files = sorted(folder.iterdir())
    for file in files:
        if file.is_symlink() or not file.is_file():
            raise _refused(folder, file.name, "links, folders and devices are refused")
    _check_amount(folder, len(files), sum(file.stat().st_size for file in files))
    return {file.name: file.read_bytes() for file in files}


def _read_zip(path: Path) -> dict[str, bytes]:
    _check_amount(path, 1, path.stat().st_size)
    packed = path.read_bytes()
    # Counted before zipfile makes an object of each: a directory of millions of entries fills the memory.
    if packed.count(b"PK\x01\x02") > _MAX_ZIP_HEADERS:
        raise _refused(path, "thousands of entries", f"more than {MAX_FILES} files are refused")
    try:
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            for member in members:
                _check_member(path, member)
            _check_amount(path, len(members), sum(member.file_size for member in members))
            names = _flat_names(path, members)
            # zipfile never gives more than the declared size, and compares the CRC at the end.
            return {name: archive.read(member) for name, member in zip(names, members, strict=True)}
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise IntegrityError(
            f"Expected {path} to be a bundle: a folder or a sound zip file, found: {error}. Copy it again."
        ) from None


def _check_member(path: Path, member: zipfile.ZipInfo) -> None:
    parts = member.filename.split("/")
    if member.filename.startswith("/") or "\\" in member.filename or ":" in parts[0] or ".." in parts:
        raise _refused(path, member.filename, "paths that lead out of the bundle are refused")
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        raise _refused(path, member.filename, "links and devices are refused")
    if member.flag_bits & 0x1 or member.compress_type not in _COMPRESSIONS:
        raise _refused(path, member.filename, "encryption and compression other than deflate are refused")


def _flat_names(path: Path, members: list[zipfile.ZipInfo]) -> list[str]:
    """Names below the one folder that the archive may have around its files."""
    folders = {member.filename.rpartition("/")[0] for member in members}
    if len(folders) > 1 or any("/" in folder for folder in folders):
        raise _refused(path, ", ".join(sorted(folders)), "files of one bundle lie in one folder")
    names = [member.filename.rpartition("/")[2] for member in members]
    if len(set(names)) != len(names):
        raise _refused(path, "one name twice", "which of them counts cannot be known")
    return names


def _check_amount(path: Path, n_files: int, n_bytes: int) -> None:
    if n_files > MAX_FILES or n_bytes > MAX_READ_BYTES:
        raise _refused(
            path,
            f"{n_files} files of {n_bytes / 1024**2:.0f} MB",
            f"more than {MAX_FILES} files or {MAX_READ_BYTES // 1024**2} MB are refused",
        )


def _refused(path: Path, found: str, why: str) -> IntegrityError:
    return IntegrityError(f"Expected {path} to hold plain files only, found {found}: {why}. Do not use this bundle.")


def _no_manifest(path: Path) -> ManifestError:
    return ManifestError(f"Expected {MANIFEST_NAME} in {path}, found none. Check that it is an organscope bundle.")
